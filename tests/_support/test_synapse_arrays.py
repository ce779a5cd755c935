"""Synapses in columns: sorted, checked, and the same matrix in every form."""

import numpy as np
import pytest
from scipy import sparse

from daleml._support import synapse_arrays
from daleml._support.synapse_arrays import Synapses, of_pairs, of_sparse

POST, PRE = np.array([2, 0, 2, 1]), np.array([0, 1, 1, 2])
WEIGHTS = np.array([-3.0, 0.0, 1.5, 2.0])
MATRIX = np.array([[0, 0, 0], [0, 0, 2.0], [-3.0, 1.5, 0]])


def columns(synapses):
    return synapses.post.tolist(), synapses.pre.tolist(), synapses.weights.tolist()


def test_pairs_are_sorted_by_receiver_and_then_by_sender():
    synapses = of_pairs(POST, PRE, WEIGHTS, (3, 3), ["a", "b", "c"])
    assert columns(synapses) == ([0, 1, 2, 2], [1, 2, 0, 1], [0.0, 2.0, -3.0, 1.5])
    assert synapses.names == ("a", "b", "c")
    assert synapses.size == 4
    assert synapses.density == 4 / 9


def test_a_synapse_of_weight_zero_exists_in_every_form():
    synapses = of_pairs(POST, PRE, WEIGHTS, (3, 3))
    assert synapses.csr().nnz == 4
    np.testing.assert_array_equal(synapses.csr().toarray(), MATRIX)
    np.testing.assert_array_equal(synapses.dense(), MATRIX)
    exists = [[False, True, False], [False, False, True], [True, True, False]]
    assert synapses.present().tolist() == exists
    assert synapses.row_starts().tolist() == [0, 1, 2, 4]


def test_a_matrix_of_scipy_has_receivers_or_senders_in_its_rows():
    for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_matrix):
        as_post = of_sparse(kind(MATRIX), "post")
        np.testing.assert_array_equal(as_post.dense(), MATRIX)
        np.testing.assert_array_equal(of_sparse(kind(MATRIX), "pre").dense(), MATRIX.T)
    oblong = of_sparse(sparse.csr_array(MATRIX[:2]), "pre")
    assert oblong.shape == (3, 2)


def test_entries_of_one_place_in_a_matrix_of_scipy_are_summed():
    twice = sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
    assert columns(of_sparse(twice, "post")) == ([0], [1], [3.0])


def test_units_in_another_order_have_the_same_synapses():
    order = np.array([2, 0, 1])
    moved = of_pairs(POST, PRE, WEIGHTS, (3, 3), "abc").reordered(order)
    np.testing.assert_array_equal(moved.dense(), MATRIX[order][:, order])
    assert moved.names == ("c", "a", "b")
    assert moved.size == 4


def test_those_that_are_kept_stay_sorted():
    synapses = of_pairs(POST, PRE, WEIGHTS, (3, 3))
    assert columns(synapses.kept(synapses.weights > 0)) == ([1, 2], [2, 1], [2.0, 1.5])


def test_no_synapse_at_all_is_a_matrix_of_zeros():
    none = of_pairs(POST[:0], PRE[:0], WEIGHTS[:0], (2, 2))
    assert none.csr().nnz == 0
    assert none.row_starts().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: of_pairs([0, 3], [0, 1], [1, 1], (3, 3)),
            "`post` must be indices from 0 to 2; got 0 to 3.",
        ),
        (
            lambda: of_pairs([0, 1], [0, -1], [1, 1], (3, 3)),
            "`pre` must be indices from 0 to 2; got -1 to 0.",
        ),
        (
            lambda: of_pairs([0, 1], [0, 1], [1, np.nan], (3, 3)),
            "`weights` must be finite; got 1 NaN or infinite values of 2.",
        ),
        (
            lambda: of_pairs([0, 0], [1, 1], [1, 2], (3, 3)),
            "`post` and `pre` must name each pair once; got 1 of 2 again.",
        ),
        (
            lambda: Synapses(POST, PRE, WEIGHTS, (3, 3)),
            "`post` and `pre` must be sorted by receiver, then by sender, each pair once;"
            " make synapses with `of_pairs`.",
        ),
        (
            lambda: Synapses(POST[:1], PRE, WEIGHTS, (3, 3)),
            "`pre` must be a column of 1 numbers, int64; got int64 of shape (4,).",
        ),
        (
            lambda: of_pairs(POST, PRE, WEIGHTS, (3, 3), ["a"]),
            "`names` must hold a name for each of the units, (3, 3); got 1.",
        ),
        (
            lambda: of_sparse(sparse.eye_array(2), "rows"),
            "`rows` must be 'post' if a row holds the synapses onto a unit, or 'pre' if it"
            " holds those that the unit makes; got 'rows'.",
        ),
    ],
)
def test_what_is_no_set_of_synapses_is_refused(make, sentence):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == sentence


def test_only_real_numbers_are_weights():
    with pytest.raises(TypeError, match="must hold real numbers; got a sparse matrix"):
        of_sparse(sparse.eye_array(2, dtype=complex), "post")
    assert synapse_arrays.is_sparse(sparse.eye_array(2))
    assert not synapse_arrays.is_sparse(MATRIX)
