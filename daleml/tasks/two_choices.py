"""Tasks in which one of two answers is given after a while, and what they share."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.task import ClassificationTask, whole_steps
from daleml.tasks.trials import Trials

_OPTIONAL = ("fixation_ms", "delay_ms")
"""The durations that may be 0 ms."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ChoiceTask(ClassificationTask):
    r"""A task in periods: fixate, then choose one of two in the period called "decision".

    Class 0 is to fixate, 1 and 2 are the choices. Input 0, the fixation cue, is 1 until the
    decision. Stimuli carry Gaussian noise of standard deviation :math:`\sigma_\text{step} =
    \sigma \sqrt{100\,\text{ms} / dt}`, so that what a stimulus of some duration tells does not
    depend on ``dt_ms``.

    Args:
        noise_sd: :math:`\sigma`, standard deviation of the noise in a step of 100 ms.
        baseline: Mean of a stimulus input that carries no evidence, while a stimulus is shown.
        fixate: Whether the loss counts the steps before the decision too.
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
        and raise ``baseline`` where it matters.
    """

    noise_sd: float = 0.0
    baseline: float = 0.0
    fixate: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require.non_negative("noise_sd", self.noise_sd)
        require.non_negative("baseline", self.baseline)
        if not isinstance(self.fixate, bool):
            raise TypeError(f"`fixate` must be True or False; got {self.fixate!r}.")
        for setting in dataclasses.fields(self):
            if setting.name.endswith("_ms") and setting.name != "dt_ms":
                duration, optional = (
                    getattr(self, setting.name),
                    setting.name in _OPTIONAL,
                )
                whole_steps(setting.name, duration, self.dt_ms, may_be_zero=optional)

    @property
    @abstractmethod
    def stimulus_means(self) -> tuple[float, ...]:
        """Means of a stimulus input above ``baseline``; each as likely as the others."""

    @property
    def p_negative(self) -> float:
        r"""Probability of a stimulus input below 0: the mean of :math:`\Phi(-\mu / \sigma)`."""
        means = [self.baseline + mean for mean in self.stimulus_means]
        # Without noise an input is below 0 or it is not.
        if self.step_sd == 0:
            return sum(mean < 0 for mean in means) / len(means)
        below = [normal_cdf(-mean / self.step_sd) for mean in means]
        return math.fsum(below) / len(means)

    @property
    def chance(self) -> float:
        """Accuracy of any guess between the choices: 1/2, as both are equally likely."""
        return 0.5

    @property
    def step_sd(self) -> float:
        """Standard deviation of the noise in a step of ``dt_ms``."""
        return self.noise_sd * math.sqrt(100 / self.dt_ms)

    def _judged(self, trials: Trials) -> Tensor:
        return trials.mask & (trials.targets > 0)

    def _noisy(
        self, means: Tensor, n_steps: int, generator: torch.Generator | None
    ) -> Tensor:
        """Return stimulus inputs of these means, (trials, inputs), over some steps, with noise."""
        # Not rectified: a sum of normal variables is normal, and the ideal observer has a score.
        noise = torch.randn(n_steps, *means.shape, generator=generator)
        return self.baseline + means + self.step_sd * noise

    def _blank(self, n: int) -> Tensor:
        """Return inputs of ``n`` trials in which only the fixation cue is on."""
        inputs = torch.zeros(self.n_steps, n, self.n_inputs)
        inputs[: self.steps("decision").start, :, 0] = 1
        return inputs

    def _trials(
        self, inputs: Tensor, choice: Tensor, conditions: dict[str, Tensor]
    ) -> Trials:
        # Class 0, to fixate, is what is asked for until the decision.
        targets = torch.zeros(inputs.shape[:2], dtype=torch.int64)
        targets[self.steps("decision")] = choice
        mask = torch.full(targets.shape, self.fixate)
        mask[self.steps("decision")] = True
        return self._named_trials(inputs, targets, mask, conditions)


def normal_cdf(z: float) -> float:
    """Return the probability that a standard normal variable is below ``z``."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
