import numpy as np
import pytest
import torch

from daleml.analysis.activity import aligned, reaction_times
from daleml.tasks import PerceptualDecision, Uniform

TASK = PerceptualDecision(dt_ms=20, fixation_ms=100)


def sample(n=30):
    return TASK.sample(n, generator=torch.Generator().manual_seed(0))


def walks(n=30):
    steps = torch.randn(TASK.n_steps, n, 3, generator=torch.Generator().manual_seed(1))
    return steps.cumsum(0)


@pytest.mark.parametrize("margin", [False, True])
def test_times_are_those_of_a_loop(margin):
    outputs, trials = walks(), sample()
    found = reaction_times(outputs, trials, 2.0, margin=margin)
    for i in range(30):
        time, choice = np.nan, -1
        for t in range(5, TASK.n_steps):
            a, b = outputs[t, i, 1:].tolist()
            if (abs(a - b) if margin else max(a, b)) >= 2.0:
                time, choice = (t + 1) * 20 - 100, 1 if a > b else 2
                break
        np.testing.assert_equal(found.times_ms[i], time)
        assert found.choices[i] == choice
    assert found.n_missed == np.isnan(found.times_ms).sum()


def test_every_trial_may_have_its_onset():
    trials = sample(2)
    outputs = torch.ones(TASK.n_steps, 2, 3)
    found = reaction_times(outputs, trials, 1.0, onset_ms=[40.0, 55.0])
    # An onset within a step is answered in the next one at the earliest.
    np.testing.assert_array_equal(found.times_ms, [20.0, 25.0])
    trials.conditions["go_ms"] = torch.tensor([200.0, 400.0])
    assert reaction_times(outputs, trials, 1.0, onset_ms="go").times_ms.tolist() == [
        20,
        20,
    ]
    assert reaction_times(outputs, trials, 1.5).n_missed == 2


def test_what_no_trial_has_is_refused():
    outputs, trials = walks(), sample()
    for options, words in (
        ({"onset_ms": 900.0}, r"`onset_ms` must lie in the trials, \[0, 900\) ms; got 900."),
        ({"onset_ms": "cue"}, "an event must be a period or a condition of the trials"),
        ({"onset_ms": [1.0]}, "one value for each trial, 30; got 1."),
        ({"choices": [3]}, "`choices` must be numbers of outputs, 0 to 2"),
        ({"choices": [1], "margin": True}, "`margin` must be False for a single choice"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            reaction_times(outputs, trials, 1.0, **options)


def test_onsets_and_ends_are_those_of_each_trial():
    task = PerceptualDecision(dt_ms=20, fixation_ms=100, stimulus_ms=Uniform(200, 600))
    trials = task.sample(12, generator=torch.Generator().manual_seed(0))
    assert not trials.periods
    onset = trials.onsets["decision"].double().numpy()
    steps = torch.arange(len(trials.inputs))[:, None]
    # Past the end of a trial everything is an answer, which must not count.
    outputs = (steps >= trials.lengths).float()[..., None].expand(-1, -1, 3)
    assert reaction_times(outputs, trials, 1.0, onset_ms="decision").n_missed == 12
    ones = torch.ones_like(outputs)
    found = reaction_times(ones, trials, 1.0, onset_ms="decision")
    np.testing.assert_allclose(found.times_ms, 20.0)
    counts = aligned(ones, trials, "decision", (0, 400)).counts[0]
    left = trials.lengths.numpy() - np.round(onset / 20)
    assert counts.tolist() == [int((left > k).sum()) for k in range(20)]
