"""The log-normal, and mixtures of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family import (
    LOG_2PI,
    Array,
    Family,
    Kind,
    Params,
    log_moments,
)
from daleml.analysis.weights.sample import WeightSample

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood import Observed

# standard deviations, above which nothing is seen of a log-normal but the form of its tail
_FAR_OFF = 6.0
_N_STARTS = 10
_MAX_ITERATIONS = 500
_SMALLEST_SHARE = 1e-6
_NARROWEST = 0.05  # of a component, beside the widest


class LogNormal(Family):
    r"""Log-normal, :math:`\ln w \sim \mathcal N(\mu, \sigma^2)`: closed form."""

    name = "lognormal"
    parameters = ("mu", "sigma")
    kinds = (Kind.LOG_LOCATION, Kind.SHAPE)

    def logpdf(self, w: Array, params: Params) -> Array:
        mu, sigma = params
        logs = np.log(w)
        z = (logs - mu) / sigma
        return -z * z / 2 - logs - (math.log(sigma) + LOG_2PI / 2)

    def logcdf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr((np.log(w) - params[0]) / params[1]))

    def logsf(self, w: Array, params: Params) -> Array:
        from scipy.special import log_ndtr

        return np.asarray(log_ndtr((params[0] - np.log(w)) / params[1]))

    def ppf(self, q: Array, params: Params) -> Array:
        from scipy.special import ndtri

        return np.exp(params[0] + params[1] * ndtri(q))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        return rng.lognormal(params[0], params[1], n)

    def distribution(self, params: Params) -> Any:
        from scipy import stats

        return stats.lognorm(s=params[1], scale=math.exp(params[0]))

    def start(self, w: Array, counts: Array) -> Params:
        return log_moments(w, counts)

    def estimate(self, sample: WeightSample) -> Params:
        return sample.log_moments

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        (mu, sigma), (mean, sd) = params, sample.log_moments
        return (
            -mean
            - math.log(sigma)
            - LOG_2PI / 2
            - (sd**2 + (mean - mu) ** 2) / (2 * sigma**2)
        )

    def stderr(self, params: Params, n: float) -> Params:
        return params[1] / math.sqrt(n), params[1] / math.sqrt(2 * n)

    def interval_factor(self, index: int, n: float, level: float) -> float:
        """Return Student's exact correction for mu, and Bartlett's for sigma, whose error is of order 1 / n^2."""
        from scipy.special import chdtri, digamma, stdtrit

        if n < 3:
            return 1.0
        if index == 0:
            t = float(stdtrit(n - 1, (1 + level) / 2))
            return n * math.log1p(t * t / (n - 1)) / float(chdtri(1, 1 - level))
        return -1 - n * (float(digamma((n - 1) / 2)) + math.log(2 / n))

    def limit_above(self, params: Params, low: float) -> str | None:
        # the exponent of such a tail, z / sigma, changes by a few hundredths over all that is seen
        return (
            "a power law"
            if low > 0 and math.log(low) - params[0] > _FAR_OFF * params[1]
            else None
        )


class LogNormalMixture(Family):
    r"""A mixture of log-normals, :math:`p(w) = \sum_k \pi_k\, p_k(w)`, its components by rising :math:`\mu_k`.

    The likelihood has several peaks. It is climbed from several places by expectation
    maximisation (EM), and the fit reports how many of the climbs ended at the highest peak. It
    has no bound where a component shrinks onto a single value, so no :math:`\sigma` may be
    below a twentieth of the largest.

    Args:
        n_components: Two or more.

    References:
        Hathaway 1985, Annals of Statistics 13:795.
    """

    def __init__(self, n_components: int) -> None:
        numbers = range(1, n_components + 1)
        self.n_components = n_components
        self.name = f"lognormal{n_components}"  # type: ignore[misc]
        fewer = (f"lognormal{i}" for i in range(2, n_components))
        self.irregular_cases = frozenset({"lognormal", *fewer})  # type: ignore[misc]
        shares = tuple(f"share_{i}" for i in numbers[:-1])
        places = (*(f"mu_{i}" for i in numbers), *(f"sigma_{i}" for i in numbers))
        self.parameters = (*shares, *places)  # type: ignore[misc]
        self.kinds = (  # type: ignore[misc]
            *(Kind.SHARE for _ in shares),
            *(Kind.LOG_LOCATION for _ in numbers),
            *(Kind.SHAPE for _ in numbers),
        )

    def split(self, params: Params) -> tuple[Array, Array, Array]:
        """Return shares, mus and sigmas, one a component."""
        k = self.n_components
        shares = np.array(params[: k - 1])
        return (
            np.append(shares, 1 - shares.sum()),
            np.array(params[k - 1 : 2 * k - 1]),
            np.array(params[2 * k - 1 :]),
        )

    def join(self, shares: Array, mus: Array, sigmas: Array) -> Params:
        """Undo :meth:`split`; components are sorted by their mu."""
        order = np.argsort(mus)
        return (
            *shares[order][:-1].tolist(),
            *mus[order].tolist(),
            *sigmas[order].tolist(),
        )

    def to_free(self, params: Params) -> Array:
        shares, mus, sigmas = self.split(params)
        logs = np.log(np.maximum(shares, _SMALLEST_SHARE))
        return np.concatenate([logs[:-1] - logs[-1], mus, np.log(sigmas)])

    def from_free(self, free: Array) -> Params:
        k = self.n_components
        logits = np.append(free[: k - 1], 0.0)
        shares = np.exp(logits - logits.max())
        return self.join(
            shares / shares.sum(),
            free[k - 1 : 2 * k - 1],
            _widened(np.exp(free[2 * k - 1 :])),
        )

    def allowed(self, params: Params) -> bool:
        shares, _, sigmas = self.split(params)
        return bool(
            shares.min() >= 0 and sigmas.min() >= 0.999 * _NARROWEST * sigmas.max()
        )

    def logpdf(self, w: Array, params: Params) -> Array:
        logs = np.log(w)
        shares, mus, sigmas = self.split(params)
        total = np.zeros_like(logs)
        top = -np.inf * np.ones_like(logs)
        terms = []
        for share, mu, sigma in zip(shares, mus, sigmas, strict=True):
            z = (logs - mu) / sigma
            terms.append(math.log(max(share, 1e-300)) - math.log(sigma) - z * z / 2)
            top = np.maximum(top, terms[-1])
        for term in terms:
            total += np.exp(term - top)
        return top + np.log(total) - logs - LOG_2PI / 2

    def logcdf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, 1.0)

    def logsf(self, w: Array, params: Params) -> Array:
        return self._tail(w, params, -1.0)

    def _tail(self, w: Array, params: Params, side: float) -> Array:
        from scipy.special import log_ndtr

        shares, mus, sigmas = self.split(params)
        z = (np.log(np.asarray(w))[..., None] - mus) / sigmas
        return np.asarray(
            np.logaddexp.reduce(
                log_ndtr(side * z) + np.log(np.maximum(shares, 1e-300)), axis=-1
            )
        )

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        shares, mus, sigmas = self.split(params)
        chosen = rng.choice(
            self.n_components,
            size=n,
            p=np.maximum(shares, 0) / np.maximum(shares, 0).sum(),
        )
        return rng.lognormal(mus[chosen], sigmas[chosen])

    def start(self, w: Array, counts: Array) -> Params:
        mean, sd = log_moments(w, counts)
        places = np.linspace(-1, 1, self.n_components)
        even = np.full(self.n_components, 1 / self.n_components)
        return self.join(even, mean + sd * places, np.full(self.n_components, sd * 0.6))

    def starts(self, data: Observed) -> Iterator[Params]:
        """Yield where EM ends from each of several places, of the values as if all had been seen."""
        w, counts = data.coarse().complete()
        order = np.argsort(
            w, kind="stable"
        )  # the places must not depend on the order of the rows
        w, counts = w[order], counts[order]
        n_different = np.unique(w).size
        if n_different <= len(self.parameters):
            raise ValueError(
                f"`weights` must hold more than {len(self.parameters)} different values to"
                f" fit {self.name}; got {n_different}."
            )
        logs = np.log(w)
        _, sd = log_moments(w, counts)
        rng = np.random.default_rng(
            0
        )  # the places are part of the method, the same each time
        even = np.full(self.n_components, 1 / self.n_components)
        for i in range(_N_STARTS):
            if i == 0:
                shares, mus, sigmas = self.split(self.start(w, counts))
            else:
                mus = rng.choice(logs, self.n_components, p=counts / counts.sum())
                shares, sigmas = (
                    rng.dirichlet(3 * self.n_components * even),
                    sd * rng.uniform(0.2, 1, self.n_components),
                )
            yield self.join(
                *_expectation_maximisation(logs, counts, shares, mus, sigmas)
            )

    def limit(self, params: Params) -> str | None:
        shares, _, sigmas = self.split(params)
        if shares.min() < 10 * _SMALLEST_SHARE:
            return "a mixture of fewer components"
        narrow = sigmas.min() < 1.001 * _NARROWEST * sigmas.max()
        return "a mixture with a component on a few values alone" if narrow else None

    def __repr__(self) -> str:
        return f"LogNormalMixture({self.n_components})"


def _widened(sigmas: Array) -> Array:
    return np.maximum(sigmas, max(_NARROWEST * sigmas.max(), 1e-9))


def _expectation_maximisation(
    logs: Array, counts: Array, shares: Array, mus: Array, sigmas: Array
) -> tuple[Array, Array, Array]:
    """Climb the likelihood of a mixture of normals of ``logs`` until it rises by less than 1e-9 a value."""
    total, before = counts.sum(), -np.inf
    for _ in range(_MAX_ITERATIONS):
        z = (logs[:, None] - mus) / sigmas
        terms = np.log(np.maximum(shares, 1e-300)) - np.log(sigmas) - z * z / 2
        top = terms.max(axis=1, keepdims=True)
        weights = np.exp(terms - top)
        sums = weights.sum(axis=1, keepdims=True)
        height = float(counts @ (top + np.log(sums))[:, 0]) / total
        weights *= counts[:, None] / sums
        mass = np.maximum(weights.sum(axis=0), 1e-12 * total)
        shares, mus = mass / total, logs @ weights / mass
        sigmas = _widened(
            np.sqrt(((logs[:, None] - mus) ** 2 * weights).sum(axis=0) / mass)
        )
        if height - before < 1e-9:
            break
        before = height
    return shares, mus, sigmas
