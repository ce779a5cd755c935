"""Selectivity: which units tell one condition of the trials from another, and how well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from daleml import require
from daleml.analysis.activity.plain_values import (
    enough_shuffles,
    fields_of,
    open_fraction,
)
from daleml.analysis.activity.shuffled_conditions import Groups, shuffled_p_values
from daleml.analysis.activity.trial_rates import (
    Array,
    as_labels,
    population_units,
    window_means,
)
from daleml.populations import Populations


@dataclass(frozen=True, eq=False)
class Selectivity:
    r"""How each unit's rate depends on a condition of the trials.

    Attributes:
        conditions: The distinct conditions, in order.
        n_trials: Number of trials of each.
        means: Mean rate in each, (conditions, units): the tuning curves.
        standard_errors: Of the means.
        eta_squared: Fraction of the variance over trials that the condition explains, by unit;
            0 for a unit whose rate never changes.
        d_prime: Mean in the second of two conditions less that in the first, over the root of
            their mean variance; NaN for more than two conditions, or for a unit whose rate never
            changes. Infinite where rates differ, and do not vary within a condition.
        roc_area: Probability that a rate in the second condition is the higher one, with half of
            the ties; NaN for more than two conditions.
        preferred: Which condition has the highest mean rate, by unit.
        preferred_direction: Of a circular condition, the direction of the mean rate vector, in
            its unit; NaN for others.
        vector_length: Of a circular condition, the length of that vector, in [0, 1]; NaN for
            others, or for a silent unit.
        p_values: Of each unit by itself, by shuffled conditions.
        adjusted_p_values: The same, corrected for the number of units.
        selective: Whether the corrected value is at most ``level``.
        level: The probability with which even one unit may be called selective if none is.
        n_shuffles: How often conditions were shuffled.
        period: Of a circular condition; None for others.
        populations: The units' populations; None if they were not given.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(1)
        >>> rates = torch.rand(40, 3, generator=generator)
        >>> rates[20:, 1] += 2  # the second unit prefers the second condition
        >>> result = selectivity(rates, ["left"] * 20 + ["right"] * 20)
        >>> result.selective.tolist(), float(result.roc_area[1])
        ([False, True, False], 1.0)
        >>> print(result.conclusion())  # doctest: +NORMALIZE_WHITESPACE
        1 of 3 units tells 2 conditions apart in 40 trials; if no unit did, even one would be
        called selective with a probability of 5%.
    """

    conditions: tuple[Any, ...]
    n_trials: tuple[int, ...]
    means: Array
    standard_errors: Array
    eta_squared: Array
    d_prime: Array
    roc_area: Array
    preferred: NDArray[np.int64]
    preferred_direction: Array
    vector_length: Array
    p_values: Array
    adjusted_p_values: Array
    selective: NDArray[np.bool_]
    level: float
    n_shuffles: int
    period: float | None
    populations: Populations | None

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.eta_squared)

    @property
    def n(self) -> int:
        """Number of trials."""
        return sum(self.n_trials)

    @property
    def fraction(self) -> float:
        """Fraction of the units that are selective."""
        return float(self.selective.mean())

    @property
    def fractions(self) -> dict[str, float]:
        """Fraction of each population's units that are selective; empty without populations."""
        found: dict[str, float] = {}
        if self.populations is not None:
            for name in self.populations.names:
                units = self.populations[name]
                found[name] = float(self.selective[units].mean())
        return found

    def conclusion(self) -> str:
        """Say in one sentence how many units are selective."""
        n = int(self.selective.sum())
        verb = "tells" if n == 1 else "tell"
        return (
            f"{n} of {self.n_units} units {verb} {len(self.conditions)} conditions apart in"
            f" {self.n:,} trials; if no unit did, even one would be called selective with a"
            f" probability of {self.level:.0%}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not finite is None."""
        content = fields_of(self)
        # Sizes and signs of each population, as they are saved elsewhere.
        if self.populations is not None:
            content["populations"] = self.populations.to_dict()
        return content | {
            "n": self.n,
            "n_units": self.n_units,
            "fraction": self.fraction,
            "fractions": self.fractions,
            "conclusion": self.conclusion(),
        }

    def __str__(self) -> str:
        return self.conclusion()


def selectivity(
    rates: Tensor | ArrayLike,
    conditions: Tensor | ArrayLike,
    *,
    window: slice | Tensor | ArrayLike | None = None,
    within: Tensor | ArrayLike | None = None,
    period: float | None = None,
    populations: Populations | None = None,
    n_shuffles: int = 999,
    level: float = 0.05,
    rng: int | np.random.Generator = 0,
) -> Selectivity:
    r"""Measure how well each unit's mean rate tells the conditions of trials apart.

    .. math::
        \eta^2 = \frac{\sum_g n_g (\bar r_g - \bar r)^2}{\sum_i (r_i - \bar r)^2}, \qquad
        d' = \frac{\bar r_2 - \bar r_1}{\sqrt{(s_1^2 + s_2^2) / 2}}, \qquad
        V = \frac{\sum_g \bar r_g e^{2 \pi i \theta_g / P}}{\sum_g |\bar r_g|}

    for rates :math:`r_i` averaged over a window. A unit's p-value is how often shuffled
    conditions explain at least as much, :math:`(1 + \#) / (1 + B)`; the corrected one, how often
    they explain at least as much of *any* unit.

    Args:
        rates: Rates of the units.
        conditions: What is to be told apart: one number or text for each trial.
        window: Which steps the rates are averaged over: a slice, such as
            ``task.steps("stimulus")``, or a boolean for each step and trial, such as
            ``trials.during("stimulus")`` where trials differ; default: all.
        within: Labels within which alone conditions are shuffled, one for each trial: what might
            go along with the condition and is not asked about. Default: among all trials.
        period: The period of a circular condition, such as 360 for degrees; default: it is not
            circular.
        populations: The units' populations; fractions are then given for each.
        n_shuffles: How often conditions are shuffled, at least 19, and at least 1 / level - 1.
        level: The probability with which even one unit may be called selective if none is.
        rng: Seed or generator of the shuffles.

    Shape:
        - ``rates``: (time, trials, units), or (trials, units) without a window.
        - ``window``: a slice, or (time, trials), bool.
        - ``conditions``, ``within``: (trials,).

    Returns:
        Measures and p-values of every unit.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes do not fit, there are fewer than two conditions, or one has fewer
            than two trials.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> from daleml.tasks import PerceptualDecision
        >>> generator = torch.Generator().manual_seed(1)
        >>> task = PerceptualDecision(dt_ms=50)
        >>> rnn = EIRNN(task.n_inputs, Populations(16, 4), generator=generator)
        >>> trials = task.sample(40, generator=generator)
        >>> rates, _ = rnn(trials.inputs)
        >>> choice = trials.conditions["choice"]
        >>> result = selectivity(rates, choice, window=task.steps("stimulus"), n_shuffles=99)
        >>> result.means.shape, result.d_prime.shape
        ((2, 20), (20,))

    Notes:
        Shuffles keep the correlations between units, so that the correction holds whatever they
        are (Westfall & Young). Units that never change are not selective.

        The vector length is that of Swindale, with the absolute values of the mean rates below
        it: rates of excitatory and inhibitory units are not negative anyway.

    References:
        Westfall & Young 1993, Resampling-Based Multiple Testing.
    """
    by_trial = window_means("rates", rates, window)
    labels = as_labels("conditions", conditions, len(by_trial))
    names, which = np.unique(labels, return_inverse=True)
    counts = np.bincount(which)
    if len(names) < 2 or counts.min() < 2:
        raise ValueError(
            "`conditions` must be at least two, each of at least two trials; got"
            f" {dict(zip(names.tolist(), counts.tolist(), strict=True))}."
        )
    directions = _directions(names, period)
    strata = np.zeros(len(which), dtype=np.intp)
    if within is not None:
        kept = as_labels("within", within, len(by_trial))
        strata = np.unique(kept, return_inverse=True)[1].astype(np.intp)
    limit = open_fraction("level", level)
    shuffles = enough_shuffles(n_shuffles, limit)
    # Conditions move between trials of one stratum only.
    groups = Groups(which.astype(np.intp), strata)
    eta, p, adjusted = shuffled_p_values(by_trial, groups, shuffles, rng)
    means, errors, variances = _by_condition(by_trial, which, counts)
    vector_direction, length = _mean_vector(means, directions, period)
    if populations is not None:
        population_units(populations, by_trial.shape[1])
    return Selectivity(
        conditions=tuple(names.tolist()),
        n_trials=tuple(counts.tolist()),
        means=means,
        standard_errors=errors,
        eta_squared=eta,
        d_prime=_d_prime(means, variances),
        roc_area=_roc_area(by_trial, which, len(names)),
        preferred=means.argmax(axis=0),
        preferred_direction=vector_direction,
        vector_length=length,
        p_values=p,
        adjusted_p_values=adjusted,
        selective=adjusted <= limit,
        level=limit,
        n_shuffles=shuffles,
        period=period,
        populations=populations,
    )


def _directions(names: NDArray[Any], period: float | None) -> Array | None:
    """Return the angles of a circular condition, in radians; None if it is not circular."""
    if period is None:
        return None
    length = require.positive("period", period)
    if names.dtype.kind not in "biuf":
        raise ValueError(
            "`period` must be None where conditions are no numbers; got"
            f" {period:g} with {names[0]!r}."
        )
    return np.asarray(2 * math.pi * names.astype(np.float64) / length)


def _by_condition(
    rates: Array, which: NDArray[Any], counts: NDArray[Any]
) -> tuple[Array, Array, Array]:
    """Return means, their standard errors, and variances, (conditions, units)."""
    means, variances = [], []
    # Conditions are few, and units many: a loop over conditions costs nothing.
    for group in range(len(counts)):
        here = rates[which == group]
        means.append(here.mean(axis=0))
        variances.append(here.var(axis=0, ddof=1))
    variance = np.stack(variances)
    return np.stack(means), np.sqrt(variance / counts[:, None]), variance


def _d_prime(means: Array, variances: Array) -> Array:
    # Only a pair of conditions has a difference.
    if len(means) != 2:
        return np.full(means.shape[1], math.nan)
    # 0/0 for a unit that never changes is NaN, a difference without variance infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((means[1] - means[0]) / np.sqrt(variances.mean(axis=0)))


def _roc_area(rates: Array, which: NDArray[Any], n_conditions: int) -> Array:
    if n_conditions != 2:
        return np.full(rates.shape[1], math.nan)
    # The area is a Mann-Whitney statistic: ranks of the second condition, ties shared.
    ranks = stats.rankdata(rates, axis=0)
    second = which == 1
    n_second = int(second.sum())
    n_first = len(which) - n_second
    lowest = n_second * (n_second + 1) / 2
    return np.asarray((ranks[second].sum(axis=0) - lowest) / (n_first * n_second))


def _mean_vector(
    means: Array, directions: Array | None, period: float | None
) -> tuple[Array, Array]:
    """Return direction and length of the mean rate vector of each unit."""
    if directions is None or period is None:
        nothing = np.full(means.shape[1], math.nan)
        return nothing, nothing.copy()
    vector = (means * np.exp(1j * directions)[:, None]).sum(axis=0)
    with np.errstate(invalid="ignore"):
        length = np.abs(vector) / np.abs(means).sum(axis=0)
    # From 0 up to the period, as directions are given.
    angle = np.angle(vector) % (2 * math.pi)
    direction = np.where(np.isfinite(length), angle / (2 * math.pi) * period, math.nan)
    return direction, length
