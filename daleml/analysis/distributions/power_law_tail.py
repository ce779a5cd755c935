"""The tail of weights that is a power law, if any is.

Where it begins, how steep it is, and whether it could be one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml.analysis.distributions.comparison import Comparison, compare_families
from daleml.analysis.distributions.families import Family
from daleml.analysis.distributions.families.power_laws import TailOfCounts, log_zeta
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

Array = NDArray[np.float64]

_FEWEST = 50  # weights in a tail, below which an exponent is known to no better than a seventh
_MOST_PLACES = (
    200  # where a tail may begin, spread evenly over the ranks of the weights
)
_LEVEL = 0.05


@dataclass(frozen=True)
class PowerLawTail:
    r"""The tail of a sample that is closest to a power law.

    Attributes:
        alpha: Exponent of the density, :math:`p(w) \propto w^{-\alpha}`.
        stderr: Its standard error, for the lower bound that was found.
        xmin: Where the tail begins.
        n: Number of weights.
        n_tail: Number of those in the tail.
        distance: Kolmogorov-Smirnov distance of the tail from the power law.
        p_value: Share of samples like this one, but with such a tail, that lie at least as far
            from theirs; None if not asked for.
        n_boot: Number of samples drawn.
        discrete: Whether weights are counts.
        sample: The magnitudes.
    """

    alpha: float
    stderr: float
    xmin: float
    n: int
    n_tail: int
    distance: float
    p_value: float | None
    n_boot: int
    discrete: bool
    sample: WeightSample = field(repr=False, compare=False)

    @property
    def observation(self) -> Observation:
        """How the tail is observed: from its lower bound on."""
        return Observation(truncation=(self.xmin, None), discrete=self.discrete)

    def tail(self) -> Array:
        """Return the magnitudes in the tail."""
        values = self.sample.values()
        return np.asarray(values[values >= self.xmin])

    def compare(
        self,
        families: Sequence[str | Family] = ("powerlaw", "lognormal", "exponential"),
    ) -> Comparison:
        """Compare the power law with other families on the same tail.

        Whether it is one, or only looks like one.
        """
        return compare_families(self.tail(), families, observation=self.observation)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        names = (
            "alpha",
            "stderr",
            "xmin",
            "n",
            "n_tail",
            "distance",
            "p_value",
            "n_boot",
            "discrete",
        )
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        text = (
            f"from {self.xmin:.4g} on, {self.n_tail:,} of {self.n:,} weights: "
            f"alpha = {self.alpha:.4g} ± {self.stderr:.2g} (KS {self.distance:.4f})"
        )
        if self.p_value is None:
            return text
        verdict = "could be a power law" if self.p_value > _LEVEL else "is no power law"
        return f"{text}; such a tail {verdict} (p = {self.p_value:.2g}, {self.n_boot} samples)"


def power_law(
    weights: WeightsLike,
    xmin: float | None = None,
    *,
    discrete: bool = False,
    sign: int | None = None,
    pool: bool = False,
    n_boot: int = 0,
    rng: int | np.random.Generator = 0,
) -> PowerLawTail:
    """Find the tail that is closest to a power law, as Clauset et al. do.

    For each place at which the tail may begin, its exponent is that of maximum likelihood; the
    place chosen is that with the smallest Kolmogorov-Smirnov distance between the tail and its
    power law.

    Args:
        weights: As for :func:`fit_weights`.
        xmin: Where the tail begins, if that is known.
        discrete: Whether they are counts: the power law is the zeta distribution.
        sign: As for :func:`fit_weights`.
        pool: As for :func:`fit_weights`.
        n_boot: Number of bootstrap samples to test the fit; 0 for no test, 2,500 give p to
            0.01. A sample's weights below the bound are drawn from those given, its weights
            above from the power law; then its own bound is found.
        rng: A seed, or a generator.

    Raises:
        ValueError: If there are fewer than 50 weights in the tail, or they are all equal.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).pareto(1.5, 3000) + 1  # alpha = 2.5
        >>> print(power_law(weights, xmin=1))
        from 1 on, 3,000 of 3,000 weights: alpha = 2.481 ± 0.027 (KS 0.0096)
        >>> power_law(weights, xmin=1).compare(("powerlaw", "exponential")).best.family
        'powerlaw'

    Notes:
        A large p says that the tail could be a power law, not that it is one: log-normal tails
        look alike for a decade or two. :meth:`PowerLawTail.compare` puts that question.

    References:
        Clauset, Shalizi & Newman 2009, SIAM Review 51:661.
    """
    require.flag("discrete", discrete)
    n_boot = require.integer("n_boot", n_boot, 0)
    sample = weight_sample(weights, sign=sign, pool=pool)
    if sample.counts() is not None or sample.intervals is not None:
        raise ValueError(
            "`weights` must be a sample in which each weight counts once and is known; got"
            " one with more."
        )
    values = np.sort(sample.values())
    if discrete and (values != np.round(values)).any():
        wrong = values[values != np.round(values)][0]
        raise ValueError(
            f"`weights` must be whole numbers where `discrete` is True; got {wrong:g}."
        )
    bound = None if xmin is None else require.positive("xmin", xmin)
    found = _closest(values, bound, discrete=discrete)
    if found is None:
        n_tail = values.size if bound is None else int((values >= bound).sum())
        raise ValueError(
            f"`weights` must hold at least {_FEWEST} in the tail, not all equal, to look"
            f" for a power law; got {n_tail}{', all equal' if n_tail >= _FEWEST else ''}."
        )
    start, alpha, distance = found
    n_tail = int((values >= start).sum())
    p_value = None
    if n_boot:
        random = np.random.default_rng(rng)
        farther = 0
        for _ in range(n_boot):
            other = _closest(
                _like(values, start, alpha, random, discrete=discrete),
                bound,
                discrete=discrete,
            )
            farther += other is not None and other[2] >= distance
        p_value = (1 + farther) / (1 + n_boot)
    error = _error(alpha, start, n_tail, discrete=discrete)
    return PowerLawTail(
        alpha,
        error,
        start,
        values.size,
        n_tail,
        distance,
        p_value,
        n_boot,
        discrete,
        sample,
    )


def _closest(
    values: Array, xmin: float | None, *, discrete: bool
) -> tuple[float, float, float] | None:
    """Return bound, exponent and distance of the tail that is closest to a power law.

    Of sorted values.
    """
    if xmin is not None:
        places = np.array([xmin])
    else:
        places = np.unique(values[: max(values.size - _FEWEST + 1, 0)])
        places = (
            places[np.unique(np.linspace(0, places.size - 1, _MOST_PLACES).astype(int))]
            if places.size
            else places
        )
    best: tuple[float, float, float] | None = None
    for place in places.tolist():
        tail = values[np.searchsorted(values, place) :]
        if tail.size < _FEWEST or tail[-1] <= tail[0]:
            continue
        alpha = _exponent(tail, place, discrete=discrete)
        distance = _distance(tail, place, alpha, discrete=discrete)
        if best is None or distance < best[2]:
            best = place, alpha, distance
    return best


def _exponent(tail: Array, xmin: float, *, discrete: bool) -> float:
    mean = float(np.log(tail / xmin).mean())
    if not discrete:
        return 1 + 1 / mean
    from scipy.optimize import minimize_scalar

    least = math.ceil(xmin)
    logs = float(np.log(tail).mean())

    def depth(tail_exponent: float) -> float:
        alpha = 1 + math.exp(tail_exponent)
        return float(log_zeta(alpha, np.array(float(least)))) + alpha * logs

    return 1 + math.exp(
        minimize_scalar(
            depth, bounds=(-6, 5), method="bounded", options={"xatol": 1e-8}
        ).x
    )


def _distance(tail: Array, xmin: float, alpha: float, *, discrete: bool) -> float:
    if discrete:
        counts, after = np.unique(tail, return_counts=True)
        gaps = np.cumsum(after) / tail.size - TailOfCounts(alpha, math.ceil(xmin)).cdf(
            counts
        )
        return float(np.abs(gaps).max())
    theory = 1 - (tail / xmin) ** (1 - alpha)
    ranks = np.arange(tail.size)
    return float(
        max(
            ((ranks + 1) / tail.size - theory).max(), (theory - ranks / tail.size).max()
        )
    )


def _like(
    values: Array,
    xmin: float,
    alpha: float,
    rng: np.random.Generator,
    *,
    discrete: bool,
) -> Array:
    """Return a sample with the same values below the bound, drawn anew, and a power law above."""
    below = values[values < xmin]
    n_tail = int(rng.binomial(values.size, 1 - below.size / values.size))
    if discrete:
        tail = TailOfCounts(alpha, math.ceil(xmin)).ppf(rng.uniform(size=n_tail))
    else:
        tail = xmin * (1 - rng.uniform(size=n_tail)) ** (-1 / (alpha - 1))
    body = rng.choice(below, values.size - n_tail) if below.size else np.empty(0)
    return np.sort(np.concatenate([body, tail]))


def _error(alpha: float, xmin: float, n: int, *, discrete: bool) -> float:
    if not discrete:
        return (alpha - 1) / math.sqrt(n)
    least, step = np.array(float(math.ceil(xmin))), 1e-4
    heights = [float(log_zeta(alpha + side * step, least)) for side in (-1, 0, 1)]
    curvature = (heights[0] - 2 * heights[1] + heights[2]) / step**2
    return 1 / math.sqrt(n * curvature) if curvature > 0 else math.nan
