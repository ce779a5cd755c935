"""Networks beside brains.

How the shapes of two distributions of weights differ, whatever their units.
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
from daleml.analysis.distributions.families.family import Array
from daleml.analysis.distributions.fit import require_spread
from daleml.analysis.distributions.likelihood import Observed
from daleml.analysis.distributions.p_values import LEVEL, at_floor, p_text
from daleml.analysis.distributions.permutation import generator_for
from daleml.analysis.distributions.shape_test import ShapeTest
from daleml.analysis.distributions.vuong import FEW
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

if TYPE_CHECKING:
    import pandas as pd


class Measure(NamedTuple):
    """One measure of two samples, and how they differ in it."""

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
    """

    measures: Mapping[str, Measure]
    qq_distance: Interval
    n: tuple[int, int]
    level: float
    quantiles: tuple[Array, Array] = field(repr=False, compare=False)
    test: ShapeTest | None = None

    @property
    def p_value(self) -> float:
        """Of the one test that both are of one shape; NaN of too few weights."""
        return self.test.p_value if self.test else math.nan

    @property
    def differ(self) -> tuple[str, ...]:
        """The measures in which they differ by more than chance, all of them together at 5 %."""
        if self.test is None:
            return ()
        return tuple(name for name, p in self.test.p_values.items() if p < LEVEL)

    def table(self) -> pd.DataFrame:
        """Return one row a measure: weights, reference, difference, each with its interval."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name, measure in self.measures.items():
            rows.append(
                {"measure": name}
                | {part: _text(getattr(measure, part)) for part in Measure._fields}
            )
        rows.append(
            {
                "measure": "qq_distance",
                "weights": "",
                "reference": "",
                "difference": _text(self.qq_distance),
            }
        )
        return pd.DataFrame(rows)

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
            names = ", ".join(self.measures)
            return (
                f"The weights do not differ measurably from the reference in {names}; all"
                f" together, {p}; {how}."
            )
        words = ", ".join(self._direction(name) for name in self.differ)
        sizes = "; ".join(
            self._sizes(name) for name in self.differ if name in self.measures
        )
        return (
            f"The weights differ from the reference in {words};"
            f" {f'{sizes}; ' * bool(sizes)}all together, {p}; {how}."
        )

    def _direction(self, name: str) -> str:
        if name not in self.measures:
            return "quantiles"
        return (
            f"{name}"
            f" ({'larger' if self.measures[name].difference.value > 0 else 'smaller'})"
        )

    def _sizes(self, name: str) -> str:
        ours, theirs, _ = self.measures[name]
        return (
            f"{name} {ours.value:.2g} [{ours.low:.2g}, {ours.high:.2g}] against"
            f" {theirs.value:.2g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        measures = {
            name: {part: getattr(measure, part)._asdict() for part in Measure._fields}
            for name, measure in self.measures.items()
        }
        distance = self.qq_distance._asdict()
        found = {
            "measures": measures,
            "qq_distance": distance,
            "n": list(self.n),
            "level": self.level,
        }
        if self.test is None:
            return found | {"test": None, "differ": []}
        floor = at_floor(self.test.p_value, self.test.n_shuffles)
        return found | {
            "test": self.test._asdict() | {"at_floor": floor},
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
    """Put a network's weights beside a data set of synapses, free of scale.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        reference: What to compare them to, likewise: synapse sizes, say.
        sign: As for :func:`fit_weights`, of the weights; the reference is taken by its own sign.
        pool: As for :func:`fit_weights`, of both.
        drop_missing: As for :func:`fit_weights`, of both.
        n_boot: Number of bootstrap samples of both.
        level: Of the intervals between their quantiles.
        n_shuffles: Number of shuffles of the test that both are of one shape, 19 or more.
        rng: A seed, or a generator.

    Raises:
        ValueError: As :func:`fit_weights`; or if ``level`` is not between 0 and 1.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> network, brain = rng.lognormal(-3, 0.5, 2000), rng.lognormal(5.7, 0.9, 1600)
        >>> result = compare_to(network, brain)
        >>> round(result.measures["log_sd"].difference.value, 2)
        -0.4
        >>> result.conclusion().split(",")[0]
        'The weights differ from the reference in log_sd (smaller)'

    Notes:
        Zeros are left out of both, and thresholds of detection act on the measures: compare
        what was seen alike. Of two samples from one distribution the distance is above zero,
        and of bootstrap samples it is larger still: its interval reaches as far below it as the
        upper quantile lies above, at most to zero, and errs on the wide side. Whether the two
        differ is one test of all measures together, by shuffling, see
        :func:`daleml.analysis.distributions.shape_test.same_shape`: intervals that each hold at 95 % do not
        hold together. It takes values for independent, which synapses of one animal are not.
    """
    level = require.number("level", level)
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1; got {level}.")
    n_boot = require.integer("n_boot", n_boot, 2)
    n_shuffles = require.integer("n_shuffles", n_shuffles, 19)
    chance = np.random.default_rng(rng)
    options: dict[str, Any] = {"pool": pool, "drop_missing": drop_missing}
    samples = _sample(weights, sign=sign, **options), _sample(reference, **options)
    sides = [_sorted(sample) for sample in samples]
    drawn = [[shape_test.measure(w, counts)] for w, counts in sides]
    for (w, counts), results in zip(sides, drawn, strict=True):
        n = round(float(counts.sum()))
        shares = counts / counts.sum()
        results += [
            shape_test.measure(w, chance.multinomial(n, shares).astype(np.float64))
            for _ in range(n_boot)
        ]
    ours, theirs = (
        np.array([list(one[0].values()) for one in results]) for results in drawn
    )
    measures = {
        name: Measure(
            *(
                _interval(column, level)
                for column in (ours[:, i], theirs[:, i], ours[:, i] - theirs[:, i])
            )
        )
        for i, name in enumerate(drawn[0][0][0])
    }
    distances = np.array(
        [np.abs(one[1] - other[1]).mean() for one, other in zip(*drawn, strict=True)]
    )
    quantiles = drawn[0][0][1], drawn[1][0][1]
    # samples of samples lie farther apart than the samples do: only the upper quantile bounds
    # how far, to either side
    distance, _, high = _interval(distances, level)
    reach = max(high - distance, 0.0)
    apart = Interval(distance, max(distance - reach, 0.0), distance + reach)
    sizes = samples[0].n, samples[1].n
    test = None
    if min(sizes) >= FEW:
        chance = generator_for(rng, sides[0][0], sides[1][0])
        test = shape_test.same_shape(sides[0], sides[1], n_shuffles, chance)
    return Resemblance(measures, apart, sizes, level, quantiles, test)


def _sample(weights: WeightsLike, **options: Any) -> WeightSample:
    return require_spread(
        weights
        if isinstance(weights, WeightSample)
        else weight_sample(weights, **options)
    )


def _sorted(sample: WeightSample) -> tuple[Array, Array]:
    values, counts = sample.values(), sample.counts()
    data = Observed(values, np.ones(values.size) if counts is None else counts).coarse()
    order = np.argsort(data.values)
    return data.values[order], data.counts[order]


def _interval(values: ArrayLike, level: float) -> Interval:
    """Return the first value, of the data, with the interval that the others, of samples, span."""
    array = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(array[1:], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array[0]), float(low), float(high))


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
