"""The chronometric curve: how long a decision takes, by strength of the stimulus."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from daleml import require
from daleml.analysis.activity import diffusion_means
from daleml.analysis.activity.diffusion_means import Array, MeanTimes
from daleml.analysis.activity.plain_values import (
    fields_of,
    open_fraction,
    real_numbers,
    same_length,
)

# A mean whose trials do not differ at all is taken to be known to this fraction of a step.
_EXACT = 1e-3


class TimesVerdict(enum.Enum):
    """What the data say of a chronometric curve."""

    FITTED = "fitted"
    """A curve was fitted, and its parameters have standard errors."""

    UNDETERMINED = "undetermined"
    """A curve was fitted, but other parameters give it as well: times hardly change."""

    TOO_FEW_STRENGTHS = "too few strengths"
    """No curve was fitted: fewer than three strengths have two times or more."""


@dataclass(frozen=True)
class Chronometric:
    r"""Reaction times by absolute strength, with a fitted curve.

    Attributes:
        strengths: The absolute strengths.
        n_trials: Number of trials with a reaction time, at each.
        means_ms: Mean reaction time at each.
        standard_errors_ms: Of the means; NaN for a single trial.
        intervals_ms: Of the means, by Student's t.
        quantiles: Which quantiles, in (0, 1).
        quantiles_ms: The quantiles at each strength.
        fractions_correct: At each strength, of trials with a reaction time; NaN if unknown.
        error_means_ms: Mean reaction time of errors at each strength; NaN where there are none,
            or if they are unknown.
        only_correct: Whether means, quantiles and curve are of correct trials only.
        joint: Whether the curve was fitted to the correct choices, too.
        bound: :math:`A`, in the square root of ms; NaN, as the next two, without a curve.
        sensitivity: :math:`k`, over the square root of ms and the unit of strength.
        non_decision_ms: :math:`t_0`.
        parameter_errors: Standard errors of the three; NaN where undetermined.
        deviance: Weighted squares that the curve leaves of the means.
        dof: Strengths less three.
        confidence: Of the intervals.
        n_excluded: Number of trials left out: without a time, a strength or, of correct trials
            only, wrong.
        verdict: What the data say.

    Example:
        >>> times = [900, 850, 950, 700, 720, 680, 500, 520, 480, 400, 410, 390]
        >>> curve = chronometric([0] * 3 + [0.1] * 3 + [0.3] * 3 + [0.6] * 3, times)
        >>> curve.means_ms
        (900.0, 700.0, 500.0, 400.0)
        >>> curve.verdict, curve.n
        (<TimesVerdict.FITTED: 'fitted'>, 12)
        >>> round(float(curve.predict(0.0))) - round(curve.non_decision_ms + curve.bound**2)
        0
    """

    strengths: tuple[float, ...]
    n_trials: tuple[int, ...]
    means_ms: tuple[float, ...]
    standard_errors_ms: tuple[float, ...]
    intervals_ms: tuple[tuple[float, float], ...]
    quantiles: tuple[float, ...]
    quantiles_ms: tuple[tuple[float, ...], ...]
    fractions_correct: tuple[float, ...]
    error_means_ms: tuple[float, ...]
    only_correct: bool
    joint: bool
    bound: float
    sensitivity: float
    non_decision_ms: float
    parameter_errors: tuple[float, float, float]
    deviance: float
    dof: int
    confidence: float
    n_excluded: int
    verdict: TimesVerdict

    @property
    def n(self) -> int:
        """Number of trials with a reaction time."""
        return sum(self.n_trials)

    def predict(self, strengths: ArrayLike) -> Array:
        """Return the mean reaction time of the curve, in ms.

        Args:
            strengths: Where; their signs do not matter.
        """
        at = np.asarray(strengths, dtype=np.float64)
        times = diffusion_means.decision_time(at, self.bound, self.sensitivity)
        return np.asarray(self.non_decision_ms + times)

    def predict_correct(self, strengths: ArrayLike) -> Array:
        """Return the fraction correct of the same diffusion.

        Args:
            strengths: Where; their signs do not matter.
        """
        at = np.abs(np.asarray(strengths, dtype=np.float64))
        return np.asarray(special.expit(2 * self.bound * self.sensitivity * at))

    def conclusion(self) -> str:
        """Say in one sentence how reaction time depends on strength."""
        least, most = self.strengths[0], self.strengths[-1]
        told = (
            f"Decisions take {self.means_ms[0]:.0f} ms at strength {least:g} and"
            f" {self.means_ms[-1]:.0f} ms at {most:g}, in {self.n:,} trials"
        )
        if self.verdict is TimesVerdict.TOO_FEW_STRENGTHS:
            return f"{told}: too few strengths for a curve."
        if self.verdict is TimesVerdict.UNDETERMINED:
            return f"{told}: the parameters of the curve cannot be told from others."
        return (
            f"{told}: {self.non_decision_ms:.0f} ms are no decision, and the bound is"
            f" {self.bound:.3g}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not finite is None."""
        return fields_of(self) | {"n": self.n, "conclusion": self.conclusion()}

    def __str__(self) -> str:
        return self.conclusion()


