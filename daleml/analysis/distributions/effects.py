"""How much two groups differ.

The ratio of their medians, and whether one is the other times a factor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families import Family
from daleml.analysis.distributions.families.family import Array, Kind
from daleml.analysis.distributions.fit import WeightFit
from daleml.analysis.distributions.likelihood import Observed
from daleml.analysis.distributions.p_values import LEVEL, bare_p, p_text
from daleml.analysis.distributions.rounding_detection import detect_rounding
from daleml.analysis.weights.sample import WeightSample

_ENOUGH = 20
"""Values of either group, from which on a scaling is told from another change of shape."""


class Interval(NamedTuple):
    """A value with its interval."""

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
    r"""How much two groups differ.

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
        adjusted = (
            f", for all {self.n_pairs:,} pairs together" if self.n_pairs > 1 else ""
        )
        low, high = three_digits(self.ratio.low), three_digits(self.ratio.high)
        said = (
            f"the median of {self.other} is {three_digits(self.ratio.value)} times that of"
            f" {self.reference} "
        )
        said += f"[{low}, {high}]{adjusted}"
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
            "scaling": None if self.scaling is None else self.scaling._asdict(),
            "p_shape": self.p_shape if math.isfinite(self.p_shape) else None,
            "is_scaling": self.is_scaling,
            "n_pairs": self.n_pairs,
        }

    def __str__(self) -> str:
        return f"{self.sentence(differ=True)} ({bare_p(self.p_shape)} for one shape)"


def pair_to_name(samples: Mapping[str, WeightSample]) -> tuple[str, str]:
    """Return the two groups to compare: both in their order.

    Of more the two whose medians differ most surely.

    That is by the most standard errors; the one with the lower median comes first.
    """
    names = list(samples)
    if len(names) == 2:
        return names[0], names[1]
    found = np.array([_log_median(sample) for sample in samples.values()])
    order = np.argsort(found[:, 1], kind="stable")
    _, places, variances = found[order].T
    gaps = places[None, :] - places[:, None]
    # of equal counts the variance is 0: a millionth keeps what is finite in order
    surely = np.triu(gaps / np.sqrt(variances[None, :] + variances[:, None] + 1e-6), 1)
    first, second = divmod(int(surely.argmax()), len(names))
    if first == second:  # all medians are equal
        first, second = 0, len(names) - 1
    return names[order[first]], names[order[second]]


def median_ratio(samples: Sequence[WeightSample], n_pairs: int = 1) -> Interval:
    """Return the ratio of the second sample's median to the first's, with a 95 % interval free of distributions.

    Of rounded values the interval is that of the medians before rounding, as far as these can
    be told.

    References:
        Price & Bonett 2002, Journal of Statistical Computation and Simulation 72:119.
    """
    from scipy.special import ndtri

    first, second = (_log_median(sample) for sample in samples)
    reach = float(ndtri(1 - LEVEL / 2 / n_pairs)) * math.sqrt(
        first.variance + second.variance
    )
    written, difference = second.written - first.written, second.place - first.place
    ends = min(difference - reach, written), max(difference + reach, written)
    return Interval(*(_exp(value) for value in (written, *ends)))


def median(sample: WeightSample) -> float:
    """Return the median of the magnitudes as they were seen, each as often as it counts."""
    return math.exp(_log_median(sample)[0])


class _LogMedian(NamedTuple):
    """The logarithm of a median.

    As it was written down, as it was before rounding, and the variance of that.
    """

    written: float
    place: float
    variance: float


def _log_median(sample: WeightSample) -> _LogMedian:
    """Return the logarithm of the median, and its variance by the distance between two order statistics around it.

    Rounded values tie. The median of many ties lies on one number, or jumps to the next,
    however unsure it is; so ties are laid out evenly over the interval that was rounded to
    them, as for the median of grouped data.
    """
    from scipy.stats import binom, norm

    values, counts = sample.values(), sample.counts()
    counts = np.ones(values.size) if counts is None else counts
    order = np.argsort(values)
    values, reached = values[order], np.cumsum(counts[order])
    n = float(reached[-1])
    rounding = detect_rounding(values, counts[order])
    grid = rounding.grid if rounding is not None and rounding.matters else None

    def at(rank: float) -> float:
        place = int(np.searchsorted(reached, rank * (1 - 1e-12)))
        return float(values[min(place, values.size - 1)])

    def laid_out(rank: float) -> float:
        value = at(rank)
        if grid is None:
            return value
        first, end = (
            int(np.searchsorted(values, value, side=side)) for side in ("left", "right")
        )
        before = float(reached[first - 1]) if first else 0.0
        part = (rank - 0.5 - before) / float(reached[end - 1] - before)
        bottom, top = float(grid.below(value)), float(grid.above(value))
        return bottom + (top - bottom) * min(max(part, 1 / (2 * n)), 1.0)

    middle = math.floor((n + 1) / 2), math.ceil((n + 1) / 2)
    written, place = (
        math.log((find(middle[0]) + find(middle[1])) / 2) for find in (at, laid_out)
    )
    below = max(math.floor((n + 1) / 2 - math.sqrt(n) + 0.5), 1)
    outside = 2 * float(binom.cdf(below - 1, max(math.floor(n), 2), 0.5))
    z = float(norm.isf(min(outside, 0.9) / 2))
    return _LogMedian(
        written,
        place,
        (math.log(laid_out(n - below + 1) / laid_out(below)) / (2 * z)) ** 2,
    )


