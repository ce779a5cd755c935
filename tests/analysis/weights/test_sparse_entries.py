"""Sparse matrices of weights: their entries are synapses, and nothing else is."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from daleml.analysis import compare_families, compare_to, fit_weights, weight_sample
from daleml.analysis.weights.sparse_entries import as_csr

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((40, 30)) < 0.3, RNG.lognormal(size=(40, 30)), 0.0)
N = int((DENSE > 0).sum())


def coo(indices, values, shape):
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True)


def forms(dense):
    """Yield a matrix in every sparse form of both libraries."""
    for make in (sp.csr_array, sp.csc_array, sp.coo_array, sp.lil_array, sp.csr_matrix):
        yield make(dense)
    tensor = torch.from_numpy(dense)
    yield tensor.to_sparse_coo()
    with warnings.catch_warnings():
        # torch says that its compressed forms are new.
        warnings.simplefilter("ignore")
        yield tensor.to_sparse_csr().requires_grad_()
        yield tensor.to_sparse_csc()


def test_every_form_gives_the_same_matrix_and_fit():
    expected = fit_weights(DENSE[DENSE > 0], "gamma")
    for matrix in forms(DENSE):
        np.testing.assert_array_equal(as_csr(matrix).toarray(), DENSE)
        fit = fit_weights(matrix, "gamma")
        assert fit.params == pytest.approx(expected.params, rel=1e-12)
        sample = fit.sample
        assert (sample.n, sample.n_zero, sample.n_absent) == (N, 0, 1200 - N)
        assert sample.density == N / 1200
        assert f"density {N / 1200:.3g}, of 1,200 pairs" in str(fit)
        assert fit.to_dict()["density"] == N / 1200


def test_pairs_without_an_entry_are_no_zeros_but_count_for_the_connection_probability():
    matrix = sp.csr_array(DENSE)
    dense = fit_weights(DENSE, zeros="hurdle")
    assert fit_weights(matrix, zeros="hurdle").connection == dense.connection
    # They are no small weights, nor zeros that must not be there.
    assert fit_weights(matrix, zeros="censored", censoring=0.2).n == N
    assert fit_weights(matrix, zeros="error").n == N


def test_a_stored_zero_is_a_zero():
    matrix = sp.csr_array(DENSE)
    matrix.data[:3] = 0.0
    sample = weight_sample(matrix)
    assert (sample.n, sample.n_zero, sample.n_absent) == (N - 3, 3, 1200 - N)
    with pytest.raises(ValueError, match="must hold no zero"):
        fit_weights(matrix, zeros="error")


def test_entries_of_one_place_are_added_up():
    rows, columns, values = [0, 0, 1, 0], [1, 2, 2, 1], [1.0, 5.0, 2.0, 3.0]
    expected = [[0.0, 4.0, 5.0], [0.0, 0.0, 2.0]]
    scipy_twice = sp.coo_array((values, (rows, columns)), shape=(2, 3))
    before = scipy_twice.data.copy()
    torch_twice = coo([rows, columns], values, (2, 3))
    csr_twice = sp.csr_array((values, [1, 2, 1, 2], [0, 3, 4]), shape=(2, 3))
    for matrix in (scipy_twice, torch_twice):
        assert as_csr(matrix).toarray().tolist() == expected
    assert as_csr(csr_twice).toarray().tolist() == [[0, 3, 5], [0, 0, 3]]
    assert csr_twice.nnz == 4
    np.testing.assert_array_equal(scipy_twice.data, before)


def test_entries_of_one_place_with_both_signs_are_refused():
    parts = [1.0, -0.5, 2.0], ([0, 0, 1], [1, 1, 0])
    said = (
        r"one sign at each place; got 1 places with entries of both, \(0, 1\) for one"
    )
    with pytest.raises(ValueError, match=said):
        fit_weights(sp.coo_array(parts, shape=(2, 2)))
    with pytest.raises(ValueError, match=said):
        fit_weights(coo(parts[1], parts[0], (2, 2)))


def test_signs_are_never_pooled_unasked():
    signed = sp.csr_array(DENSE * np.where(np.arange(30) < 20, 1.0, -1.0))
    with pytest.raises(ValueError, match="must be of one sign"):
        fit_weights(signed)
    inhibitory = fit_weights(signed, sign=-1)
    assert inhibitory.n == (DENSE[:, 20:] > 0).sum()
    assert fit_weights(signed, pool=True).n == N


def test_comparisons_take_sparse_matrices():
    matrix = sp.csr_array(DENSE)
    result = compare_families(matrix, ["lognormal", "gamma"])
    assert result.best.family == "lognormal"
    assert "density" in str(result)
    assert compare_to(matrix, DENSE[DENSE > 0], n_boot=2, n_shuffles=19).differ == ()


def test_what_is_no_matrix_of_real_numbers_is_refused():
    with pytest.raises(
        ValueError, match=r"must be a matrix where sparse; got shape \(2, 2, 2\)"
    ):
        fit_weights(torch.ones(2, 2, 2).to_sparse_coo())
    with pytest.raises(TypeError, match="got complex128 values in a sparse matrix"):
        fit_weights(sp.csr_array(np.eye(2, dtype=complex)))
    with pytest.raises(ValueError, match="one number at each place where sparse"):
        fit_weights(torch.eye(3).to_sparse(1))
    with pytest.raises(ValueError, match="got 1 NaN"):
        fit_weights(sp.csr_array(np.array([[1.0, np.nan], [2.0, 0.0]])))
    with pytest.raises(ValueError, match="left out for a sparse matrix"):
        weight_sample(sp.csr_array(DENSE), sample_weights=np.ones(N))
