"""Tasks of decision, in which noisy evidence must be gathered, and sometimes ignored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.task import consecutive
from daleml.tasks.trials import Period, Trials
from daleml.tasks.two_choices import ChoiceTask, normal_cdf

_MODALITIES = ("motion", "colour")
"""The kinds of evidence of :class:`ContextDecision`, in the order of their inputs."""


@dataclass(frozen=True, kw_only=True)
class PerceptualDecision(ChoiceTask):
    r"""Say which of two inputs carried more evidence.

    While the stimulus lasts, the inputs of choice 1 and 2 at each step are

    .. math:: x_{1,2} = b \pm s \frac{c}{2} + \sigma_\text{step} \xi_{1,2}, \qquad \xi \sim N(0, 1)

    with the baseline :math:`b`, the side :math:`s = +1` for choice 1 and -1 for choice 2, and a
    coherence :math:`c` drawn for each trial.

    Args:
        fixation_ms: Duration before the stimulus; may be 0.
        stimulus_ms: Duration of the stimulus.
        delay_ms: Duration without evidence; may be 0.
        decision_ms: Duration of the answer, without evidence.
        coherences: The strengths of evidence, fractions in [0, 1]; each is as likely as the others.
        noise_sd: Standard deviation of the noise in a step of 100 ms.
        baseline: Input without evidence, :math:`b`.
        fixate: Whether the loss counts the steps before the decision too.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> task = PerceptualDecision(coherences=(0.064,), stimulus_ms=1000)
        >>> task.n_steps, task.output_names
        (11, ('fixate', 'choice 1', 'choice 2'))
        >>> round(task.ideal, 3), task.p_negative < 1e-20
        (0.924, True)

    Notes:
        Durations are those of Liu et al., who used NeuroGym's ``PerceptualDecisionMaking-v0``;
        coherences and noise are the defaults of NeuroGym 2.3. There the baseline is 0.5, at
        which 1 stimulus input in 1,300 is below 0, and the fixation cue ends before the
        stimulus; here it lasts until the decision.

    References:
        Song, Yang, Wang 2016 PLoS Comput Biol 12:e1004792.
        Liu, Baratin, Cornford, Mihalas, Shea-Brown, Lajoie 2024 ICLR.
    """

    fixation_ms: float = 0.0
    stimulus_ms: float = 700.0
    delay_ms: float = 0.0
    decision_ms: float = 100.0
    coherences: Sequence[float] = (0.0, 0.064, 0.128, 0.256, 0.512)
    noise_sd: float = 0.1
    baseline: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "coherences", _fractions(self.coherences))

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the evidence for each choice."""
        return ("fixation", "evidence 1", "evidence 2")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "choice 1", "choice 2")

    @property
    def periods(self) -> tuple[Period, ...]:
        """Fixation, stimulus, delay, decision."""
        return consecutive(
            fixation=self.fixation_ms,
            stimulus=self.stimulus_ms,
            delay=self.delay_ms,
            decision=self.decision_ms,
        )

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """Half of each coherence, for and against."""
        means = []
        for coherence in self.coherences:
            means += [coherence / 2, -coherence / 2]
        return tuple(means)

    @property
    def ideal(self) -> float:
        r"""Accuracy of an ideal observer, who compares the sums of the two inputs.

        .. math::
            \Big\langle \Phi\Big(\frac{c}{\sqrt{2} \sigma} \sqrt{\frac{T}{100\,\text{ms}}}\Big)
            \Big\rangle_c

        for a stimulus that lasts :math:`T`. It depends neither on ``dt_ms`` nor on ``baseline``.
        """
        scores = [
            _accuracy(coherence, self.stimulus_ms, self.noise_sd)
            for coherence in self.coherences
        ]
        return math.fsum(scores) / len(scores)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        coherence, choice = _draw(n, self.coherences, generator)
        inputs = self._blank(n)
        # Outside of the stimulus, the inputs are silent: no baseline, and no noise.
        steps = self.steps("stimulus")
        means, n_steps = _evidence(coherence, choice), steps.stop - steps.start
        inputs[steps, :, 1:] = self._noisy(means, n_steps, generator)
        return self._trials(inputs, choice, {"coherence": coherence, "choice": choice})


