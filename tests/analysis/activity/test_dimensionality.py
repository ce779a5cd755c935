import json

import numpy as np
import pytest
import torch
from torch import nn

from daleml.analysis import activity


def normal_samples(variances, n, seed=0):
    """Independent normal samples whose covariance has the given eigenvalues."""
    rng = np.random.default_rng(seed)
    units = len(variances)
    rotation, _ = np.linalg.qr(rng.normal(size=(units, units)))
    return rng.normal(size=(n, units)) * np.sqrt(variances) @ rotation


def test_isotropic_samples_fill_all_directions():
    result = activity.dimension(normal_samples(np.ones(20), 20_000))
    assert result.participation_ratio == pytest.approx(20, rel=2e-3)
    assert result.corrected == pytest.approx(20, rel=2e-3)
    assert not result.small_sample
    assert 17 <= result.n_components <= 19  # 18 of 20 hold nine tenths


def test_a_low_dimension_is_found_in_many_units():
    variances = np.r_[np.ones(3), np.zeros(47)]
    result = activity.dimension(normal_samples(variances, 5000), 0.95)
    assert result.participation_ratio == pytest.approx(3, rel=0.01)
    assert result.n_components == 3
    assert result.variances[:3] == pytest.approx(np.ones(3), rel=0.1)
    assert result.variances[3:] == pytest.approx(np.zeros(47), abs=1e-12)


def test_few_samples_are_corrected_for_and_said():
    found = []
    for seed in range(40):
        result = activity.dimension(normal_samples(np.ones(30), 40, seed))
        assert result.small_sample
        found.append((result.participation_ratio, result.corrected))
    plain, corrected = np.mean(found, axis=0)
    # 1/30 + 1/39: what few samples make of thirty dimensions.
    assert plain == pytest.approx(1 / (1 / 30 + 1 / 39), rel=0.05)
    assert corrected == pytest.approx(30, rel=0.05)


def test_formula_against_eigenvalues_of_the_covariance():
    samples = normal_samples([4.0, 2.0, 1.0, 0.5], 200)
    values = np.linalg.eigvalsh(np.cov(samples.T))
    expected = values.sum() ** 2 / np.sum(values**2)
    result = activity.dimension(samples.reshape(10, 20, 4))
    assert result.participation_ratio == pytest.approx(expected)
    assert result.n_samples == 200
    assert activity.dimension(1e-160 * samples).participation_ratio == pytest.approx(
        expected
    )


def test_rates_that_do_not_vary_have_no_dimension():
    result = activity.dimension(np.full((50, 4), 0.1))
    assert (result.participation_ratio, result.n_components) == (0, 0)
    assert json.loads(json.dumps(result.to_dict()))["small_sample"] is False


def test_a_trajectory_has_a_dimension():
    rnn = nn.RNN(3, 8)
    inputs = torch.rand(30, 4, 3)
    result = activity.dimension(activity.trajectory(rnn, inputs))
    again = activity.dimension(rnn(inputs)[0])
    assert result.participation_ratio == pytest.approx(again.participation_ratio, 1e-4)


def test_what_is_unknown_is_none():
    result = activity.dimension(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert result.to_dict()["corrected"] is None
    assert result.small_sample
    assert "The sample is small" in str(result)


@pytest.mark.parametrize(
    ("rates", "fraction", "error", "sentence"),
    [
        ("no", 0.9, TypeError, "`rates` must be numbers, units last; got str."),
        (np.ones(3), 0.9, ValueError, "`rates` must have units as their last dimension"),
        (np.ones((3, 0)), 0.9, ValueError, "`rates` must have a unit"),
        (np.ones((1, 3)), 0.9, ValueError, "`rates` must be two samples or more; got 1."),
        (np.full((4, 3), np.nan), 0.9, ValueError, "`rates` must be finite; got 12"),
        (np.ones((4, 3)), 0.0, ValueError, "`variance_fraction` must be above 0; got 0."),
        (np.ones((4, 3)), 1.5, ValueError, "`variance_fraction` must be a fraction"),
    ],
)  # fmt: skip
def test_wrong_rates_are_refused(rates, fraction, error, sentence):
    with pytest.raises(error, match=sentence):
        activity.dimension(rates, fraction)
