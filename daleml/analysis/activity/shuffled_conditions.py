"""P-values of many units at once, by shuffling the conditions of the trials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

# Statistics of the same partition of the trials differ by rounding, by this much at most.
_TIE = 1e-9

# A batch of shuffles holds this many numbers, which stay in cache.
_CELLS = 1_000_000


class Groups(NamedTuple):
    """The condition of each trial, and the stratum within which it may be shuffled."""

    conditions: Codes
    strata: Codes


def shuffled_p_values(
    rates: Array,
    groups: Groups,
    n_shuffles: int,
    rng: int | np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Test whether conditions explain the rates of each unit.

    Args:
        rates: (trials, units).
        groups: The conditions of the trials.
        n_shuffles: Number of shuffles.
        rng: Seed or generator of the shuffles.

    Returns:
        The fraction of each unit's variance that the condition explains, its p-value, and its
        p-value corrected for the number of units.
    """
    n, n_units = rates.shape
    centred = rates - rates.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    # Rates that are equal but for rounding have no variance to explain.
    constant = spread <= 1e-12 * np.abs(rates).max(axis=0, initial=0.0)
    scores = np.where(constant, 0.0, centred / np.where(constant, 1.0, spread))
    observed = _explained(scores, groups.conditions[None])[0]
    # What the stratum explains is the same for every shuffle: it need not be taken out.
    as_far = np.zeros(n_units)
    any_as_far = np.zeros(n_units)
    generator = np.random.default_rng(rng)
    n_conditions = int(groups.conditions.max()) + 1
    batch = max(1, _CELLS // (n_conditions * max(n, n_units)))
    for done in range(0, n_shuffles, batch):
        shuffles = _shuffles(groups, min(batch, n_shuffles - done), generator)
        by_chance = _explained(scores, shuffles)
        as_far += (by_chance >= observed - _TIE).sum(axis=0)
        largest = by_chance.max(axis=1, keepdims=True)
        any_as_far += (largest >= observed - _TIE).sum(axis=0)
    p, adjusted = (1 + as_far) / (1 + n_shuffles), (1 + any_as_far) / (1 + n_shuffles)
    p[constant] = adjusted[constant] = 1.0
    return observed, p, adjusted


def _explained(scores: Array, conditions: Codes) -> Array:
    """Return the fraction of variance that each row of conditions explains of each unit.

    Scores have mean 0 and variance 1, so that it is the sum over groups of n times the squared
    mean, over the number of trials.
    """
    n = len(scores)
    total = np.zeros((len(conditions), scores.shape[1]))
    for group in range(int(conditions.max()) + 1):
        member = (conditions == group).astype(np.float64)
        total += (member @ scores) ** 2 / member.sum(axis=1, keepdims=True)
    return total / n


def _shuffles(groups: Groups, count: int, generator: np.random.Generator) -> Codes:
    """Return shuffled conditions, (count, trials); none leaves its stratum."""
    conditions, strata = groups
    keys = generator.random((count, len(conditions)))
    # Sorted by stratum first, then at random: the same places hold the same stratum in each row.
    order = np.argsort(keys + strata, axis=1)
    home = np.argsort(strata, kind="stable")
    shuffled = np.empty_like(order)
    shuffled[:, home] = conditions[order]
    return shuffled
