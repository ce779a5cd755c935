"""The spectral radius of large matrices: ARPACK against all eigenvalues, and where it finds none."""

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import sparse

from daleml import Populations
from daleml.layers import EIRNN
from daleml.layers.init import has_loop, largest_eigenvalue, radius_factor
from daleml.layers.init.largest_eigenvalue import largest_modulus
from daleml.layers.init.matrix_spectra import measured_radius

N = 200


@pytest.fixture(autouse=True)
def no_small_matrices(monkeypatch):
    monkeypatch.setattr(largest_eigenvalue, "LARGEST_DENSE", 100)


def balanced(n, per_unit, seed=0):
    """Random signed columns whose eigenvalues fill a disc: the hard case."""
    rng = np.random.default_rng(seed)
    pre = np.repeat(np.arange(n), per_unit)
    post = rng.integers(0, n, n * per_unit)
    unit_signs = np.where(rng.random(n) < 0.2, -4.0, 1.0)
    weights = rng.lognormal(size=n * per_unit) * unit_signs[pre]
    return sparse.csr_array((weights, (post, pre)), shape=(n, n))


def ring(n, weight=1.5):
    """A loop through all units, whose eigenvalues are all of one modulus."""
    return sparse.csr_array(
        (np.full(n, weight), ((np.arange(n) + 1) % n, np.arange(n)))
    )


def by_all(matrix):
    return float(torch.linalg.eigvals(torch.as_tensor(matrix)).abs().max())


@pytest.fixture(scope="module")
def crowded():
    matrix = balanced(N, 30)
    return matrix, by_all(matrix.toarray())


def test_the_largest_of_many_is_found_whatever_holds_the_matrix(crowded):
    matrix, expected = crowded
    dense = torch.from_numpy(matrix.toarray())
    assert largest_modulus(matrix) == pytest.approx(expected, rel=1e-8)
    assert largest_modulus(dense) == pytest.approx(expected, rel=1e-8)
    # Where most entries are there, products go by the matrix itself.
    full = dense + 1e-3
    assert largest_modulus(full) == pytest.approx(by_all(full), rel=1e-8)
    for form in (matrix, dense, dense * 1e100, dense.float() * 1e-30):
        scale = float(abs(form).max() / abs(matrix).max())
        assert measured_radius(form) == pytest.approx(expected * scale, rel=1e-6)


def test_the_same_matrix_gives_the_same_number(crowded):
    matrix, _ = crowded
    assert largest_modulus(matrix) == largest_modulus(matrix.copy())


def test_small_matrices_have_all_their_eigenvalues_computed(monkeypatch):
    monkeypatch.setattr(largest_eigenvalue, "_iterated", None)
    small = balanced(60, 10).toarray()
    assert largest_modulus(torch.from_numpy(small)) == pytest.approx(by_all(small))


def test_what_is_on_no_loop_has_no_part_in_it(monkeypatch):
    forward = sparse.csr_array(np.tril(np.ones((N, N)), -1))
    assert largest_modulus(forward) == 0
    assert not has_loop(torch.from_numpy(forward.toarray()))
    # One loop of two among them: nothing else is looked at.
    monkeypatch.setattr(largest_eigenvalue, "_iterated", None)
    looped = forward.tolil()
    looped[3, 4] = 0.25
    assert largest_modulus(looped.tocsr()) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="must have an eigenvalue other than zero"):
        radius_factor(torch.from_numpy(forward.toarray()), 0.9)


def test_a_ring_has_no_largest_eigenvalue_but_a_radius(monkeypatch):
    monkeypatch.setattr(largest_eigenvalue, "_MOST_RESTARTS", 2)
    assert largest_modulus(ring(N)) == pytest.approx(1.5)
    monkeypatch.setattr(largest_eigenvalue, "_LARGEST_FALLBACK", N - 1)
    sentence = (
        f"^the spectral radius of {N} units is an estimate, by how fast 2000 products with"
        " the weight grow: ARPACK found no largest eigenvalue.$"
    )
    with pytest.warns(UserWarning, match=sentence):
        assert largest_modulus(ring(N)) == pytest.approx(1.5)


def test_what_arpack_did_not_settle_is_not_believed(monkeypatch, crowded):
    matrix, expected = crowded
    monkeypatch.setattr(largest_eigenvalue, "_TOLERANCE", 0.3)
    monkeypatch.setattr(largest_eigenvalue, "_N_VECTORS", 6)
    assert largest_modulus(matrix) == pytest.approx(expected, rel=1e-8)


def test_where_eigenvalues_crowd_a_second_start_must_agree(monkeypatch, crowded):
    matrix, expected = crowded
    found = iter([(0.9 * expected, 1000), (expected, 1000), (expected, 64)])
    monkeypatch.setattr(
        largest_eigenvalue, "_by_arpack", lambda matrix, seed: next(found)
    )
    assert largest_modulus(matrix) == expected
    # One that stands out is found at once.
    assert largest_modulus(matrix) == expected
    assert not list(found)


def counted(monkeypatch):
    """Count how often a spectral radius is measured."""
    sizes = []

    def measure(matrix):
        sizes.append(len(matrix) if torch.is_tensor(matrix) else matrix.shape[0])
        return largest_modulus(matrix)

    monkeypatch.setattr("daleml.layers.init.matrix_spectra.largest_modulus", measure)
    return sizes


def test_a_circuit_measures_one_radius(monkeypatch):
    sizes = counted(monkeypatch)
    EIRNN(3, Populations(8, 2))
    assert sizes == [10]
    graph = nx.gnp_random_graph(12, 0.5, seed=1, directed=True)
    nx.set_node_attributes(
        graph, {node: 1 if node % 3 else -1 for node in graph}, "sign"
    )
    rnn = EIRNN.from_graph(graph, 3, generator=torch.Generator().manual_seed(0))
    assert sizes == [10, 12]
    EIRNN.from_matrix(np.eye(3), 1, rows="post")
    assert sizes == [10, 12]
    # What is drawn, and then replaced, is drawn none the less.
    torch.manual_seed(0)
    plain = EIRNN(3, rnn.populations, mask=rnn.weight_hh_l0_present)
    assert torch.equal(plain.weight_ih_l0, rnn.weight_ih_l0)


def test_layers_above_are_drawn_to_suit_those_below_as_before():
    graph = nx.gnp_random_graph(12, 0.5, seed=1, directed=True)
    nx.set_node_attributes(graph, 1, "sign")
    generator = torch.Generator().manual_seed(3)
    rnn = EIRNN.from_graph(graph, 3, num_layers=2, generator=generator)
    generator.manual_seed(3)
    plain = EIRNN(
        3,
        rnn.populations,
        2,
        mask=rnn.weight_hh_l0_present,
        generator=generator,
    )
    assert torch.equal(plain.weight_ih_l1, rnn.weight_ih_l1)
