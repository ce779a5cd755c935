"""The twenty rules: what is shown says what is right, by a reading of each rule of its own."""

import dataclasses
import math

import pytest
import torch

from daleml import tasks
from daleml.tasks.direction_stimuli import (
    bump,
    distance,
    population_vector,
    preferred,
    von_mises,
)
from daleml.tasks.yang_rules import RULES
from tests.tasks.test_tasks import seeded

N = 32


def strengths_of(inputs, directions):
    """How strong each of some bumps is in each ring, by least squares."""
    shapes = bump(directions, N, 0.8, math.pi / 8)
    rings = inputs[1 : 1 + 2 * N].view(2, N)
    return torch.linalg.lstsq(shapes.T.double(), rings.T.double()).solution.T


def seen_in(trials, i, period, directions):
    """Strengths in a ring of each stimulus, (rings, stimuli), at the first step of a period."""
    start = round(trials.onsets[period][i].item() / trials.dt_ms)
    return strengths_of(trials.inputs[start, i], directions)


def right_answer(name, trials, i):
    """Number of the stimulus to answer, 0 or 1, or its opposite, or None, from what is shown."""
    directions = torch.stack(
        [trials.conditions[key][i] for key in ("first", "second")]
    ) * (math.pi / 180)
    if name.endswith(("Go", "Anti")):
        period = "decision" if name.startswith("RT") else "stimulus"
        strengths = seen_in(trials, i, period, directions[:1])
        assert sorted(strengths.flatten().round(decimals=3).tolist()) == [0, 1]
        return (directions[0] + math.pi * name.endswith("Anti")) % (2 * math.pi)
    if "DM " in name or name.endswith("DM"):
        if "Dly" in name:
            one = seen_in(trials, i, "stimulus", directions[:1])[:, 0]
            other = seen_in(trials, i, "test", directions[1:])[:, 0]
        else:
            one, other = seen_in(trials, i, "stimulus", directions).unbind(1)
        rings = {"1": [0], "2": [1]}.get(name[-1], [0, 1])
        if "Ctx" in name or "Mult" in name:
            assert (torch.stack([one, other]) > 0.3).all()
        else:
            assert one[1 - rings[0]].abs() < 1e-3
        difference = (one - other)[rings].sum()
        assert abs(difference) > 0.02
        return directions[0 if difference > 0 else 1]
    seen_in(trials, i, "stimulus", directions[:1])
    first, second = directions.tolist()
    if name.endswith("MS"):
        same = abs(first - second) < 1e-6
        assert same or distance(directions[0], directions[1]) > math.pi / 2 - 1e-4
    else:
        same = (first < math.pi) == (second < math.pi)
    return directions[1] if same == name.startswith("DM") else None


@pytest.mark.parametrize("name", RULES)
def test_targets_follow_from_what_is_shown(name):
    task = tasks.RuleTask(rule=name)
    trials = task.sample(12, seeded(1))
    silent = 0
    for i in range(12):
        right = right_answer(name, trials, i)
        length = int(trials.lengths[i])
        target = trials.targets[length - 1, i]
        before = trials.targets[0, i]
        assert before[0] == pytest.approx(0.85)
        assert (before[1:] == 0.05).all()
        if right is None:
            silent += 1
            assert torch.equal(target, before)
            continue
        assert target[0] == pytest.approx(0.05)
        shape = 0.05 + bump(right, N, 0.8, math.pi / 8)
        torch.testing.assert_close(target[1:], shape, atol=1e-4, rtol=0)
    assert (0 < silent < 12) == (RULES[name].kind in ("match", "category"))


@pytest.mark.parametrize("name", RULES)
def test_cue_rule_and_grace(name):
    task = tasks.RuleTask(rule=name)
    trials = task.sample(6, seeded())
    decision = trials.during("decision")
    there = torch.arange(len(decision))[:, None] < trials.lengths
    cue = there if name.startswith("RT") else there & ~decision
    assert torch.equal(trials.inputs[..., 0] == 1, cue)
    number = list(RULES).index(name)
    rule = trials.inputs[..., 65:].sum((0, 1)).nonzero().flatten()
    assert rule.tolist() == [number]
    grace = trials.during("decision", window_ms=(0, 100))
    assert torch.equal(trials.mask, there & ~grace)
    periods = [p.name for p in trials.periods_of(0) if p.end_ms > p.start_ms]
    assert periods == list(RULES[name].periods)


class TestScore:
    TASK = tasks.RuleTask(rule="Go", fixation_ms=100, stimulus_ms=100)

    def outputs(self, turn, fixation):
        trials = self.TASK.sample(40, seeded())
        direction = trials.conditions["target"] * (math.pi / 180) + turn
        outputs = torch.zeros_like(trials.targets)
        outputs[..., 1:] = bump(direction, N, 1.0, 0.4)
        outputs[..., 0] = fixation
        return self.TASK.score(outputs, trials)

    def test_a_right_answer_is_within_36_degrees(self):
        assert self.outputs(math.radians(34), 0.4) == 1
        assert self.outputs(math.radians(-38), 0.4) == 0
        assert self.outputs(0, 0.6) == 0

    def test_in_a_non_match_fixating_is_right(self):
        task = tasks.RuleTask(rule="DNMS")
        trials = task.sample(100, seeded())
        fixating = torch.ones_like(trials.targets)
        silent = ~trials.conditions["answers"]
        assert torch.equal(task.right(fixating, trials), silent)

    def test_chance_of_a_mixture_is_that_of_the_better_guess(self):
        for rules, chance in (
            (("Go",), 0.2),
            (("DMS",), 0.5),
            (("Go", "DMS"), 0.25),
            (("Go", "DM 1", "DMC"), (0.2 + 0.2 + 0.1) / 3),
        ):
            assert tasks.RuleMixture(rules=rules).chance == pytest.approx(chance)
        assert tasks.RuleMixture().chance == pytest.approx(0.18)


