"""A task of decision by one of two senses, or by both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from daleml import require
from daleml.tasks.decision import PerceptualDecision, draw_evidence, evidence_means
from daleml.tasks.trials import Trials

_MODALITIES = ("visual", "auditory", "both")


@dataclass(frozen=True, kw_only=True)
class MultisensoryDecision(PerceptualDecision):
    r"""Decide by what is seen, by what is heard, or by both, which then say the same.

    Each of the two senses that is stimulated shows what :class:`PerceptualDecision` does, of one
    coherence and side, with noise of its own, so that who adds up both sees further:

    .. math:: d'_\text{both} = \sqrt{d'^2_\text{visual} + d'^2_\text{auditory}} .

    A sense that is not stimulated is silent.

    Args:
        fixation_ms: Duration before the stimulus; may be 0. This and the others are numbers of ms,
            or a :class:`Duration` that is drawn for each trial.
        stimulus_ms: Duration of the stimulus.
        delay_ms: Duration without evidence; may be 0.
        decision_ms: Duration of the answer, without evidence.
        coherences: The strengths of evidence, fractions in [0, 1]; each is as likely as the others.
        modalities: What is stimulated, each as likely as the others, of "visual", "auditory" and
            "both".
        visual_scale: Evidence of what is seen is coherence times ``scale`` times this.
        auditory_scale: The same of what is heard.
        scale: Evidence is coherence times this.
        reaction_time: Whether the answer is asked for from the onset of the stimulus on.
        noise_sd: Standard deviation of the noise in a step of 100 ms.
        baseline: Input without evidence of a sense that is stimulated.
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
        >>> task = MultisensoryDecision()
        >>> task.input_names[1:]
        ('visual 1', 'visual 2', 'auditory 1', 'auditory 2')
        >>> one, both = (
        ...     MultisensoryDecision(modalities=[name]).ideal for name in ("visual", "both")
        ... )
        >>> round(one, 3), round(both, 3)
        (0.871, 0.914)

    Notes:
        ``modality`` is 1 where there is something to see, 2 to hear, 3 for both. Coherences,
        durations and noise are chosen here. Song et al. show event rates to a pair of inputs for
        each sense, one that grows with the rate and one that falls.

    References:
        Raposo, Kaufman, Churchland 2014 Nature Neuroscience 17:1784, for the experiment.
        Song, Yang, Wang 2016 PLoS Comput Biol 12:e1004792, for circuits that learn it.
    """

    stimulus_ms: float = 500.0
    coherences: Sequence[float] = (0.03, 0.06, 0.12, 0.24)
    modalities: Sequence[str] = _MODALITIES
    visual_scale: float = 1.0
    auditory_scale: float = 1.0

    def __post_init__(self) -> None:
        require.positive("visual_scale", self.visual_scale)
        require.positive("auditory_scale", self.auditory_scale)
        if not isinstance(self.modalities, Sequence) or isinstance(
            self.modalities, str
        ):
            raise TypeError(
                f"`modalities` must be a sequence of names; got {self.modalities!r}."
            )
        wrong = [name for name in self.modalities if name not in _MODALITIES]
        if wrong or not self.modalities:
            got = repr(wrong[0]) if wrong else "none"
            raise ValueError(
                f"`modalities` must be of visual, auditory and both; got {got}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "modalities", tuple(self.modalities))
        super().__post_init__()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the evidence for each choice by each sense."""
        return ("fixation", "visual 1", "visual 2", "auditory 1", "auditory 2")

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """Half of each coherence, for and against, by each sense that is stimulated."""
        means = []
        for modality in self.modalities:
            for scale in self._scales(modality):
                for coherence in self.coherences:
                    half = scale * coherence / 2
                    means += [half, -half]
        return tuple(means)

    def _scales(self, modality: str) -> list[float]:
        """Return the scales of the senses that are stimulated."""
        senses = {"visual": self.visual_scale, "auditory": self.auditory_scale}
        if modality == "both":
            return [self.scale * scale for scale in senses.values()]
        return [self.scale * senses[modality]]

    @property
    def ideal(self) -> float | None:
        """Accuracy of an ideal observer, who weighs both senses by how much they tell.

        As in :class:`PerceptualDecision`; None where noise of the inputs hides which sense is
        stimulated.
        """
        if self.input_noise and len(set(self.modalities)) > 1:
            return None
        return super().ideal

    def _mean_accuracy(self, coherence: float) -> float:
        scores = []
        for modality in self.modalities:
            # Squares of what two independent senses tell add up.
            scale = math.hypot(*self._scales(modality))
            scores.append(self._accuracy_of(scale * coherence))
        return math.fsum(scores) / len(scores)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        which = torch.randint(len(self.modalities), (n,), generator=generator)
        coherence, choice = draw_evidence(n, self.coherences, generator)
        # Numbered alike, whichever of them there are.
        codes = torch.tensor([_MODALITIES.index(name) for name in self.modalities])
        modality = codes[which]
        means = evidence_means(self.scale * coherence, choice)
        shown = [self.visual_scale * means, self.auditory_scale * means]
        inputs = self._blank(timeline)
        self._show(inputs, timeline, "stimulus", torch.cat(shown, dim=1), generator)
        # What is seen only is not heard, and the reverse.
        inputs[:, modality == 0, 3:] = 0
        inputs[:, modality == 1, 1:3] = 0
        conditions = {
            "modality": modality + 1,
            "coherence": coherence,
            "choice": choice,
        }
        return self._trials(inputs, choice, conditions, timeline)
