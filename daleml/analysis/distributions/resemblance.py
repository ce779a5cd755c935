"""The resemblance of two distributions of weights, such as a network's and a brain's.

Their shapes are compared, whatever their units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from daleml import require
from daleml.analysis.distributions import shape_test
from daleml.analysis.distributions.effects import Interval
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.likelihood_data import LikelihoodData
from daleml.analysis.distributions.observation import SEEN_WHOLE
from daleml.analysis.distributions.observed_sample import ObservedSample, require_spread
from daleml.analysis.distributions.p_values import LEVEL, at_floor, p_text
from daleml.analysis.distributions.permutation import generator_for
from daleml.analysis.distributions.shape_test import ShapeTest
from daleml.analysis.distributions.vuong import FEW
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "log_sd": "σ of ln w",
    "gini": "Gini's coefficient",
    "log_skewness": "skewness of ln w",
}
"""What sentences call the measures."""


class Measure(NamedTuple):
    """One measure of two samples, and how they differ in it.

    Attributes:
        weights: The measure of the weights, with its interval.
        reference: That of the reference.
        difference: The first less the second.
    """

    weights: Interval
    reference: Interval
    difference: Interval


@dataclass(frozen=True)
class Resemblance:
    r"""How a sample of weights differs in shape from a reference, free of scale.

    Attributes:
        measures: ``log_sd``, the standard deviation of :math:`\ln w`; ``gini``, Gini's
            coefficient, 0 if all are equal and 1 if one has it all; ``log_skewness``, the
            skewness of :math:`\ln w`, 0 for a log-normal.
        qq_distance: Mean distance between the quantiles of the two, of :math:`\ln w` less its
            mean: by what factor, as a logarithm, a typical weight would have to change to turn
            one shape into the other.
        n: Number of weights, and of reference values.
        level: Of the bootstrap intervals.
        quantiles: Quantiles of centred :math:`\ln w` at 500 levels, of the weights and of the
            reference.
        test: Whether both are of one shape; None of fewer than 10 weights.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import compare_to
        >>> rng = np.random.default_rng(0)
        >>> result = compare_to(rng.lognormal(size=300), rng.exponential(size=300), n_boot=50)
        >>> result.differ
        ('log_sd', 'log_skewness', 'qq_distance')
        >>> round(result.measures["gini"].weights.value, 2)
        0.53
    """

    measures: Mapping[str, Measure]
    qq_distance: Interval
    n: tuple[int, int]
    level: float
    quantiles: tuple[Array, Array] = field(repr=False, compare=False)
    test: ShapeTest | None = None

    @property
    def p_value(self) -> float:
        """The p-value of the one test that both are of one shape; NaN of too few weights."""
        return self.test.p_value if self.test else math.nan

    @property
    def differ(self) -> tuple[str, ...]:
        """The measures in which they differ by more than chance.

        The level of all of them together is 5 %.
        """
        if self.test is None:
            return ()
        return tuple(name for name, p in self.test.p_values.items() if p < LEVEL)

    def table(self) -> pd.DataFrame:
        """Return one row per measure: weights, reference, difference, each with its interval."""
        import pandas as pd

        rows = []
        for name, measure in self.measures.items():
            rows.append([name, *map(_text, measure)])
        rows.append(["qq_distance", "", "", _text(self.qq_distance)])
        return pd.DataFrame(rows, columns=["measure", *Measure._fields])

    def conclusion(self) -> str:
        """Say in one sentence in which measures the two differ by more than chance."""
        if self.test is None:
            return (
                f"{min(self.n)} weights are too few to compare; give at least {FEW}, better"
                " hundreds."
            )
        p = p_text(self.test.p_value, self.test.n_shuffles)
        how = (
            f"a typical weight lies a factor of {np.exp(self.qq_distance.value):.2f} from"
            " the reference's shape"
        )
        if not self.differ:
            names = ", ".join(map(_in_words, self.measures))
            return (
                f"The weights do not differ measurably from the reference in {names}; all"
                f" together, {p}; {how}."
            )
        words = ", ".join(map(self._direction, self.differ))
        parts = [self._sizes(name) for name in self.differ if name in self.measures]
        found = "; ".join([*parts, f"all together, {p}", how])
        return f"The weights differ from the reference in {words}; {found}."

    def _direction(self, name: str) -> str:
        if name not in self.measures:
            return "quantiles"
        if self.measures[name].difference.value > 0:
            return f"{_in_words(name)} (larger)"
        return f"{_in_words(name)} (smaller)"

    def _sizes(self, name: str) -> str:
        ours, theirs, _ = self.measures[name]
        return (
            f"{_in_words(name)} {ours.value:.2g} [{ours.low:.2g}, {ours.high:.2g}] against"
            f" {theirs.value:.2g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        measures = {}
        for name, measure in self.measures.items():
            parts = measure._asdict().items()
            measures[name] = {part: interval._asdict() for part, interval in parts}
        test = None
        if self.test is not None:
            test = self.test._asdict()
            test["at_floor"] = at_floor(self.test.p_value, self.test.n_shuffles)
        return {
            "measures": measures,
            "qq_distance": self.qq_distance._asdict(),
            "n": list(self.n),
            "level": self.level,
            "test": test,
            "differ": list(self.differ),
        }

    def __str__(self) -> str:
        return f"{self.table().to_string(index=False)}\n{self.conclusion()}"


def compare_to(
    weights: WeightsLike,
    reference: WeightsLike,
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    n_boot: int = 1000,
    level: float = 0.95,
    n_shuffles: int = 999,
    rng: int | np.random.Generator = 0,
) -> Resemblance:
    r"""Compare the shape of a network's weights to that of a data set of synapses.

    The unit of either does not matter: what is compared is :math:`\ln w - \overline{\ln w}`.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        reference: What to compare them to, in the same forms: sizes of synapses, for example.
        sign: +1 to take the excitatory weights, -1 the inhibitory ones; default: those there
            are, if of one sign. The reference is taken by its own sign.
        pool: Whether to take all magnitudes of either together, whatever their sign and
            parameter.
        drop_missing: Whether to leave NaN out of both, counted, instead of refusing it.
        n_boot: Number of bootstrap samples of both.
        level: The probability with which an interval holds the true value.
        n_shuffles: Number of shuffles of the test that both are of one shape, 19 or more.
        rng: A seed, or a generator.

    Returns:
        The measures of both, their differences, and the test that both are of one shape.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If either cannot be read as :func:`fit_weights` needs it; or if ``level`` is
            not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> network, brain = rng.lognormal(-3, 0.5, 2000), rng.lognormal(5.7, 0.9, 1600)
        >>> result = compare_to(network, brain)
        >>> round(result.measures["log_sd"].difference.value, 2)
        -0.4
        >>> result.conclusion().split(",")[0]
        'The weights differ from the reference in σ of ln w (smaller)'

    Notes:
        Zeros are left out of both, and thresholds of detection act on the measures: compare
        what was seen alike. Of two samples from one distribution the distance is above zero,
        and of bootstrap samples it is larger still: its interval reaches as far below it as the
        upper quantile lies above, at most to zero, and errs on the wide side. Whether the two
        differ is one test of all measures together, by shuffling: intervals that each hold at
        95 % do not hold together. The test takes values for independent, which synapses of one
        animal are not.

    References:
        Westfall & Young 1993, Resampling-Based Multiple Testing.
    """
    level = require.number("level", level)
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1; got {level}.")
    n_boot = require.integer("n_boot", n_boot, 2)
    n_shuffles = require.integer("n_shuffles", n_shuffles, 19)
    chance = np.random.default_rng(rng)
    taken = _sample(weights, sign=sign, pool=pool, drop_missing=drop_missing)
    beside = _sample(reference, pool=pool, drop_missing=drop_missing)
    first = _sorted(taken)
    second = _sorted(beside)
    ours = _bootstrapped(*first, n_boot, chance)
    theirs = _bootstrapped(*second, n_boot, chance)
    measures = {}
    for name in shape_test.MEASURES:
        of_weights = np.array([measured[name] for measured, _ in ours])
        of_reference = np.array([measured[name] for measured, _ in theirs])
        measures[name] = Measure(
            _interval(of_weights, level),
            _interval(of_reference, level),
            _interval(of_weights - of_reference, level),
        )
    distances = []
    for (_, one), (_, other) in zip(ours, theirs, strict=True):
        distances.append(np.abs(one - other).mean())
    # Samples of samples lie farther apart than the samples do: only the upper quantile bounds
    # how far, to either side.
    distance, _, high = _interval(distances, level)
    half_width = max(high - distance, 0.0)
    test = None
    if min(taken.n, beside.n) >= FEW:
        chance = generator_for(rng, first[0], second[0])
        test = shape_test.same_shape(first, second, n_shuffles, chance)
    return Resemblance(
        measures=measures,
        qq_distance=Interval(
            distance, max(distance - half_width, 0.0), distance + half_width
        ),
        n=(taken.n, beside.n),
        level=level,
        quantiles=(ours[0][1], theirs[0][1]),
        test=test,
    )


def _bootstrapped(
    w: Array, counts: Array, n_boot: int, rng: np.random.Generator
) -> list[tuple[dict[str, float], Array]]:
    """Return measures and quantiles of a sample, then those of bootstrap samples of it."""
    n = round(float(counts.sum()))
    fractions = counts / counts.sum()
    found = [shape_test.measure_shape(w, counts)]
    for _ in range(n_boot):
        drawn = rng.multinomial(n, fractions).astype(np.float64)
        found.append(shape_test.measure_shape(w, drawn))
    return found


def _sample(weights: WeightsLike, **options: Any) -> WeightSample:
    if not isinstance(weights, WeightSample):
        weights = weight_sample(weights, **options)
    return require_spread(weights)


def _sorted(sample: WeightSample) -> tuple[Array, Array]:
    """Return sorted values and how often each counts, in bins where there are many."""
    values, counts = ObservedSample(sample, SEEN_WHOLE).counted_values()
    data = LikelihoodData(values, counts).coarse()
    order = np.argsort(data.values)
    return data.values[order], data.counts[order]


def _interval(values: ArrayLike, level: float) -> Interval:
    """Return the first value, which is that of the data, with the interval of the others."""
    array = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(array[1:], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array[0]), float(low), float(high))


def _in_words(measure: str) -> str:
    return _WORDS.get(measure, measure)


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
