"""Graphs as pandas and networkx make them of a table with empty cells, or of signed weights."""

import networkx as nx
import pandas as pd
import pytest

from daleml.analysis import graph_summary, lawful_graph
from daleml.layers import EIRNN


def graph_of(*rows, dtype="float64"):
    table = pd.DataFrame(rows, columns=["pre", "post", "weight", "sign"])
    table["sign"] = table["sign"].astype(dtype)
    return nx.from_pandas_edgelist(
        table, "pre", "post", ["weight", "sign"], create_using=nx.DiGraph
    )


ROWS = (("A", "B", 2, 1), ("A", "C", 3, 1), ("B", "A", 1, None), ("C", "A", 1, -1))


@pytest.mark.parametrize("dtype", ["float64", "Int64", "object"])
def test_a_sign_without_a_value_is_unknown(dtype):
    graph = graph_of(*ROWS, dtype=dtype)
    assert graph_summary(graph).n_unknown == 1
    lawful = lawful_graph(graph, "majority", otherwise=-1)
    assert lawful.inhibitory == ("B", "C")
    assert EIRNN.from_graph(lawful, 1).nodes == ("A", "B", "C")


@pytest.mark.parametrize("dtype", ["float64", "Int64"])
def test_a_circuit_still_wants_every_sign(dtype):
    with pytest.raises(ValueError, match=r"see `lawful_graph`; got .* from 'B' to 'A'"):
        EIRNN.from_graph(graph_of(*ROWS, dtype=dtype), 1)


@pytest.mark.parametrize("read", [graph_summary, lambda one: EIRNN.from_graph(one, 1)])
def test_an_empty_cell_is_no_neuron(read):
    graph = graph_of(*ROWS[:2], ("C", float("nan"), 1, -1))
    with pytest.raises(ValueError, match="got nan, which pandas reads where a cell"):
        read(graph)


def test_signed_weights_are_led_to_the_matrix():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("A", "B", 2.0), ("B", "A", -1.0), ("A", "A", 1.0)])
    with pytest.raises(ValueError) as raised:
        EIRNN.from_graph(graph, 1)
    assert str(raised.value) == (
        "`graph` must have its signs as `sign`, +1 or -1; got the weight -1.0 on the edge"
        " from 'B' to 'A', and edges without a sign: signed weights are read by"
        " `EIRNN.from_matrix`, of `networkx.to_pandas_adjacency(graph)` with `rows='pre'`."
    )
    circuit = EIRNN.from_matrix(nx.to_pandas_adjacency(graph), 1, rows="pre")
    assert circuit.nodes == ("A", "B")
    assert circuit.weight_hh_l0.tolist() == [[1, -1], [2, 0]]
