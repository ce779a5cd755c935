"""Mixtures of log-normals, whose likelihood is maximised from several starting points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from daleml.analysis.distributions.families.family import LOG_2PI, Family, log_moments
from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood_data import LikelihoodData

_N_STARTS = 10

# Expectation maximisation ends after so many iterations, or when the mean log-likelihood of a
# value rises by less than this.
_MAX_ITERATIONS = 500
_TOLERANCE = 1e-9

# A component with a smaller fraction of the weights is no component.
_SMALLEST_FRACTION = 1e-6

# The least sigma of a component, as a fraction of the largest one.
_NARROWEST = 0.05

# A logarithm of zero would make infinities that cancel to NaN.
_TINY = 1e-300


class LogNormalMixture(Family):
    r"""A mixture of log-normals, :math:`p(w) = \sum_k \pi_k\, p_k(w)`, sorted by :math:`\mu_k`.

    The likelihood has several peaks. It is maximised from several starting points by
    expectation maximisation (EM), and the fit reports from how many of them it arrived at the
    highest peak. It has no bound where a component shrinks onto a single value, so no
    :math:`\sigma` may be below a twentieth of the largest.

    Args:
        n_components: Two or more.

    Example:
        >>> LogNormalMixture(2).parameters
        ('share_1', 'mu_1', 'mu_2', 'sigma_1', 'sigma_2')

    References:
        Hathaway 1985, Annals of Statistics 13:795.
    """

    def __init__(self, n_components: int) -> None:
        numbers = range(1, n_components + 1)
        self.n_components = n_components
        self.name = f"lognormal{n_components}"  # type: ignore[misc]
        fewer = (f"lognormal{i}" for i in range(2, n_components))
        self.irregular_cases = frozenset({"lognormal", *fewer})  # type: ignore[misc]
        names = [f"share_{i}" for i in numbers[:-1]]
        names += [f"mu_{i}" for i in numbers]
        names += [f"sigma_{i}" for i in numbers]
        self.parameters = tuple(names)  # type: ignore[misc]
        kinds = [Kind.SHARE] * (n_components - 1)
        kinds += [Kind.LOG_LOCATION] * n_components
        kinds += [Kind.SHAPE] * n_components
        self.kinds = tuple(kinds)  # type: ignore[misc]

    def split(self, params: Params) -> tuple[Array, Array, Array]:
        """Return fractions, mus and sigmas, one per component."""
        k = self.n_components
        fractions = np.array(params[: k - 1])
        fractions = np.append(fractions, 1 - fractions.sum())
        return (
            fractions,
            np.array(params[k - 1 : 2 * k - 1]),
            np.array(params[2 * k - 1 :]),
        )

    def join(self, shares: Array, mus: Array, sigmas: Array) -> Params:
        """Undo :meth:`split`; components are sorted by their mu."""
        order = np.argsort(mus)
        parts = [shares[order][:-1], mus[order], sigmas[order]]
        return tuple(np.concatenate(parts).tolist())

    def to_free(self, params: Params) -> Array:
        fractions, mus, sigmas = self.split(params)
        logs = np.log(np.maximum(fractions, _SMALLEST_FRACTION))
        return np.concatenate([logs[:-1] - logs[-1], mus, np.log(sigmas)])

    def from_free(self, free: Array) -> Params:
        k = self.n_components
        logits = np.append(free[: k - 1], 0.0)
        fractions = np.exp(logits - logits.max())
        fractions = fractions / fractions.sum()
        sigmas = _widened(np.exp(free[2 * k - 1 :]))
        return self.join(fractions, free[k - 1 : 2 * k - 1], sigmas)

    def allowed(self, params: Params) -> bool:
        fractions, _, sigmas = self.split(params)
        wide = sigmas.min() >= 0.999 * _NARROWEST * sigmas.max()
        return bool(fractions.min() >= 0 and wide)

    def logpdf(self, w: Array, params: Params) -> Array:
        logs = np.log(w)
        fractions, mus, sigmas = self.split(params)
        total = np.zeros_like(logs)
        top = -np.inf * np.ones_like(logs)
        terms = []
        for fraction, mu, sigma in zip(fractions, mus, sigmas, strict=True):
            z = (logs - mu) / sigma
            log_fraction = math.log(max(fraction, _TINY))
            terms.append(log_fraction - math.log(sigma) - z * z / 2)
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

        fractions, mus, sigmas = self.split(params)
        z = (np.log(np.asarray(w))[..., None] - mus) / sigmas
        terms = log_ndtr(side * z) + np.log(np.maximum(fractions, _TINY))
        return np.asarray(np.logaddexp.reduce(terms, axis=-1))

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        fractions, mus, sigmas = self.split(params)
        fractions = np.maximum(fractions, 0) / np.maximum(fractions, 0).sum()
        chosen = rng.choice(self.n_components, size=n, p=fractions)
        return rng.lognormal(mus[chosen], sigmas[chosen])

    def start(self, w: Array, counts: Array) -> Params:
        mean, sd = log_moments(w, counts)
        k = self.n_components
        even = np.full(k, 1 / k)
        return self.join(even, mean + sd * np.linspace(-1, 1, k), np.full(k, sd * 0.6))

    def starts(self, data: LikelihoodData) -> Iterator[Params]:
        """Yield where EM ends from each of several starting points.

        It takes the values as if all had been seen.
        """
        w, counts = data.coarse().complete()
        # The starting points must not depend on the order of the rows.
        order = np.argsort(w, kind="stable")
        w, counts = w[order], counts[order]
        n_different = np.unique(w).size
        if n_different <= len(self.parameters):
            raise ValueError(
                f"`weights` must hold more than {len(self.parameters)} different values to"
                f" fit {self.name}; got {n_different}."
            )
        logs = np.log(w)
        for begun in self._guesses(w, counts):
            yield self.join(*_expectation_maximisation(logs, counts, *begun))

    def _guesses(self, w: Array, counts: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Yield fractions, mus and sigmas: those of :meth:`start`, then random ones."""
        yield self.split(self.start(w, counts))
        logs = np.log(w)
        _, sd = log_moments(w, counts)
        k = self.n_components
        even = np.full(k, 1 / k)
        # The starting points are part of the method, so they are the same each time.
        rng = np.random.default_rng(0)
        for _ in range(1, _N_STARTS):
            mus = rng.choice(logs, k, p=counts / counts.sum())
            fractions = rng.dirichlet(3 * k * even)
            yield fractions, mus, sd * rng.uniform(0.2, 1, k)

    def limit(self, params: Params) -> str | None:
        fractions, _, sigmas = self.split(params)
        if fractions.min() < 10 * _SMALLEST_FRACTION:
            return "a mixture of fewer components"
        if sigmas.min() < 1.001 * _NARROWEST * sigmas.max():
            return "a mixture with a component on a few values alone"
        return None

    def __repr__(self) -> str:
        return f"LogNormalMixture({self.n_components})"


