"""A task of one of twenty rules, which an input of its own names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml.tasks import durations as lasting
from daleml.tasks import yang_rules as published
from daleml.tasks.direction_stimuli import bump, distance, population_vector
from daleml.tasks.durations import Choice, Duration, Uniform, numbers, whole_steps
from daleml.tasks.task import RegressionTask
from daleml.tasks.timed_tasks import TimedTask
from daleml.tasks.timeline import Timeline, drawn
from daleml.tasks.trials import Trials
from daleml.tasks.yang_rules import PERIODS, RULES, Contents, Rule

_LOW, _HIGH = 0.05, 0.85
"""Targets of an output that is off, and of one that is on."""
_WINDOW = math.pi / 5
"""How far from the target a right answer may be: 36 degrees."""

# Chosen here: an observer can foresee neither the stimulus nor the end of a delay.
_FIXATION, _STIMULUS = Uniform(300, 700), Uniform(400, 800)
_DELAY = Choice((200, 400, 800, 1600))


@dataclass(frozen=True, eq=False, kw_only=True)
class RuleSettings(TimedTask, RegressionTask):
    """What one rule and a mixture of rules share."""

    fixation_ms: float | Duration = _FIXATION
    stimulus_ms: float | Duration = _STIMULUS
    delay_ms: float | Duration = _DELAY
    test_ms: float | Duration = _STIMULUS
    decision_ms: float | Duration = 500.0
    coherences: Sequence[float] = (0.08, 0.16, 0.32)
    n_ring: int = 32
    n_categories: int = 5
    grace_ms: float = 100.0
    dt_ms: float = 20.0

    measure = "accuracy"
    higher_is_better = True

    def __post_init__(self) -> None:
        require.integer("n_ring", self.n_ring, minimum=3)
        require.integer("n_categories", self.n_categories, minimum=1)
        checked = numbers("coherences", self.coherences)
        # The weaker of two stimuli would have a strength below 0.
        if not 0 < min(checked) <= max(checked) < 1:
            raise ValueError(
                f"`coherences` must be between 0 and 1, exclusive; got {self.coherences}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "coherences", checked)
        super().__post_init__()
        whole_steps("grace_ms", self.grace_ms, self.dt_ms, may_be_zero=True)
        counts, _ = lasting.distribution("decision_ms", self.decision_ms, self.dt_ms)
        if self.grace_ms >= int(counts[0]) * self.dt_ms:
            raise ValueError(
                "`grace_ms` must be below the shortest decision,"
                f" {int(counts[0]) * self.dt_ms:g}; got {self.grace_ms:g}."
            )

    @property
    def _rules(self) -> tuple[Rule, ...]:
        raise NotImplementedError

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue, two rings of directions, and the rules."""
        rings = []
        for ring in (1, 2):
            rings += [f"ring {ring}: {i + 1}" for i in range(self.n_ring)]
        return ("fixation", *rings, *(f"rule: {name}" for name in RULES))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Fixation, and a ring of directions to answer."""
        return ("fixation", *(f"direction: {i + 1}" for i in range(self.n_ring)))

    @property
    def chance(self) -> float:
        """Accuracy of the best guess: one direction, within 36 degrees, or no answer at all."""
        silent = sum(rule.kind in ("match", "category") for rule in self._rules)
        n = len(self._rules)
        # Half of the trials of rules of matching are to be left without an answer.
        never = 0.5 * silent / n
        always = (_WINDOW / math.pi) * (n - 0.5 * silent) / n
        return max(never, always)

    @property
    def ideal(self) -> float | None:
        """Accuracy of an ideal observer: 1 without noise; with it, there is no closed form."""
        return None if self.input_noise else 1.0

    def _durations_of(self, rule: Rule) -> dict[str, float | Duration]:
        found: dict[str, float | Duration] = {}
        for period in PERIODS:
            found[period] = 0.0
            if period in rule.periods:
                found[period] = getattr(self, f"{period}_ms")
        return found

    def _distributions_of(self, rule: Rule) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for name, value in self._durations_of(rule).items():
            found[name] = lasting.distribution(
                name, value, self.dt_ms, may_be_zero=True
            )
        return found

    def _contents(
        self, rule: str, n: int, generator: torch.Generator | None
    ) -> Contents:
        return published.draw(
            RULES[rule], n, self.coherences, self.n_categories, generator
        )

    # -- judging

    def score(self, outputs: Tensor, trials: Trials) -> float:
        """Return the fraction of trials that are answered rightly.

        An answer is given where the fixation output is below 0.5 on average over the steps of the
        decision that count. It is right within 36 degrees of the target: the direction is that of
        the population vector of the ring of outputs over these steps.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """
        return float(self.right(outputs, trials).to("cpu", torch.float64).mean())

    def right(self, outputs: Tensor, trials: Trials) -> Tensor:
        """Return whether each trial is answered rightly, (trials,), bool; see :meth:`score`."""
        self._require(outputs, trials)
        # Early in the decision an answer is still on its way, which the grace leaves out.
        counted = (trials.mask & trials.during("decision"))[..., None]
        means = (outputs.detach() * counted).sum(0) / counted.sum(0)
        answered = means[:, 0] < 0.5
        direction = population_vector(means[:, 1:])
        target = trials.conditions["target"] * (math.pi / 180)
        near = distance(direction, target) < _WINDOW
        asked = trials.conditions["answers"]
        return torch.where(asked, answered & near, ~answered)

    # -- sampling

    def _trials_of(
        self,
        rule_numbers: Tensor,
        steps: dict[str, Tensor],
        contents: Contents,
    ) -> Trials:
        """Return trials, of several rules or one, from what was drawn for each."""
        timeline = Timeline.consecutive(steps, self.dt_ms)
        during = torch.stack([timeline.during(period) for period in PERIODS])
        deciding = during[-1]
        inputs = torch.zeros(timeline.n_steps, len(rule_numbers), self.n_inputs)
        stays = torch.tensor([rule.cue_stays for rule in RULES.values()])
        inputs[..., 0] = stays[rule_numbers] | ~deciding
        # Whether each stimulus is seen: (time, trials, stimuli).
        visible = published.visible()[rule_numbers].permute(2, 0, 1)
        seen = (during[..., None] & visible[:, None]).any(0)
        shapes = bump(contents.directions, self.n_ring, 0.8, math.pi / 8)
        rings = torch.einsum(
            "tns,nsr,nsu->tnru", seen.to(shapes), contents.strengths, shapes
        )
        inputs[..., 1 : 1 + 2 * self.n_ring] = rings.flatten(2)
        # The rule is told throughout the trial.
        coded = torch.nn.functional.one_hot(rule_numbers, len(RULES))
        inputs[..., 1 + 2 * self.n_ring :] = coded
        targets = torch.full((*deciding.shape, self.n_outputs), _LOW)
        # Fixation stays asked for where no answer is.
        answering = deciding & contents.answers
        targets[..., 0] = torch.where(answering, _LOW, _HIGH)
        peak = bump(contents.target, self.n_ring, _HIGH - _LOW, math.pi / 8)
        targets[..., 1:] += answering[..., None] * peak
        grace = timeline.beginning("decision", round(self.grace_ms / self.dt_ms))
        degrees = contents.directions * (180 / math.pi)
        conditions = {
            "rule": rule_numbers + 1,
            "first": degrees[:, 0],
            "second": degrees[:, 1],
            "evidence": contents.evidence,
            "target": contents.target * (180 / math.pi),
            "answers": contents.answers,
        }
        return self._timed_trials(inputs, targets, ~grace, conditions, timeline)


@dataclass(frozen=True, kw_only=True)
class RuleTask(RuleSettings):
    r"""Answer with a direction, by one of the twenty rules of Yang et al.

    Two rings of inputs are tuned to directions; a fixation cue is on until an answer is asked for,
    and one input of twenty says the rule. The outputs are fixation, and a ring of directions. A
    stimulus of strength :math:`\gamma` at direction :math:`\theta` and a target are bumps,

    .. math::
        x_i = 0.8\, \gamma\, e^{-(\theta - \theta_i)^2 / 2 w^2}, \qquad w = \pi / 8, \qquad
        z_i = 0.05 + 0.8\, e^{-(\theta^* - \theta_i)^2 / 2 w^2} .

    ======================  ==================================================================
    Go, RT Go, Dly Go       the direction of the stimulus: when the cue ends, at once, after a
                            delay
    Anti, RT Anti, ...      the opposite direction
    DM 1, DM 2              the stronger of two stimuli, in ring 1, in ring 2
    Ctx DM 1, Ctx DM 2      the same in one ring, while the other says something else
    MultSen DM              the stronger one by the sum of both rings
    Dly DM 1, ...           the same five, for stimuli that follow each other after a delay
    DMS, DNMS               the second stimulus, if it is the first (is not); else fixate
    DMC, DNMC               likewise, if both are of one half of the circle (are not)
    ======================  ==================================================================

    Learned by mean squared error, judged by accuracy.

    Args:
        rule: The rule, by its name above.
        fixation_ms: Duration before the stimulus. This and the others are numbers of ms, or a
            :class:`Duration` that is drawn for each trial; a rule uses those it has.
        stimulus_ms: Duration of the first stimulus, or of both.
        delay_ms: Duration after the first stimulus.
        test_ms: Duration of the second stimulus, under the rules Dly DM.
        decision_ms: Duration of the answer.
        coherences: By how much one of two stimuli may be the stronger one, each as likely.
        n_ring: How many units each ring has.
        n_categories: How many directions there are in each of the two categories.
        grace_ms: For how long after the decision has begun nothing counts.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, there is no such rule, or a duration is no
            multiple of ``dt_ms``.

    Example:
        >>> task = RuleTask(rule="Ctx DM 1", stimulus_ms=400, fixation_ms=300)
        >>> task.n_inputs, task.n_outputs, task.n_steps
        (85, 33, 60)
        >>> task.measure, round(task.chance, 3), task.ideal
        ('accuracy', 0.2, 1.0)
        >>> trials = task.sample(20)
        >>> task.score(trials.targets, trials)
        1.0

    Notes:
        The rings, the fixation cue, the rule inputs and least squares are Yang et al.'s, whose
        noise of the inputs is an ``input_noise`` of 0.0141. All durations, the strengths of
        stimuli, the width of bumps and the window of a right answer, 36 degrees, are chosen here,
        and every step that counts has the same weight. In ``trials.conditions``, ``rule`` counts
        from 1, directions are in degrees, ``evidence`` is by how much the first stimulus is the
        stronger one, and ``answers`` is whether to answer at all.

    References:
        Yang, Joglekar, Song, Newsome, Wang 2019 Nature Neuroscience 22:297.
    """

    rule: str = "Go"

    def __post_init__(self) -> None:
        published.named("rule", self.rule)
        super().__post_init__()

    @property
    def _rules(self) -> tuple[Rule, ...]:
        return (RULES[self.rule],)

    @property
    def durations(self) -> dict[str, float | Duration]:
        """How long each period lasts; 0 for those that the rule has not."""
        return self._durations_of(RULES[self.rule])

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        steps = drawn(self._distributions(), n, generator)
        numbers = torch.full((n,), list(RULES).index(self.rule))
        return self._trials_of(numbers, steps, self._contents(self.rule, n, generator))
