import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from daleml import Populations
from daleml.analysis import effective_rank, effective_weights, spectrum, svd_entropy
from daleml.layers import DANNLinear, EILinear


def with_singular_values(values, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(rows, rows)))
    right, _ = np.linalg.qr(rng.normal(size=(columns, columns)))
    matrix = np.zeros((rows, columns))
    np.fill_diagonal(matrix, values)
    return left @ matrix @ right


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8), st.integers(0, 4))
@settings(deadline=None)
def test_measures_of_chosen_singular_values(values, extra):
    values = np.sort(values)[::-1]
    s = spectrum(with_singular_values(values, len(values), len(values) + extra))
    np.testing.assert_allclose(
        s.singular_values, values, rtol=1e-9, atol=1e-12 * values[0]
    )
    p = values / values.sum()
    entropy = -np.sum(p * np.log(p))
    assert s.svd_entropy == pytest.approx(entropy / math.log(len(values)), abs=1e-9)
    assert s.effective_rank == pytest.approx(math.exp(entropy), rel=1e-9)
    assert s.effective_rank == pytest.approx(len(values) ** s.svd_entropy, rel=1e-9)
    assert s.stable_rank == pytest.approx(np.sum(values**2) / values[0] ** 2, rel=1e-9)
    assert s.participation_ratio == pytest.approx(
        np.sum(values**2) ** 2 / np.sum(values**4), rel=1e-9
    )


@pytest.mark.parametrize("n", [1, 2, 7])
def test_orthogonal(n):
    q = with_singular_values(np.ones(n), n, n)
    s = spectrum(q)
    ranks = [s.effective_rank, s.stable_rank, s.participation_ratio]
    assert ranks == pytest.approx([n] * 3)
    assert s.svd_entropy == pytest.approx(1 if n > 1 else 0)
    assert s.spectral_radius == pytest.approx(1)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3)])
@pytest.mark.parametrize("size", [1e-200, 1.0, 1e150])
def test_rank_one(shape, size):
    s = spectrum(size * np.ones(shape))
    assert s.svd_entropy == pytest.approx(0, abs=1e-9)
    assert [s.effective_rank, s.stable_rank, s.participation_ratio] == pytest.approx(
        [1] * 3
    )


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 8)])
def test_zero_matrix(shape):
    s = spectrum(np.zeros(shape))
    assert [s.svd_entropy, s.effective_rank, s.stable_rank, s.participation_ratio] == [
        0.0
    ] * 4
    assert "-0" not in str(s)


def test_spectral_radius_is_of_the_eigenvalues():
    rotation = 2 * np.array([[0.0, -1.0], [1.0, 0.0]])
    assert spectrum(rotation).spectral_radius == pytest.approx(2)
    jordan = np.array([[0.5, 100.0], [0.0, 0.5]])
    assert spectrum(jordan).spectral_radius == pytest.approx(0.5)
    with pytest.raises(
        ValueError,
        match=r"`weights` must be square to have eigenvalues; got shape \(2, 3\).",
    ):
        _ = spectrum(np.ones((2, 3))).spectral_radius


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.diag([2.0, -1.0, 1.0, 0.0]), 0.5),  # moduli 2, 1, 1, 0
        (3e200 * np.eye(5), 1.0),
        (np.ones((4, 4)), 0.25),  # rank one: 4 and three zeros
        (2 * np.array([[0.0, -1.0], [1.0, 0.0]]), 1.0),  # a rotation: 2i and -2i
        (np.array([[1.0, 100.0], [0.0, 0.5]]), 0.75),  # not those of the singular values
        (np.triu(np.ones((3, 3)), 1), 0.0),  # nilpotent: all are 0
        (np.zeros((3, 3)), 0.0),
        (np.roll(np.eye(6), 1, axis=0), 1.0),  # a cycle: the sixth roots of 1
    ],
)  # fmt: skip
def test_eigenvalue_rank(matrix, expected):
    assert spectrum(matrix).eigenvalue_rank == pytest.approx(expected, abs=1e-7)