def chronometric(
    strengths: ArrayLike,
    reaction_times_ms: ArrayLike,
    correct: ArrayLike | None = None,
    *,
    only_correct: bool = False,
    joint: bool = False,
    quantiles: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    confidence: float = 0.95,
) -> Chronometric:
    r"""Measure how reaction time depends on the strength of the stimulus, and fit its curve.

    .. math:: t(c) = t_0 + \frac{A}{k |c|} \tanh(A k |c|), \qquad t(0) = t_0 + A^2

    the mean reaction time of a diffusion to one of two bounds. The curve is fitted to the means,
    weighted by their standard errors; with ``joint`` to the fractions correct as well, which the
    same diffusion says to be :math:`1 / (1 + e^{-2 A k |c|})`.

    Args:
        strengths: Strength of the stimulus in each trial; its sign does not matter.
        reaction_times_ms: Reaction time in each trial; NaN where there was no answer.
        correct: Whether the answer was right: 1 or True, 0 or False; NaN where unknown.
        only_correct: Whether means, quantiles and curve are to be of correct trials only.
        joint: Whether to fit the fractions correct as well.
        quantiles: Which quantiles of the reaction times, in (0, 1).
        confidence: Of the intervals, in (0, 1).

    Shape:
        - ``strengths``, ``reaction_times_ms``, ``correct``: (trials,).

    Returns:
        Means, quantiles and the curve, with a verdict where there is none.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are no trials, lengths differ, a time is negative, or ``correct`` is
            needed or is not 0 or 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> strengths = rng.choice([0.0, 0.064, 0.128, 0.256, 0.512], 2000)
        >>> drift = 25 * 0.3 * np.maximum(strengths, 1e-9)  # A = 25, k = 0.3
        >>> times = 300 + 625 * np.tanh(drift) / drift + rng.normal(0, 50, 2000)
        >>> curve = chronometric(strengths, times)
        >>> abs(curve.bound - 25) < 1, abs(curve.non_decision_ms - 300) < 20
        (True, True)

    Notes:
        Times in ms and a unit variance for each ms give :math:`A` the unit of the square root
        of ms; with times in seconds it is :math:`A / \sqrt{1000}`, and :math:`k \sqrt{1000}`.
        Networks need not decide by diffusion to a bound: the deviance says how far off it is.

    References:
        Palmer, Huk & Shadlen 2005 J Vision 5(5):1.
    """
    require.flag("only_correct", only_correct)
    require.flag("joint", joint)
    open_fraction("confidence", confidence)
    levels_wanted = tuple(open_fraction("quantiles", one) for one in quantiles)
    at, times, right = _trials(strengths, reaction_times_ms, correct)
    if correct is None and (only_correct or joint):
        raise ValueError("`correct` must be given for `only_correct` or `joint`.")
    kept = ~(np.isnan(at) | np.isnan(times))
    judged = kept & ~np.isnan(right)
    # Errors are judged, and told apart, even where they are not averaged.
    if only_correct:
        kept &= right == 1
    if not kept.any():
        raise ValueError(
            "`reaction_times_ms` must hold some times; got none that counts."
        )
    levels = np.unique(at[kept])
    rows, by_quantile, n_judged = [], [], []
    for level in levels:
        here, seen = (at == level) & kept, (at == level) & judged
        rows.append(_row(times[here], right[seen], times[seen]))
        quantile_values = np.quantile(times[here], levels_wanted)
        by_quantile.append(tuple(quantile_values.tolist()))
        n_judged.append(float(seen.sum()))
    ns, means, errors, fractions, of_errors = map(np.array, zip(*rows, strict=True))
    # A single trial has no error, and a t distribution without degrees of freedom is none.
    margin = stats.t.ppf((1 + confidence) / 2, np.maximum(ns - 1, 1)) * errors
    judgements = None
    if joint:
        judgements = np.stack([np.nan_to_num(fractions) * n_judged, n_judged])
    curve = _curve(levels, ns, means, errors, judgements)
    return Chronometric(
        strengths=tuple(levels.tolist()),
        n_trials=tuple(ns.astype(int).tolist()),
        means_ms=tuple(means.tolist()),
        standard_errors_ms=tuple(errors.tolist()),
        intervals_ms=tuple(
            zip((means - margin).tolist(), (means + margin).tolist(), strict=True)
        ),
        quantiles=levels_wanted,
        quantiles_ms=tuple(by_quantile),
        fractions_correct=tuple(fractions.tolist()),
        error_means_ms=tuple(of_errors.tolist()),
        only_correct=only_correct,
        joint=joint,
        confidence=confidence,
        n_excluded=len(at) - int(kept.sum()),
        **curve,
    )


