"""The interface of a task, and what classification and regression share."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml._support import seeds
from daleml._support.devices import by_default
from daleml._support.keyword_names import Keywords
from daleml.tasks.durations import whole_steps as whole_steps
from daleml.tasks.timeline import Timeline
from daleml.tasks.trials import Period, Trials


@dataclass(frozen=True, eq=False, kw_only=True)
class Task(Keywords, ABC):
    """A source of trials that can also judge the answers.

    A subclass is a frozen dataclass whose fields are settings. It says what its inputs, outputs
    and periods are, draws trials in ``_sample``, and knows the score of a guesser and, where
    there is a closed form, of an ideal observer.

    Args:
        dt_ms: Duration of a step. Every duration of a task is a whole number of steps.

    Attributes:
        measure: What ``score`` returns: "accuracy", "mean squared error" or "nats per character".
        higher_is_better: Whether a larger score is a better one.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision()
        >>> trials = task.sample(64, generator=torch.Generator().manual_seed(0))
        >>> outputs = torch.zeros(task.n_steps, 64, task.n_outputs)
        >>> round(task.loss(outputs, trials).item(), 3)  # ln 3: all classes are equally likely
        1.099
        >>> task.measure, task.chance, round(task.ideal, 3)
        ('accuracy', 0.5, 0.875)
    """

    dt_ms: float = 100.0

    measure: ClassVar[str]
    higher_is_better: ClassVar[bool]

    def __post_init__(self) -> None:
        require.positive("dt_ms", self.dt_ms)

    @property
    @abstractmethod
    def input_names(self) -> tuple[str, ...]:
        """A name for each input."""

    @property
    @abstractmethod
    def output_names(self) -> tuple[str, ...]:
        """A name for each output."""

    @property
    @abstractmethod
    def periods(self) -> tuple[Period, ...]:
        """The parts of a trial, in order; one may last 0 ms."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """Expected score of the best guesser who knows the task but does not see the trial."""

    @property
    @abstractmethod
    def ideal(self) -> float | None:
        """Expected score of the best possible observer; None where no closed form is known."""

    @abstractmethod
    def loss(self, outputs: Tensor, trials: Trials) -> Tensor:
        """Return what to minimise, a scalar: the mean over the steps that ``trials.mask`` counts.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """

    @abstractmethod
    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return how good the answers are, in the unit ``measure`` names.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """

    @abstractmethod
    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        """Draw ``n`` trials: what a task of yours implements.

        :meth:`sample` calls it, with arguments that are checked. All chance comes from
        ``generator``, so that one seed gives the same trials again. ``_named_trials`` puts
        tensors together to trials that bear this task's names, periods and time step:

        - inputs ``(n_steps, n, n_inputs)``, floating point;
        - targets ``(n_steps, n)``, int64, of classes; ``(n_steps, n, n_outputs)`` of values;
        - a boolean mask ``(n_steps, n)`` of the steps that loss and score count;
        - conditions, by name, one number for each trial.

        Args:
            n: How many, at least 1.
            generator: Only source of randomness, on the CPU; None for torch's global one.
        """

    def _named_trials(
        self,
        inputs: Tensor,
        targets: Tensor,
        mask: Tensor,
        conditions: dict[str, Tensor],
        timeline: Timeline | None = None,
    ) -> Trials:
        """Return trials that bear the names, the periods and the steps of this task.

        Where its periods differ from trial to trial, ``timeline`` says when they are.
        """
        periods, spans = self.periods, {}
        if timeline is not None and not periods:
            periods = timeline.shared()
            # By chance, all trials of a batch may have the same periods.
            if not periods:
                spans = timeline.spans()
        return Trials(
            inputs,
            targets,
            mask,
            self.dt_ms,
            self.input_names,
            self.output_names,
            periods,
            conditions,
            spans,
        )

    @property
    def n_inputs(self) -> int:
        """How many inputs there are."""
        return len(self.input_names)

    @property
    def n_outputs(self) -> int:
        """How many outputs there are."""
        return len(self.output_names)

    @property
    def n_steps(self) -> int:
        """How many steps a trial has.

        Raises:
            ValueError: If trials may differ in length, so that there are no periods they share.
        """
        # Trials of NeuroGym may differ in length.
        if not self.periods:
            raise ValueError(
                "`n_steps` must be read from the trials, `len(trials.inputs)`, where those"
                f" of a task differ in length; got {type(self).__name__} without periods."
            )
        return round(self.periods[-1].end_ms / self.dt_ms)

    def steps(self, period: str) -> slice:
        """Return the steps of a period, to cut states or outputs by.

        Raises:
            ValueError: If there is no period of that name.
        """
        for name, start, end in self.periods:
            if name == period:
                return slice(round(start / self.dt_ms), round(end / self.dt_ms))
        names = ", ".join(name for name, _, _ in self.periods)
        if not names:
            names = "those that all trials share, of which there are none"
        raise ValueError(f"`period` must be one of {names}; got {period!r}.")

    def sample(self, n: int, generator: torch.Generator | None = None) -> Trials:
        """Draw trials.

        Args:
            n: How many, at least 1.
            generator: Only source of randomness, on the CPU; default: torch's global one.

        Raises:
            TypeError: If ``n`` is not an integer, or ``generator`` is no generator.
            ValueError: If ``n`` is below 1.
        """
        n = require.integer("n", n, minimum=1)
        require.generator("generator", generator)
        if generator is None:
            return self._completed(n, None)
        # Where the generator draws, whatever torch's default device is.
        where = torch.get_default_device()
        with by_default(generator.device):
            trials = self._completed(n, generator)
        return trials if where == generator.device else trials.to(where)

    def _completed(self, n: int, generator: torch.Generator | None) -> Trials:
        """Return what ``_sample`` draws, with whatever all tasks of a kind add to it."""
        return self._sample(n, generator)

    def _require(self, outputs: Tensor, trials: Trials) -> None:
        """Raise unless the answers are to these trials, and the trials this task's."""
        if not isinstance(trials, Trials):
            raise TypeError(
                "`trials` must be Trials, the second argument after `outputs`; got"
                f" {type(trials).__name__}."
            )
        # Outputs of another task may have the right shape by chance.
        if trials.output_names != self.output_names:
            raise ValueError(
                f"`trials` must be of {type(self).__name__}, with its outputs; got those of"
                " another task."
            )
        if not isinstance(outputs, Tensor):
            raise TypeError(
                "`outputs` must be a tensor, (time, trials, n_outputs); got"
                f" {type(outputs).__name__}."
            )
        # A missing dimension would broadcast, and silently train on something else.
        expected = (*trials.inputs.shape[:2], len(trials.output_names))
        if tuple(outputs.shape) != expected:
            raise ValueError(
                f"`outputs` must have shape {expected}; got {tuple(outputs.shape)}."
            )

    def batches(
        self, n_trials: int = 32, n_batches: int = 100, seed: int = 0
    ) -> TrialBatches:
        """Return fresh trials for every epoch, to learn from with ``loss``.

        Args:
            n_trials: Number of trials in a batch.
            n_batches: Number of batches in an epoch.
            seed: With the epoch's number it determines the trials, so a resumed run sees what
                it would have seen.

        Returns:
            What ``train`` takes as data: called with an epoch's number, it yields pairs of inputs
            and trials.

        Raises:
            TypeError: If a number is not an integer.
            ValueError: If ``n_trials`` or ``n_batches`` is below 1, or ``seed`` is negative.

        Example:
            >>> from daleml import train
            >>> from daleml.layers import EILinear
            >>> from daleml.optim import EG, param_groups
            >>> from daleml.tasks import PerceptualDecision
            >>> task = PerceptualDecision()
            >>> model = EILinear(task.n_inputs, task.n_outputs)
            >>> optimizer = EG(param_groups(model, 0.1), 0.1)
            >>> history = train(model, task.batches(n_batches=2), optimizer, task.loss)
            >>> len(history)
            2
        """
        return TrialBatches(self, n_trials, n_batches, seed)


