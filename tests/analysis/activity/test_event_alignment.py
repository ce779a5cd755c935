"""Aligned averages against a loop over trials and steps."""

import json

import numpy as np
import pytest
import torch

from daleml import Populations
from daleml.analysis.activity import aligned
from daleml.tasks import PerceptualDecision

RNG = np.random.default_rng(0)
RATES = RNG.normal(size=(20, 9, 4))
EVENTS = np.array([0.0, 15.0, 30.0, np.nan, 70.0, 100.0, 120.0, 145.0, 190.0])
ENDS = np.array([200.0, 150, 60, 200, 200, 110, 200, 200, 200])
LABELS = np.array(["a", "b"] * 4 + ["a"])


def test_averages_are_those_of_a_loop():
    result = aligned(RATES, 10.0, EVENTS, (-30, 50), conditions=LABELS, ends_ms=ENDS)
    assert result.times_ms.tolist() == list(range(-30, 50, 10))
    for c, label in enumerate(("a", "b")):
        for k, offset in enumerate(range(-3, 5)):
            there = []
            for i in range(9):
                if LABELS[i] != label or np.isnan(EVENTS[i]):
                    continue
                step = int(EVENTS[i] // 10) + offset
                if 0 <= step < ENDS[i] // 10:
                    there.append(RATES[step, i])
            assert result.counts[c, k] == len(there)
            if there:
                np.testing.assert_allclose(result.means[c, k], np.mean(there, axis=0))
            else:
                assert np.isnan(result.means[c, k]).all()
            if len(there) > 1:
                error = np.std(there, axis=0, ddof=1) / np.sqrt(len(there))
                np.testing.assert_allclose(result.standard_errors[c, k], error)
            else:
                assert np.isnan(result.standard_errors[c, k]).all()
    assert (result.n, result.n_excluded, result.n_trials) == (8, 1, (5, 3))
    json.dumps(result.to_dict(), allow_nan=False)


def test_populations_are_averaged_in_each_trial():
    result = aligned(RATES, 10.0, 50.0, (0, 10), populations=Populations(3, 1))
    assert result.names == ("E", "I")
    of_trials = RATES[5, :, :3].mean(axis=1)
    assert result.means[0, 0, 0] == pytest.approx(of_trials.mean())
    error = of_trials.std(ddof=1) / 3
    assert result.standard_errors[0, 0, 0] == pytest.approx(error)


def test_an_event_may_be_a_period_or_a_condition_of_the_trials():
    task = PerceptualDecision(fixation_ms=200)
    trials = task.sample(4)
    rates = torch.arange(10.0)[:, None, None].expand(10, 4, 2)
    by_period = aligned(rates, trials, "stimulus", (-100, 200))
    assert by_period.means[0, :, 0].tolist() == [1, 2, 3]
    assert by_period.event == "stimulus"
    trials.conditions["go_ms"] = torch.tensor([100.0, 200.0, 300.0, float("nan")])
    by_trial = aligned(rates, trials, "go", (0, 100))
    assert (by_trial.means[0, 0, 0], by_trial.n_excluded) == (2.0, 1)


@pytest.mark.parametrize(
    ("event", "window", "options", "words"),
    [
        ("go", (0, 10), {}, "`event` must be times in ms where `trials` is a duration; got 'go'."),
        (200.0, (0, 10), {}, "`event` must lie within each trial, or be NaN; got 200 ms."),
        ([1.0], (0, 10), {}, "`event` must have one time for each trial, 9; got 1."),
        ([np.nan] * 9, (0, 10), {}, "`event` must occur in some trial; got NaN in all."),
        (50.0, (0, 15), {}, "`window_ms` must be whole steps of 10 ms; got (0, 15)."),
        (50.0, (20, 10), {}, "`window_ms` must end after it begins; got (20, 10)."),
        (50.0, (1000, 1100), {}, "`window_ms` must reach into some trial around the event; got (1000, 1100), in which no trial has a step."),
        (50.0, 10, {}, "`window_ms` must be two times, (start, end); got 10."),
        (50.0, (0, 10), {"ends_ms": [300.0] * 9}, "`ends_ms` must lie in (0, 200] ms; got 300 to 300."),
    ],
)  # fmt: skip
def test_what_cannot_be_aligned_is_refused(event, window, options, words):
    with pytest.raises((TypeError, ValueError)) as refused:
        aligned(RATES, 10.0, event, window, **options)
    assert str(refused.value) == words


def test_rates_of_other_trials_are_refused():
    trials = PerceptualDecision().sample(9)
    with pytest.raises(ValueError, match="those that `rates` are of, 20 steps of 9"):
        aligned(RATES, trials, "stimulus", (0, 100))
