"""The psychometric curve: how often one of two choices is made, by strength of the stimulus."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from daleml.analysis.activity import psychometric_likelihood as likelihood
from daleml.analysis.activity.plain_values import fields_of, open_fraction
from daleml.analysis.activity.profile_intervals import profile_interval
from daleml.analysis.activity.psychometric_counts import (
    PARAMETERS,
    Scale,
    counts_by_strength,
    require_options,
)
from daleml.analysis.activity.psychometric_likelihood import Array, Counts, Model, Point

# A step is told from a finite slope by more than this of log-likelihood.
_SAME = 1e-7

# A parameter this close to its bound, of the width of its bounds, lies on it.
_ON_BOUND = 1e-6

# The deviance has its distribution only if so many trials of either choice are expected.
_LEAST_EXPECTED = 1.0


class CurveVerdict(enum.Enum):
    """What the data say of a psychometric curve."""

    FITTED = "fitted"
    """All free parameters have finite estimates."""

    STEP = "step"
    """The slope is infinite: no two strengths lie where the curve rises."""

    BIAS_OUTSIDE = "bias outside"
    """The bias lies further from the strengths than they are wide, and is not to be known."""

    ONE_CHOICE = "one choice"
    """All choices are the same: there is no curve."""

    TOO_FEW_STRENGTHS = "too few strengths"
    """There are more free parameters than strengths."""


@dataclass(frozen=True)
class Psychometric:
    """A psychometric curve, with what it was fitted to.

    Attributes:
        shape: "logistic" or "gaussian".
        bias: The strength at which the curve is half-way between its ends, in the unit of the
            strengths. NaN, as all parameters, if the verdict says that they are not to be had.
        slope: What multiplies strength less bias: of a Gaussian one over its standard
            deviation. Negative if the choice becomes rarer with strength; infinite for a step.
        lapse_low: The fraction of choices at the low end of the curve.
        lapse_high: One less the fraction of choices at its high end.
        standard_errors: By parameter, from the expected information; NaN for a parameter that
            was not fitted or lies on a bound.
        intervals: By parameter, from its profile likelihood; an end is infinite where the data
            do not bound it.
        confidence: Of the intervals.
        strengths: The strengths that occurred.
        n_trials: Number of trials at each.
        n_chosen: Number of those with the choice.
        n_excluded: Number of trials without a choice or strength, which were left out.
        n_free: Number of fitted parameters.
        log_likelihood: Of the trials, without binomial coefficients.
        deviance: Twice what the log-likelihood lacks of that of the fractions themselves.
        dof: Strengths less fitted parameters.
        p_value: Of the deviance, from a chi-square distribution; NaN without degrees of freedom,
            or where it would not be calibrated: if fewer than one trial of either choice is
            expected at some strength.
        converged: Whether the maximum was reached from more than one starting point, and is not
            on a bound of slope or bias.
        verdict: What the data say.

    Example:
        >>> strengths = [-2, -1, 0, 1, 2] * 20
        >>> choices = [0, 0, 1, 1, 1] * 10 + [0, 1, 0, 0, 1] * 10
        >>> curve = psychometric(strengths, choices, n_lapses=0)
        >>> curve.verdict, round(abs(curve.bias), 3), curve.n
        (<CurveVerdict.FITTED: 'fitted'>, 0.0, 100)
        >>> print(curve.conclusion())  # doctest: +NORMALIZE_WHITESPACE
        Half of the choices are made at 0, the slope is 1.01 for each unit of strength, and
        no lapses were fitted, in 100 trials of 5 strengths.
    """

    shape: str
    bias: float
    slope: float
    lapse_low: float
    lapse_high: float
    standard_errors: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confidence: float
    strengths: tuple[float, ...]
    n_trials: tuple[int, ...]
    n_chosen: tuple[int, ...]
    n_excluded: int
    n_free: int
    log_likelihood: float
    deviance: float
    dof: int
    p_value: float
    converged: bool
    verdict: CurveVerdict

    @property
    def n(self) -> int:
        """Number of trials."""
        return sum(self.n_trials)

    @property
    def fractions(self) -> Array:
        """Fraction of trials with the choice, at each strength."""
        return np.asarray(np.array(self.n_chosen) / np.array(self.n_trials))

    @property
    def threshold(self) -> float:
        """The distance from the bias to where F is 0.75; 0 for a step."""
        # A flat curve never gets there.
        if self.slope == 0:
            return math.inf
        quartile = math.log(3.0)
        if self.shape == "gaussian":
            quartile = float(special.ndtri(0.75))
        return quartile / abs(self.slope)

    def predict(self, strengths: ArrayLike) -> Array:
        """Return the probability of the choice at some strengths.

        Args:
            strengths: Where, in the unit of those that were fitted.
        """
        distance = np.asarray(strengths, dtype=np.float64) - self.bias
        # An infinite slope times no distance at all: the curve is half-way there.
        with np.errstate(invalid="ignore"):
            z = np.where(distance == 0, 0.0, self.slope * distance)
        f = special.expit(z) if self.shape == "logistic" else special.ndtr(z)
        return np.asarray(self.lapse_low + (1 - self.lapse_low - self.lapse_high) * f)

    def conclusion(self) -> str:
        """Say in one sentence what the curve is."""
        told = f"in {self.n:,} trials of {len(self.strengths)} strengths."
        if self.verdict is CurveVerdict.ONE_CHOICE:
            return f"There is no curve: all choices are the same, {told}"
        if self.verdict is CurveVerdict.TOO_FEW_STRENGTHS:
            return (
                f"There is no curve: {self.n_free} parameters need as many strengths; got"
                f" {len(self.strengths)}: give fewer lapse rates, or more strengths."
            )
        lapses = f"lapse rates are {self.lapse_low:.3f} and {self.lapse_high:.3f}"
        if self.n_free == 2:
            lapses = "no lapses were fitted"
        if self.verdict is CurveVerdict.STEP:
            return f"The choice changes at once, near {self._place}, {lapses}, {told}"
        if self.verdict is CurveVerdict.BIAS_OUTSIDE:
            return f"The bias lies outside of the strengths, unknown, {lapses}, {told}"
        return (
            f"Half of the choices are made at {self._place}, the slope is {self.slope:.3g}"
            f" for each unit of strength, and {lapses}, {told}"
        )

    @property
    def _place(self) -> str:
        """The bias in words, to a thousandth of the range of the strengths."""
        width = max(self.strengths[-1] - self.strengths[0], 1e-300)
        decimals = 3 - math.floor(math.log10(width))
        # Adding 0 turns minus 0 into 0.
        return f"{round(self.bias, decimals) + 0.0:g}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not finite is None."""
        return fields_of(self) | {"n": self.n, "conclusion": self.conclusion()}

    def __str__(self) -> str:
        return self.conclusion()