def scaling(first: WeightFit, second: WeightFit) -> tuple[Interval, float]:
    r"""Return the factor between two groups of one shape, with its 95 % interval.

    And the p-value of one shape.

    The factor :math:`f` and the parameters :math:`\theta` maximise :math:`\ln L_1(\theta) + \ln
    L_2(f \cdot \theta)`, where :math:`f \cdot \theta` are the parameters of weights that are
    :math:`f` times as large. What could be seen of them, above a threshold say, stays where it
    is: of weights that grow, more come above it, so that the ratio of what was seen is nearer
    to 1 than :math:`f`. Against it stands a fit of each alone.

    Args:
        first: The fit of the reference.
        second: That of the other, of the same family.
    """
    from scipy.stats import chi2, t

    family, n_params = first.rule, len(first.params)
    data = [fit.material.data.coarse() for fit in (first, second)]
    unit = data[0].geometric_mean
    data = [one.in_unit(unit) for one in data]
    start = first.rule.to_free(first.rule.in_unit(first.values, 1 / unit))
    lengths = np.append(_lengths(family, data), 1.0)

    def height(place: Array) -> float:
        *free, log_factor = (place * lengths).tolist()
        params = family.from_free(np.array(free))
        moved = family.in_unit(params, _exp(log_factor))
        return likelihood.log_likelihood(
            family, params, data[0]
        ) + likelihood.log_likelihood(family, moved, data[1])

    begin = np.append(start, math.log(data[1].geometric_mean)) / lengths
    place, top = likelihood.climb(height, begin)
    _, curvature = likelihood.derivatives(height, place, top)
    n = sum(one.total for one in data)
    freedom = max(n - n_params - 1, 1.0)
    error = _last_error(curvature) * math.sqrt(n / freedom)
    reach = float(t.isf(LEVEL / 2, freedom)) * error
    log_factor = float(place[-1])
    interval = Interval(
        *(_exp(value) for value in (log_factor, log_factor - reach, log_factor + reach))
    )
    apart = sum(
        likelihood.log_likelihood(family, family.in_unit(fit.values, 1 / unit), one)
        for fit, one in zip((first, second), data, strict=True)
    )
    if n_params == 1:
        return interval, math.nan
    ratio = max(2 * (apart - top), 0.0) * (1 - (n_params + 1) / n)
    return interval, float(chi2.sf(ratio, n_params - 1))


def can_tell_scaling(*samples: WeightSample) -> bool:
    """Say whether there are enough weights to tell a scaling from another change."""
    return min(sample.n for sample in samples) >= _ENOUGH


def _lengths(family: Family, data: Sequence[Observed]) -> Array:
    """Return of what order each free coordinate is."""
    of_both = [one.lengths(family) for one in data]
    short = [kind in (Kind.LOCATION, Kind.LOG_LOCATION) for kind in family.kinds]
    return np.where(short, np.minimum(*of_both), 1.0)


def _last_error(curvature: Array) -> float:
    """Return the standard error of the last coordinate; infinite where the likelihood is flat."""
    try:
        variance = float(np.linalg.inv(-curvature)[-1, -1])
    except np.linalg.LinAlgError:
        return math.inf
    return math.sqrt(variance) if variance > 0 else math.inf


def three_digits(value: float) -> str:
    """Return a number with three digits, the zeros among them too: ``1.00``, ``304``."""
    return f"{value:#.3g}".rstrip(".")


def _exp(value: float) -> float:
    return math.exp(min(max(value, -700.0), 700.0))
