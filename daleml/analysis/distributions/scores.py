r"""Scores: derivatives of the log-likelihood of each value by the parameters of a fit.

If all values are of one distribution, the scores of every group of them add up to about zero.
How far from zero they are is Rao's test, and it needs no fit of a group: a group of two values,
or of equal ones, takes part like any other.
"""

from __future__ import annotations

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.likelihood_data import LikelihoodData, cells
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.recorded_values import recorded
from daleml.analysis.distributions.weight_fit import WeightFit

# Finite differences take this step, in coordinates of order one.
_STEP = 1e-4

# A direction of which less than this fraction is left is a sum of the directions before it.
_FLAT = 1e-7


def standard_scores(fit: WeightFit, values: Array, counts: Array) -> Array:
    r"""Return the scores of each value, uncorrelated and of variance 1, at the parameters of a fit.

    The first column is the score of scale: of multiplying all weights by a factor. Those after
    it are of shape: what is left of the other parameters once the scale has been accounted for.
    Directions that are sums of those before them are left out.

    Args:
        fit: The fit.
        values: The magnitudes; zeros too, where those stand for what is too small to be written
            down.
        counts: How often each counts.

    Returns:
        Shape ``(n, directions)``; no column if the likelihood is flat.
    """
    separate = SeparateLikelihoods(values, fit.observation)
    return standardised(_scores(fit.rule, fit.values, separate), counts)


class SeparateLikelihoods:
    """Magnitudes, each with a log-likelihood of its own.

    Args:
        values: The magnitudes.
        observation: How they were observed.
    """

    def __init__(self, values: Array, observation: Observation) -> None:
        if observation.grid is not None:
            # The sample was judged when it was fitted.
            rounded = recorded(values, observation).values
            values = np.where(values > 0, rounded, values)
        distinct, positions = np.unique(values, return_inverse=True)
        self._positions = positions.reshape(-1)
        self._threshold = observation.censored_below
        self._ceiling = observation.censored_above
        below = distinct <= self._threshold
        self._above = distinct >= self._ceiling
        self._inside = ~below & ~self._above
        self._below = below & (distinct >= 0)
        seen = distinct[self._inside]
        self._data = LikelihoodData(
            seen, np.ones(seen.size), low=observation.low, high=observation.high
        )
        if observation.grid is not None:
            self._data = cells(self._data, observation.grid)
        self.logs = np.log(seen)

    def log_likelihood(self, family: Family, params: Params) -> Array:
        """Return that of each distinct value, given that it was seen."""
        data = self._data
        found = np.empty(self._inside.size)

        def between(low: float, high: float) -> Array:
            return likelihood.log_interval(family, params, low, high)

        with np.errstate(all="ignore"):
            found[self._inside] = likelihood.terms(family, params, data)
            if self._below.any():
                found[self._below] = between(data.low, self._threshold)
            if self._above.any():
                found[self._above] = between(self._ceiling, data.high)
            return np.asarray(found - likelihood.log_seen(family, params, data))

    def at_each(self, columns: Array) -> Array:
        """Return columns of the distinct values for all values, in their order."""
        return np.asarray(columns[self._positions])


def standardised(raw: Array, counts: Array) -> Array:
    """Return columns made uncorrelated one after the other, each of mean 0 and variance 1."""
    total = counts.sum()
    kept: list[Array] = []
    for column in raw.T:
        if not np.isfinite(column).all():
            continue
        # Gram and Schmidt's method, column by column.
        centred = column - counts @ column / total
        size = np.sqrt(counts @ centred**2 / total)
        for other in kept:
            centred = centred - (counts @ (centred * other) / total) * other
        remaining = np.sqrt(counts @ centred**2 / total)
        if remaining > _FLAT * max(size, 1e-300) and size > 0:
            kept.append(centred / remaining)
    if not kept:
        return np.empty((counts.size, 0))
    return np.stack(kept, axis=1)


def _scores(family: Family, params: Params, values: SeparateLikelihoods) -> Array:
    """Return the derivatives of each value's log-likelihood.

    The first column is that by the scale, the others are those by every free coordinate.
    """
    # They are taken in a unit in which values are of order one, by steps that are short beside
    # the spread of the values.
    unit = float(np.exp(np.mean(values.logs)))
    free = family.to_free(family.in_unit(params, 1 / unit))
    spread = min(max(float(np.std(values.logs)), 1e-6), 1.0)
    larger = family.in_unit(params, float(np.exp(_STEP * spread)))
    smaller = family.in_unit(params, float(np.exp(-_STEP * spread)))
    columns = [_difference(family, larger, smaller, values)]
    scales = np.where([kind.is_location for kind in family.kinds], spread, 1.0)
    for step in _STEP * np.diag(scales):
        ahead = family.in_unit(family.from_free(free + step), unit)
        behind = family.in_unit(family.from_free(free - step), unit)
        columns.append(_difference(family, ahead, behind, values))
    return values.at_each(np.stack(columns, axis=1))


def _difference(
    family: Family, ahead: Params, behind: Params, values: SeparateLikelihoods
) -> Array:
    after = values.log_likelihood(family, ahead)
    before = values.log_likelihood(family, behind)
    with np.errstate(invalid="ignore"):
        return np.asarray(after - before)