def psychometric(
    strengths: ArrayLike,
    choices: ArrayLike,
    *,
    shape: str = "logistic",
    n_lapses: int = 2,
    max_lapse: float = 0.5,
    confidence: float = 0.95,
) -> Psychometric:
    r"""Fit how often one of two choices is made, by signed strength of the stimulus.

    .. math::
        p(s) = \gamma + (1 - \gamma - \lambda) F(\beta (s - b)), \qquad
        \ell = \sum_s k_s \ln p(s) + (n_s - k_s) \ln (1 - p(s))

    with bias :math:`b`, slope :math:`\beta`, lapse rates :math:`\gamma` at the low end and
    :math:`\lambda` at the high end, and :math:`F` the logistic function or the distribution
    function of a standard normal variable, for :math:`k_s` choices in :math:`n_s` trials. The
    parameters are where :math:`\ell` is largest.

    Args:
        strengths: Signed strength of the stimulus in each trial, such as coherence.
        choices: Whether the choice was made in each trial: 1 or True, 0 or False; NaN where
            none was made.
        shape: :math:`F`: "logistic" or "gaussian".
        n_lapses: How many lapse rates are fitted: 2, one for each end; 1, the same for both; 0,
            none.
        max_lapse: The largest lapse rate, in (0, 0.5].
        confidence: Of the intervals, in (0, 1).

    Shape:
        - ``strengths``, ``choices``: (trials,).

    Returns:
        The curve, with intervals, and a verdict where there is none.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If there are no trials, lengths differ, or choices are not 0 or 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> strengths = rng.choice([-0.4, -0.2, -0.1, 0, 0.1, 0.2, 0.4], 2000)
        >>> p = 0.05 + 0.9 / (1 + np.exp(-15 * (strengths - 0.05)))
        >>> curve = psychometric(strengths, rng.random(2000) < p)
        >>> low, high = curve.intervals["bias"]
        >>> bool(low < 0.05 < high), curve.converged, bool(curve.p_value > 0.01)
        (True, True, True)

    Notes:
        A slope that would be infinite is found out exactly: the likelihoods of all steps have
        closed forms, and are compared with the best finite slope. Standard errors take a
        parameter on its bound for known. Intervals are those values at which the profile
        likelihood is at most half a quantile of chi-square below its maximum.

    References:
        Wichmann & Hill 2001 Percept Psychophys 63:1293, for lapse rates and their bounds.
    """
    require_options(shape, n_lapses, max_lapse)
    open_fraction("confidence", confidence)
    counts, scale, n_excluded = counts_by_strength(strengths, choices)
    n_free = 2 + n_lapses
    no_curve = None
    if counts.chosen.sum() in (0, counts.total.sum()):
        no_curve = CurveVerdict.ONE_CHOICE
    elif len(counts.total) < n_free:
        no_curve = CurveVerdict.TOO_FEW_STRENGTHS
    facts: dict[str, Any] = {
        "shape": shape,
        "strengths": tuple((counts.strengths * scale.half + scale.centre).tolist()),
        "n_trials": tuple(counts.total.astype(int).tolist()),
        "n_chosen": tuple(counts.chosen.astype(int).tolist()),
        "n_excluded": n_excluded,
        "n_free": n_free,
        "confidence": confidence,
    }
    # The verdict stands in place of numbers, which would be those of a bound.
    if no_curve is not None:
        return Psychometric(**facts, **_NO_ESTIMATES, verdict=no_curve)
    chosen = likelihood.model(shape, n_lapses, max_lapse, counts)
    best, verdict, converged = _most_likely(counts, chosen)
    drop = float(stats.chi2.ppf(confidence, 1)) / 2
    return Psychometric(
        **facts,
        **scale.back(best.params),
        **_uncertainty(best, scale, counts, chosen, drop),
        **_goodness(best, counts, chosen),
        converged=converged,
        verdict=verdict,
    )