def test_eigenvalue_rank_of_the_circular_law_and_of_a_matrix_that_is_not_square():
    """Eigenvalues that fill a disc evenly have a mean modulus of 2/3 of its radius."""
    matrix = np.random.default_rng(0).normal(size=(300, 300))
    assert spectrum(matrix).eigenvalue_rank == pytest.approx(2 / 3, abs=0.03)
    assert spectrum(matrix).to_dict()["eigenvalue_rank"] > 0.6
    assert spectrum(np.ones((2, 3))).to_dict()["eigenvalue_rank"] is None
    with pytest.raises(ValueError, match="square to have eigenvalues"):
        _ = spectrum(np.ones((2, 3))).eigenvalue_rank


def test_published_values():
    """Uniform initialisation as torch's, N = 100: entropy .953 (Li et al. 2023, notebooks); and Gaussian, N = 300."""
    rng = np.random.default_rng(0)
    uniform = [svd_entropy(rng.uniform(-0.1, 0.1, (100, 100))) for _ in range(10)]
    assert np.mean(uniform) == pytest.approx(0.953, abs=0.005)
    s = spectrum(rng.normal(size=(300, 300)))
    assert s.svd_entropy == pytest.approx(0.962, abs=0.003)
    assert s.effective_rank == pytest.approx(241, abs=4)
    assert s.stable_rank == pytest.approx(77, abs=4)
    assert s.participation_ratio == pytest.approx(150, abs=3)


def test_reads_layers_by_what_multiplies_the_input():
    layer = DANNLinear(6, 4, 2)
    expected = (layer.weight_ex - layer.weight_ei @ layer.weight_ix).detach()
    np.testing.assert_allclose(
        spectrum(layer).singular_values,
        torch.linalg.svdvals(expected.double()),
        atol=1e-6,
    )
    assert spectrum(nn.Linear(5, 3)).shape == (3, 5)
    for container in (nn.Sequential(layer, nn.ReLU()), layer.state_dict()):
        np.testing.assert_allclose(
            spectrum(container).singular_values,
            spectrum(layer).singular_values,
            atol=1e-6,
        )
    assert effective_rank(torch.eye(3, dtype=torch.bfloat16)) == pytest.approx(3)


def test_effective_weights_of_a_model_and_of_its_state_agree():
    model = nn.Sequential(
        DANNLinear(6, 4, 2), nn.ReLU(), EILinear(Populations(3, 1), 2), nn.Linear(2, 2)
    )
    of_model, of_state = (
        dict(effective_weights(model)),
        dict(effective_weights(model.state_dict())),
    )
    assert list(of_model) == ["0", "2", "3.weight"]
    assert list(of_state) == ["0.effective", "2.weight", "3.weight"]
    for one, other in zip(of_model.values(), of_state.values(), strict=True):
        torch.testing.assert_close(one, other)


def test_is_a_value():
    content = json.loads(json.dumps(spectrum(np.ones((2, 3))).to_dict()))
    assert content["shape"] == [2, 3]
    assert content["spectral_radius"] is None
    assert json.loads(json.dumps(spectrum(np.eye(2)).to_dict()))["spectral_radius"] == 1


@pytest.mark.parametrize(
    ("weights", "error", "sentence"),
    [
        (np.ones(3), ValueError, "`weights` must be a matrix; got shape (3,)."),
        (np.ones((2, 2, 2)), ValueError, "`weights` must be a matrix; got shape (2, 2, 2)."),
        (np.ones((0, 3)), ValueError, "`weights` must be a matrix; got shape (0, 3)."),
        ([[1.0, math.nan]], ValueError, "`weights` must be finite; got 1 NaN or infinite values of 2."),
        ([["a"]], TypeError, "`weights` must be real numbers; got <U1 values."),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), ValueError, "`weights` must hold one matrix; got 0.weight, 1.weight."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(weights, error, sentence):
    with pytest.raises(error) as raised:
        spectrum(weights)
    assert str(raised.value) == sentence


def test_an_ordinary_rnn_gives_what_multiplies_its_state():
    rnn = nn.RNN(3, 5, 2)
    assert [name for name, _ in effective_weights(nn.Sequential(rnn))] == [
        "0.input", "0.recurrent", "0.input_l1", "0.recurrent_l1",
    ]  # fmt: skip
    one, cell = nn.RNN(3, 5), nn.RNNCell(3, 5)
    for module, weight in ((one, one.weight_hh_l0), (cell, cell.weight_hh)):
        assert np.array_equal(
            spectrum(module).singular_values, spectrum(weight.detach()).singular_values
        )
    with pytest.raises(ValueError, match="`weights` must have one layer; got 2: give"):
        spectrum(rnn)
