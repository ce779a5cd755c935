"""The largest singular values of dense and sparse matrices, beside all of them."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml import Populations
from daleml.analysis import TopSpectrum, plots, spectrum, svd_entropy
from daleml.layers import EILinear


def random_matrix(rows, columns, density, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.lognormal(size=(rows, columns)) * np.where(
        np.arange(columns) < 0.8 * columns, 1.0, -4.0
    )
    return np.where(rng.random((rows, columns)) < density, values, 0.0)


def inside(bounds, value):
    slack = 1e-9 * (1 + abs(value))
    return bounds.low - slack <= value <= bounds.high + slack


@pytest.mark.parametrize("shape", [(150, 150), (200, 90), (70, 160), (30, 20)])
@pytest.mark.parametrize("k", [1, 6])
def test_they_are_those_of_the_whole_spectrum(shape, k):
    dense = random_matrix(*shape, density=0.2)
    whole = spectrum(dense)
    for matrix in (
        dense,
        sp.coo_array(dense),
        torch.from_numpy(dense).to_sparse_coo(),
        torch.from_numpy(dense),
    ):
        top = spectrum(matrix, k=k)
        np.testing.assert_allclose(
            top.singular_values, whole.singular_values[:k], rtol=1e-9
        )
        assert top.frobenius_norm == pytest.approx(np.linalg.norm(dense), rel=1e-12)
        assert top.stable_rank == pytest.approx(whole.stable_rank, rel=1e-9)
        assert inside(top.participation_ratio, whole.participation_ratio)
        assert inside(top.effective_rank, whole.effective_rank)
        assert inside(top.svd_entropy, whole.svd_entropy)
        shares = np.cumsum(whole.singular_values**2)[:k] / top.frobenius_norm**2
        np.testing.assert_allclose(top.explained, shares, rtol=1e-9)
        if shape[0] == shape[1]:
            radius = whole.spectral_radius
            assert top.spectral_radius == pytest.approx(radius, rel=1e-5)
            assert inside(top.eigenvalue_rank, whole.eigenvalue_rank)
            assert top.eigenvalue_rank.low > 1 / shape[0]
            assert top.eigenvalue_rank.high < 1


@pytest.mark.parametrize("k", [1, 2, 5])
def test_bounds_of_the_eigenvalue_rank_meet_where_the_trace_tells_the_rest(k):
    """What is left of a non-negative diagonal is its trace; of one of two signs it is not."""
    values = np.array([4.0, 2.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0])
    top = spectrum(sp.diags_array(values).tocsr(), k=k)
    assert top.eigenvalue_rank.low == pytest.approx(0.25, abs=1e-5)
    assert inside(top.eigenvalue_rank, 0.25)
    signed = spectrum(np.diag(values * [1, 1, -1, 1, -1, 1, 1, 1]), k=k)
    assert inside(signed.eigenvalue_rank, 0.25)
    if k == 5:
        assert top.eigenvalue_rank.high == pytest.approx(0.25, abs=0.01)
    assert spectrum(sp.csr_array((80, 80)), k=2).eigenvalue_rank == (0, 0)


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=12),
    st.integers(1, 12),
)
@settings(deadline=None, max_examples=60)
def test_bounds_hold_of_any_spectrum(values, k):
    values = np.sort(np.array(values))[::-1]
    k = min(k, values.size)
    whole = spectrum(np.diag(values))
    top = spectrum(np.diag(values), k=k)
    for name in ("participation_ratio", "effective_rank", "svd_entropy"):
        assert inside(getattr(top, name), getattr(whole, name)), name
    # With all singular values, nothing is unknown.
    if k == values.size:
        for name in ("participation_ratio", "effective_rank", "svd_entropy"):
            low, high = getattr(top, name)
            assert low == pytest.approx(high, rel=1e-6, abs=1e-9)


def test_none_of_many_equal_values_is_missed():
    """A single sequence of vectors finds some of them only, and takes smaller ones instead."""
    values = np.repeat([5.0, 4.0, 1.0], [70, 70, 60])
    for matrix in (np.diag(values), sp.diags_array(values, shape=(200, 250)).tocsr()):
        top = spectrum(matrix, k=50)
        np.testing.assert_allclose(top.singular_values, 5.0, rtol=1e-12)
        whole = spectrum(np.diag(values))
        assert inside(top.participation_ratio, whole.participation_ratio)


@pytest.mark.parametrize("size", [1e-9, 3e-9, 1e-7])
@pytest.mark.parametrize("k", [1, 3])
def test_bounds_hold_where_rounding_hides_the_others(size, k):
    matrix = np.diag(np.append(1.0, np.full(199, size)))
    whole, top = spectrum(matrix), spectrum(matrix, k=k)
    for name in ("participation_ratio", "effective_rank", "svd_entropy"):
        assert inside(getattr(top, name), getattr(whole, name)), name


def test_the_same_matrix_gives_the_same_bits():
    matrix = sp.csr_array(random_matrix(300, 300, 0.05))
    first, second = spectrum(matrix, k=4), spectrum(matrix, k=4)
    np.testing.assert_array_equal(first.singular_values, second.singular_values)
    assert first.spectral_radius == second.spectral_radius
    np.testing.assert_allclose(
        np.abs(first.eigenvalues),
        np.sort(np.abs(np.linalg.eigvals(matrix.toarray())))[::-1][:4],
        rtol=1e-5,
    )


def test_sizes_do_not_matter_nor_does_a_balanced_matrix():
    balanced = random_matrix(100, 100, 0.5)
    # Each row adds up to zero, so that a start of ones would be lost.
    balanced -= balanced.mean(axis=1, keepdims=True)
    expected = spectrum(balanced).singular_values[:3]
    # The reciprocal of the smallest is infinite, and its digits are few.
    for size, close in ((1e-200, 1e-9), (1e150, 1e-9), (1e-312, 1e-6)):
        top = spectrum(sp.csr_array(size * balanced), k=3)
        np.testing.assert_allclose(top.singular_values, size * expected, rtol=close)
        ratio = spectrum(balanced).stable_rank
        assert top.stable_rank == pytest.approx(ratio, rel=max(close, 1e-6))


def test_a_matrix_of_zeros_has_none_of_any():
    for matrix in (sp.csr_array((80, 90)), np.zeros((80, 90))):
        top = spectrum(matrix, k=2)
        assert top.singular_values.tolist() == [0, 0]
        assert top.stable_rank == 0
        assert top.effective_rank == top.participation_ratio == (0, 0)
        assert top.explained.tolist() == [0, 0]
    assert spectrum(sp.csr_array((80, 80)), k=2).spectral_radius == 0


def test_a_small_sparse_matrix_has_its_whole_spectrum():
    dense = random_matrix(20, 30, 0.3)
    expected = spectrum(dense)
    found = spectrum(sp.csr_array(dense))
    np.testing.assert_array_equal(found.singular_values, expected.singular_values)
    assert svd_entropy(torch.from_numpy(dense).to_sparse_coo()) == expected.svd_entropy
    large = sp.csr_array((5000, 5000))
    with pytest.raises(
        ValueError, match=r"`k` must say how many .* got None for 5,000 x"
    ):
        spectrum(large)


def test_what_it_says_and_draws():
    top = spectrum(sp.csr_array(random_matrix(100, 100, 0.1)), k=5)
    assert isinstance(top, TopSpectrum)
    plain = json.loads(json.dumps(top.to_dict()))
    assert len(plain["effective_rank_bounds"]) == 2
    assert "svd_entropy" not in plain
    assert "the 5 largest of 100 singular values" in str(top)
    assert "effective rank between" in str(top)
    axes = plots.spectrum({"top": top, "all": spectrum(np.eye(4))})
    assert axes.lines[0].get_label() == "top: 5 largest of 100"
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.arange(1, 6) / 100)


def test_layers_have_largest_singular_values_too():
    layer = EILinear(Populations(90, 10), 80)
    np.testing.assert_allclose(
        spectrum(layer, k=2).singular_values,
        spectrum(layer).singular_values[:2],
        rtol=1e-6,
    )


def test_what_cannot_be_found_is_refused():
    matrix = sp.csr_array(random_matrix(100, 90, 0.1))
    with pytest.raises(
        ValueError, match="at most the number of singular values, 90; got 91"
    ):
        spectrum(matrix, k=91)
    with pytest.raises(ValueError, match="`k` must be at least 1; got 0"):
        spectrum(matrix, k=0)
    with pytest.raises(ValueError, match="must be square to have eigenvalues"):
        _ = spectrum(matrix, k=2).spectral_radius
    with pytest.raises(
        ValueError, match="must be finite; got 1 NaN or infinite values of 2"
    ):
        spectrum(sp.csr_array(np.array([[1.0, np.inf]])), k=1)
    with pytest.raises(ValueError, match=r"must be a matrix; got shape \(0, 3\)"):
        spectrum(sp.csr_array((0, 3)), k=1)
