"""Graphs of large weights, beside networkx and graphs whose measures are known."""

import math

import networkx as nx
import numpy as np
import pytest

from daleml.reproductions.papers.eg_cornford2024 import large_weight_graphs as graphs


def random(n, density, seed):
    rng = np.random.default_rng(seed)
    return graphs.largest_weights(rng.normal(size=(n, n)), density)


def in_networkx(graph):
    # Theirs lead from the row to the column.
    return nx.from_numpy_array(graph.T.astype(int), create_using=nx.DiGraph)


@pytest.mark.parametrize(("density", "seed"), [(0.05, 0), (0.1, 1), (0.3, 2)])
def test_clustering_and_paths_are_those_of_networkx(density, seed):
    graph = random(24, density, seed)
    theirs = in_networkx(graph)
    assert graphs.clustering(graph) == pytest.approx(nx.average_clustering(theirs))
    component = max(nx.strongly_connected_components(theirs), key=len)
    length = nx.average_shortest_path_length(theirs.subgraph(component))
    assert graphs.path_length(graph) == pytest.approx(length)


def test_a_ring_and_a_graph_without_cycles():
    ring = np.roll(np.eye(6, dtype=bool), 1, axis=0)
    assert graphs.path_length(ring) == 3
    assert graphs.clustering(ring) == 0
    assert math.isnan(graphs.path_length(np.triu(np.ones((4, 4), bool), 1)))


def test_the_largest_off_the_diagonal_are_kept():
    weight = np.array([[9.0, -3.0, 1.0], [2.0, 9.0, 0.1], [-4.0, 0.2, 9.0]])
    kept = graphs.largest_weights(weight, 0.5)
    assert kept.tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert weight[0, 0] == 9


def test_rewiring_keeps_every_degree_and_moves_most_edges():
    graph = random(40, 0.1, 3)
    found = graphs.rewired(graph, np.random.default_rng(0))
    assert (found.sum(0) == graph.sum(0)).all()
    assert (found.sum(1) == graph.sum(1)).all()
    assert not found.diagonal().any()
    assert (found & graph).sum() < 0.4 * graph.sum()
    assert graphs.random_graph(graph, np.random.default_rng(0)).sum() == graph.sum()


def test_a_ring_of_neighbours_is_a_small_world_with_shortcuts_and_beyond_its_degrees():
    n = 60
    graph = np.zeros((n, n), dtype=bool)
    for step in (1, 2, -1, -2):
        graph |= np.roll(np.eye(n, dtype=bool), step, axis=0)
    rng = np.random.default_rng(0)
    graph[rng.integers(n, size=12), rng.integers(n, size=12)] = True
    np.fill_diagonal(graph, False)
    for draw in (graphs.random_graph, graphs.rewired):
        assert graphs.small_world(graph, [draw(graph, rng) for _ in range(3)]) > 2


def test_hubs_are_a_small_world_beside_random_graphs_and_none_beside_rewired_ones():
    rng = np.random.default_rng(1)
    gains = np.exp(1.2 * rng.normal(size=(2, 120)))
    weight = rng.normal(size=(120, 120)) * np.outer(gains[0], gains[1])
    graph = graphs.largest_weights(weight, 0.05)
    beside_random = [graphs.random_graph(graph, rng) for _ in range(5)]
    beside_rewired = [graphs.rewired(graph, rng) for _ in range(5)]
    assert graphs.small_world(graph, beside_random) > 1.5
    assert graphs.small_world(graph, beside_rewired) == pytest.approx(1, abs=0.15)
