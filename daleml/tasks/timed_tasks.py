"""Tasks in periods, each of which lasts as long in all trials or as long as is drawn."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.tasks import durations as lasting
from daleml.tasks.durations import Duration
from daleml.tasks.task import Task, consecutive
from daleml.tasks.timeline import Timeline, drawn
from daleml.tasks.trials import Period, Trials


@dataclass(frozen=True, eq=False, kw_only=True)
class TimedTask(Task):
    r"""A task in periods, whose durations may vary from trial to trial, and whose inputs are noisy.

    Each field of a subclass that ends in ``_ms`` is the duration of a period, in order: a number
    of ms, or a :class:`Duration` that is drawn for each trial. Trials of a batch are then padded
    to the longest one, with steps that do not count, and ``trials.onsets``, ``trials.during`` and
    ``trials.lengths`` say when things happen in each.

    Every input receives, at every step of a trial,

    .. math:: u_0 + \sigma \sqrt{100\,\text{ms} / dt}\; \xi_t, \qquad \xi_t \sim N(0, 1) .

    Args:
        input_noise: :math:`\sigma`, standard deviation of the noise of every input in a step of
            100 ms; that of a sum over some time does not depend on ``dt_ms``.
        input_baseline: :math:`u_0`, added to every input.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> from daleml import tasks
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Detection(tasks.ChoiceTask):
        ...     "Is there a tone, after a wait that cannot be foreseen?"
        ...
        ...     fixation_ms: float | tasks.Duration = tasks.Uniform(300, 800)
        ...     stimulus_ms: float | tasks.Duration = 400
        ...     decision_ms: float | tasks.Duration = 200
        ...     noise_sd: float = 0.5
        ...
        ...     input_names = ("fixation", "tone")
        ...     output_names = ("fixate", "absent", "present")
        ...     stimulus_means = (0.0, 1.0)
        ...     ideal = None
        ...
        ...     def _sample(self, n, generator):
        ...         timeline = self._timeline(n, generator)
        ...         choice = torch.randint(1, 3, (n,), generator=generator)
        ...         inputs = self._blank(timeline)
        ...         loudness = (choice - 1.0)[:, None]
        ...         self._show(inputs, timeline, "stimulus", loudness, generator)
        ...         return self._trials(inputs, choice, {"choice": choice}, timeline)
        >>> trials = Detection(catch=0.1).sample(4, torch.Generator().manual_seed(0))
        >>> trials.conditions["fixation_ms"]
        tensor([800., 700., 500., 800.])
        >>> trials.onsets["decision"] - trials.onsets["stimulus"]
        tensor([400., 400., 400., 400.])

    Notes:
        Song et al. add noise of standard deviation :math:`\sqrt{2 \tau / dt}\, \sigma`: their
        0.01 at a time constant of 100 ms is an ``input_noise`` of 0.0141. They rectify inputs;
        here noise may carry one below 0, so that an ideal observer has a closed form.

    References:
        Song, Yang, Wang 2016 PLoS Comput Biol 12:e1004792.
    """

    input_noise: float = 0.0
    input_baseline: float = 0.0

    _no_periods: ClassVar[frozenset[str]] = frozenset({"dt_ms", "grace_ms"})
    """The fields in ms that are no period."""
    _may_be_zero: ClassVar[frozenset[str]] = frozenset({"fixation_ms", "delay_ms"})
    """The durations that may be 0 ms."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require.number("input_baseline", self.input_baseline)
        require.non_negative("input_noise", self.input_noise)
        for name in duration_fields(type(self)):
            lasting.distribution(
                name,
                getattr(self, name),
                self.dt_ms,
                may_be_zero=name in self._may_be_zero,
            )

    @property
    def durations(self) -> dict[str, float | Duration]:
        """How long each period lasts, in order, by name: a number of ms, or a distribution."""
        found = {}
        for name in duration_fields(type(self)):
            found[name.removesuffix("_ms")] = getattr(self, name)
        return found

    @property
    def begins_with(self) -> Mapping[str, str]:
        """Periods that begin early, together with another one: none, unless a subclass says so."""
        return {}

    @property
    def periods(self) -> tuple[Period, ...]:
        """The periods, in order; none if a duration varies: ask the trials then."""
        fixed = {}
        for name, value in self.durations.items():
            if isinstance(value, Duration):
                return ()
            fixed[name] = value
        periods = {period.name: period for period in consecutive(**fixed)}
        for later, other in self.begins_with.items():
            start = periods[other].start_ms
            periods[later] = periods[later]._replace(start_ms=start)
        return tuple(periods.values())

    @property
    def n_steps(self) -> int:
        """How many steps a trial has; the most there may be, if durations vary."""
        if self.periods:
            return super().n_steps
        longest = [int(counts[-1]) for counts, _ in self._distributions().values()]
        return sum(longest)

    def steps(self, period: str) -> slice:
        """Return the steps of a period that all trials share, to cut states or outputs by.

        Raises:
            ValueError: If there is no period of that name, or durations vary.
        """
        if not self.periods and period in self.durations:
            raise ValueError(
                f"`steps` must be asked of the trials, `trials.during({period!r})`, where"
                f" durations vary; got {type(self).__name__} without periods that all share."
            )
        return super().steps(period)

    def _distributions(self) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for name, value in self.durations.items():
            found[name] = lasting.distribution(
                name, value, self.dt_ms, may_be_zero=True
            )
        return found

    def _timeline(self, n: int, generator: torch.Generator | None) -> Timeline:
        """Draw when the periods of ``n`` trials begin and end."""
        fixed = {}
        for name, value in self.durations.items():
            if not isinstance(value, Duration):
                fixed[name] = round(value / self.dt_ms)
        if len(fixed) == len(self.durations):
            return Timeline.fixed(fixed, n, self.dt_ms, self.begins_with)
        steps = drawn(self._distributions(), n, generator)
        return Timeline.consecutive(steps, self.dt_ms, self.begins_with)

    def _mean_over(self, period: str, of: Callable[[float], float]) -> float:
        """Return the mean of a function of a period's duration in ms."""
        return lasting.expected(self.durations[period], self.dt_ms, of)

    def _drawn_durations(self, timeline: Timeline) -> dict[str, Tensor]:
        """Return the durations that vary, in ms, as conditions of the trials."""
        found = {}
        for name, value in self.durations.items():
            if isinstance(value, Duration):
                in_ms = timeline.steps(name) * self.dt_ms
                found[f"{name}_ms"] = in_ms.to(torch.get_default_dtype())
        return found

    def _timed_trials(
        self,
        inputs: Tensor,
        targets: Tensor,
        mask: Tensor,
        conditions: dict[str, Tensor],
        timeline: Timeline,
    ) -> Trials:
        """Return trials in which nothing counts, and nothing is shown, after a trial has ended."""
        if timeline.shared_steps is not None:
            return self._named_trials(inputs, targets, mask, conditions, timeline)
        there = torch.arange(len(inputs))[:, None] < timeline.lengths
        return self._named_trials(
            inputs * there[..., None],
            targets,
            mask & there,
            conditions | self._drawn_durations(timeline),
            timeline,
        )

    def _finished(self, trials: Trials, generator: torch.Generator | None) -> Trials:
        """Return what ``_sample`` drew, before noise is added to all inputs: as it is."""
        return trials

    def _completed(self, n: int, generator: torch.Generator | None) -> Trials:
        """Return trials with noise and a baseline on all inputs, if there is any."""
        trials = self._finished(super()._completed(n, generator), generator)
        if not self.input_noise and not self.input_baseline:
            return trials
        inputs = trials.inputs + self.input_baseline
        if self.input_noise:
            noise = torch.randn(inputs.shape, generator=generator)
            inputs = inputs + self.input_noise * math.sqrt(100 / self.dt_ms) * noise
        # A trial that has ended receives nothing.
        there = torch.arange(len(inputs))[:, None] < trials.lengths
        return dataclasses.replace(trials, inputs=inputs * there[..., None])


@functools.cache
def duration_fields(task: type[TimedTask]) -> tuple[str, ...]:
    """Return the names of a task's fields that are durations of periods, in order."""
    fields = []
    for setting in dataclasses.fields(task):
        # Looked up at every sample, and the same for all tasks of a class.
        if setting.name.endswith("_ms") and setting.name not in task._no_periods:
            fields.append(setting.name)
    return tuple(fields)
