"""The task of counting words."""

import pytest
import torch

from daleml.learning import (
    EvidenceIntegration,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_counts_are_uniform_over_compositions_without_ties():
    task = EvidenceIntegration(n_words=4)
    trials = task.sample(20_000, seeded())
    counts = torch.stack([trials.conditions[f"n_{k}"] for k in (1, 2, 3)], 1)
    seen, times = counts.unique(dim=0, return_counts=True)
    legal = [
        (a, b, c)
        for a in range(5)
        for b in range(5 - a)
        for c in range(5 - a - b)
        if sorted((a, b, c))[-1] > sorted((a, b, c))[-2]
    ]
    assert {tuple(row) for row in seen.tolist()} == set(legal)
    expected = 20_000 / len(legal)
    assert float(((times - expected) ** 2 / expected).sum()) < 2 * len(
        legal
    )  # chi squared: mean len - 1
    assert torch.equal(counts.argmax(1), trials.targets[-1])


def test_a_phrase_holds_the_words_counted_in_random_order():
    task = EvidenceIntegration()
    trials = task.sample(200, seeded())
    which = torch.cdist(trials.inputs, task.words).argmin(-1)
    assert (which[-1] == 4).all()
    for k in (1, 2, 3):
        assert torch.equal((which[:-1] == k - 1).sum(0), trials.conditions[f"n_{k}"])
    assert (which[0] != which[0, 0]).any()
    assert task.words.unique().tolist() == pytest.approx([0.0, 0.2])
    assert torch.equal(task.words, EvidenceIntegration().words)
    assert not torch.equal(task.words, EvidenceIntegration(vocabulary=1).words)


def test_no_two_words_are_the_same():
    for vocabulary in range(50):
        words = EvidenceIntegration(n_features=3, vocabulary=vocabulary).words
        assert len(words.unique(dim=0)) == 5


def test_answers_of_one_a_trial_or_one_a_step():
    task = EvidenceIntegration()
    trials = task.sample(64, seeded())
    answers = torch.randn(64, 3, generator=seeded())
    expected = torch.nn.functional.cross_entropy(answers, trials.targets[-1])
    torch.testing.assert_close(task.loss(answers, trials), expected)
    stepwise = torch.randn(50, 64, 3)
    stepwise[-1] = answers
    torch.testing.assert_close(task.loss(stepwise, trials), expected)
    assert task.score(answers, trials) == task.score(stepwise, trials)
    right = torch.nn.functional.one_hot(trials.targets[-1], 3).float()
    assert task.score(right, trials) == task.ideal == 1
    with pytest.raises(
        ValueError, match=r"`outputs` must have shape \(50, 64, 3\); got \(50, 64\)"
    ):
        task.loss(stepwise[..., 0], trials)