def _widened(sigmas: Array) -> Array:
    return np.maximum(sigmas, max(_NARROWEST * sigmas.max(), 1e-9))


def _expectation_maximisation(
    logs: Array, counts: Array, fractions: Array, mus: Array, sigmas: Array
) -> tuple[Array, Array, Array]:
    """Maximise the likelihood of a mixture of normals of ``logs`` by EM."""
    total = counts.sum()
    before = -np.inf
    for _ in range(_MAX_ITERATIONS):
        # Components are rows, so that what runs over all values runs along memory.
        z = (logs - mus[:, None]) / sigmas[:, None]
        constants = np.log(np.maximum(fractions, _TINY)) - np.log(sigmas)
        terms = constants[:, None] - z * z / 2
        top = terms.max(axis=0)
        weights = np.exp(terms - top)
        sums = weights.sum(axis=0)
        log_likelihood = float(counts @ (top + np.log(sums))) / total
        weights *= counts / sums
        mass = np.maximum(weights.sum(axis=1), 1e-12 * total)
        fractions = mass / total
        mus = weights @ logs / mass
        variances = ((logs - mus[:, None]) ** 2 * weights).sum(axis=1) / mass
        sigmas = _widened(np.sqrt(variances))
        if log_likelihood - before < _TOLERANCE:
            break
        before = log_likelihood
    return fractions, mus, sigmas