def _trials(
    strengths: object, reaction_times_ms: object, correct: object
) -> tuple[Array, Array, Array]:
    """Return absolute strengths, times, and whether answers were right, as numbers."""
    at = np.abs(real_numbers("strengths", strengths))
    times = real_numbers("reaction_times_ms", reaction_times_ms)
    right = np.full(len(times), math.nan)
    if correct is not None:
        right = real_numbers("correct", correct)
    same_length(strengths=at, reaction_times_ms=times, correct=right)
    # NaN is a trial without an answer, and is left out; infinity is a slip.
    for name, values in (("strengths", at), ("reaction_times_ms", times)):
        if np.isinf(values).any():
            raise ValueError(f"`{name}` must be finite, or NaN; got an infinite one.")
    if (times < 0).any():
        raise ValueError(
            f"`reaction_times_ms` must be at least 0; got {np.nanmin(times):g}."
        )
    wrong = right[~np.isnan(right) & (right != 0) & (right != 1)]
    if wrong.size:
        raise ValueError(f"`correct` must be 0 or 1, or NaN; got {wrong[0]:g}.")
    return at, times, right


def _row(
    times: Array, right: Array, judged_times: Array
) -> tuple[int, float, float, float, float]:
    """Return n, mean, standard error, fraction correct and the mean of errors."""
    n = len(times)
    error = math.nan
    if n > 1:
        error = float(times.std(ddof=1)) / math.sqrt(n)
    fraction = mean_of_errors = math.nan
    if right.size:
        fraction = float(right.mean())
    if (right == 0).any():
        mean_of_errors = float(judged_times[right == 0].mean())
    return n, float(times.mean()), error, fraction, mean_of_errors


def _curve(
    strengths: Array,
    ns: Array,
    means: Array,
    errors: Array,
    judgements: Array | None,
) -> dict[str, Any]:
    """Return the fitted parameters, and what the data say of them."""
    # A mean of one trial has no error to be weighted by.
    known = np.isfinite(errors)
    if known.sum() < 3 or not strengths[known].any():
        nothing = (math.nan, math.nan, math.nan)
        return {
            "bound": math.nan,
            "sensitivity": math.nan,
            "non_decision_ms": math.nan,
            "parameter_errors": nothing,
            "deviance": math.nan,
            "dof": 0,
            "verdict": TimesVerdict.TOO_FEW_STRENGTHS,
        }
    # Times in whole steps may all be the same, which leaves a mean without an error.
    floor = _EXACT * float(means.max()) / np.sqrt(ns[known])
    data = MeanTimes(
        strengths[known],
        means[known],
        np.maximum(errors[known], floor),
        None if judgements is None else judgements[:, known],
    )
    params, covariance, _ = diffusion_means.fit(data)
    expected = params[2] + diffusion_means.decision_time(data.strengths, *params[:2])
    deviance = float((((data.means - expected) / data.errors) ** 2).sum())
    with np.errstate(invalid="ignore"):
        found = np.sqrt(np.diag(covariance))
    verdict = TimesVerdict.FITTED
    # The likelihood is flat in some direction where its curvature has no inverse.
    if not np.isfinite(found).all():
        verdict = TimesVerdict.UNDETERMINED
    return {
        "bound": float(params[0]),
        "sensitivity": float(params[1]),
        "non_decision_ms": float(params[2]),
        "parameter_errors": tuple(found.tolist()),
        "deviance": deviance,
        "dof": int(known.sum()) - 3,
        "verdict": verdict,
    }
