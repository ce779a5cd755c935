r"""Scores: how the log-likelihood of each value changes with the parameters of a fit.

If all values are of one distribution, the scores of every group of them add up to about zero.
How far from zero they are is Rao's test, and it needs no fit of a group: a group of two values,
or of equal ones, takes part like any other.
"""

from __future__ import annotations

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families import Family
from daleml.analysis.distributions.families.family import Array, Kind, Params
from daleml.analysis.distributions.fit import WeightFit
from daleml.analysis.distributions.likelihood_data import Observed, cells, on_grid
from daleml.analysis.distributions.observation import Observation

_STEP = 1e-4  # of finite differences, in coordinates of order one
_FLAT = (
    1e-7  # of a direction's own size: below, it is a sum of the directions before it
)


def standard_scores(fit: WeightFit, values: Array, counts: Array) -> Array:
    r"""Return the scores of each value, uncorrelated and of variance 1, at the parameters of a fit.

    The first column is the score of scale: of multiplying all weights by a factor. Those after
    it are of shape: what is left of the other parameters once the scale has been accounted for.
    Directions that are no news are left out.

    Args:
        fit: The fit.
        values: The magnitudes; zeros too, where those stand for what is too small to be written
            down.
        counts: How often each counts.

    Returns:
        Shape ``(n, directions)``; no column if the likelihood is flat.
    """
    return standardised(
        _scores(fit.rule, fit.values, Separately(values, fit.observation)), counts
    )


class Separately:
    """Magnitudes, each with a log-likelihood of its own.

    Args:
        values: The magnitudes.
        observation: How they were observed.
    """

    def __init__(self, values: Array, observation: Observation) -> None:
        if observation.grid is not None:
            values = np.where(values > 0, on_grid(values, observation), values)
        different, places = np.unique(values, return_inverse=True)
        self._places = places.reshape(-1)
        below, above = (
            different <= observation.censored_below,
            different >= observation.censored_above,
        )
        self._inside = ~below & ~above
        self._below, self._above = below & (different >= 0), above
        seen = different[self._inside]
        data = Observed(
            seen, np.ones(seen.size), low=observation.low, high=observation.high
        )
        self._data = data if observation.grid is None else cells(data, observation.grid)
        self._ends = observation.censored_below, observation.censored_above
        self.logs = np.log(seen)

    def log_likelihood(self, family: Family, params: Params) -> Array:
        """Return that of each different value, given that it was seen."""
        data, (floor, ceiling) = self._data, self._ends
        found = np.empty(self._inside.size)
        with np.errstate(all="ignore"):
            found[self._inside] = likelihood.terms(family, params, data)
            if self._below.any():
                found[self._below] = likelihood.log_interval(
                    family, params, data.low, floor
                )
            if self._above.any():
                found[self._above] = likelihood.log_interval(
                    family, params, ceiling, data.high
                )
            return np.asarray(found - likelihood.log_seen(family, params, data))

    def at_each(self, columns: Array) -> Array:
        """Return columns of the different values for all values, in their order."""
        return np.asarray(columns[self._places])


def standardised(raw: Array, counts: Array) -> Array:
    """Return columns made uncorrelated one after the other, each of mean 0 and variance 1."""
    total = counts.sum()
    kept: list[Array] = []
    for column in raw.T:
        if not np.isfinite(column).all():
            continue
        centred = column - counts @ column / total
        size = np.sqrt(counts @ centred**2 / total)
        for other in kept:
            centred = centred - (counts @ (centred * other) / total) * other
        left = np.sqrt(counts @ centred**2 / total)
        if left > _FLAT * max(size, 1e-300) and size > 0:
            kept.append(centred / left)
    return np.stack(kept, axis=1) if kept else np.empty((counts.size, 0))


def _scores(family: Family, params: Params, values: Separately) -> Array:
    """Return the derivatives of each value's log-likelihood.

    By the scale, then by every free coordinate.
    """
    # In a unit in which values are of order one, and by steps that are short beside their spread.
    unit = float(np.exp(np.mean(values.logs)))
    free = family.to_free(family.in_unit(params, 1 / unit))
    spread = min(max(float(np.std(values.logs)), 1e-6), 1.0)
    lengths = [
        spread if kind in (Kind.LOCATION, Kind.LOG_LOCATION) else 1.0
        for kind in family.kinds
    ]
    larger, smaller = (
        family.in_unit(params, float(np.exp(side * _STEP * spread))) for side in (1, -1)
    )
    columns = [_slope(family, larger, smaller, values)]
    for step in _STEP * np.diag(lengths):
        ahead, behind = (
            family.in_unit(family.from_free(free + side * step), unit)
            for side in (1, -1)
        )
        columns.append(_slope(family, ahead, behind, values))
    return values.at_each(np.stack(columns, axis=1))


def _slope(family: Family, ahead: Params, behind: Params, values: Separately) -> Array:
    after, before = (
        values.log_likelihood(family, params) for params in (ahead, behind)
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(after - before)
