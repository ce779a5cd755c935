"""Graphs in columns say what the same graphs say edge by edge, and networkx is not built for it."""

import pickle

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch

from daleml.analysis import (
    graph_mask,
    graph_populations,
    graph_summary,
    lawful_graph,
    signed_matrix,
)
from daleml.datasets import Connectome, celegans, fly_visual, larva_mushroom_body
from daleml.layers import EIRNN
from tests.reference.graph_edges import reciprocities, signed_weights

CONNECTOMES = {
    "worm": celegans,
    "fly": fly_visual,
    "larva": larva_mushroom_body,
}


@pytest.fixture(params=CONNECTOMES)
def connectome(request):
    return CONNECTOMES[request.param]()


def random_graph(seed, n=40):
    """A graph of mixed signs, some unknown, on nodes and edges, with loops."""
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    for node in rng.permutation(n).tolist():
        sign = rng.choice([1, -1, 0], p=[0.2, 0.1, 0.7])
        graph.add_node(f"n{node}", sign=int(sign) or None, type="ab"[node % 2])
    names = list(graph)
    for _ in range(n * 6):
        pre, post = rng.choice(names, 2)
        sign = -1 if int(pre[1:]) % 4 == 0 else 1
        if rng.random() < 0.1:
            sign = -sign
        graph.add_edge(pre, post, weight=float(rng.integers(1, 9)), sign=sign)
    return graph


def without_networkx(monkeypatch):
    """Let nobody build a graph."""
    monkeypatch.setattr(nx, "DiGraph", None)


@pytest.mark.parametrize("seed", range(4))
def test_a_circuit_has_the_weights_of_the_graph_read_edge_by_edge(seed):
    graph = random_graph(seed)
    nodes, expected = signed_weights(graph)
    rnn = EIRNN.from_graph(
        graph, 1, drop_minority=True, spectral_radius=0.5, dtype=torch.float64
    )
    assert list(rnn.nodes) == nodes
    found = rnn.weight_hh_l0.detach().numpy()
    expected = np.array(expected)
    np.testing.assert_array_equal(found != 0, expected != 0)
    scale = np.abs(found).sum() / np.abs(expected).sum()
    np.testing.assert_allclose(found, expected * scale, rtol=1e-12)
    summary = graph_summary(graph)
    assert (summary.reciprocity, summary.weight_reciprocity) == pytest.approx(
        reciprocities(graph)
    )


def test_the_tables_of_a_connectome_say_what_its_graph_says(connectome):
    graph = connectome.graph()
    here, there = graph_summary(connectome), graph_summary(graph)
    assert here.to_dict() == there.to_dict()
    pd.testing.assert_frame_equal(here.table(), there.table())
    assert torch.equal(graph_mask(connectome), graph_mask(graph))
    for drop in (True, False):
        read = {"drop_unknown": drop}
        if not drop and here.n_unknown:
            continue
        one, other = signed_matrix(connectome, **read), signed_matrix(graph, **read)
        assert one.nodes == other.nodes
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("rule", ["majority", "drop"])
def test_a_rule_decides_the_same_of_tables_and_of_the_graph(
    connectome, rule, monkeypatch
):
    graph = connectome.graph()
    there = lawful_graph(graph, rule, otherwise=1)
    circuit = EIRNN.from_graph(there, 2, generator=torch.Generator().manual_seed(0))
    with monkeypatch.context() as patched:
        without_networkx(patched)
        here = lawful_graph(connectome, rule, otherwise=1)
        assert here.to_dict() == there.to_dict()
        pd.testing.assert_frame_equal(here.table(), there.table())
        generator = torch.Generator().manual_seed(0)
        twin = EIRNN.from_graph(here, 2, generator=generator)
        assert graph_populations(here) == graph_populations(there)
    assert twin.nodes == circuit.nodes
    for name, value in circuit.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name
    # Whoever wants a graph gets one.
    assert nx.utils.graphs_equal(here.graph(), there.graph())
    assert lawful_graph(here, "drop").n_dropped == 0
    pickle.loads(pickle.dumps(here))


def tables(edges, neurons=None):
    frame = pd.DataFrame(edges, columns=["source", "target", "weight", "sign"])
    named = pd.DataFrame(neurons or {"neuron": [1, 2, 3]})
    return Connectome("mine", named, frame, "", "", "", "synapses")


EDGES = [(3, 1, 2.0, 1), (1, 9, 4, -1), (8, 3, 1, None), (1, 2, 5, -1)]


