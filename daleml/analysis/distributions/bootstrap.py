"""Samples drawn from a fit, observed as the data were, and what becomes of each."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from daleml import require
from daleml._support import workers
from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families import Family
from daleml.analysis.distributions.families.family import Array, Params
from daleml.analysis.distributions.fit import Material, WeightFit
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.weights.sampling import weight_sample

_BATCH = 20  # samples a worker takes at once
_WORTH_IT = 4.0  # seconds of work for which starting workers pays
_REJECT = 0.05  # share seen, above which drawing until enough are seen is cheap

Result = TypeVar("Result")


def draw(
    family: Family,
    params: Params,
    n: int,
    observation: Observation,
    rng: np.random.Generator,
) -> Array:
    """Draw ``n`` magnitudes that would have been seen, as they would have been."""
    low, high = observation.low, observation.high
    short_way = family.between(params, n, low, high, rng)
    if short_way is not None:
        values = short_way
    elif low == 0 and high == math.inf:
        values = family.sample(params, n, rng)
    else:
        share = math.exp(float(likelihood.log_interval(family, params, low, high)))
        if share > _REJECT:
            kept: list[Array] = []
            while (missing := n - sum(map(len, kept))) > 0:
                tried = family.sample(params, int(1.1 * missing / share) + 10, rng)
                kept.append(tried[(tried > low) & (tried <= high)][:missing])
            values = np.concatenate(kept)
        else:
            values = _between(family, params, low, high, rng.uniform(size=n))
    numbers = np.finfo(np.float64)
    values = np.clip(values, numbers.tiny, numbers.max)
    if observation.grid is not None:
        values = _written(values, observation)
    floor, ceiling, grid = (
        observation.censored_below,
        observation.censored_above,
        observation.grid,
    )
    below, above = values <= floor, values >= ceiling
    if (
        grid is not None
    ):  # thresholds lie halfway between two numbers that can be written down
        floor = float(grid.floor(floor))
        ceiling = float(grid.ceil(ceiling)) if math.isfinite(ceiling) else ceiling
    values = np.where(below, 0.0 if observation.zeros == "censored" else floor, values)
    return np.asarray(np.where(above, ceiling, values))


def _written(values: Array, observation: Observation) -> Array:
    """Return what is written down of magnitudes that were seen.

    The ends of what is seen belong to what is inside.
    """
    grid, truncation = observation.grid, observation.truncation or (None, None)
    assert grid is not None
    rounded = grid.rounded(values)
    if observation.low > 0:
        rounded = np.maximum(rounded, grid.ceil(truncation[0] or 0.0))
    if math.isfinite(observation.high):
        rounded = np.minimum(rounded, grid.floor(observation.high))
    return rounded


def _between(
    family: Family, params: Params, low: float, high: float, levels: Array
) -> Array:
    """Return quantiles of what lies between two ends, in the far tail too.

    By halving the interval of ln w.
    """
    ends = np.array([max(low, 1e-300), min(high, 1e300)])
    whole = likelihood.log_interval(family, params, low, high)
    bottom, top = (np.full(levels.shape, end) for end in np.log(ends))
    for _ in range(60):
        middle = (bottom + top) / 2
        below = likelihood.log_interval(
            family, params, low, np.exp(middle)
        ) - whole < np.log(levels)
        bottom, top = np.where(below, middle, bottom), np.where(below, top, middle)
    return np.asarray(np.clip(np.exp(top), np.nextafter(low, math.inf), high))


def replicate(
    function: Callable[[Family, Material, Params], Result],
    fit: WeightFit,
    n_boot: int,
    *,
    rng: int | np.random.Generator,
    jobs: int | None,
    progress: Callable[[int, int], object] | bool,
    what: str,
) -> list[Result]:
    """Call ``function`` on samples drawn from a fit, in their order.

    In several processes if that pays.

    It gets the family, a sample, and the parameters that the sample was drawn from.
    """
    if fit.sample.counts() is not None:
        raise ValueError(
            "`fit` must be of a sample without sample weights to draw more like it; got"
            " some."
        )
    if fit.sample.intervals is not None:
        raise ValueError(
            "`fit` must be of a sample without intervals of its own to draw more like it;"
            " got some."
        )
    jobs = None if jobs is None else require.integer("jobs", jobs, 1)
    entropy = (
        int(rng.integers(2**63))
        if isinstance(rng, np.random.Generator)
        else require.integer("rng", rng)
    )
    seeds = np.random.SeedSequence(entropy).spawn(n_boot)
    common = function, fit.rule, fit.values, fit.n, fit.observation
    results: list[Result] = []
    with _reporting(progress, n_boot, what) as say:
        start = time.perf_counter()
        while len(results) < n_boot:
            batch = seeds[
                len(results) : len(results) + (1 if len(results) < 5 else _BATCH)
            ]
            results += _batch(*common, batch)
            say(len(results))
            took = time.perf_counter() - start
            left = took / len(results) * (n_boot - len(results))
            if jobs != 1 and len(results) >= 5 and left > _WORTH_IT:
                _in_processes(common, seeds, results, jobs, say)
    return results


def _in_processes(
    common: tuple[Any, ...],
    seeds: Sequence[np.random.SeedSequence],
    results: list[Any],
    jobs: int | None,
    say: Callable[[int], object],
) -> None:
    batches = [seeds[i : i + _BATCH] for i in range(len(results), len(seeds), _BATCH)]
    calls = [(*common, batch) for batch in batches]
    with contextlib.closing(
        workers.run(_batch, calls, workers.count(jobs, len(calls)), ordered=True)
    ) as parts:
        for part in parts:
            results += part
            say(len(results))


def _batch(
    function: Callable[[Family, Material, Params], Result],
    family: Family,
    params: Params,
    n: int,
    observation: Observation,
    seeds: Sequence[np.random.SeedSequence],
) -> list[Result]:
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        while True:
            values = draw(family, params, n, observation, rng)
            inside = (values > observation.censored_below) & (
                values < observation.censored_above
            )
            if (
                np.unique(values[inside]).size > 1
            ):  # else nothing could be fitted: draw again
                break
        found.append(
            function(family, Material(weight_sample(values), observation), params)
        )
    return found


@contextmanager
def _reporting(
    progress: Callable[[int, int], object] | bool, total: int, what: str
) -> Iterator[Callable[[int], object]]:
    """Hand over what to call with the number done."""
    if callable(progress):
        call = progress
        yield lambda done: call(done, total)
        return
    if not progress:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
