"""Samples drawn from a fit, and what refitting them tells: could it be true, and how sure are its parameters."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from daleml import _checks
from daleml.analysis import likelihood
from daleml.analysis.families import Family
from daleml.analysis.families.base import Array, Kind, Params
from daleml.analysis.fit import Material, WeightFit, estimate, ks_distance
from daleml.analysis.observation import Observation
from daleml.analysis.weights import weight_sample

_BATCH = 20  # samples a worker takes at once
_WORTH_IT = 4.0  # seconds of work for which starting workers pays
_REJECT = 0.05  # share seen, above which drawing until enough are seen is cheap

Result = TypeVar("Result")


@dataclass(frozen=True)
class GoodnessOfFit:
    """Whether a sample could have been drawn from the family fitted to it.

    Attributes:
        family: The family.
        distance: The Kolmogorov-Smirnov distance of the fit.
        p_value: Share of samples drawn from the fit that, refitted, lie at least as far from their own fit.
        n_boot: Number of samples drawn.
    """

    family: str
    distance: float
    p_value: float
    n_boot: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {"family": self.family, "distance": self.distance, "p_value": self.p_value, "n_boot": self.n_boot}

    def __str__(self) -> str:
        verdict = "could be drawn from it" if self.p_value > 0.05 else "are not drawn from it"
        how = f"KS {self.distance:.4f}, p = {self.p_value:.3g}, {self.n_boot} samples"
        return f"{self.family}: the weights {verdict} ({how})"


def goodness_of_fit(
    fit: WeightFit,
    n_boot: int = 1000,
    *,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> GoodnessOfFit:
    r"""Test whether a sample could have been drawn from the family fitted to it, by parametric bootstrap.

    Samples are drawn from the fit, observed as the data were, and refitted. With :math:`D` the Kolmogorov-Smirnov
    distance of the data from their fit, and :math:`D_b` that of a drawn sample from its own,

    .. math:: p = \frac{1 + \#\{b : D_b \ge D\}}{1 + B} .

    The textbook p-value of :math:`D` does not hold, because the parameters were fitted to the same data.

    Args:
        fit: A fit.
        n_boot: Number of samples drawn, :math:`B`.
        rng: A seed, or a generator to take one from. Each sample has a stream of its own: results do not depend on
            ``jobs``.
        jobs: Processes to use where the work is long. Default: one a core.
        progress: True for a bar on standard error; or called with the number done and the number of all.

    Raises:
        ValueError: If the fit had sample weights, of which nobody knows how they would be drawn.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> weights = np.random.default_rng(1).lognormal(size=400)
        >>> goodness_of_fit(fit_weights(weights), 200).p_value > 0.05
        True
        >>> goodness_of_fit(fit_weights(weights, "halfnormal"), 200).p_value < 0.01
        True

    References:
        Stute, Gonzalez-Manteiga & Presedo-Quindimil 1993, Metrika 40:243.
    """
    n_boot = _checks.integer("n_boot", n_boot, 1)
    distance = fit.ks_distance()
    drawn = replicate(_distance, fit, n_boot, rng=rng, jobs=jobs, progress=progress, what=f"fits of {fit.family}")
    # equal but for rounding counts as equal: distances of counts are often tied
    n_farther = sum(other >= distance * (1 - 1e-9) for other in drawn)
    return GoodnessOfFit(fit.family, distance, (1 + n_farther) / (1 + n_boot), n_boot)


def _distance(family: Family, material: Material, start: Params) -> float:
    return ks_distance(family, estimate(material, family, start)[0], material)


def _parameters(family: Family, material: Material, start: Params) -> Params:
    return estimate(material, family, start)[0]


# -- drawing -----------------------------------------------------------------------------------------------------------


def draw(family: Family, params: Params, n: int, observation: Observation, rng: np.random.Generator) -> Array:
    """Draw ``n`` magnitudes that would have been seen, as they would have been."""
    low, high = observation.low, observation.high
    if low == 0 and high == math.inf:
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
            below = math.exp(float(likelihood.log_interval(family, params, 0.0, low)))
            values = family.ppf(below + share * rng.uniform(size=n), params).clip(low, high)
    if observation.discrete:
        values = np.maximum(np.ceil(values - 0.5), math.ceil(low))
    if observation.censoring is not None:
        values = np.maximum(values, observation.censoring)
    return np.asarray(np.maximum(values, np.finfo(np.float64).tiny))


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
    """Call ``function`` on samples drawn from a fit, in their order; in several processes if that pays.

    It gets the family, a sample, and the parameters that the sample was drawn from.
    """
    if fit.sample.counts() is not None:
        raise ValueError("`fit` must be of a sample without sample weights to draw more like it; got some.")
    jobs = None if jobs is None else _checks.integer("jobs", jobs, 1)
    entropy = int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else _checks.integer("rng", rng)
    seeds = np.random.SeedSequence(entropy).spawn(n_boot)
    common = function, fit.rule, fit.values, fit.n, fit.observation
    results: list[Result] = []
    with _reporting(progress, n_boot, what) as say:
        start = time.perf_counter()
        while len(results) < n_boot:
            batch = seeds[len(results) : len(results) + (1 if len(results) < 5 else _BATCH)]
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
    from joblib import Parallel, cpu_count, delayed

    done = len(results)
    batches = [seeds[i : i + _BATCH] for i in range(done, len(seeds), _BATCH)]
    workers = Parallel(n_jobs=jobs or cpu_count(), return_as="generator")
    for part in workers(delayed(_batch)(*common, batch) for batch in batches):
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
            threshold = observation.censoring or 0.0
            if np.unique(values[values > threshold]).size > 1:  # else nothing could be fitted: draw again
                break
        found.append(function(family, Material(weight_sample(values), observation), params))
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


# -- intervals ---------------------------------------------------------------------------------------------------------


def confidence_intervals(
    fit: WeightFit,
    level: float = 0.95,
    *,
    method: str = "profile",
    n_boot: int = 1000,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> Mapping[str, tuple[float, float]]:
    r"""Return a confidence interval of each parameter.

    ``"profile"``: all values :math:`\theta` at which the likelihood, at its highest over the other parameters, lies
    no more than :math:`\chi^2_1(\mathrm{level}) / 2` below the maximum. ``"bootstrap"``: between quantiles of the
    parameters of samples drawn from the fit. Both respect the parameter's range, and need not be symmetric.

    Args:
        fit: A fit.
        level: Of confidence.
        method: ``"profile"`` or ``"bootstrap"``.
        n_boot: Number of samples drawn; for the bootstrap.
        rng: As for :func:`goodness_of_fit`; for the bootstrap.
        jobs: As for :func:`goodness_of_fit`; for the bootstrap.
        progress: As for :func:`goodness_of_fit`; for the bootstrap.

    Returns:
        ``(low, high)`` by parameter; an end is infinite, or 0, where the likelihood does not fall far enough.

    Raises:
        ValueError: If ``level`` is not between 0 and 1, or there is no such method.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> fit = fit_weights(np.random.default_rng(0).lognormal(size=1000))
        >>> {name: (round(low, 3), round(high, 3)) for name, (low, high) in confidence_intervals(fit).items()}
        {'mu': (-0.109, 0.013), 'sigma': (0.935, 1.021)}
    """
    if not 0 < _checks.number("level", level) < 1:
        raise ValueError(f"`level` must be between 0 and 1; got {level}.")
    if method == "profile":
        return {name: _profile(fit, i, level) for i, name in enumerate(fit.params)}
    if method != "bootstrap":
        raise ValueError(f'`method` must be "profile" or "bootstrap"; got {method!r}.')
    n_boot = _checks.integer("n_boot", n_boot, 2)
    drawn = replicate(_parameters, fit, n_boot, rng=rng, jobs=jobs, progress=progress, what=f"fits of {fit.family}")
    ends = np.quantile(np.array(drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(low), float(high)) for name, low, high in zip(fit.params, *ends, strict=True)}


def _profile(fit: WeightFit, index: int, level: float) -> tuple[float, float]:
    from scipy.optimize import brentq
    from scipy.stats import chi2

    family, data = fit.rule, fit.material.data.coarse()
    unit = math.exp(float(np.average(np.log(data.values), weights=data.counts)))
    data, best = data.in_unit(unit), family.in_unit(fit.values, 1 / unit)
    free = np.array([_loosen(value, kind) for value, kind in zip(best, family.kinds, strict=True)])
    others = [i for i in range(free.size) if i != index]

    def params_at(fixed: float, rest: Array) -> Params:
        place = free.copy()
        place[index], place[others] = fixed, rest
        return tuple(_tighten(value, kind) for value, kind in zip(place, family.kinds, strict=True))

    top = likelihood.log_likelihood(family, best, data)
    fall = float(chi2.ppf(level, 1)) / 2
    spread = fit.stderr[family.parameters[index]] / abs(_slope(best[index], family.kinds[index]))
    spread /= unit if family.kinds[index] is Kind.LOCATION else 1.0
    if family.kinds[index] in (Kind.SCALE,):
        spread = fit.stderr[family.parameters[index]] / fit.values[index]
    reach = spread if math.isfinite(spread) and 0 < spread < 5 else 0.5

    def end(side: float) -> float:
        rest = free[others]

        def depth(fixed: float) -> float:
            nonlocal rest
            if not others:
                return top - likelihood.log_likelihood(family, params_at(fixed, rest), data) - fall
            found, height = likelihood.climb(
                lambda place: likelihood.log_likelihood(family, params_at(fixed, place), data), rest
            )
            rest = found if math.isfinite(height) else rest
            return (top - height if math.isfinite(height) else 1e6) - fall

        inner, outer = free[index], free[index] + side * reach * math.sqrt(2 * fall)
        for _ in range(40):
            if depth(outer) > 0:
                return float(brentq(depth, inner, outer, xtol=1e-4 * reach))
            inner, outer = outer, outer + 1.5 * (outer - free[index])
            if abs(outer) > 40 or abs(outer - free[index]) > 1e3 * reach:
                break
        return side * math.inf

    def back(place: float) -> float:
        value = math.inf if place == math.inf else _tighten(place, family.kinds[index])
        moved = list(best)
        moved[index] = value
        return family.in_unit(tuple(moved), unit)[index]

    return back(end(-1.0)), back(end(1.0))


def _loosen(value: float, kind: Kind) -> float:
    if kind in (Kind.SCALE, Kind.SHAPE):
        return math.log(value)
    return math.log(value / (1 - value)) if kind is Kind.SHARE else value


def _tighten(place: float, kind: Kind) -> float:
    if kind in (Kind.SCALE, Kind.SHAPE):
        return math.exp(place) if place < 700 else math.inf
    return 1 / (1 + math.exp(-place)) if kind is Kind.SHARE else place


def _slope(value: float, kind: Kind) -> float:
    """Return how fast the parameter changes with its free coordinate."""
    if kind in (Kind.SCALE, Kind.SHAPE):
        return value
    return value * (1 - value) if kind is Kind.SHARE else 1.0
