"""Tasks of decision, in which noisy evidence must be gathered, and sometimes ignored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.durations import Duration
from daleml.tasks.trials import Trials
from daleml.tasks.two_choices import ChoiceTask, normal_cdf

_MODALITIES = ("motion", "colour")
"""The kinds of evidence of :class:`ContextDecision`, in the order of their inputs."""


@dataclass(frozen=True, kw_only=True)
class PerceptualDecision(ChoiceTask):
    r"""Say which of two inputs carried more evidence.

    While the stimulus lasts, the inputs of choice 1 and 2 at each step are

    .. math::
        x_{1,2} = b \pm s s_0 \frac{c}{2} + \sigma_\text{step} \xi_{1,2},
        \qquad \xi \sim N(0, 1)

    with the baseline :math:`b`, the side :math:`s = +1` for choice 1 and -1 for choice 2, a
    coherence :math:`c` drawn for each trial, and a scale :math:`s_0`.

    Args:
        fixation_ms: Duration before the stimulus; may be 0. This and the others are numbers of ms,
            or a :class:`Duration` that is drawn for each trial.
        stimulus_ms: Duration of the stimulus.
        delay_ms: Duration without evidence; may be 0.
        decision_ms: Duration of the answer, without evidence.
        coherences: The strengths of evidence, fractions in [0, 1]; each is as likely as the others.
        scale: Evidence is coherence times this, :math:`s_0`.
        reaction_time: Whether the answer is asked for from the onset of the stimulus on: then the
            decision begins with it, the fixation cue ends, and the first answer is judged.
        noise_sd: Standard deviation of the noise in a step of 100 ms.
        baseline: Input without evidence, :math:`b`.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of trials without a stimulus.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
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

    fixation_ms: float | Duration = 0.0
    stimulus_ms: float | Duration = 700.0
    delay_ms: float | Duration = 0.0
    decision_ms: float | Duration = 100.0
    coherences: Sequence[float] = (0.0, 0.064, 0.128, 0.256, 0.512)
    scale: float = 1.0
    reaction_time: bool = False
    noise_sd: float = 0.1
    baseline: float = 1.0

    def __post_init__(self) -> None:
        require.positive("scale", self.scale)
        require.flag("reaction_time", self.reaction_time)
        super().__post_init__()
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "coherences", _fractions(self.coherences))

    @classmethod
    def song2016(cls, **changes: Any) -> Self:
        """Return the task with the times, coherences, noise and inputs of Song et al. 2016.

        Args:
            changes: Other settings, by name, such as ``reaction_time=True``.

        Example:
            >>> task = PerceptualDecision.song2016(catch=0.1)
            >>> task.n_steps, task.dt_ms, task.coherences
            (60, 20.0, (0.01, 0.02, 0.04, 0.08, 0.16))

        Notes:
            The inputs of a choice are (1 + 3.2 c) / 2 and (1 - 3.2 c) / 2, above 0.2 on every
            input. The fixation cue is this package's.
        """
        published: dict[str, Any] = {
            "fixation_ms": 100.0,
            "stimulus_ms": 800.0,
            "decision_ms": 300.0,
            "coherences": (0.01, 0.02, 0.04, 0.08, 0.16),
            "scale": 3.2,
            "baseline": 0.5,
            "noise_sd": 0.0,
            # Theirs is 0.01, in a unit of the square root of two time constants of 100 ms.
            "input_noise": 0.01 * math.sqrt(2),
            "input_baseline": 0.2,
            "dt_ms": 20.0,
        }
        return cls(**(published | changes))

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the evidence for each choice."""
        return ("fixation", "evidence 1", "evidence 2")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "choice 1", "choice 2")

    @property
    def begins_with(self) -> dict[str, str]:
        """The decision begins with the stimulus, if one may react as soon as one is ready."""
        if self.reaction_time:
            return {"decision": "stimulus"}
        return {}

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """Half of each coherence, for and against."""
        means = []
        for coherence in self.coherences:
            half = self.scale * coherence / 2
            means += [half, -half]
        return tuple(means)

    @property
    def ideal(self) -> float | None:
        r"""Accuracy of an ideal observer, who compares the sums of the two inputs.

        .. math::
            \Big\langle \Phi\Big(\frac{s_0 c}{\sqrt{2} \sigma}
            \sqrt{\frac{T}{100\,\text{ms}}}\Big) \Big\rangle_{c, T}

        for a stimulus that lasts :math:`T`, and knows when that is. Noise of the inputs adds to
        that of the stimulus. It depends neither on ``dt_ms`` nor on ``baseline``, and is the same
        if one may react at any time: who can wait sees more. In catch trials one fixates; with
        input noise these cannot be told, and there is no closed form.
        """
        scores = [self._mean_accuracy(coherence) for coherence in self.coherences]
        # Without noise and without a baseline, no coherence is no stimulus at all.
        n_unseen = 0
        if self._total_sd == 0 and self.baseline == 0:
            n_unseen = sum(coherence == 0 for coherence in self.coherences)
        n = len(scores)
        return self._with_catch(math.fsum(scores) / n, n_unseen / n)

    def _mean_accuracy(self, coherence: float) -> float:
        """Return the ideal observer's accuracy at a coherence, over durations of the stimulus."""
        return self._accuracy_of(self.scale * coherence)

    def _accuracy_of(self, evidence: float) -> float:
        sd = self._total_sd
        return self._mean_over(
            "stimulus", lambda ms: evidence_accuracy(evidence, ms, sd)
        )

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the fraction of judged steps, or of first answers, that are right.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """
        if self.reaction_time:
            return self.responses(outputs, trials).accuracy
        return super().score(outputs, trials)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        coherence, choice = draw_evidence(n, self.coherences, generator)
        inputs = self._blank(timeline)
        # Outside of the stimulus, the inputs are silent: no baseline, and no noise.
        means = evidence_means(self.scale * coherence, choice)
        self._show(inputs, timeline, "stimulus", means, generator)
        conditions = {"coherence": coherence, "choice": choice}
        return self._trials(inputs, choice, conditions, timeline)


@dataclass(frozen=True, kw_only=True)
class ContextDecision(PerceptualDecision):
    r"""Decide by the one of two kinds of evidence that a cue says counts, and ignore the other.

    Both modalities, motion and colour, show what :class:`PerceptualDecision` does, each with
    its own coherence and side, drawn independently. A cue is on throughout the trial: input
    "count motion" or "count colour".

    Args:
        fixation_ms: Duration before the stimulus; may be 0. This and the others are numbers of ms,
            or a :class:`Duration` that is drawn for each trial.
        stimulus_ms: Duration of the stimulus, in both modalities.
        delay_ms: Duration without evidence; may be 0.
        decision_ms: Duration of the answer, without evidence.
        coherences: The strengths of evidence in either modality, fractions in [0, 1].
        scale: Evidence is coherence times this, :math:`s_0`.
        reaction_time: Whether the answer is asked for from the onset of the stimulus on: then the
            decision begins with it, the fixation cue ends, and the first answer is judged.
        noise_sd: Standard deviation of the noise in a step of 100 ms.
        baseline: Input without evidence.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of trials without a stimulus.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
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

    stimulus_ms: float | Duration = 200.0
    delay_ms: float | Duration = 500.0
    coherences: Sequence[float] = (0.05, 0.15, 0.5)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue, the evidence for each choice in each modality, and the two cues."""
        evidence, cues = [], []
        for modality in _MODALITIES:
            evidence += [f"{modality} 1", f"{modality} 2"]
            cues.append(f"count {modality}")
        return ("fixation", *evidence, *cues)

    @property
    def stimulus_inputs(self) -> slice:
        """The inputs of evidence, without the cues."""
        return slice(1, 5)

    @property
    def ideal(self) -> float | None:
        """Accuracy of an ideal observer, as in :class:`PerceptualDecision`.

        None with input noise, which may hide the cue.
        """
        return None if self.input_noise else super().ideal

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        context = torch.randint(2, (n,), generator=generator)
        drawn = [draw_evidence(n, self.coherences, generator) for _ in _MODALITIES]
        # The other modality says something as well, which is to be ignored.
        choice = torch.where(context == 0, drawn[0][1], drawn[1][1])
        inputs = self._blank(timeline)
        shown = [
            evidence_means(self.scale * strength, side) for strength, side in drawn
        ]
        self._show(inputs, timeline, "stimulus", torch.cat(shown, dim=1), generator)
        inputs[..., 5:] = torch.nn.functional.one_hot(context, 2)
        conditions = {"context": context + 1, "choice": choice}
        for name, (coherence, side) in zip(_MODALITIES, drawn, strict=True):
            conditions |= {f"{name}_coherence": coherence, f"{name}_choice": side}
        return self._trials(inputs, choice, conditions, timeline)


def _fractions(coherences: object) -> tuple[float, ...]:
    if not isinstance(coherences, Sequence) or isinstance(coherences, str):
        raise TypeError(
            f"`coherences` must be a sequence of fractions; got {coherences!r}."
        )
    if not coherences:
        raise ValueError("`coherences` must have at least one value; got none.")
    return tuple(require.fraction("coherences", coherence) for coherence in coherences)


def draw_evidence(
    n: int, coherences: Sequence[float], generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Draw a coherence and a choice, 1 or 2, for each of ``n`` trials."""
    which = torch.randint(len(coherences), (n,), generator=generator)
    # Choices begin with class 1, since class 0 is to fixate.
    choice = torch.randint(1, 3, (n,), generator=generator)
    return torch.tensor(coherences)[which], choice


def evidence_means(coherence: Tensor, choice: Tensor) -> Tensor:
    """Return half of the coherence for the choice, and against the other one: (trials, 2)."""
    half = torch.where(choice == 1, coherence, -coherence) / 2
    return torch.stack([half, -half], dim=1)


def evidence_accuracy(coherence: float, stimulus_ms: float, noise_sd: float) -> float:
    """Return how often the larger of two noisy sums is that of the choice."""
    if noise_sd == 0:
        # Any difference decides then; without one, an observer can only guess.
        return 1.0 if coherence > 0 else 0.5
    # The sums differ by c T on average, with the noise of two inputs: hence 200 ms.
    return normal_cdf(coherence * math.sqrt(stimulus_ms / 200) / noise_sd)
