"""The size of a difference between two groups: a ratio of medians, or a scaling of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.likelihood import log_likelihood
from daleml.analysis.distributions.likelihood_data import LikelihoodData
from daleml.analysis.distributions.likelihood_maximum import (
    derivatives,
    maximise_function,
)
from daleml.analysis.distributions.p_values import LEVEL, bare_p, p_text
from daleml.analysis.distributions.rounding import Grid
from daleml.analysis.distributions.rounding_detection import detect_rounding
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.weights.sample import WeightSample

# With so many values of either group, a scaling can be told from another change of shape.
_ENOUGH = 20

# Of equal counts the variance of a median is 0: this much more keeps what is finite in order.
_LEAST_VARIANCE = 1e-6


class Interval(NamedTuple):
    """A value with its interval.

    Attributes:
        value: The value.
        low: The lower end of the interval.
        high: The upper end.
    """

    value: float
    low: float
    high: float

    def text(self) -> str:
        """Return it as a sentence has it: ``1.52 [1.31, 1.77]``."""
        return (
            f"{three_digits(self.value)} [{three_digits(self.low)},"
            f" {three_digits(self.high)}]"
        )


@dataclass(frozen=True)
class GroupEffect:
    r"""The size of the difference between two groups.

    Attributes:
        reference: The group that the other is compared to. Of more than two groups, these are
            the two whose medians differ most surely, by the most standard errors, and the
            reference has the lower one.
        other: The other.
        medians: Of what was seen of both.
        ratio: The other's median over the reference's, with its 95 % interval, for all
            ``n_pairs`` together.
        scaling: The factor :math:`f` by which the reference's weights would be the other's,
            under one family and the thresholds of observation, which are not scaled with them;
            None if there are too few weights to tell.
        p_shape: Whether a factor is enough: the p-value of the test that both have one shape,
            whatever their scale. NaN where that was not tested, or the family has no shape.
        n_pairs: Number of pairs of groups among which this one was picked.
    """

    reference: str
    other: str
    medians: tuple[float, float]
    ratio: Interval
    scaling: Interval | None = None
    p_shape: float = math.nan
    n_pairs: int = 1

    @property
    def is_scaling(self) -> bool | None:
        """Whether a factor is enough; None if that was not tested."""
        return None if self.scaling is None else not self.p_shape < LEVEL

    def sentence(self, *, differ: bool) -> str:
        """Return it in words, of groups that were found to differ or not."""
        low = three_digits(self.ratio.low)
        high = three_digits(self.ratio.high)
        said = (
            f"the median of {self.other} is {three_digits(self.ratio.value)} times that of"
            f" {self.reference} [{low}, {high}]"
        )
        if self.n_pairs > 1:
            said += f", for all {self.n_pairs:,} pairs together"
        if not differ or self.scaling is None:
            return said
        if self.is_scaling:
            return (
                f"{said}; a scaling by {self.scaling.text()} describes the difference"
            )
        return (
            f"{said}; no one factor describes it, their shapes differ too"
            f" ({p_text(self.p_shape)})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {
            "reference": self.reference,
            "other": self.other,
            "medians": list(self.medians),
            "ratio": self.ratio._asdict(),
            "scaling": self.scaling._asdict() if self.scaling else None,
            "p_shape": self.p_shape if math.isfinite(self.p_shape) else None,
            "is_scaling": self.is_scaling,
            "n_pairs": self.n_pairs,
        }

    def __str__(self) -> str:
        return f"{self.sentence(differ=True)} ({bare_p(self.p_shape)} for one shape)"


def pair_to_name(samples: Mapping[str, WeightSample]) -> tuple[str, str]:
    """Return the two groups to compare.

    Of two groups these are both, in their order. Of more they are the two whose medians differ
    by the most standard errors; the one with the lower median comes first.
    """
    names = list(samples)
    if len(names) == 2:
        return names[0], names[1]
    found = np.array([_log_median(sample) for sample in samples.values()])
    order = np.argsort(found[:, 1], kind="stable")
    _, medians, variances = found[order].T
    gaps = medians[None, :] - medians[:, None]
    of_both = variances[None, :] + variances[:, None] + _LEAST_VARIANCE
    in_errors = np.triu(gaps / np.sqrt(of_both), 1)
    first, second = divmod(int(in_errors.argmax()), len(names))
    if first == second:
        # All medians are equal.
        first = 0
        second = len(names) - 1
    return names[order[first]], names[order[second]]


def median_ratio(samples: Sequence[WeightSample], n_pairs: int = 1) -> Interval:
    """Return the ratio of the second sample's median to the first's, with a 95 % interval.

    The interval holds whatever the distributions. Of rounded values it is that of the medians
    before rounding, as far as these can be told.

    References:
        Price & Bonett 2002, Journal of Statistical Computation and Simulation 72:119.
    """
    from scipy.special import ndtri

    first, second = (_log_median(sample) for sample in samples)
    error = math.sqrt(first.variance + second.variance)
    half_width = float(ndtri(1 - LEVEL / 2 / n_pairs)) * error
    written = second.written - first.written
    difference = second.unrounded - first.unrounded
    low = min(difference - half_width, written)
    high = max(difference + half_width, written)
    return Interval(_exp(written), _exp(low), _exp(high))


def median(sample: WeightSample) -> float:
    """Return the median of the magnitudes as they were seen, each as often as it counts."""
    return math.exp(_log_median(sample)[0])


class _LogMedian(NamedTuple):
    """The logarithm of a median, as it was written down and as it was before rounding.

    The variance is that of the second.
    """

    written: float
    unrounded: float
    variance: float


@dataclass(frozen=True)
class _Ranked:
    """Sorted values with their cumulative counts, and the grid on which they were rounded."""

    values: Array
    cumulative: Array
    grid: Grid | None

    def written(self, rank: float) -> float:
        """Return the value of a rank."""
        # A rank is a sum of counts, which may be off by rounding.
        index = int(np.searchsorted(self.cumulative, rank * (1 - 1e-12)))
        return float(self.values[min(index, self.values.size - 1)])

    def unrounded(self, rank: float) -> float:
        """Return the value of a rank, with ties spread evenly over what was rounded to them.

        The median of many ties lies on one number, or jumps to the next, however unsure it is;
        so it is taken as for the median of grouped data.
        """
        value = self.written(rank)
        if self.grid is None:
            return value
        first = int(np.searchsorted(self.values, value, side="left"))
        end = int(np.searchsorted(self.values, value, side="right"))
        before = float(self.cumulative[first - 1]) if first else 0.0
        fraction = (rank - 0.5 - before) / float(self.cumulative[end - 1] - before)
        bottom = float(self.grid.below(value))
        top = float(self.grid.above(value))
        least = 1 / (2 * float(self.cumulative[-1]))
        return bottom + (top - bottom) * min(max(fraction, least), 1.0)


def _log_median(sample: WeightSample) -> _LogMedian:
    """Return the logarithm of the median, and its variance.

    The variance comes from the distance between two order statistics around it.
    """
    from scipy.special import bdtr, ndtri

    values = sample.values()
    counts = sample.counts()
    if counts is None:
        counts = np.ones(values.size)
    order = np.argsort(values)
    rounding = detect_rounding(values[order], counts[order])
    grid = None
    if rounding is not None and rounding.matters:
        grid = rounding.grid
    ranked = _Ranked(values[order], np.cumsum(counts[order]), grid)
    n = float(ranked.cumulative[-1])
    low = math.floor((n + 1) / 2)
    high = math.ceil((n + 1) / 2)
    written = math.log((ranked.written(low) + ranked.written(high)) / 2)
    unrounded = math.log((ranked.unrounded(low) + ranked.unrounded(high)) / 2)
    # The order statistics of Price and Bonett, two standard errors of the rank to either side.
    below = max(math.floor((n + 1) / 2 - math.sqrt(n) + 0.5), 1)
    outside = 2 * float(bdtr(below - 1, max(math.floor(n), 2), 0.5))
    z = -float(ndtri(min(outside, 0.9) / 2))
    width = math.log(ranked.unrounded(n - below + 1) / ranked.unrounded(below))
    return _LogMedian(written, unrounded, (width / (2 * z)) ** 2)


def scaling(first: WeightFit, second: WeightFit) -> tuple[Interval, float]:
    r"""Return the factor between two groups of one shape, and the p-value of one shape.

    The factor :math:`f` and the parameters :math:`\theta` maximise :math:`\ln L_1(\theta) + \ln
    L_2(f \cdot \theta)`, where :math:`f \cdot \theta` are the parameters of weights that are
    :math:`f` times as large. What could be seen of them, above a threshold say, stays where it
    is: of weights that grow, more come above it, so that the ratio of what was seen is nearer
    to 1 than :math:`f`. Against it stands a fit of each alone.

    Args:
        first: The fit of the reference.
        second: That of the other, of the same family.

    Returns:
        The factor with its 95 % interval, and the p-value; NaN of a family without a shape.
    """
    from scipy.special import chdtrc, stdtrit

    family = first.rule
    n_params = len(first.params)
    reference = first.observed.data.coarse()
    unit = reference.geometric_mean
    reference = reference.in_unit(unit)
    other = second.observed.data.coarse().in_unit(unit)
    alone = (
        family.in_unit(first.values, 1 / unit),
        family.in_unit(second.values, 1 / unit),
    )
    scales = np.append(_scales(family, (reference, other)), 1.0)

    def together(theta: Array) -> float:
        """Return the log-likelihood of both; the factor's logarithm is the last coordinate."""
        free = theta * scales
        params = family.from_free(free[:-1])
        scaled = family.in_unit(params, _exp(float(free[-1])))
        of_reference = log_likelihood(family, params, reference)
        return of_reference + log_likelihood(family, scaled, other)

    log_factor = math.log(other.geometric_mean)
    start = np.append(family.to_free(alone[0]), log_factor) / scales
    theta, top = maximise_function(together, start)
    _, hessian = derivatives(together, theta, top)
    n = reference.total + other.total
    freedom = max(n - n_params - 1, 1.0)
    error = _last_error(hessian) * math.sqrt(n / freedom)
    half_width = -float(stdtrit(freedom, LEVEL / 2)) * error
    log_factor = float(theta[-1])
    interval = Interval(
        _exp(log_factor), _exp(log_factor - half_width), _exp(log_factor + half_width)
    )
    if n_params == 1:
        return interval, math.nan
    apart = log_likelihood(family, alone[0], reference)
    apart += log_likelihood(family, alone[1], other)
    # Bartlett's correction makes the ratio chi-squared in smaller samples.
    ratio = max(2 * (apart - top), 0.0) * (1 - (n_params + 1) / n)
    return interval, float(chdtrc(n_params - 1, ratio))


def can_tell_scaling(*samples: WeightSample) -> bool:
    """Say whether there are enough weights to tell a scaling from another change."""
    return min(sample.n for sample in samples) >= _ENOUGH


def _scales(family: Family, data: tuple[LikelihoodData, LikelihoodData]) -> Array:
    """Return the order of magnitude of each free coordinate."""
    first, second = data
    return np.minimum(first.scales(family.kinds), second.scales(family.kinds))


def _last_error(hessian: Array) -> float:
    """Return the standard error of the last coordinate; infinite where the likelihood is flat."""
    try:
        variance = float(np.linalg.inv(-hessian)[-1, -1])
    except np.linalg.LinAlgError:
        return math.inf
    return math.sqrt(variance) if variance > 0 else math.inf


def three_digits(value: float) -> str:
    """Return a number with three digits, the zeros among them too: ``1.00``, ``304``."""
    return f"{value:#.3g}".rstrip(".")


def _exp(value: float) -> float:
    return math.exp(min(max(value, -700.0), 700.0))