_NO_ESTIMATES: dict[str, Any] = {
    **dict.fromkeys(PARAMETERS, math.nan),
    "standard_errors": dict.fromkeys(PARAMETERS, math.nan),
    "intervals": dict.fromkeys(PARAMETERS, (math.nan, math.nan)),
    "log_likelihood": math.nan,
    "deviance": math.nan,
    "dof": 0,
    "p_value": math.nan,
    "converged": False,
}
"""The fields of a curve that is not to be had."""


def _most_likely(counts: Counts, chosen: Model) -> tuple[Point, CurveVerdict, bool]:
    """Return the most likely curve, what it is, and whether several searches found it."""
    points = []
    for start in likelihood.starts(counts, chosen):
        points.append(likelihood.maximise(counts, chosen, [start]))
    smooth = max(points, key=lambda point: point.log_likelihood)
    step = max(likelihood.steps(counts, chosen), key=lambda one: one.log_likelihood)
    if step.log_likelihood >= smooth.log_likelihood - _SAME:
        return step, CurveVerdict.STEP, False
    # A slope of 0 has no bias, which is NaN or infinite.
    if not abs(smooth.params[likelihood.BIAS]) <= likelihood.FARTHEST:
        return smooth, CurveVerdict.BIAS_OUTSIDE, False
    least = smooth.log_likelihood - _SAME
    # A comparison of numpy is no bool of Python, and a result goes into JSON.
    n_agree = sum(bool(one.log_likelihood >= least) for one in points)
    return smooth, CurveVerdict.FITTED, n_agree > 1


def _uncertainty(
    best: Point, scale: Scale, counts: Counts, chosen: Model, drop: float
) -> dict[str, Any]:
    """Return standard errors and intervals, by parameter."""
    errors = dict.fromkeys(PARAMETERS, math.nan)
    intervals = dict.fromkeys(PARAMETERS, (math.nan, math.nan))
    units = (scale.half, 1 / scale.half, 1.0, 1.0)
    scaled = _standard_errors(best, counts, chosen)
    for place, name in enumerate(PARAMETERS):
        # A lapse rate that was not asked for is 0, without an interval.
        if not chosen.matrix[place].any():
            continue
        errors[name] = float(scaled[place] * units[place])
        step = scaled[place]
        # Without a standard error a tenth of the strengths' half-width is a first guess.
        if not 0 < step < 1:
            step = 0.1
        low, high = profile_interval(counts, chosen, best, place, drop, step)
        offset = scale.centre if place == likelihood.BIAS else 0.0
        intervals[name] = (low * units[place] + offset, high * units[place] + offset)
    low, high = intervals["slope"]
    if low <= 0 <= high:
        # A flat curve may have its bias on either side, however far away.
        intervals["bias"] = (-math.inf, math.inf)
    return {"standard_errors": errors, "intervals": intervals}


def _standard_errors(best: Point, counts: Counts, chosen: Model) -> Array:
    """Return the standard error of each parameter; NaN where it lies on a bound."""
    errors = np.full(4, math.nan)
    if not np.isfinite(best.params).all():
        return errors
    low, high = np.array(chosen.bounds).T
    free = chosen.free(best.params)
    margin = _ON_BOUND * (high - low)
    inside = (free > low + margin) & (free < high - margin)
    matrix = chosen.matrix[:, inside]
    facts = (
        matrix.T @ likelihood.information(best.params, counts, chosen.shape) @ matrix
    )
    if np.linalg.matrix_rank(facts) < len(facts):
        return errors
    covariance = matrix @ np.linalg.inv(facts) @ matrix.T
    found = matrix.any(axis=1)
    errors[found] = np.sqrt(np.diag(covariance))[found]
    return errors


def _goodness(best: Point, counts: Counts, chosen: Model) -> dict[str, Any]:
    """Return how far the curve is from the fractions themselves."""
    deviance = max(0.0, 2 * (counts.saturated - best.log_likelihood))
    dof = len(counts.total) - chosen.matrix.shape[1]
    p_value = math.nan
    if dof > 0 and np.isfinite(best.params).all():
        found = likelihood.log_probabilities(
            likelihood.with_intercept(best.params), counts.strengths, chosen.shape
        )
        rarer = counts.total * np.exp(np.minimum(found.chosen, found.rest))
        if rarer.min() >= _LEAST_EXPECTED:
            p_value = float(stats.chi2.sf(deviance, dof))
    return {
        "log_likelihood": best.log_likelihood,
        "deviance": deviance,
        "dof": dof,
        "p_value": p_value,
    }
