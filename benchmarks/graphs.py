"""Circuits of graphs beside what building one took before: decompositions of a dense matrix."""

import time

import networkx as nx
import numpy as np
import scipy.sparse
import torch

from benchmarks.timing import Case
from daleml.analysis import graph_summary
from daleml.layers import EIRNN
from daleml.layers.init.largest_eigenvalue import largest_modulus

N_EACH = 50


def random_matrix(n_units):
    """Draw a signed matrix whose columns have one sign, 50 synapses each, a fifth inhibitory."""
    rng = np.random.default_rng(0)
    pre = np.repeat(np.arange(n_units), N_EACH)
    post = rng.integers(0, n_units, len(pre))
    unit_signs = np.where(rng.random(n_units) < 0.2, -1.0, 1.0)
    weights = rng.lognormal(size=len(pre)) * unit_signs[pre]
    return scipy.sparse.csr_array((weights, (post, pre)), shape=(n_units, n_units))


def digraph(matrix):
    """Write it as a graph of networkx."""
    graph = nx.DiGraph()
    entries = matrix.tocoo()
    for post, pre, weight in zip(entries.row, entries.col, entries.data, strict=True):
        sign = 1 if weight > 0 else -1
        graph.add_edge(int(pre), int(post), weight=abs(float(weight)), sign=sign)
    return graph


def built_of(n_units, kind):
    """Compare a circuit that is built with one decomposition of its matrix; it took four."""

    def setup():
        matrix = random_matrix(n_units)
        dense = torch.from_numpy(matrix.toarray())
        graph = digraph(matrix) if kind == "graph" else matrix
        how = {} if kind == "graph" else {"rows": "post"}
        return (
            lambda: EIRNN.from_graph(graph, 3, **how),
            lambda: torch.linalg.eigvals(dense),
        )

    return setup


def radius(n_units):
    """Compare the largest eigenvalue with all of them."""

    def setup():
        dense = torch.from_numpy(random_matrix(n_units).toarray())
        return lambda: largest_modulus(dense), lambda: torch.linalg.eigvals(dense)

    return setup


def summed_up(n_units):
    """Compare a summary of a sparse matrix with one of the same graph of networkx."""

    def setup():
        matrix = random_matrix(n_units)
        graph = digraph(matrix)
        return (
            lambda: graph_summary(matrix, rows="post"),
            lambda: graph_summary(graph),
        )

    return setup


ONE_OF_FOUR = "one of the four decompositions it took"
CASES = [
    *(
        Case(
            f"EIRNN.from_graph of {n:,} nodes, 50 edges each, {kind}",
            ONE_OF_FOUR,
            built_of(n, kind),
            rounds,
            time.process_time,
        )
        for n, rounds in ((500, 9), (1500, 3), (5000, 1))
        for kind in ("graph", "sparse matrix")
    ),
    Case(
        "spectral radius of 1,000 units, 50 synapses each",
        "torch.linalg.eigvals",
        radius(1000),
        5,
        time.process_time,
    ),
    Case(
        "graph_summary of 100,000 edges as a sparse matrix",
        "the same as a networkx graph",
        summed_up(2000),
        5,
        time.process_time,
    ),
]