def test_neurons_that_only_an_edge_names_come_last():
    mine = tables(EDGES)
    assert list(mine.graph()) == [1, 2, 3, 9, 8]
    assert signed_matrix(mine, drop_unknown=True).nodes == (1, 2, 3, 9, 8)
    lawful = lawful_graph(mine, "majority", otherwise=1)
    assert lawful.unknown == (8,)
    assert EIRNN.from_graph(lawful, 1).nodes == (2, 3, 9, 8, 1)


def test_transmitters_and_cell_types_are_columns_of_the_neurons():
    mine = tables(
        EDGES,
        {
            "neuron": [1, 2, 3, 8, 9],
            "transmitter": ["GABA", "ACh", "ACh", None, "ACh"],
            "type": ["PV", "E", "E", "E", "E"],
        },
    )
    lawful = lawful_graph(
        mine, "transmitter", signs={"ACh": 1, "GABA": -1}, otherwise=1
    )
    there = lawful_graph(
        mine.graph(), "transmitter", signs={"ACh": 1, "GABA": -1}, otherwise=1
    )
    assert lawful.to_dict() == there.to_dict()
    rnn = EIRNN.from_graph(lawful, 1, population="type")
    assert (
        rnn.populations.types
        == EIRNN.from_graph(there, 1, population="type").populations.types
    )
    series = pd.Series(["PV", "E", "E", "E", "E"], [1, 2, 3, 8, 9])
    by_series = EIRNN.from_graph(lawful, 1, population=series)
    assert by_series.populations == rnn.populations


def test_another_column_of_the_edges_may_hold_the_strengths():
    mine = tables(EDGES)
    mine.edges["size"] = [0.5, 0.25, 0.125, 1.0]
    assert graph_summary(mine, weight="size").total_weight == 1.875
    assert graph_summary(mine, weight=None).total_weight == 4
    with pytest.raises(ValueError) as raised:
        graph_summary(mine, weight="count")
    assert str(raised.value) == (
        "`graph` must have the strength of an edge as `count`; got source, target, weight,"
        " sign, size: pass the column that holds it, or `weight=None` to take every edge"
        " as 1."
    )


@pytest.mark.parametrize(
    ("edge", "sentence"),
    [
        (
            (1, 2, np.nan, 1),
            "`graph` must have finite numbers as weights; got nan on the edge from 1 to 2.",
        ),
        (
            (1, 2, 1.0, 2),
            "`graph` must have a sign, +1 or -1, on every node or edge, see"
            " `lawful_graph`; got 2 on the edge from 1 to 2.",
        ),
        (
            (1, 2, 1.0, "exc"),
            "`graph` must have a sign, +1 or -1, on every node or edge, see"
            " `lawful_graph`; got 'exc' on the edge from 1 to 2.",
        ),
    ],
)
def test_what_is_no_number_in_a_table_is_refused(edge, sentence):
    with pytest.raises(ValueError) as raised:
        graph_summary(tables([(3, 1, 1.0, 1), edge]))
    assert str(raised.value) == sentence


def test_tables_that_changed_since_their_signs_were_decided_are_refused():
    mine = tables(EDGES)
    lawful = lawful_graph(mine, "majority", otherwise=1)
    mine.edges.loc[4] = [2, 1, 1.0, 1]
    with pytest.raises(ValueError) as raised:
        EIRNN.from_graph(lawful, 1)
    assert str(raised.value) == (
        "`graph` must have the neurons and edges that it had when its signs were decided, 5"
        " and 4; got 5 and 5: decide them again."
    )


def test_a_subclass_that_says_what_its_graph_is_is_asked_for_it():
    class Doubled(Connectome):
        def graph(self):
            graph = super().graph()
            for *_, data in graph.edges(data=True):
                data["weight"] *= 2
            return graph

    plain = tables(EDGES)
    mine = Doubled(
        **{name: getattr(plain, name) for name in plain.__dataclass_fields__}
    )
    assert graph_summary(mine).total_weight == 2 * graph_summary(plain).total_weight


def test_the_spectrum_of_a_graph_that_is_too_large_is_refused(monkeypatch):
    from daleml.analysis.connectomes import graph_measures

    monkeypatch.setattr(graph_measures, "LARGEST_SPECTRUM", 4)
    summary = graph_summary(tables(EDGES))
    assert summary.to_dict()["spectrum"] is None
    with pytest.raises(ValueError) as raised:
        summary.spectrum.svd_entropy  # noqa: B018
    assert str(raised.value) == (
        "`graph` must have at most 4 nodes for the spectrum of its matrix; got 5: give a"
        " sparse matrix to `spectrum(weights, k=6)` for the largest singular values."
    )