@dataclass(frozen=True, kw_only=True)
class ContextDecision(PerceptualDecision):
    r"""Decide by the one of two kinds of evidence that a cue says counts, and ignore the other.

    Both modalities, motion and colour, show what :class:`PerceptualDecision` does, each with
    its own coherence and side, drawn independently. A cue is on throughout the trial: input
    "count motion" or "count colour".

    Args:
        fixation_ms: Duration before the stimulus; may be 0.
        stimulus_ms: Duration of the stimulus, in both modalities.
        delay_ms: Duration without evidence; may be 0.
        decision_ms: Duration of the answer, without evidence.
        coherences: The strengths of evidence in either modality, fractions in [0, 1].
        noise_sd: Standard deviation of the noise in a step of 100 ms.
        baseline: Input without evidence.
        fixate: Whether the loss counts the steps before the decision too.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> task = ContextDecision()
        >>> task.n_inputs, task.n_steps, round(task.ideal, 3)
        (7, 8, 0.875)
        >>> list(task.sample(2).conditions)[:4]
        ['context', 'choice', 'motion_coherence', 'motion_choice']

    Notes:
        ``context`` is 1 where motion counts, 2 where colour does. Durations are those of Liu et
        al., who used NeuroGym's ``ContextDecisionMaking-v0``; coherences and noise are the
        defaults of NeuroGym 2.3, where there is a cue only if ``use_expl_context`` is set.

    References:
        Mante, Sussillo, Shenoy, Newsome 2013 Nature 503:78.
        Liu, Baratin, Cornford, Mihalas, Shea-Brown, Lajoie 2024 ICLR.
    """

    stimulus_ms: float = 200.0
    delay_ms: float = 500.0
    coherences: Sequence[float] = (0.05, 0.15, 0.5)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue, the evidence for each choice in each modality, and the two cues."""
        evidence, cues = [], []
        for modality in _MODALITIES:
            evidence += [f"{modality} 1", f"{modality} 2"]
            cues.append(f"count {modality}")
        return ("fixation", *evidence, *cues)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        context = torch.randint(2, (n,), generator=generator)
        drawn = [_draw(n, self.coherences, generator) for _ in _MODALITIES]
        # The other modality says something as well, which is to be ignored.
        choice = torch.where(context == 0, drawn[0][1], drawn[1][1])
        inputs = self._blank(n)
        steps = self.steps("stimulus")
        means = torch.cat([_evidence(*modality) for modality in drawn], dim=1)
        inputs[steps, :, 1:5] = self._noisy(means, steps.stop - steps.start, generator)
        inputs[..., 5:] = torch.nn.functional.one_hot(context, 2)
        conditions = {"context": context + 1, "choice": choice}
        for name, (coherence, side) in zip(_MODALITIES, drawn, strict=True):
            conditions |= {f"{name}_coherence": coherence, f"{name}_choice": side}
        return self._trials(inputs, choice, conditions)


def _fractions(coherences: object) -> tuple[float, ...]:
    if not isinstance(coherences, Sequence) or isinstance(coherences, str):
        raise TypeError(
            f"`coherences` must be a sequence of fractions; got {coherences!r}."
        )
    if not coherences:
        raise ValueError("`coherences` must have at least one value; got none.")
    return tuple(require.fraction("coherences", coherence) for coherence in coherences)


def _draw(
    n: int, coherences: Sequence[float], generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw a coherence and a choice, 1 or 2, for each of ``n`` trials."""
    which = torch.randint(len(coherences), (n,), generator=generator)
    # Choices begin with class 1, since class 0 is to fixate.
    choice = torch.randint(1, 3, (n,), generator=generator)
    return torch.tensor(coherences)[which], choice


def _evidence(coherence: Tensor, choice: Tensor) -> Tensor:
    """Return half of the coherence for the choice, and against the other one: (trials, 2)."""
    half = torch.where(choice == 1, coherence, -coherence) / 2
    return torch.stack([half, -half], dim=1)


def _accuracy(coherence: float, stimulus_ms: float, noise_sd: float) -> float:
    if noise_sd == 0:
        # Any difference decides then; without one, an observer can only guess.
        return 1.0 if coherence > 0 else 0.5
    # The sums differ by c T on average, with the noise of two inputs: hence 200 ms.
    return normal_cdf(coherence * math.sqrt(stimulus_ms / 200) / noise_sd)
