"""A graph whose strengths have another name is refused by every reader of graphs, and read where the name is given."""

import networkx as nx
import numpy as np
import pytest
import torch

from daleml.analysis import (
    graph_populations,
    graph_summary,
    lawful_graph,
    signed_matrix,
)
from daleml.datasets import Connectome
from daleml.layers import EIRNN

COUNTS = {("a", "b"): 5, ("b", "c"): 50, ("c", "a"): 500, ("a", "c"): 1}


def graph_of(name, value=float, **further):
    graph = nx.DiGraph()
    for (pre, post), count in COUNTS.items():
        graph.add_edge(
            pre,
            post,
            **{name: value(count), "sign": -1 if pre == "b" else 1, **further},
        )
    return graph


READERS = {
    "graph_summary": lambda graph, **how: graph_summary(graph, **how).total_weight,
    "signed_matrix": lambda graph, **how: np.abs(
        signed_matrix(graph, **how).values
    ).sum(),
    "lawful_graph": lambda graph, **how: (
        lawful_graph(graph, "majority", **how).total_weight
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", [float, int, str, np.int64])
def test_strengths_of_another_name_are_refused_by_name(reader, value):
    graph = graph_of("n_syn", value, kind="chemical")
    with pytest.raises(ValueError) as raised:
        READERS[reader](graph)
    assert str(raised.value) == (
        "`graph` must have the strength of an edge as `weight`; got n_syn, sign, kind on the edge from 'a' to 'b': "
        "pass `weight='n_syn'`, or `weight=None` to take every edge as 1."
    )
    assert READERS[reader](graph, weight=None) == 4
    if value is not str:
        assert READERS[reader](graph, weight="n_syn") == 556


@pytest.mark.parametrize("reader", READERS)
def test_a_graph_without_any_number_is_one_of_equal_edges(reader):
    graph = nx.DiGraph()
    for pre, post in COUNTS:
        graph.add_edge(
            pre, post, sign=-1 if pre == "b" else 1, kind="chemical", reciprocal=True
        )
    assert READERS[reader](graph) == 4


@pytest.mark.parametrize("reader", READERS)
def test_a_single_edge_without_the_strength_is_found(reader):
    graph = graph_of("weight")
    del graph["c"]["a"]["weight"]
    graph["c"]["a"]["n_syn"] = 500
    with pytest.raises(ValueError, match="got sign, n_syn on the edge from 'c' to 'a'"):
        READERS[reader](graph)
    with pytest.raises(
        ValueError,
        match="must have the strength of an edge as `count`; got weight, sign on the edge",
    ):
        READERS[reader](graph_of("weight"), weight="count")


def test_a_circuit_has_the_strengths_of_its_graph():
    with pytest.raises(ValueError, match="pass `weight='n_syn'`, or `weight=None`"):
        EIRNN.from_graph(graph_of("n_syn"), 3)
    named, plain = (
        EIRNN.from_graph(graph_of("n_syn"), 3, weight="n_syn"),
        EIRNN.from_graph(graph_of("weight"), 3),
    )
    assert torch.equal(named.weight_hh_l0, plain.weight_hh_l0)
    sizes = named.weight_hh_l0.detach().abs()
    assert sizes.max() / sizes[sizes != 0].min() == pytest.approx(500)
    equal = (
        EIRNN.from_graph(graph_of("n_syn"), 3, weight=None).weight_hh_l0.detach().abs()
    )
    assert equal[equal != 0].max() == equal[equal != 0].min()


def test_the_majority_of_a_node_is_by_the_strength_named():
    graph = graph_of("n_syn")
    graph["a"]["c"].update(sign=-1, n_syn=90)  # 5 excitatory against 90 inhibitory
    populations, nodes = graph_populations(graph, drop_minority=True, weight="n_syn")
    assert (populations.n_exc, nodes) == (1, ("c", "a", "b"))
    with pytest.raises(
        ValueError, match="must have the strength of an edge as `weight`"
    ):
        graph_populations(graph, drop_minority=True)


def test_a_connectome_names_the_columns_it_got_instead():
    import pandas as pd

    edges = pd.DataFrame({"source": ["a"], "target": ["b"], "n_syn": [5], "sign": [1]})
    with pytest.raises(ValueError) as raised:
        Connectome("x", pd.DataFrame({"neuron": ["a", "b"]}), edges, "", "", "", "")
    assert str(raised.value) == (
        "`edges` must have the columns source, target, weight, sign; got none called weight, but n_syn."
    )
