import numpy as np
import pytest
import torch

from daleml.analysis.activity import psychometric, signed_choices
from daleml.tasks import PerceptualDecision

TASK = PerceptualDecision(coherences=(0.1, 0.5))


def sample(n=40):
    return TASK.sample(n, generator=torch.Generator().manual_seed(0))


def answers(classes):
    return torch.nn.functional.one_hot(classes, 3).float()


def test_choices_and_strengths_are_those_of_a_loop():
    trials = sample()
    outputs = torch.randn(
        TASK.n_steps, 40, 3, generator=torch.Generator().manual_seed(1)
    )
    made = signed_choices(outputs, trials)
    for i in range(40):
        size, right = (float(trials.conditions[k][i]) for k in ("coherence", "choice"))
        assert made.strengths[i] == pytest.approx(size if right == 1 else -size)
        answer = int(outputs[-1, i].argmax())
        if answer == 0:
            assert np.isnan(made.choices[i])
            assert np.isnan(made.correct[i])
        else:
            assert made.choices[i] == (answer == 1)
            assert made.correct[i] == (answer == right)
    assert made.n_missed == int((outputs[-1].argmax(-1) == 0).sum())


def test_the_last_step_that_counts_is_read_where_trials_differ_in_length():
    trials = sample()
    trials.mask[-1, ::2] = False
    late, early = answers(torch.full((40,), 1)), answers(torch.full((40,), 2))
    outputs = torch.stack([early] * (TASK.n_steps - 1) + [late])
    made = signed_choices(outputs, trials)
    np.testing.assert_array_equal(made.choices, [0, 1] * 20)


def test_it_gives_what_a_psychometric_curve_takes():
    trials = sample(400)
    outputs = trials.inputs.cumsum(0)
    outputs[..., 0] = 0
    made = signed_choices(outputs, trials)
    curve = psychometric(made.strengths, made.choices, n_lapses=0)
    assert curve.slope > 0
    assert curve.n == 400


def test_what_is_not_of_two_choices_is_refused():
    trials, outputs = sample(), torch.zeros(TASK.n_steps, 40, 3)
    with pytest.raises(TypeError, match="`trials` must be Trials"):
        signed_choices(outputs, None)
    with pytest.raises(ValueError, match=r"must have shape \(8, 40, n_outputs\)"):
        signed_choices(outputs[1:], trials)
    with pytest.raises(ValueError, match="three for each trial"):
        signed_choices(torch.zeros(TASK.n_steps, 40, 4), trials)
    with pytest.raises(ValueError, match="the condition 'contrast'; got those of"):
        signed_choices(outputs, trials, strength="contrast")
    with pytest.raises(ValueError, match="is 0, 1 or 2 in each trial"):
        signed_choices(outputs, trials, choice="coherence")


def test_a_catch_trial_has_no_strength_and_fixating_is_right():
    task = PerceptualDecision(catch=0.5)
    trials = task.sample(30, generator=torch.Generator().manual_seed(0))
    outputs = torch.zeros(task.n_steps, 30, 3)
    outputs[..., 1] = 1
    made = signed_choices(outputs, trials)
    is_catch = trials.conditions["catch"].numpy()
    assert 0 < is_catch.sum() < 30
    np.testing.assert_array_equal(np.isnan(made.strengths), is_catch)
    assert psychometric(made.strengths, made.choices).n_excluded == is_catch.sum()
