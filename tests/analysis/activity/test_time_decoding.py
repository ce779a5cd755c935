"""Decoding against scikit-learn, and how often it finds what is not there."""

import json

import numpy as np
import pytest
import torch

from daleml.analysis.activity import decode
from daleml.analysis.activity.time_decoding import _folds

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("n_labels", "n_units"), [(2, 12), (3, 12), (3, 90)])
def test_it_answers_as_the_ridge_classifier_of_scikit_learn(n_labels, n_units):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = np.arange(53) % n_labels
    states = RNG.normal(size=(53, n_units))
    states[:, 0] += 0.8 * labels
    result = decode(states, labels, penalty=3.0, n_shuffles=19)
    answers = np.empty(53, dtype=int)
    for held in _folds(labels, 5, np.random.default_rng(0)):
        shown = np.setdiff1d(np.arange(53), held)
        reader = make_pipeline(StandardScaler(), RidgeClassifier(alpha=3.0))
        answers[held] = reader.fit(states[shown], labels[shown]).predict(states[held])
    by_label = [(answers[labels == one] == one).mean() for one in range(n_labels)]
    assert result.accuracy[0] == pytest.approx(np.mean(by_label))


def test_folds_have_every_label_in_its_proportion_and_every_trial_once():
    labels = np.repeat([0, 1, 2], [30, 20, 7])
    folds = _folds(labels, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds).tolist()) == list(range(57))
    for fold in folds:
        counts = np.bincount(labels[fold], minlength=3)
        assert (np.abs(counts - [6, 4, 1.4]) <= 1).all()


def test_labels_are_told_when_they_are_there_and_only_then():
    states = torch.randn(6, 60, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(60) % 4
    states[3:] += 3 * torch.nn.functional.one_hot(labels, 10)
    result = decode(states, labels, dt_ms=20)
    assert result.decodable.tolist() == [False] * 3 + [True] * 3
    assert result.accuracy[3:].min() > 0.8
    assert result.chance == pytest.approx(0.25, abs=0.03)
    low, high = result.chance_interval
    assert (low[:3] <= result.accuracy[:3]).all()
    assert (result.accuracy[:3] <= high[:3]).all()
    assert result.times_ms.tolist() == [0, 20, 40, 60, 80, 100]
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["n"] == 60


def test_a_silent_unit_does_no_harm_and_the_scale_of_others_no_difference():
    states = RNG.normal(size=(40, 5))
    labels = np.arange(40) % 2
    states[:, 1] += labels
    scaled = np.c_[1e6 * states + 3, np.full(40, 7.0)]
    one, other = decode(states, labels), decode(scaled, labels)
    assert one.accuracy == other.accuracy


def test_where_nothing_is_there_it_is_found_at_any_time_in_5_of_100_cases():
    """Few trials, unequal labels, activity that is correlated over time."""
    rng = np.random.default_rng(0)
    found = 0
    for seed in range(200):
        states = rng.normal(size=(4, 17, 6)).cumsum(axis=0)
        labels = np.repeat([0, 1], [6, 11])
        result = decode(states, labels, n_folds=3, n_shuffles=39, rng=seed)
        found += result.decodable.any()
    # 200 cases of probability 0.05: a standard deviation is 0.015.
    assert 0.015 < found / 200 < 0.1


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.ones((9, 2)), [0] * 9), {}, "two, each of at least `n_folds` trials, 5; got {0: 9}."),
        ((np.ones((9, 2)), [0] * 5 + [1] * 4), {}, "5; got {0: 5, 1: 4}."),
        ((np.full((9, 2), np.nan), [0] * 9), {}, "`states` must be finite"),
        ((np.ones((9, 2)), [0] * 8), {}, "one value for each of 9 trials"),
        ((np.ones((4, 2)), [0, 1] * 2), {"n_folds": 1}, "`n_folds` must be at least 2; got 1."),
        ((np.ones((9, 2)), [0, 1] * 4 + [0]), {"n_folds": 2, "confidence": 0.999}, "at least 999 for"),
        ((np.ones((4, 2)), [0, 1] * 2), {"n_folds": 2, "penalty": 0}, "must be above 0; got 0."),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_is_refused(arguments, options, words):
    with pytest.raises(ValueError) as refused:
        decode(*arguments, **options)
    assert words in str(refused.value)
