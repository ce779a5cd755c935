"""Power-law tails: where a tail begins, how steep it is, and whether it could be a power law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.power_laws import TailOfCounts, log_zeta
from daleml.analysis.distributions.family_ranking import compare_families
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.p_values import LEVEL
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

Array = NDArray[np.float64]

# Of fewer weights in a tail, the exponent is known to no better than a seventh.
_FEWEST = 50

# A tail may begin at so many weights, spread evenly over their ranks.
_MOST_BOUNDS = 200

# Second derivatives by finite differences take this step in the exponent.
_STEP = 1e-4


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
        p_value: Fraction of samples like this one, but with such a tail, that lie at least as
            far from theirs; None if not asked for.
        n_boot: Number of samples drawn.
        discrete: Whether weights are counts.
        sample: The magnitudes.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import power_law
        >>> found = power_law(np.random.default_rng(0).pareto(2.0, 500) + 1)
        >>> found.observation.low == found.xmin, found.tail().size == found.n_tail
        (True, True)
        >>> found.compare(("powerlaw", "exponential")).best.family
        'powerlaw'
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

        This tells whether it is one, or only looks like one.
        """
        return compare_families(self.tail(), families, observation=self.observation)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        names = (
            "alpha", "stderr", "xmin", "n", "n_tail", "distance", "p_value", "n_boot",
            "discrete",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        text = (
            f"from {self.xmin:.4g} on, {self.n_tail:,} of {self.n:,} weights: "
            f"alpha = {self.alpha:.4g} ± {self.stderr:.2g} (KS {self.distance:.4f})"
        )
        if self.p_value is None:
            return text
        verdict = "could be a power law" if self.p_value > LEVEL else "is no power law"
        how = f"p = {self.p_value:.2g}, {self.n_boot} samples"
        return f"{text}; such a tail {verdict} ({how})"


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
    r"""Find the tail that is closest to a power law, as Clauset et al. do.

    For each lower bound :math:`w_{min}` of the tail, its exponent is that of maximum likelihood,

    .. math:: \hat\alpha = 1 + n \Big/ \sum_i \ln (w_i / w_{min}) ,

    and the bound chosen is that with the smallest Kolmogorov-Smirnov distance between the tail
    and its power law.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        xmin: Where the tail begins, if that is known.
        discrete: Whether they are counts: the power law is the zeta distribution.
        sign: +1 to take the excitatory weights, -1 the inhibitory ones; default: those there
            are, if of one sign.
        pool: Whether to take all magnitudes together, whatever their sign and parameter.
        n_boot: Number of bootstrap samples to test the fit; 0 for no test, 2,500 give p to
            0.01. A sample's weights below the bound are drawn from those given, its weights
            above from the power law; then its own bound is found.
        rng: A seed, or a generator.

    Returns:
        The tail, its exponent, and the test if it was asked for.

    Raises:
        TypeError: If the weights are not numbers.
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
        equal = ", all equal" if n_tail >= _FEWEST else ""
        raise ValueError(
            f"`weights` must hold at least {_FEWEST} in the tail, not all equal, to look"
            f" for a power law; got {n_tail}{equal}."
        )
    start, alpha, distance = found
    n_tail = int((values >= start).sum())
    p_value = None
    if n_boot:
        generator = np.random.default_rng(rng)
        farther = 0
        for _ in range(n_boot):
            drawn = _like(values, start, alpha, generator, discrete=discrete)
            other = _closest(drawn, bound, discrete=discrete)
            farther += other is not None and other[2] >= distance
        p_value = (1 + farther) / (1 + n_boot)
    return PowerLawTail(
        alpha=alpha,
        stderr=_error(alpha, start, n_tail, discrete=discrete),
        xmin=start,
        n=values.size,
        n_tail=n_tail,
        distance=distance,
        p_value=p_value,
        n_boot=n_boot,
        discrete=discrete,
        sample=sample,
    )


def _closest(
    values: Array, xmin: float | None, *, discrete: bool
) -> tuple[float, float, float] | None:
    """Return bound, exponent and distance of the tail that is closest to a power law.

    The values are sorted. None if no tail has values enough.
    """
    bounds = np.array([xmin])
    if xmin is None:
        bounds = np.unique(values[: max(values.size - _FEWEST + 1, 0)])
    if bounds.size > 1:
        ranks = np.linspace(0, bounds.size - 1, _MOST_BOUNDS).astype(int)
        bounds = bounds[np.unique(ranks)]
    best: tuple[float, float, float] | None = None
    for bound in bounds.tolist():
        tail = values[np.searchsorted(values, bound) :]
        if tail.size < _FEWEST or tail[-1] <= tail[0]:
            continue
        alpha = _exponent(tail, bound, discrete=discrete)
        distance = _distance(tail, bound, alpha, discrete=discrete)
        if best is None or distance < best[2]:
            best = bound, alpha, distance
    return best


def _exponent(tail: Array, xmin: float, *, discrete: bool) -> float:
    """Return the maximum-likelihood exponent of a tail from ``xmin`` on."""
    if not discrete:
        return 1 + 1 / float(np.log(tail / xmin).mean())
    from scipy.optimize import minimize_scalar

    least = np.array(float(math.ceil(xmin)))
    log_mean = float(np.log(tail).mean())

    def loss(log_tail_exponent: float) -> float:
        """Return minus the mean log-likelihood."""
        alpha = 1 + math.exp(log_tail_exponent)
        return float(log_zeta(alpha, least)) + alpha * log_mean

    found = minimize_scalar(
        loss, bounds=(-6, 5), method="bounded", options={"xatol": 1e-8}
    )
    return 1 + math.exp(found.x)


def _distance(tail: Array, xmin: float, alpha: float, *, discrete: bool) -> float:
    """Return the Kolmogorov-Smirnov distance of a tail from its power law."""
    if discrete:
        counts, times = np.unique(tail, return_counts=True)
        theory = TailOfCounts(alpha, math.ceil(xmin)).cdf(counts)
        return float(np.abs(np.cumsum(times) / tail.size - theory).max())
    theory = 1 - (tail / xmin) ** (1 - alpha)
    ranks = np.arange(tail.size)
    above = ((ranks + 1) / tail.size - theory).max()
    below = (theory - ranks / tail.size).max()
    return float(max(above, below))


def _like(
    values: Array,
    xmin: float,
    alpha: float,
    rng: np.random.Generator,
    *,
    discrete: bool,
) -> Array:
    """Return a sample with values below the bound drawn anew, and a power law above it."""
    below = values[values < xmin]
    n_tail = int(rng.binomial(values.size, 1 - below.size / values.size))
    if discrete:
        tail = TailOfCounts(alpha, math.ceil(xmin)).ppf(rng.uniform(size=n_tail))
    else:
        tail = xmin * (1 - rng.uniform(size=n_tail)) ** (-1 / (alpha - 1))
    # Clauset et al. draw the body anew from itself, and the tail from the power law.
    body = np.empty(0)
    if below.size:
        body = rng.choice(below, values.size - n_tail)
    return np.sort(np.concatenate([body, tail]))


def _error(alpha: float, xmin: float, n: int, *, discrete: bool) -> float:
    """Return the standard error of the exponent, by the expected information."""
    if not discrete:
        return (alpha - 1) / math.sqrt(n)
    least = np.array(float(math.ceil(xmin)))
    before = float(log_zeta(alpha - _STEP, least))
    here = float(log_zeta(alpha, least))
    after = float(log_zeta(alpha + _STEP, least))
    information = (before - 2 * here + after) / _STEP**2
    if not information > 0:
        return math.nan
    return 1 / math.sqrt(n * information)
