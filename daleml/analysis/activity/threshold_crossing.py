"""Reaction times of a network: when one of its outputs first reaches a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from daleml import require
from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.evidence_choices import require_trials
from daleml.analysis.activity.plain_values import fields_of, real_numbers


@dataclass(frozen=True, eq=False)
class ReactionTimes:
    """When each trial was answered, and how.

    Attributes:
        times_ms: From the onset until the end of the step in which an output reached the
            threshold; NaN where none did.
        choices: Which output that was; -1 where none did.
        threshold: What had to be reached.
        dt_ms: Duration of a step, the resolution of the times.

    Example:
        >>> import numpy as np
        >>> times = ReactionTimes(np.array([120.0, np.nan]), np.array([1, -1]), 0.7, 20.0)
        >>> times.n, times.n_missed
        (2, 1)
    """

    times_ms: NDArray[np.float64]
    choices: NDArray[np.int64]
    threshold: float
    dt_ms: float

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.times_ms)

    @property
    def n_missed(self) -> int:
        """Number of trials in which no output reached the threshold."""
        return int(np.isnan(self.times_ms).sum())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not finite is None."""
        return fields_of(self) | {"n": self.n, "n_missed": self.n_missed}


@on_the_cpu
def reaction_times(
    outputs: Tensor,
    trials: Any,
    threshold: float,
    *,
    onset_ms: float | str | ArrayLike = "stimulus",
    choices: Sequence[int] | None = None,
    margin: bool = False,
) -> ReactionTimes:
    r"""Measure when one of several outputs first reaches a threshold after an onset.

    .. math:: T = \min \{ (t + 1)\, dt - t_0 : \max_k z_{t k} \ge \theta,\ t\, dt \ge t_0 \}

    for outputs :math:`z_{t k}` after the step :math:`t`, the onset :math:`t_0` and the threshold
    :math:`\theta`. Outputs of a classification task are logits: take their softmax, or set
    ``margin``.

    Args:
        outputs: What the network answered.
        trials: What it was asked, as a task's ``sample`` returns it.
        threshold: What an output has to reach.
        onset_ms: From when on: the name of a period, or of a condition in ms, a number of ms, or
            one for each trial.
        choices: Which outputs are choices; default: all but the first, which is to fixate.
        margin: Whether the threshold is for the largest of these less the second largest.

    Shape:
        - ``outputs``: (time, trials, n_outputs).

    Returns:
        Times and choices of all trials.

    Raises:
        TypeError: If ``outputs`` is no tensor, or ``trials`` are no trials.
        ValueError: If shapes do not fit, an onset lies outside of the trials, or there is no
            such output.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(dt_ms=20, noise_sd=0.0, coherences=(0.5,), baseline=0.0)
        >>> trials = task.sample(3)
        >>> times = reaction_times(trials.inputs.cumsum(0), trials, threshold=1.0)
        >>> times.times_ms  # 0.25 in each step
        array([80., 80., 80.])
    """
    require_trials(outputs, trials)
    level = require.number("threshold", threshold)
    require.flag("margin", margin)
    watched = outputs.detach()[..., _outputs(choices, outputs.shape[2])].cpu()
    evidence = watched.amax(-1)
    if margin:
        if watched.shape[2] < 2:
            raise ValueError("`margin` must be False for a single choice; got True.")
        largest = watched.topk(2, dim=-1).values
        evidence = largest[..., 0] - largest[..., 1]
    n_steps, n_trials, _ = outputs.shape
    dt = float(trials.dt_ms)
    onsets = _onsets(onset_ms, trials, n_trials)
    outside = (onsets < 0) | (onsets >= n_steps * dt)
    if outside.any():
        raise ValueError(
            f"`onset_ms` must lie in the trials, [0, {n_steps * dt:g}) ms; got"
            f" {onsets[outside][0]:g}."
        )
    starts = torch.arange(n_steps, dtype=torch.float64)[:, None] * dt
    # Onsets are whole steps but for rounding.
    is_after = starts >= torch.from_numpy(onsets) - 1e-6 * dt
    # What comes after the end of a trial is padding of the batch.
    is_within = torch.arange(n_steps)[:, None] < trials.lengths.cpu()
    reached = is_after & is_within & (evidence >= level)
    first = reached.int().argmax(0)
    is_answered = reached.any(0).numpy()
    times = np.where(is_answered, (first.numpy() + 1) * dt - onsets, math.nan)
    # At the step of the crossing, whatever happens later.
    winner = watched[first, torch.arange(n_trials)].argmax(-1)
    numbers = torch.tensor(_outputs(choices, outputs.shape[2]))
    chosen = np.where(is_answered, numbers[winner].numpy(), -1)
    return ReactionTimes(times, chosen, level, dt)


def _outputs(choices: Sequence[int] | None, n_outputs: int) -> list[int]:
    # A single output is watched itself: there is none to fixate.
    if choices is None:
        return list(range(min(1, n_outputs - 1), n_outputs))
    found = [require.integer("choices", one) for one in choices]
    if not found or max(found) >= n_outputs:
        raise ValueError(
            f"`choices` must be numbers of outputs, 0 to {n_outputs - 1}; got {found}."
        )
    return found


def _onsets(onset_ms: Any, trials: Any, n_trials: int) -> NDArray[np.float64]:
    """Return the onset in each trial, in ms."""
    if isinstance(onset_ms, str):
        return event_times(onset_ms, trials)
    if np.ndim(onset_ms) == 0:
        return np.full(n_trials, require.number("onset_ms", onset_ms))
    found = real_numbers("onset_ms", onset_ms)
    if len(found) != n_trials:
        raise ValueError(
            f"`onset_ms` must have one value for each trial, {n_trials}; got {len(found)}."
        )
    return found


def event_times(event: str, trials: Any) -> NDArray[np.float64]:
    """Return when a period begins, or what a condition in ms is, in each trial."""
    onsets = trials.onsets
    if event in onsets:
        return np.asarray(onsets[event].detach().cpu().numpy(), dtype=np.float64)
    # "go" finds the condition "go_ms", which says its unit.
    for name in (event, f"{event}_ms"):
        if name in trials.conditions:
            values = trials.conditions[name].detach().cpu().numpy()
            return np.asarray(values, dtype=np.float64)
    names = [*onsets, *trials.conditions]
    raise ValueError(
        f"an event must be a period or a condition of the trials, of"
        f" {', '.join(names) or 'which there are none'}; got {event!r}."
    )
