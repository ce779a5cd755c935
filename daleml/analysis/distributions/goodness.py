"""Goodness of fit: whether a sample could have been drawn from the family fitted to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml import require
from daleml.analysis.distributions import p_values
from daleml.analysis.distributions.binned_goodness import distances
from daleml.analysis.distributions.bootstrap import (
    replicate,
    reporting,
    require_drawable,
    spawn,
)
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.families.parameter_kinds import Params
from daleml.analysis.distributions.fit import estimate
from daleml.analysis.distributions.kolmogorov_smirnov import ks_distance
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.distributions.p_values import LEVEL
from daleml.analysis.distributions.recording import LOOKED_AT
from daleml.analysis.distributions.rounding_detection import detect_rounding
from daleml.analysis.distributions.weight_fit import FEW, WeightFit, require_fit


@dataclass(frozen=True)
class GoodnessOfFit:
    """The test whether a sample could have been drawn from the family fitted to it.

    Attributes:
        family: The family.
        distance: The Kolmogorov-Smirnov distance of the fit.
        p_value: Fraction of samples drawn from the fit that, refitted, lie at least as far from
            their own fit; NaN where nothing can be judged.
        n_boot: Number of samples drawn.
        unjudged: Why nothing can be judged and what to do, if so; else empty.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, goodness_of_fit
        >>> weights = np.random.default_rng(1).gamma(2.0, size=200)
        >>> print(goodness_of_fit(fit_weights(weights, "gamma"), 100))
        gamma: the weights could be drawn from it (KS 0.0429, p = 0.495, 100 samples)
    """

    family: str
    distance: float
    p_value: float
    n_boot: int
    unjudged: str = ""

    @property
    def reason(self) -> str:
        """Why nothing can be judged, without what to do about it."""
        return self.unjudged.partition("; ")[0]

    @property
    def can_reject(self) -> bool:
        """Whether there are enough samples to reject anything at 5 %: 20 or more."""
        return p_values.floor(self.n_boot) < LEVEL and not self.unjudged

    @property
    def at_floor(self) -> bool:
        """Whether at most one sample lies as far.

        The p-value may be far smaller than so few samples can show.
        """
        return p_values.at_floor(self.p_value, self.n_boot)

    def p_text(self, digits: int = 3) -> str:
        """Return the p-value in words: ``p = 0.312``, ``p < 0.01``."""
        return p_values.p_text(self.p_value, self.n_boot, digits)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {
            "family": self.family,
            "distance": self.distance,
            "p_value": None if math.isnan(self.p_value) else self.p_value,
            "n_boot": self.n_boot,
            "at_floor": self.at_floor,
            "unjudged": self.unjudged or None,
        }

    def __str__(self) -> str:
        label = family_label(self.family)
        if self.unjudged:
            return f"{label}: not judged (KS {self.distance:.4f}): {self.unjudged}"
        verdict = "are not drawn from it"
        if not self.can_reject:
            verdict = "cannot be judged by so few bootstrap samples"
        elif self.p_value > LEVEL:
            verdict = "could be drawn from it"
        how = f"KS {self.distance:.4f}, {self.p_text()}, {self.n_boot} samples"
        return f"{label}: the weights {verdict} ({how})"


def goodness_of_fit(
    fit: WeightFit,
    n_boot: int = 1000,
    *,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> GoodnessOfFit:
    r"""Test whether a sample could have been drawn from the family fitted to it.

    The test is a parametric bootstrap. Samples are drawn from the fit, observed as the data
    were, and refitted. With :math:`D` the Kolmogorov-Smirnov distance of the data from their
    fit, and :math:`D_b` that of a drawn sample from its own,

    .. math:: p = \frac{1 + \#\{b : D_b \ge D\}}{1 + B} .

    The textbook p-value of :math:`D` does not hold, because the parameters were fitted to the
    same data.

    Of more than a million weights, samples are drawn as the numbers of values in 8,192 bins, and
    the distances that are compared are those at the ends of these.

    Of values that were rounded and fitted as if they were not, every family is false: nothing
    is judged until the fit has a ``resolution``. Nor is anything judged of fewer than 10
    values.

    Args:
        fit: A fit.
        n_boot: Number of samples drawn, :math:`B`.
        rng: A seed, or a generator to take one from. Each sample has a stream of its own:
            results do not depend on ``jobs``.
        jobs: Processes to use where the work is long. Default: one per core.
        progress: True for a bar on standard error; or a callback, which is called with the
            number done and the number of all.

    Returns:
        The distance, its p-value, and whether it can be judged.

    Raises:
        TypeError: If ``fit`` is no fit.
        ValueError: If the fit had sample weights, of which nobody knows how they would be drawn.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> weights = np.random.default_rng(1).lognormal(size=400)
        >>> goodness_of_fit(fit_weights(weights), 200).p_value > 0.05
        True
        >>> goodness_of_fit(fit_weights(weights, "halfnormal"), 200).p_value < 0.01
        True

    References:
        Stute, Gonzalez-Manteiga & Presedo-Quindimil 1993, Metrika 40:243.
    """
    require_fit("fit", fit)
    n_boot = require.integer("n_boot", n_boot, 1)
    unjudged = _unjudged(fit)
    if unjudged and fit.total >= FEW:
        return GoodnessOfFit(fit.family, fit.ks_distance(), math.nan, n_boot, unjudged)
    if fit.observed.streamed is not None:
        return _of_very_many(fit, n_boot, rng, progress, unjudged)
    distance = fit.ks_distance()
    drawn = replicate(
        _distance,
        fit,
        n_boot,
        rng=rng,
        jobs=jobs,
        progress=progress,
        what=f"fits of {fit.family}",
    )
    # Equal but for rounding counts as equal: distances of counts are often tied.
    n_farther = sum(other >= distance * (1 - 1e-9) for other in drawn)
    return GoodnessOfFit(
        fit.family, distance, (1 + n_farther) / (1 + n_boot), n_boot, unjudged
    )


def _of_very_many(
    fit: WeightFit,
    n_boot: int,
    rng: int | np.random.Generator,
    progress: Callable[[int, int], object] | bool,
    unjudged: str,
) -> GoodnessOfFit:
    """Test very many weights by samples that are drawn bin by bin."""
    require_drawable(fit)
    seeds = spawn(rng, n_boot)
    with reporting(progress, n_boot, f"fits of {fit.family}") as report:
        distance, *drawn = distances(fit, seeds, report)
    n_farther = sum(other >= distance * (1 - 1e-9) for other in drawn)
    p_value = (1 + n_farther) / (1 + n_boot)
    return GoodnessOfFit(fit.family, fit.ks_distance(), p_value, n_boot, unjudged)


def _unjudged(fit: WeightFit) -> str:
    """Return why the fit cannot be judged, in a sentence; empty if it can."""
    if fit.total < FEW:
        return (
            f"{fit.total:.3g} weights are too few to judge a fit by; give at least {FEW},"
            " better hundreds."
        )
    if fit.observation.grid is not None or fit.sample.intervals is not None:
        return ""
    if fit.sample.counts() is not None:
        return ""
    rounding = detect_rounding(fit.sample.some_values(LOOKED_AT))
    if rounding is None or not rounding.matters:
        return ""
    return (
        f"the values are {rounding.said} and were fitted as if they were not, which counts"
        f" against every family; pass {rounding.argument}."
    )


def _distance(family: Family, observed: ObservedSample, start: Params) -> float:
    params, _, _ = estimate(observed, family, start)
    return ks_distance(family, params, observed)
