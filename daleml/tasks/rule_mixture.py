"""Trials of several rules, for one network that learns them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml.tasks import yang_rules as published
from daleml.tasks.rule_task import RuleSettings
from daleml.tasks.timeline import Timeline, drawn
from daleml.tasks.trials import Period, Trials
from daleml.tasks.yang_rules import PERIODS, RULES, Contents, Rule


@dataclass(frozen=True, kw_only=True)
class RuleMixture(RuleSettings):
    """Trials of several rules, each drawn anew for every trial: one network learns them all.

    Args:
        rules: The rules, by their names in :class:`RuleTask`, each as likely as the others;
            default: all twenty.
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
        >>> import torch
        >>> task = RuleMixture(rules=("Go", "Anti", "DMS"))
        >>> trials = task.sample(60, generator=torch.Generator().manual_seed(0))
        >>> task.score_by_rule(trials.targets, trials)
        {'Go': 1.0, 'Anti': 1.0, 'DMS': 1.0}

    Notes:
        See :class:`RuleTask`, also for what is Yang et al.'s and what is chosen here.

    References:
        Yang, Joglekar, Song, Newsome, Wang 2019 Nature Neuroscience 22:297.
    """

    rules: Sequence[str] = tuple(RULES)

    def __post_init__(self) -> None:
        if not isinstance(self.rules, Sequence) or isinstance(self.rules, str):
            raise TypeError(f"`rules` must be a sequence of names; got {self.rules!r}.")
        if not self.rules:
            raise ValueError("`rules` must name at least one rule; got none.")
        for name in self.rules:
            published.named("rules", name)
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "rules", tuple(self.rules))
        super().__post_init__()

    @property
    def _rules(self) -> tuple[Rule, ...]:
        return tuple(RULES[name] for name in self.rules)

    @property
    def periods(self) -> tuple[Period, ...]:
        """None that all trials share: ask the trials."""
        return ()

    @property
    def n_steps(self) -> int:
        """The most steps that a trial of these rules may have."""
        most = []
        for name in self.rules:
            found = self._distributions_of(RULES[name])
            most.append(sum(int(counts[-1]) for counts, _ in found.values()))
        return max(most)

    def score_by_rule(self, outputs: Tensor, trials: Trials) -> dict[str, float]:
        """Return the accuracy under each rule that the trials have.

        Args:
            outputs: What the network answered, (time, trials, n_outputs).
            trials: What it was asked.

        Raises:
            ValueError: If ``outputs`` has another shape.
        """
        right = self.right(outputs, trials).to("cpu", torch.float64)
        found = {}
        for number, name in enumerate(RULES, start=1):
            of_rule = trials.conditions["rule"] == number
            if bool(of_rule.any()):
                found[name] = float(right[of_rule].mean())
        return found

    def _drawn_durations(self, timeline: Timeline) -> dict[str, Tensor]:
        found = {}
        for name in PERIODS:
            in_ms = timeline.steps(name) * self.dt_ms
            found[f"{name}_ms"] = in_ms.to(torch.get_default_dtype())
        return found

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        which = torch.randint(len(self.rules), (n,), generator=generator)
        codes = torch.tensor([list(RULES).index(name) for name in self.rules])
        parts, lasting_steps, order = [], [], []
        for number, name in enumerate(self.rules):
            mine = (which == number).nonzero()[:, 0]
            # Of many rules, a small batch may lack some.
            if not len(mine):
                continue
            found = self._distributions_of(RULES[name])
            lasting_steps.append(drawn(found, len(mine), generator))
            parts.append(self._contents(name, len(mine), generator))
            order.append(mine)
        # Back from the order of rules to that of trials.
        back = torch.cat(order).argsort()
        steps = {}
        for period in PERIODS:
            together = torch.cat([one[period] for one in lasting_steps])
            steps[period] = together[back]
        return self._trials_of(codes[which], steps, Contents.joined(parts, back))
