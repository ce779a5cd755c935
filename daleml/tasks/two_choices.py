"""Tasks in which one of a few answers is given after a while, and what they share."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.durations import whole_steps
from daleml.tasks.task import ClassificationTask
from daleml.tasks.timed_tasks import TimedTask
from daleml.tasks.timeline import Timeline
from daleml.tasks.trials import Trials


@dataclass(frozen=True, eq=False)
class Responses:
    """What was answered in each trial, and when.

    Attributes:
        choice: The class of the first answer, (trials,), int64; 0 where none was given.
        right: Whether it is the right one, (trials,), bool; without a stimulus, whether none was
            given.
        time_ms: When it was given, in ms since the decision began, (trials,), the end of the
            first step at which it stood; NaN where none was given.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(reaction_time=True, grace_ms=100)
        >>> trials = task.sample(5)
        >>> answers = torch.nn.functional.one_hot(trials.targets, 3).float()
        >>> responses = task.responses(answers, trials)
        >>> responses.time_ms
        tensor([200., 200., 200., 200., 200.])
        >>> bool(responses.right.all())
        True
    """

    choice: Tensor
    right: Tensor
    time_ms: Tensor

    @property
    def accuracy(self) -> float:
        """Fraction of the trials answered rightly."""
        return float(self.right.to("cpu", torch.float64).mean())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; a time that is not there is None."""
        times: list[float | None] = []
        for value in self.time_ms.tolist():
            times.append(None if math.isnan(value) else value)
        return {
            "n": len(times),
            "accuracy": self.accuracy,
            "choice": self.choice.tolist(),
            "right": self.right.tolist(),
            "time_ms": times,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ChoiceTask(TimedTask, ClassificationTask):
    r"""A task in periods: fixate, then choose one of a few in the period called "decision".

    Class 0 is to fixate, 1 and 2 (and so on) are the choices. Input 0, the fixation cue, is 1
    until the decision. Stimuli carry Gaussian noise of standard deviation :math:`\sigma_\text{step}
    = \sigma \sqrt{100\,\text{ms} / dt}`, so that what a stimulus of some duration tells does not
    depend on ``dt_ms``. In a catch trial no stimulus is shown, and fixating is right to the end;
    its conditions that describe stimuli are 0, and ``catch`` is True.

    Args:
        noise_sd: :math:`\sigma`, standard deviation of the noise in a step of 100 ms.
        baseline: Mean of a stimulus input that carries no evidence, while a stimulus is shown.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of catch trials, in [0, 1); each trial is one with this probability.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(noise_sd=0.2, dt_ms=25)
        >>> isinstance(task, ChoiceTask), task.step_sd, task.chance
        (True, 0.4, 0.5)

    Notes:
        ``score`` counts the steps of the decision only. Noise is not rectified, or no ideal
        observer would have a closed form: see ``p_negative`` for how often an input is no rate,
        and raise ``baseline`` where it matters. :class:`TimedTask` has an example of a task of
        your own.
    """

    noise_sd: float = 0.0
    baseline: float = 0.0
    fixate: bool = True
    grace_ms: float = 0.0
    catch: float = 0.0

    _shown_anyway: ClassVar[frozenset[str]] = frozenset({"context"})
    """The conditions that a catch trial has too, beside the durations."""

    def __post_init__(self) -> None:
        require.non_negative("noise_sd", self.noise_sd)
        require.non_negative("baseline", self.baseline)
        require.flag("fixate", self.fixate)
        if require.fraction("catch", self.catch) == 1:
            raise ValueError("`catch` must leave trials with a stimulus; got 1.")
        super().__post_init__()
        whole_steps("grace_ms", self.grace_ms, self.dt_ms, may_be_zero=True)
        self._require_short_grace()

    def _require_short_grace(self) -> None:
        """Raise if nothing of a decision would count."""
        if not self.grace_ms:
            return
        shortest = {}
        for name, (counts, _) in self._distributions().items():
            shortest[name] = torch.tensor([int(counts[0])])
        timeline = Timeline.consecutive(shortest, self.dt_ms, self.begins_with)
        if "decision" not in timeline.names:
            return
        decision_ms = timeline.longest("decision") * self.dt_ms
        if self.grace_ms >= decision_ms:
            raise ValueError(
                f"`grace_ms` must be below the shortest decision, {decision_ms:g}; got"
                f" {self.grace_ms:g}."
            )

    @property
    @abstractmethod
    def stimulus_means(self) -> tuple[float, ...]:
        """Means of a stimulus input above ``baseline``; each as likely as the others."""

    @property
    def stimulus_inputs(self) -> slice:
        """Which inputs stimuli are shown to: all but the fixation cue."""
        return slice(1, self.n_inputs)

    @property
    def p_negative(self) -> float:
        r"""Probability of a stimulus input below 0: the mean of :math:`\Phi(-\mu / \sigma)`."""
        # What is added to every input is there while a stimulus is shown, too.
        shift = self.baseline + self.input_baseline
        means = [shift + mean for mean in self.stimulus_means]
        step_sd = self._total_sd * math.sqrt(100 / self.dt_ms)
        # Without noise an input is below 0 or it is not.
        if step_sd == 0:
            return sum(mean < 0 for mean in means) / len(means)
        below = [normal_cdf(-mean / step_sd) for mean in means]
        return math.fsum(below) / len(means)

    @property
    def n_choices(self) -> int:
        """How many choices there are, beside fixating."""
        return self.n_outputs - 1

    @property
    def chance(self) -> float:
        """Accuracy of the best guess: one of the choices, which are equally likely, or none.

        Without catch trials, it is one over the number of choices.
        """
        return max(self.catch, (1 - self.catch) / self.n_choices)

    @property
    def step_sd(self) -> float:
        """Standard deviation of the noise of a stimulus in a step of ``dt_ms``."""
        return self.noise_sd * math.sqrt(100 / self.dt_ms)

    @property
    def _total_sd(self) -> float:
        """Standard deviation of all noise on a stimulus, in a step of 100 ms."""
        return math.hypot(self.noise_sd, self.input_noise)

    def _with_catch(self, accuracy: float, unseen: float = 0.0) -> float | None:
        """Return the accuracy of an observer over trials with a stimulus and catch trials.

        Args:
            accuracy: That over the trials with a stimulus.
            unseen: Fraction of them that look like a catch trial.
        """
        if not self.catch:
            return accuracy
        # Noise on all inputs makes a catch trial look like any other, more or less.
        if self.input_noise:
            return None
        # What looks like a catch trial is answered as that, or by a guess, all of it.
        guessed = unseen / self.n_choices
        blank = max(self.catch, (1 - self.catch) * guessed)
        return (1 - self.catch) * (accuracy - guessed) + blank

    # -- judging

    def _judged(self, trials: Trials) -> Tensor:
        if "decision" not in trials.onsets:
            return trials.mask & (trials.targets > 0)
        return trials.mask & trials.during("decision")

    def responses(
        self, outputs: Tensor, trials: Trials, threshold: float = 0.0
    ) -> Responses:
        """Return the first answer of each trial: where a choice first is the largest output.

        Steps that the score does not judge, such as those of fixation, are not looked at.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.
            threshold: How probable, by the softmax of the outputs, a choice must be to be an
                answer. A network that sums evidence reaches a high one earlier in clear trials.

        Raises:
            TypeError: If ``threshold`` is no number.
            ValueError: If ``outputs`` has another shape, or ``threshold`` is no fraction.
        """
        self._require(outputs, trials)
        require.fraction("threshold", threshold)
        judged = self._judged(trials)
        likeliest, answers = outputs.detach().softmax(-1).max(-1)
        answered = judged & (answers > 0) & (likeliest >= threshold)
        # The first of the largest values is the first step that has one.
        first = answered.int().argmax(0)
        last = len(judged) - 1 - judged.flip(0).int().argmax(0)
        each = torch.arange(len(trials), device=answers.device)
        any_answer = answered.any(0)
        choice = torch.where(any_answer, answers[first, each], 0)
        right = choice == trials.targets[last, each]
        time = (first + 1) * self.dt_ms - self._decision_onsets(trials)
        return Responses(choice, right, time.masked_fill(~any_answer, math.nan))

    def _decision_onsets(self, trials: Trials) -> Tensor:
        """Return when each trial's decision begins, in ms; 0 where the trials do not say."""
        # Trials made by hand may have no periods.
        silent = torch.zeros(len(trials), device=trials.inputs.device)
        return trials.onsets.get("decision", silent)

    # -- sampling

    def _finished(self, trials: Trials, generator: torch.Generator | None) -> Trials:
        """Take the stimuli out of catch trials."""
        if not self.catch:
            return trials
        catch = torch.rand(len(trials), generator=generator) < self.catch
        inputs = trials.inputs.clone()
        inputs[:, catch, self.stimulus_inputs] = 0
        conditions = {"catch": catch}
        for name, values in trials.conditions.items():
            if name not in self._shown_anyway and not name.endswith("_ms"):
                values = values.masked_fill(catch, 0)
            conditions[name] = values
        targets = trials.targets.masked_fill(catch, 0)
        return dataclasses.replace(
            trials, inputs=inputs, targets=targets, conditions=conditions
        )

    def _noisy(
        self, means: Tensor, n_steps: int, generator: torch.Generator | None
    ) -> Tensor:
        """Return stimulus inputs of these means, (trials, inputs), over some steps, with noise."""
        # Not rectified: a sum of normal variables is normal, and the ideal observer has a score.
        noise = torch.randn(n_steps, *means.shape, generator=generator)
        return self.baseline + means + self.step_sd * noise

    def _show(
        self,
        inputs: Tensor,
        timeline: Timeline,
        period: str,
        means: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        """Write a stimulus of these means, (trials, stimulus inputs), with noise, into a period."""
        noisy = self._noisy(means, timeline.longest(period), generator)
        timeline.put(inputs, period, noisy, self.stimulus_inputs)

    def _blank(self, timeline: Timeline | int) -> Tensor:
        """Return inputs in which only the fixation cue is on.

        An int is a number of trials, of a task whose trials share their periods.
        """
        if isinstance(timeline, int):
            inputs = torch.zeros(self.n_steps, timeline, self.n_inputs)
            inputs[: self.steps("decision").start, :, 0] = 1
            return inputs
        inputs = torch.zeros(timeline.n_steps, timeline.n_trials, self.n_inputs)
        if timeline.shared_steps is not None:
            first, _ = timeline.shared_steps[timeline.names.index("decision")]
            inputs[:first, :, 0] = 1
            return inputs
        inputs[..., 0] = timeline.before("decision")
        return inputs

    def _trials(
        self,
        inputs: Tensor,
        choice: Tensor,
        conditions: dict[str, Tensor],
        timeline: Timeline | None = None,
    ) -> Trials:
        """Return trials in which the choice is asked for in the decision, and fixation before."""
        targets = torch.zeros(inputs.shape[:2], dtype=torch.int64)
        mask = torch.full(targets.shape, self.fixate)
        if timeline is None:
            # Class 0, to fixate, is what is asked for until the decision.
            targets[self.steps("decision")] = choice
            mask[self.steps("decision")] = True
            return self._named_trials(inputs, targets, mask, conditions)
        deciding = timeline.during("decision")
        targets = torch.where(deciding, choice, targets)
        mask = mask | deciding
        n_grace = round(self.grace_ms / self.dt_ms)
        if n_grace:
            mask &= ~timeline.beginning("decision", n_grace)
        return self._timed_trials(inputs, targets, mask, conditions, timeline)


def normal_cdf(z: float) -> float:
    """Return the probability that a standard normal variable is below ``z``."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
