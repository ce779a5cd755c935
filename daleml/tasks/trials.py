"""Trials: what a task gives a network, what it asks for, and when it counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.trial_times import Period as Period
from daleml.tasks.trial_times import require_within
from daleml.tasks.trial_times import within as within

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Trials:
    """A batch of trials, time first, as ``torch.nn.RNN`` takes it.

    Args:
        inputs: What the network receives.
        targets: What it should answer: a class at each step, or values.
        mask: The steps that the loss counts. What ``targets`` says elsewhere means nothing.
        dt_ms: Duration of a step.
        input_names: A name for each input.
        output_names: A name for each output: of the classes, if the targets are classes.
        periods: Parts that all trials share, in order; empty if they differ from trial to trial.
        conditions: What was drawn for each trial, by name.
        spans: When each period of each trial begins and ends, in ms, by name, in order; empty if
            ``periods`` says it.

    Attributes:
        onsets: When each period begins in each trial, (trials,) in ms, by name.
        offsets: When it has ended, likewise.
        lengths: How many steps each trial has, (trials,); what follows is padding.

    Shape:
        - ``inputs``: (time, trials, n_inputs), floating point; from tasks, torch's default dtype.
        - ``targets``: (time, trials), int64, or (time, trials, n_outputs), floating point.
        - ``mask``: (time, trials), bool.
        - each of ``conditions``: (trials,).
        - each of ``spans``: (trials, 2), floating point.

    Raises:
        ValueError: If shapes, or the numbers of names, do not fit together; or if a period ends
            before it begins, or after the last step.

    Example:
        >>> from daleml.tasks import DelayedMatchToSample
        >>> trials = DelayedMatchToSample().sample(5)
        >>> print(trials)
        5 trials of 8 steps, 800 ms: 3 inputs, 3 outputs
        >>> trials.inputs.shape, trials.targets.shape
        (torch.Size([8, 5, 3]), torch.Size([8, 5]))
        >>> trials.onsets["test"]
        tensor([600., 600., 600., 600., 600.])
    """

    inputs: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    mask: Tensor = field(repr=False)
    dt_ms: float
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    periods: tuple[Period, ...] = ()
    conditions: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    spans: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        require.positive("dt_ms", self.dt_ms)
        if self.inputs.ndim != 3 or self.inputs.shape[2] != len(self.input_names):
            expected = f"(time, trials, {len(self.input_names)})"
            raise ValueError(
                f"`inputs` must have shape {expected}; got {tuple(self.inputs.shape)}."
            )
        steps = tuple(self.inputs.shape[:2])
        # Classes are one number for each step, and values one for each output too.
        of_targets: tuple[int, ...] = steps
        if self.targets.is_floating_point():
            of_targets = (*steps, len(self.output_names))
        expected_shapes = {
            "mask": (self.mask, steps),
            "targets": (self.targets, of_targets),
        }
        for name, values in self.conditions.items():
            expected_shapes[f"conditions[{name!r}]"] = (values, steps[1:])
        for name, span in self.spans.items():
            expected_shapes[f"spans[{name!r}]"] = (span, (*steps[1:], 2))
        for name, (tensor, shape) in expected_shapes.items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape}; got {tuple(tensor.shape)}."
                )
        if self.mask.dtype != torch.bool:
            raise ValueError(f"`mask` must be boolean; got {self.mask.dtype}.")
        require_within(self.spans, self.inputs.shape[0] * self.dt_ms, self.dt_ms)

    def __len__(self) -> int:
        return self.inputs.shape[1]

    def __str__(self) -> str:
        n_steps, n_trials, n_inputs = self.inputs.shape
        size = f"{n_trials} trials of {n_steps} steps, {n_steps * self.dt_ms:g} ms"
        return f"{size}: {n_inputs} inputs, {len(self.output_names)} outputs"

    # -- when things happen

    @property
    def _spans(self) -> dict[str, Tensor]:
        """When each period begins and ends in each trial, whether or not they share it."""
        if self.spans:
            return dict(self.spans)
        spans = {}
        for name, start, end in self.periods:
            bounds = torch.tensor([start, end], device=self.inputs.device)
            # As torch's default dtype, also where the bounds are integers.
            spans[name] = bounds.to(torch.get_default_dtype()).expand(len(self), 2)
        return spans

    @property
    def onsets(self) -> dict[str, Tensor]:
        """When each period begins in each trial, (trials,) in ms, by name."""
        return {name: span[:, 0] for name, span in self._spans.items()}

    @property
    def offsets(self) -> dict[str, Tensor]:
        """When each period has ended in each trial, (trials,) in ms, by name."""
        return {name: span[:, 1] for name, span in self._spans.items()}

    @property
    def lengths(self) -> Tensor:
        """How many steps each trial has, (trials,), int64; what follows is padding."""
        if not self.spans:
            n_steps, n_trials = self.inputs.shape[:2]
            return torch.full((n_trials,), n_steps, device=self.inputs.device)
        ends = torch.stack([span[:, 1] for span in self.spans.values()])
        return self._in_steps(ends.amax(0))

    def during(
        self, period: str, window_ms: tuple[float, float] | None = None
    ) -> Tensor:
        """Return the steps of a period in each trial.

        Args:
            period: Which period.
            window_ms: From when to when, in ms since its onset, in place of the whole period;
                the window may begin before it and end after it.

        Returns:
            (time, trials), bool.

        Raises:
            TypeError: If ``window_ms`` is not two numbers.
            ValueError: If there is no such period, or the window is empty, no whole steps, or
                not within every trial.

        Example:
            >>> from daleml.tasks import PerceptualDecision, Uniform
            >>> trials = PerceptualDecision(stimulus_ms=Uniform(300, 900)).sample(5)
            >>> trials.during("stimulus").sum(0).shape
            torch.Size([5])
            >>> trials.during("stimulus", window_ms=(100, 300)).sum(0)
            tensor([2, 2, 2, 2, 2])
        """
        spans = self._spans
        if period not in spans:
            names = ", ".join(spans) or "those of the trials, which have none"
            raise ValueError(f"`period` must be one of {names}; got {period!r}.")
        bounds = spans[period]
        if window_ms is not None:
            bounds = self._window(period, bounds[:, 0], window_ms)
        start, end = self._in_steps(bounds).unbind(1)
        return within(start, end, self.inputs.shape[0])

    def _window(
        self, period: str, onsets: Tensor, window_ms: tuple[float, float]
    ) -> Tensor:
        """Return start and end of a window in each trial, or raise if that is outside of one."""
        if not isinstance(window_ms, Sequence) or len(window_ms) != 2:
            raise TypeError(
                f"`window_ms` must be two times in ms, (start, end); got {window_ms!r}."
            )
        first, last = (require.number("window_ms", time) for time in window_ms)
        for time in (first, last):
            if abs(time / self.dt_ms - round(time / self.dt_ms)) > 1e-6:
                raise ValueError(
                    f"`window_ms` must be whole steps of {self.dt_ms:g} ms; got {time:g}."
                )
        if last <= first:
            raise ValueError(
                f"`window_ms` must end after it begins; got {first:g} to {last:g}."
            )
        bounds = torch.stack([onsets + first, onsets + last], dim=1)
        earliest = -float(onsets.min())
        # Of each trial on its own: a window may lie in the padding of a short one.
        latest = float((self.lengths * self.dt_ms - onsets).min())
        slack = 1e-6 * self.dt_ms
        if first < earliest - slack or last > latest + slack:
            raise ValueError(
                f"`window_ms` must be within every trial, from {earliest:g} to {latest:g} ms"
                f" of the onset of {period}; got {first:g} to {last:g}."
            )
        return bounds

    def _in_steps(self, in_ms: Tensor) -> Tensor:
        return (in_ms / self.dt_ms).round().to(torch.int64)

    def periods_of(self, index: int) -> tuple[Period, ...]:
        """Return the periods of one trial, in order.

        Args:
            index: Which of the trials.

        Raises:
            TypeError: If ``index`` is not an integer.
            ValueError: If there is no such trial.

        Example:
            >>> from daleml.tasks import PerceptualDecision, Uniform
            >>> trials = PerceptualDecision(stimulus_ms=Uniform(300, 900)).sample(5)
            >>> trials.periods_of(2)[0]
            Period(name='fixation', start_ms=0.0, end_ms=0.0)
        """
        if not 0 <= require.integer("index", index) < len(self):
            raise ValueError(
                f"`index` must be between 0 and {len(self) - 1}; got {index}."
            )
        if not self.spans:
            return self.periods
        periods = []
        for name, span in self.spans.items():
            start, end = span[index].tolist()
            periods.append(Period(name, start, end))
        return tuple(periods)

    # -- parts and forms

    def select(self, which: Tensor) -> Trials:
        """Return some of the trials, with the steps that the batch has.

        Args:
            which: Indices, or a boolean per trial, such as ``trials.conditions["catch"]``.

        Raises:
            ValueError: If ``which`` is something else, or no trial is left.

        Example:
            >>> from daleml.tasks import PerceptualDecision
            >>> trials = PerceptualDecision().sample(50)
            >>> clear = trials.select(trials.conditions["coherence"] > 0.3)
            >>> bool((clear.conditions["coherence"] > 0.3).all())
            True
        """
        some = torch.as_tensor(which, device=self.inputs.device)
        if some.dtype == torch.bool and tuple(some.shape) == (len(self),):
            some = some.nonzero()[:, 0]
        integers = not some.is_floating_point() and some.dtype != torch.bool
        if some.ndim != 1 or not integers:
            raise ValueError(
                f"`which` must be indices, or a boolean for each of the {len(self)} trials;"
                f" got {some.dtype} of shape {tuple(some.shape)}."
            )
        if not len(some):
            raise ValueError("`which` must leave at least one trial; it left none.")
        if int(some.min()) < 0 or int(some.max()) >= len(self):
            wrong = int(some.min() if some.min() < 0 else some.max())
            raise ValueError(
                f"`which` must be between 0 and {len(self) - 1}; got {wrong}."
            )
        return self._changed(lambda values, dim: values.index_select(dim, some))

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.inputs.device

    def to(self, device: torch.device | str) -> Trials:
        """Return the trials with their tensors on ``device``."""
        return self._changed(lambda values, dim: values.to(device))

    def _changed(self, change: Callable[[Tensor, int], Tensor]) -> Trials:
        """Return the trials with a change of each tensor, given which dimension is the trials'."""
        conditions, spans = {}, {}
        for name, values in self.conditions.items():
            conditions[name] = change(values, 0)
        for name, values in self.spans.items():
            spans[name] = change(values, 0)
        return dataclasses.replace(
            self,
            inputs=change(self.inputs, 1),
            targets=change(self.targets, 1),
            mask=change(self.mask, 1),
            conditions=conditions,
            spans=spans,
        )

    def frame(self) -> DataFrame:
        """Return the conditions as one tidy table, to group scores by.

        Returns:
            One row per trial: ``trial``, its index, then a column per condition.

        Example:
            >>> from daleml.tasks import PerceptualDecision
            >>> list(PerceptualDecision().sample(5).frame())
            ['trial', 'coherence', 'choice']
        """
        # Imported here, since it takes half a second.
        import pandas as pd

        columns: dict[str, Any] = {"trial": range(len(self))}
        for name, values in self.conditions.items():
            # The table owns its numbers, so that nothing done to it changes the trials.
            columns[name] = values.cpu().numpy().copy()
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return what the trials are, as JSON can hold it.

        Returns:
            ``n_trials``, ``n_steps``, ``dt_ms``, ``duration_ms``, ``input_names``,
            ``output_names``; ``periods``, each as ``[name, start_ms, end_ms]``;
            ``spans``, the earliest start and the latest end of periods that differ;
            ``mask_fraction``, the fraction of steps that count; and ``conditions``, the smallest
            and the largest value of each.

        Example:
            >>> from daleml.tasks import AddingProblem
            >>> AddingProblem(length=4).sample(3).to_dict()["mask_fraction"]
            0.25
        """
        n_steps, n_trials, _ = self.inputs.shape
        periods = []
        for name, start, end in self.periods:
            periods.append([name, float(start), float(end)])
        spans = {}
        for name, span in self.spans.items():
            spans[name] = [float(span[:, 0].min()), float(span[:, 1].max())]
        ranges = {}
        for name, values in self.conditions.items():
            ranges[name] = [values.min().item(), values.max().item()]
        return {
            "n_trials": n_trials,
            "n_steps": n_steps,
            "dt_ms": float(self.dt_ms),
            "duration_ms": float(n_steps * self.dt_ms),
            "input_names": list(self.input_names),
            "output_names": list(self.output_names),
            "periods": periods,
            "spans": spans,
            "mask_fraction": float(self.mask.to("cpu", torch.float64).mean()),
            "conditions": ranges,
        }
