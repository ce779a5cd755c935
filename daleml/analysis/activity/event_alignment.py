"""Averages over trials, aligned to an event that occurs at another time in each trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from daleml import require
from daleml.analysis.activity.plain_values import fields_of, real_numbers
from daleml.analysis.activity.threshold_crossing import event_times
from daleml.analysis.activity.trial_rates import (
    Array,
    as_labels,
    as_rates,
    population_units,
)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Mean rates around an event.

    Attributes:
        times_ms: When each step begins, from the event on.
        means: (conditions, steps, units); NaN where no trial has the step.
        standard_errors: Of the means over trials; NaN where fewer than two have the step.
        counts: Number of trials with the step, (conditions, steps).
        conditions: The distinct conditions, in order; ``("all",)`` if there are none.
        names: Of the populations that were averaged over, or the numbers of the units.
        n_trials: Number of trials of each condition with the event.
        n_excluded: Number of trials without the event, or without a condition.
        dt_ms: Duration of a step.
        event: What trials were aligned to.

    Example:
        >>> import torch
        >>> rates = torch.arange(10.0)[:, None, None].expand(10, 2, 1)
        >>> result = aligned(rates, 10.0, [30.0, 50.0], (-20, 20))
        >>> result.times_ms.tolist(), result.means[0, :, 0].tolist()
        ([-20.0, -10.0, 0.0, 10.0], [2.0, 3.0, 4.0, 5.0])
    """

    times_ms: Array
    means: Array
    standard_errors: Array
    counts: NDArray[np.int64]
    conditions: tuple[Any, ...]
    names: tuple[str, ...]
    n_trials: tuple[int, ...]
    n_excluded: int
    dt_ms: float
    event: str

    @property
    def n(self) -> int:
        """Number of trials with the event."""
        return sum(self.n_trials)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not finite is None."""
        return fields_of(self) | {"n": self.n}

    def __str__(self) -> str:
        return (
            f"{self.n:,} trials around {self.event}, from {self.times_ms[0]:g} to"
            f" {self.times_ms[-1] + self.dt_ms:g} ms; {self.n_excluded:,} without it"
        )


def aligned(
    rates: Tensor | ArrayLike,
    trials: Any,
    event: str | float | ArrayLike,
    window_ms: tuple[float, float],
    *,
    conditions: Tensor | ArrayLike | None = None,
    ends_ms: ArrayLike | None = None,
    populations: Any = None,
) -> Aligned:
    r"""Average rates over trials, aligned to an event at another time in each trial.

    .. math:: \bar r_k = \frac{1}{|I_k|} \sum_{i \in I_k} r_{\tau_i + k, i}, \qquad
              I_k = \{ i : 0 \le \tau_i + k < T_i \}

    where the event of trial :math:`i` lies in step :math:`\tau_i`, and the trial has
    :math:`T_i` steps. An average is over those trials that have the step.

    Args:
        rates: Rates of the units.
        trials: The trials, as a task's ``sample`` returns them, or the duration of a step in ms.
        event: The name of a period or of a condition in ms, or the time of the event in ms, one
            for all trials or one for each: NaN in trials without it.
        window_ms: From when until when, from the event on.
        conditions: What averages are taken by: one number or text for each trial. Default: all
            trials together.
        ends_ms: When each trial ends; default: as the trials say, else with the last step.
        populations: The units' populations, whose mean rates are then averaged. Default: every
            unit by itself.

    Shape:
        - ``rates``: (time, trials, units).
        - ``event``, ``conditions``, ``ends_ms``: (trials,).

    Returns:
        Means, their standard errors, and of how many trials they are.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes do not fit, no trial has the event, an event lies outside of its
            trial, or the window is empty, is not whole steps, or lies outside of every trial.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(dt_ms=50, fixation_ms=200)
        >>> rnn = EIRNN(task.n_inputs, Populations(16, 4))
        >>> trials = task.sample(40)
        >>> rates, _ = rnn(trials.inputs)
        >>> options = {"conditions": trials.conditions["choice"], "populations": rnn.populations}
        >>> result = aligned(rates, trials, "stimulus", (-100, 300), **options)
        >>> result.conditions, result.means.shape, result.names
        ((1, 2), (2, 8, 2), ('E', 'I'))
    """
    found = as_rates("rates", rates)
    if found.ndim != 3:
        raise ValueError(
            f"`rates` must have shape (time, trials, units); got {found.shape}."
        )
    n_steps, n_trials, _ = found.shape
    dt, is_trials = _step(trials, n_steps, n_trials)
    found, names = _by_population(found, populations)
    times, label = _events(event, trials, is_trials, n_trials)
    lengths = _lengths(ends_ms, n_steps, n_trials, dt)
    if is_trials and ends_ms is None:
        # What comes after the end of a trial is padding of the batch.
        lengths = trials.lengths.detach().cpu().numpy()
    outside = (times < 0) | (times >= lengths * dt)
    if outside.any():
        raise ValueError(
            f"`event` must lie within each trial, or be NaN; got {times[outside][0]:g} ms."
        )
    offsets = _offsets(window_ms, dt)
    kept = ~np.isnan(times)
    if not kept.any():
        raise ValueError("`event` must occur in some trial; got NaN in all.")
    levels, which = _levels(conditions, n_trials)
    # An event belongs to the step in which it occurs, but for rounding.
    steps = np.floor(np.where(kept, times, 0.0) / dt + 1e-6).astype(np.int64)
    places = steps + offsets[:, None]
    # Steps before a trial began, or after it ended, are in no average.
    exists = (places >= 0) & (places < lengths) & kept
    _require_a_step(exists, window_ms)
    cut = found[np.clip(places, 0, n_steps - 1), np.arange(n_trials)]
    summaries = []
    for level in range(len(levels)):
        summaries.append(_average(cut, exists & (which == level)))
    means, errors, counts = map(np.stack, zip(*summaries, strict=True))
    n_by_level = np.bincount(which[kept], minlength=len(levels))
    return Aligned(
        times_ms=offsets.astype(np.float64) * dt,
        means=means,
        standard_errors=errors,
        counts=counts,
        conditions=levels,
        names=names,
        n_trials=tuple(n_by_level.tolist()),
        n_excluded=n_trials - int(kept.sum()),
        dt_ms=dt,
        event=label,
    )


def _step(trials: Any, n_steps: int, n_trials: int) -> tuple[float, bool]:
    """Return the duration of a step in ms, and whether it is of trials."""
    # What :class:`daleml.tasks.Trials` has: analysis does not import tasks.
    if hasattr(trials, "dt_ms") and hasattr(trials, "conditions"):
        shape = tuple(trials.inputs.shape[:2])
        if shape != (n_steps, n_trials):
            raise ValueError(
                f"`trials` must be those that `rates` are of, {n_steps} steps of {n_trials};"
                f" got {shape}."
            )
        return float(trials.dt_ms), True
    if isinstance(trials, (int, float)):
        return require.positive("trials", trials), False
    raise TypeError(
        "`trials` must be Trials, or the duration of a step in ms; got"
        f" {type(trials).__name__}."
    )


def _by_population(rates: Array, populations: Any) -> tuple[Array, tuple[str, ...]]:
    """Return mean rates of populations, or those of all units, with their names."""
    if populations is None:
        return rates, tuple(str(unit) for unit in range(rates.shape[2]))
    members = population_units(populations, rates.shape[2])
    # Units are averaged within a trial first, so that errors are over trials.
    parts = [rates[..., units].mean(axis=-1) for units in members.values()]
    return np.stack(parts, axis=-1), tuple(members)


def _levels(conditions: Any, n_trials: int) -> tuple[tuple[Any, ...], NDArray[np.intp]]:
    """Return the distinct conditions, and which of them each trial has."""
    if conditions is None:
        return ("all",), np.zeros(n_trials, dtype=np.intp)
    labels = as_labels("conditions", conditions, n_trials)
    distinct, which = np.unique(labels, return_inverse=True)
    return tuple(distinct.tolist()), which.astype(np.intp)


def _events(
    event: Any, trials: Any, is_trials: bool, n_trials: int
) -> tuple[Array, str]:
    """Return the time of the event in each trial, in ms, and what it is called."""
    if isinstance(event, str):
        if not is_trials:
            raise ValueError(
                f"`event` must be times in ms where `trials` is a duration; got {event!r}."
            )
        return event_times(event, trials), event
    # Times of a network's own answers, say.
    if isinstance(event, Tensor):
        event = event.detach().cpu().numpy()
    if np.ndim(event) == 0:
        return np.full(n_trials, require.number("event", event)), "the event"
    found = real_numbers("event", event)
    if len(found) != n_trials:
        raise ValueError(
            f"`event` must have one time for each trial, {n_trials}; got {len(found)}."
        )
    return found, "the event"


def _lengths(ends_ms: Any, n_steps: int, n_trials: int, dt: float) -> NDArray[np.int64]:
    """Return the number of steps of each trial."""
    # Trials of one batch are as long as the longest of them unless told.
    if ends_ms is None:
        return np.full(n_trials, n_steps, dtype=np.int64)
    ends = real_numbers("ends_ms", ends_ms)
    if len(ends) != n_trials:
        raise ValueError(
            f"`ends_ms` must have one time for each trial, {n_trials}; got {len(ends)}."
        )
    if not ((ends > 0) & (ends <= n_steps * dt * (1 + 1e-9))).all():
        raise ValueError(
            f"`ends_ms` must lie in (0, {n_steps * dt:g}] ms; got {ends.min():g} to"
            f" {ends.max():g}."
        )
    return np.round(ends / dt).astype(np.int64)


def _offsets(window_ms: Any, dt: float) -> NDArray[np.int64]:
    """Return the steps of the window, counted from that of the event."""
    try:
        start, end = window_ms
    except (TypeError, ValueError):
        raise TypeError(
            f"`window_ms` must be two times, (start, end); got {window_ms!r}."
        ) from None
    first = require.number("window_ms", start) / dt
    last = require.number("window_ms", end) / dt
    # A window between steps would need rates that nobody has.
    for value in (first, last):
        if not math.isclose(value, round(value), abs_tol=1e-6):
            raise ValueError(
                f"`window_ms` must be whole steps of {dt:g} ms; got {window_ms}."
            )
    if last <= first:
        raise ValueError(f"`window_ms` must end after it begins; got {window_ms}.")
    return np.arange(round(first), round(last))


def _require_a_step(exists: NDArray[np.bool_], window_ms: Any) -> None:
    """Raise if a window lies outside of every trial."""
    if not exists.any():
        raise ValueError(
            "`window_ms` must reach into some trial around the event; got"
            f" {tuple(window_ms)}, in which no trial has a step."
        )


def _average(cut: Array, exists: NDArray[np.bool_]) -> tuple[Array, Array, Any]:
    """Return mean, standard error and count over trials, for each step."""
    counts = exists.sum(axis=1)
    weights = exists[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(weights, cut, 0.0).sum(axis=1) / counts[:, None]
        squares = np.where(weights, (cut - means[:, None]) ** 2, 0.0).sum(axis=1)
        variance = squares / (counts[:, None] - 1)
        # One trial has a mean, and no error.
        errors = np.sqrt(variance / counts[:, None])
    errors[counts < 2] = math.nan
    return means, errors, counts