class TestMixture:
    def test_each_rule_is_drawn_as_by_itself(self):
        task = tasks.RuleMixture(rules=("Go", "Dly DM 2", "DNMC"))
        trials = task.sample(300, seeded(2))
        counts = trials.conditions["rule"].bincount()
        numbers = [list(RULES).index(name) + 1 for name in task.rules]
        assert counts.nonzero().flatten().tolist() == numbers
        assert all(counts[number] > 60 for number in numbers)
        for i in range(0, 300, 15):
            name = list(RULES)[int(trials.conditions["rule"][i]) - 1]
            right = right_answer(name, trials, i)
            assert trials.conditions["answers"][i] == (right is not None)
            if right is not None:
                target = trials.conditions["target"][i] * (math.pi / 180)
                assert distance(target, torch.as_tensor(right)) < 1e-4
        assert task.score(trials.targets, trials) == 1
        assert task.n_steps >= trials.lengths.max()

    def test_one_rule_is_a_mixture_of_one(self):
        one = tasks.RuleTask(rule="Anti", fixation_ms=300, stimulus_ms=400)
        mixture = tasks.RuleMixture(rules=["Anti"], fixation_ms=300, stimulus_ms=400)
        trials = mixture.sample(8, seeded())
        assert trials.periods
        assert trials.inputs.shape == one.sample(8).inputs.shape
        assert set(mixture.score_by_rule(trials.targets, trials)) == {"Anti"}


def test_rings_of_directions():
    angles = torch.tensor([0.0, 1.0, 6.2])
    torch.testing.assert_close(
        population_vector(bump(angles, 48, 2.0, 0.4)), angles, atol=1e-4, rtol=0
    )
    ring = von_mises(angles, 24, 4.0, 2.0)
    torch.testing.assert_close(population_vector(ring), angles, atol=1e-4, rtol=0)
    # the largest at the direction that is preferred, the smallest opposite
    assert ring[0, 0] == 4
    assert ring[0, 12].item() == pytest.approx(4 * math.exp(-4))
    assert preferred(4).tolist() == pytest.approx(
        [0, math.pi / 2, math.pi, 1.5 * math.pi]
    )
    assert distance(torch.tensor(0.1), torch.tensor(6.2)).item() == pytest.approx(
        0.1 + 2 * math.pi - 6.2, abs=1e-5
    )


NAMES = ", ".join(RULES)
REFUSED = [
    (
        lambda: tasks.RuleTask(rule="go"),
        f"`rule` must be one of {NAMES}; got 'go': did you mean 'Go'?",
    ),
    (
        lambda: tasks.RuleTask(rule=3),
        f"`rule` must be one of {NAMES}; got 3.",
    ),
    (
        lambda: tasks.RuleMixture(rules=("Go", "Ctx DM1")),
        f"`rules` must be one of {NAMES}; got 'Ctx DM1': did you mean 'Ctx DM 1'?",
    ),
    (
        lambda: tasks.RuleMixture(rules=()),
        "`rules` must name at least one rule; got none.",
    ),
    (
        lambda: tasks.RuleMixture(rules="Go"),
        "`rules` must be a sequence of names; got 'Go'.",
    ),
    (
        lambda: tasks.RuleTask(coherences=(0.0, 0.1)),
        "`coherences` must be between 0 and 1, exclusive; got (0.0, 0.1).",
    ),
    (
        lambda: tasks.RuleTask(coherences=(-0.2,)),
        "`coherences` must be at least 0; got -0.2.",
    ),
    (
        lambda: tasks.RuleTask(grace_ms=500),
        "`grace_ms` must be below the shortest decision, 500; got 500.",
    ),
    (
        lambda: tasks.RuleTask(test_ms=tasks.Uniform(400, 810)),
        "`high_ms` must be a multiple of `dt_ms`, 20; got 810, in `test_ms`.",
    ),
    (lambda: tasks.RuleTask(n_ring=2), "`n_ring` must be at least 3; got 2."),
]


@pytest.mark.parametrize(
    ("call", "sentence"), REFUSED, ids=[sentence[-40:] for _, sentence in REFUSED]
)
def test_bad_settings_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_settings_are_kept_by_replace():
    task = tasks.RuleTask(rule="DMS", dt_ms=50)
    assert dataclasses.replace(task, rule="Go").dt_ms == 50
    assert task == tasks.RuleTask(rule="DMS", dt_ms=50)
    assert len({task, tasks.RuleTask(rule="DMS", dt_ms=50)}) == 1
