"""Periods of trials, and the steps that lie within them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Period(NamedTuple):
    """A named part of every trial, from ``start_ms`` up to but not including ``end_ms``.

    Attributes:
        name: What it is called.
        start_ms: When it begins, from the start of the trial.
        end_ms: When it has ended.

    Example:
        >>> from daleml.tasks import PerceptualDecision
        >>> PerceptualDecision().periods[1]
        Period(name='stimulus', start_ms=0.0, end_ms=700.0)
    """

    name: str
    start_ms: float
    end_ms: float


def within(starts: Tensor, ends: Tensor, n_steps: int) -> Tensor:
    """Return which steps lie between two of each trial: (n_steps, trials), bool."""
    times = torch.arange(n_steps, device=starts.device)[:, None]
    return (starts <= times) & (times < ends)


def require_within(spans: Mapping[str, Tensor], duration: float, dt_ms: float) -> None:
    """Raise unless each period begins, then ends, and ends within the trials."""
    # On the meta device there are no times to look at.
    if not spans or any(span.is_meta for span in spans.values()):
        return
    starts, ends = torch.stack(list(spans.values())).detach().unbind(2)
    # As much as rounding may add to a sum of durations.
    latest = duration + 1e-3 * dt_ms
    if bool(((starts >= 0) & (ends >= starts) & (ends <= latest)).all()):
        return
    # Which of them it is matters only where one is refused.
    for name, start, end in zip(spans, starts, ends, strict=True):
        if bool((end < start).any()):
            raise ValueError(
                f"`spans[{name!r}]` must end after it begins, in every trial; got one that"
                " ends before."
            )
        low, high = float(start.min()), float(end.max())
        if low < 0 or high > latest:
            raise ValueError(
                f"`spans[{name!r}]` must be within the {duration:g} ms of the trials; got"
                f" {low:g} to {high:g}."
            )