@dataclass(frozen=True)
class TrialBatches:
    """Fresh trials for every epoch, called with its number; see ``Task.batches``."""

    task: Task
    n_trials: int = 32
    n_batches: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        require.integer("n_trials", self.n_trials, minimum=1)
        require.integer("n_batches", self.n_batches, minimum=1)
        require.integer("seed", self.seed)

    def __call__(self, epoch: int) -> Iterator[tuple[Tensor, Trials]]:
        """Yield the batches of an epoch; in a worker of a ``DataLoader``, its part of them."""
        # Each epoch has a generator of its own, so that a resumed run draws what it would have.
        generator = seeds.generator(self.seed, epoch)
        is_mine = seeds.share()
        for i in range(self.n_batches):
            # What another worker yields is drawn too, so that all draw alike.
            trials = self.task.sample(self.n_trials, generator)
            if is_mine(i):
                yield trials.inputs, trials


class ClassificationTask(Task):
    r"""A task whose answer is a class at each step, learned by cross-entropy, judged by accuracy.

    .. math:: L = -\frac{1}{|M|} \sum_{(t, i) \in M} \ln \operatorname{softmax}(y_{t i})_{c_{t i}}

    for outputs :math:`y`, classes :math:`c` and the counted steps :math:`M`.

    Args:
        dt_ms: Duration of a step.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision()
        >>> isinstance(task, ClassificationTask)
        True
        >>> trials = task.sample(8)
        >>> right = torch.nn.functional.one_hot(trials.targets, task.n_outputs).float()
        >>> task.score(right, trials)
        1.0
    """

    measure = "accuracy"
    higher_is_better = True

    def loss(self, outputs: Tensor, trials: Trials) -> Tensor:
        """Return the cross-entropy in nats, averaged over the steps that count."""
        self._require(outputs, trials)
        return torch.nn.functional.cross_entropy(
            outputs[trials.mask], trials.targets[trials.mask]
        )

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the fraction of judged steps at which the largest output is the right one."""
        self._require(outputs, trials)
        judged = self._judged(trials)
        right = outputs.detach()[judged].argmax(-1) == trials.targets[judged]
        return float(right.to("cpu", torch.float64).mean())

    def _judged(self, trials: Trials) -> Tensor:
        """Return which steps the score counts."""
        return trials.mask


class RegressionTask(Task):
    r"""A task whose answer is a value of each output, learned and judged by mean squared error.

    .. math:: L = \frac{1}{|M| K} \sum_{(t, i) \in M} \sum_{k=1}^{K} (y_{t i k} - z_{t i k})^2

    for outputs :math:`y`, targets :math:`z` and the counted steps :math:`M`.

    Args:
        dt_ms: Duration of a step.

    Example:
        >>> from daleml.tasks import AddingProblem
        >>> task = AddingProblem()
        >>> isinstance(task, RegressionTask)
        True
        >>> trials = task.sample(8)
        >>> task.score(trials.targets, trials)
        0.0
    """

    measure = "mean squared error"
    higher_is_better = False

    def loss(self, outputs: Tensor, trials: Trials) -> Tensor:
        """Return the mean squared error over the steps that count."""
        self._require(outputs, trials)
        return torch.nn.functional.mse_loss(
            outputs[trials.mask], trials.targets[trials.mask]
        )

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the mean squared error over the steps that count."""
        return float(self.loss(outputs.detach(), trials))


def consecutive(**lasting: float) -> tuple[Period, ...]:
    """Return periods of these durations in ms, one after the other."""
    periods = []
    ends = itertools.accumulate(lasting.values())
    for (name, duration), end in zip(lasting.items(), ends, strict=True):
        periods.append(Period(name, end - duration, end))
    return tuple(periods)
