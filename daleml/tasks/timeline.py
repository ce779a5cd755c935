"""The times at which the periods of a batch of trials begin and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml.tasks import durations
from daleml.tasks.trials import Period, within


@dataclass(frozen=True, eq=False)
class Timeline:
    """When each period of each trial begins and ends, in steps; trials may differ in length.

    Attributes:
        names: What the periods are called, in order.
        starts: The first step of each period, (periods, trials), int64.
        ends: The step after its last, likewise.
        dt_ms: Duration of a step.
        shared_steps: First step, and the step after the last, of each period, if all trials
            share them: what is the same everywhere is written as slices, which is quicker.

    Example:
        >>> timeline = Timeline.consecutive(
        ...     {"fixation": torch.tensor([1, 2]), "stimulus": torch.tensor([2, 1])}, dt_ms=100
        ... )
        >>> timeline.n_steps, timeline.lengths.tolist()
        (3, [3, 3])
        >>> timeline.during("stimulus").int().tolist()
        [[0, 0], [1, 0], [1, 1]]
    """

    names: tuple[str, ...]
    starts: Tensor
    ends: Tensor
    dt_ms: float
    shared_steps: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def fixed(
        cls,
        steps: Mapping[str, int],
        n: int,
        dt_ms: float,
        begins_with: Mapping[str, str] | None = None,
    ) -> Timeline:
        """Return periods that follow each other and that all of ``n`` trials share.

        Args:
            steps: How many steps each period has.
            n: How many trials there are.
            dt_ms: Duration of a step.
            begins_with: As of :meth:`consecutive`.
        """
        bounds, end = {}, 0
        for name, count in steps.items():
            bounds[name] = (end, end + count)
            end += count
        for later, other in (begins_with or {}).items():
            bounds[later] = (bounds[other][0], bounds[later][1])
        shared = tuple(bounds.values())
        starts, ends = torch.tensor(shared).t()[..., None].expand(2, -1, n)
        return cls(tuple(bounds), starts, ends, dt_ms, shared)

    @classmethod
    def consecutive(
        cls,
        steps: Mapping[str, Tensor],
        dt_ms: float,
        begins_with: Mapping[str, str] | None = None,
    ) -> Timeline:
        """Return periods that follow each other.

        Args:
            steps: How many steps each period has in each trial, (trials,).
            dt_ms: Duration of a step.
            begins_with: Periods that begin earlier, together with another one, and end where
                they would have ended.
        """
        counts = torch.stack(list(steps.values()))
        ends = counts.cumsum(0)
        starts = ends - counts
        names = tuple(steps)
        # Ends stay, so that what begins early lasts longer.
        for later, other in (begins_with or {}).items():
            starts[names.index(later)] = starts[names.index(other)]
        return cls(names, starts, ends, dt_ms)

    @property
    def n_steps(self) -> int:
        """How many steps the longest trial has."""
        if self.shared_steps is not None:
            return max(last for _, last in self.shared_steps)
        return int(self.ends.max())

    @property
    def lengths(self) -> Tensor:
        """How many steps each trial has, (trials,)."""
        return self.ends.amax(0)

    @property
    def n_trials(self) -> int:
        """How many trials there are."""
        return self.starts.shape[1]

    def during(self, *periods: str) -> Tensor:
        """Return which steps lie in one of these periods, (time, trials), bool."""
        found = torch.zeros(self.n_steps, self.n_trials, dtype=torch.bool)
        for period in periods:
            row = self.names.index(period)
            if self.shared_steps is not None:
                first, last = self.shared_steps[row]
                found[first:last] = True
                continue
            found |= within(self.starts[row], self.ends[row], self.n_steps)
        return found

    def before(self, period: str) -> Tensor:
        """Return which steps lie before a period, (time, trials), bool."""
        starts = self.starts[self.names.index(period)]
        return within(torch.zeros_like(starts), starts, self.n_steps)

    def beginning(self, period: str, n_steps: int) -> Tensor:
        """Return which steps are among the first of a period, (time, trials), bool."""
        row = self.names.index(period)
        starts = self.starts[row]
        ends = torch.minimum(starts + n_steps, self.ends[row])
        return within(starts, ends, self.n_steps)

    def steps(self, period: str) -> Tensor:
        """Return how many steps a period has in each trial, (trials,)."""
        row = self.names.index(period)
        return self.ends[row] - self.starts[row]

    def longest(self, period: str) -> int:
        """Return how many steps a period has at most."""
        if self.shared_steps is not None:
            first, last = self.shared_steps[self.names.index(period)]
            return last - first
        return int(self.steps(period).max())

    def put(
        self, inputs: Tensor, period: str, values: Tensor, channels: slice
    ) -> Tensor:
        """Write into inputs what is shown in a period, step by step since it began.

        Args:
            inputs: (time, trials, n_inputs), changed in place.
            period: Which period.
            values: (steps, trials, channels), at least as many steps as the longest period has.
            channels: Which of the inputs.

        Returns:
            ``inputs``.
        """
        row = self.names.index(period)
        if self.shared_steps is not None:
            first, last = self.shared_steps[row]
            inputs[first:last, :, channels] = values[: last - first]
            return inputs
        starts, ends = self.starts[row], self.ends[row]
        times, trials = within(starts, ends, self.n_steps).nonzero(as_tuple=True)
        shown = values[times - starts[trials], trials]
        inputs[times, trials, channels] = shown
        return inputs

    def shared(self) -> tuple[Period, ...]:
        """Return the periods, if all trials share them; else none."""
        same_starts = (self.starts == self.starts[:, :1]).all()
        if not (same_starts & (self.ends == self.ends[:, :1]).all()):
            return ()
        periods = []
        rows = zip(self.names, self.starts[:, 0], self.ends[:, 0], strict=True)
        for name, start, end in rows:
            periods.append(Period(name, int(start) * self.dt_ms, int(end) * self.dt_ms))
        return tuple(periods)

    def spans(self) -> dict[str, Tensor]:
        """Return start and end of each period in ms, (trials, 2)."""
        bounds = torch.stack([self.starts, self.ends], dim=2)
        in_ms = bounds.to(torch.get_default_dtype()) * self.dt_ms
        return dict(zip(self.names, in_ms, strict=True))


def drawn(
    distributions: Mapping[str, tuple[Tensor, Tensor]],
    n: int,
    generator: torch.Generator | None,
) -> dict[str, Tensor]:
    """Draw how many steps each period has in each of ``n`` trials."""
    steps = {}
    for name, (counts, probabilities) in distributions.items():
        steps[name] = durations.draw(counts, probabilities, n, generator)
    return steps
