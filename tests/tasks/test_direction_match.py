"""Directions of motion that match by a rule, one after another or once."""

import math

import pytest
import torch

from daleml import tasks
from daleml.tasks.direction_stimuli import population_vector
from tests.tasks.observers import to_match_directions
from tests.tasks.test_tasks import one_hot, seeded

RULES = ("DMS", "DMRS45", "DMRS90", "DMRS180", "DMC")


@pytest.mark.parametrize("rule", RULES)
def test_half_of_the_trials_match_by_the_rule(rule):
    task = tasks.DirectionMatch(rule=rule, dt_ms=50)
    trials = task.sample(800, seeded())
    choice = trials.conditions["choice"]
    assert (choice == 1).double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(to_match_directions(task, trials), choice)
    turned = (trials.conditions["test"] - trials.conditions["sample"]) % 360
    others = turned[choice == 2].unique()
    # all but the one that matches; across the categories, all but none
    assert len(others) == 7
    if rule != "DMC":
        assert (turned[choice == 1] == int(rule[4:] or 0)).all()


def test_timing_and_tuning_are_the_published_ones():
    task = tasks.DirectionMatch()
    assert [tuple(period) for period in task.periods] == [
        ("fixation", 0, 500),
        ("sample", 500, 1000),
        ("delay", 1000, 2000),
        ("test", 2000, 2500),
        ("decision", 2000, 2500),
    ]
    assert (task.n_steps, task.n_inputs) == (250, 24)
    trials = task.sample(5, seeded())
    assert trials.mask[200:205].sum() == 0  # the first 50 ms of the test
    assert trials.mask.sum() == 5 * 245
    shown = trials.inputs[60]
    assert shown.max(1).values.tolist() == pytest.approx([4] * 5)
    assert shown.min(1).values.tolist() == pytest.approx([4 * math.exp(-4)] * 5)
    angles = population_vector(shown) * (180 / math.pi)
    off = (angles - trials.conditions["sample"] + 180) % 360 - 180
    assert off.abs().max() < 1e-3


class TestSequence:
    @pytest.mark.parametrize("rule", ["ABBA", "ABCA"])
    def test_each_test_is_asked_until_one_matches(self, rule):
        task = tasks.DirectionSequence(rule=rule, dt_ms=50, n_tests=4)
        trials = task.sample(150, seeded())
        c = trials.conditions
        for i in range(150):
            match = int(c["match"][i])
            shown = [float(c[f"test_{k}"][i]) for k in (1, 2, 3, 4)]
            others = []
            for k in (1, 2, 3, 4):
                asked = trials.targets[trials.during(f"test {k}")[:, i], i]
                counted = trials.mask[trials.during(f"test {k}")[:, i], i]
                seen = trials.inputs[trials.during(f"test {k}")[:, i], i]
                if match and k > match:
                    assert not counted.any()
                    assert not seen.any()
                    continue
                is_match = shown[k - 1] == c["sample"][i]
                assert is_match == (k == match)
                assert (asked == (1 if is_match else 2)).all()
                assert counted.tolist() == [False] + [True] * 7
                angle = population_vector(seen[0]) * (180 / math.pi)
                assert abs((angle - shown[k - 1] + 180) % 360 - 180) < 1e-3
                if not is_match:
                    others.append(shown[k - 1])
            if rule == "ABCA":
                assert len(set(others)) == len(others)
            elif len(others) > 1:
                assert others[0] == others[1]
                assert others[2:] == [] or others[2] != others[0]
        reached = c["match"] != 1
        fraction = (c["match"] == 1).double().mean().item()
        assert fraction == pytest.approx(0.5, abs=0.1)
        second = (c["match"][reached] == 2).double().mean().item()
        assert second == pytest.approx(0.5, abs=0.15)

    def test_who_takes_a_repeat_for_a_match_errs(self):
        task = tasks.DirectionSequence(dt_ms=50, p_match=0.0)
        trials = task.sample(10, seeded())
        answers = torch.full_like(trials.targets, 2)
        assert task.score(one_hot(answers, 3), trials) == 1
        answers[trials.during("test 2")] = 1
        assert task.score(one_hot(answers, 3), trials) == pytest.approx(2 / 3)


REFUSED = [
    (
        lambda: tasks.DirectionMatch(rule="DMRS30"),
        "`rule` must be one of DMS, DMRS45, DMRS90, DMRS180, DMC; got 'DMRS30'.",
    ),
    (
        lambda: tasks.DirectionMatch(rule="DMRS45", n_directions=6),
        "`n_directions` must be a multiple of 8 for DMRS45; got 6.",
    ),
    (
        lambda: tasks.DirectionMatch(rule="DMC", n_directions=5),
        "`n_directions` must be a multiple of 2 for DMC; got 5.",
    ),
    (
        lambda: tasks.DirectionMatch(grace_ms=500),
        "`grace_ms` must be below the shortest decision, 500; got 500.",
    ),
    (
        lambda: tasks.DirectionMatch(height=0),
        "`height` must be above 0; got 0.",
    ),
    (
        lambda: tasks.DirectionSequence(rule="ABAB"),
        "`rule` must be one of ABBA, ABCA; got 'ABAB'.",
    ),
    (
        lambda: tasks.DirectionSequence(n_tests=8),
        "`n_directions` must be at least 9; got 8.",
    ),
    (
        lambda: tasks.DirectionSequence(p_match=1.5),
        "`p_match` must be a fraction in [0, 1]; got 1.5.",
    ),
    (
        lambda: tasks.DirectionSequence(grace_ms=400),
        "`grace_ms` must be below the shortest test, 400; got 400.",
    ),
]


@pytest.mark.parametrize(
    ("call", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED]
)
def test_bad_settings_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence
