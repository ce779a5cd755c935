"""Samples drawn from a fit and observed as the data were, and a function of each."""

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
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.weights.sampling import weight_sample

# A worker takes so many samples at once; the first few are drawn one by one, to see how long
# they take.
_BATCH = 20
_FIRST = 5

# Starting workers pays for so many seconds of work.
_WORTH_IT = 4.0

# Drawing until enough are seen is cheap where a larger fraction than this is seen.
_REJECT = 0.05

# Halvings of an interval of ln w, after which no digit is left to find.
_HALVINGS = 60

Result = TypeVar("Result")


def draw(
    family: Family,
    params: Params,
    n: int,
    observation: Observation,
    rng: np.random.Generator,
) -> Array:
    """Draw ``n`` magnitudes that would have been seen, as they would have been written down."""
    values = _draw_seen(family, params, n, observation.low, observation.high, rng)
    # A draw of 0 or infinity, by rounding, has no logarithm.
    numbers = np.finfo(np.float64)
    values = np.clip(values, numbers.tiny, numbers.max)
    grid = observation.grid
    if grid is not None:
        values = _written(values, observation)
    floor = observation.censored_below
    ceiling = observation.censored_above
    below = values <= floor
    above = values >= ceiling
    # Thresholds lie halfway between two numbers that can be written down.
    if grid is not None:
        floor = float(grid.floor(floor))
    if grid is not None and math.isfinite(ceiling):
        ceiling = float(grid.ceil(ceiling))
    if observation.zeros == "censored":
        floor = 0.0
    values = np.where(below, floor, values)
    return np.asarray(np.where(above, ceiling, values))


def _draw_seen(
    family: Family,
    params: Params,
    n: int,
    low: float,
    high: float,
    rng: np.random.Generator,
) -> Array:
    """Draw ``n`` magnitudes between two ends."""
    values = family.between(params, n, low, high, rng)
    if values is not None:
        return values
    if low == 0 and high == math.inf:
        return family.sample(params, n, rng)
    seen = math.exp(float(likelihood.log_interval(family, params, low, high)))
    if seen <= _REJECT:
        return _between(family, params, low, high, rng.uniform(size=n))
    kept: list[Array] = []
    missing = n
    while missing > 0:
        # A tenth more than are missing on average, so that one draw mostly suffices.
        tried = family.sample(params, int(1.1 * missing / seen) + 10, rng)
        kept.append(tried[(tried > low) & (tried <= high)][:missing])
        missing -= kept[-1].size
    return np.concatenate(kept)


def _written(values: Array, observation: Observation) -> Array:
    """Return what is written down of magnitudes that were seen.

    The ends of what is seen belong to what is inside.
    """
    grid = observation.grid
    assert grid is not None
    truncation = observation.truncation or (None, None)
    rounded = grid.rounded(values)
    if observation.low > 0:
        rounded = np.maximum(rounded, grid.ceil(truncation[0] or 0.0))
    if math.isfinite(observation.high):
        rounded = np.minimum(rounded, grid.floor(observation.high))
    return rounded


def _between(
    family: Family, params: Params, low: float, high: float, levels: Array
) -> Array:
    """Return quantiles of what lies between two ends, by halving the interval of ln w.

    They are precise in the far tail too.
    """
    ends = np.array([max(low, 1e-300), min(high, 1e300)])
    whole = likelihood.log_interval(family, params, low, high)
    bottom = np.full(levels.shape, np.log(ends[0]))
    top = np.full(levels.shape, np.log(ends[1]))
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        reached = likelihood.log_interval(family, params, low, np.exp(middle))
        below = reached - whole < np.log(levels)
        bottom = np.where(below, middle, bottom)
        top = np.where(below, top, middle)
    return np.asarray(np.clip(np.exp(top), np.nextafter(low, math.inf), high))


def replicate(
    function: Callable[[Family, ObservedSample, Params], Result],
    fit: WeightFit,
    n_boot: int,
    *,
    rng: int | np.random.Generator,
    jobs: int | None,
    progress: Callable[[int, int], object] | bool,
    what: str,
) -> list[Result]:
    """Return what a function returns of samples drawn from a fit, in their order.

    Several processes work on them if that pays.

    Args:
        function: It gets the family, a sample, and the parameters it was drawn from.
        fit: What to draw from.
        n_boot: How many samples to draw.
        rng: A seed, or a generator to take one from.
        jobs: Processes to use; default: one per core.
        progress: True for a bar on standard error, or a callback.
        what: What is done, for the bar.

    Raises:
        ValueError: If the fit has sample weights, or intervals of its own.
    """
    require_drawable(fit)
    if jobs is not None:
        jobs = require.integer("jobs", jobs, 1)
    seeds = spawn(rng, n_boot)
    common = function, fit.rule, fit.values, fit.n, fit.observation
    results: list[Result] = []
    with reporting(progress, n_boot, what) as report:
        start = time.perf_counter()
        while len(results) < n_boot:
            done = len(results)
            size = 1 if done < _FIRST else _BATCH
            results += _batch(*common, seeds[done : done + size])
            done = len(results)
            report(done)
            took = time.perf_counter() - start
            seconds_left = took / done * (n_boot - done)
            if jobs != 1 and done >= _FIRST and seconds_left > _WORTH_IT:
                _in_processes(common, seeds, results, jobs, report)
    return results


def require_drawable(fit: WeightFit) -> None:
    """Raise unless samples like that of a fit can be drawn.

    Raises:
        ValueError: If the fit has sample weights, or intervals of its own.
    """
    if fit.sample.frequencies is not None:
        raise ValueError(
            "`fit` must be of a sample without sample weights to draw more like it; got"
            " some."
        )
    if fit.sample.intervals is not None:
        raise ValueError(
            "`fit` must be of a sample without intervals of its own to draw more like it;"
            " got some."
        )


def spawn(rng: int | np.random.Generator, n: int) -> list[np.random.SeedSequence]:
    """Return a seed for each of ``n`` samples.

    Each has a stream of its own, so that results do not depend on the processes.
    """
    if isinstance(rng, np.random.Generator):
        entropy = int(rng.integers(2**63))
    else:
        entropy = require.integer("rng", rng)
    return np.random.SeedSequence(entropy).spawn(n)


def _in_processes(
    common: tuple[Any, ...],
    seeds: Sequence[np.random.SeedSequence],
    results: list[Any],
    jobs: int | None,
    report: Callable[[int], object],
) -> None:
    """Add to ``results`` those of the seeds that are left, in their order."""
    batches = [seeds[i : i + _BATCH] for i in range(len(results), len(seeds), _BATCH)]
    calls = [(*common, batch) for batch in batches]
    n_workers = workers.count(jobs, len(calls))
    parts = workers.run(_batch, calls, n_workers, ordered=True)
    with contextlib.closing(parts):
        for part in parts:
            results += part
            report(len(results))


def _batch(
    function: Callable[[Family, ObservedSample, Params], Result],
    family: Family,
    params: Params,
    n: int,
    observation: Observation,
    seeds: Sequence[np.random.SeedSequence],
) -> list[Result]:
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        values = draw(family, params, n, observation, rng)
        # Of fewer than two different values nothing could be fitted: draw again.
        while np.unique(_uncensored(values, observation)).size < 2:
            values = draw(family, params, n, observation, rng)
        observed = ObservedSample(weight_sample(values), observation)
        found.append(function(family, observed, params))
    return found


def _uncensored(values: Array, observation: Observation) -> Array:
    above = values > observation.censored_below
    return np.asarray(values[above & (values < observation.censored_above)])


@contextmanager
def reporting(
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
