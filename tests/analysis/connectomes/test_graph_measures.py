"""Connectomes as graphs: against networkx, slow loops, and the published counts."""

import json
import math
from dataclasses import FrozenInstanceError

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daleml import Populations, signs
from daleml._support import digraph_edges
from daleml.analysis import (
    graph_mask,
    graph_populations,
    graph_summary,
    lawful_graph,
    signed_matrix,
    spectrum,
)
from daleml.datasets import celegans, fly_visual, larva_mushroom_body
from daleml.layers import EIRNN

FAST = {"ACh": 1, "Glu": 1, "GABA": -1}


def digraph(edges, nodes=()):
    """A graph made by hand from (sender, receiver, weight, sign) rows."""
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    for pre, post, weight, sign in edges:
        graph.add_edge(pre, post, weight=weight, sign=sign)
    return graph


TOY = digraph(
    [
        ("a", "b", 6.0, 1),
        ("a", "c", 1.0, -1),
        ("a", "a", 2.0, -1),
        ("a", "d", 9.0, None),
        ("b", "a", 2.0, -1),
        ("c", "a", 4.0, 1),
        ("c", "b", 4.0, -1),
        ("d", "a", 5.0, None),
    ],
    ["a", "b", "c", "d", "lonely"],
)

graphs = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.integers(0, 4), st.sampled_from([1, -1, None])),
    max_size=25,
).map(
    lambda edges: digraph(
        [(*pair, float(w), s) for pair, (w, s) in edges.items()], range(5)
    )
)


class TestSummary:
    def test_of_a_graph_small_enough_to_count(self):
        summary = graph_summary(TOY)
        assert (
            summary.n_nodes,
            summary.n_edges,
            summary.n_exc,
            summary.n_inh,
            summary.n_unknown,
        ) == (5, 8, 2, 4, 2)
        assert (summary.total_weight, summary.signed_weight) == (33, 19)
        assert (summary.n_senders, summary.n_mixed) == (3, 2)
        assert (summary.n_violating, summary.violating_weight) == (
            3,
            7,
        )  # two of a, and one of c, which ties
        assert summary.violating_fraction == 7 / 19
        assert summary.violating_edge_fraction == 3 / 6
        assert (
            summary.reciprocity == 6 / 7
        )  # all but that from c to b; that from a to itself does not count
        assert summary.weight_reciprocity == (2 * 2 + 2 * 1 + 2 * 5) / 31

    def test_table_has_what_each_node_sends_and_receives(self):
        table = graph_summary(TOY).table().set_index("neuron")
        assert table["sign"].fillna(0).tolist() == [1, -1, 0, 0, 0]
        assert table.loc["a"].drop("sign").to_dict() == {
            "in_degree": 4, "out_degree": 4, "in_strength": 13, "out_strength": 18,
            "exc_in": 4, "inh_in": 4, "unknown_in": 5, "balance": 0, "exc_out": 6, "inh_out": 3, "unknown_out": 9,
            "minority_fraction": 3 / 9,
        }  # fmt: skip
        assert table["balance"].round(3).fillna(9).tolist() == [0, 0.2, -1, 9, 9]
        assert table["minority_fraction"].round(3).fillna(9).tolist() == [
            0.333,
            0,
            0.5,
            9,
            9,
        ]

    def test_says_it_in_a_paragraph(self):
        assert str(graph_summary(TOY)) == (
            "5 nodes, 8 edges: 2 excitatory, 4 inhibitory, 2 of unknown sign. Dale's law: 2 of 3 senders have edges of "
            "both signs; 36.8% of their weight and 50.0% of their edges are of the sender's minority sign. More "
            "excitation than inhibition reaches 1 of the 3 nodes that receive edges of known sign (median balance +0.00). "
            "85.7% of edges have one back, and 51.6% of the weight."
        )
        one_sign = str(graph_summary(digraph([("a", "b", 1.0, 1)])))
        assert (
            "Dale's law cannot be judged without edges of both signs. 0.0% of edges have one back"
            in one_sign
        )
        assert str(graph_summary(digraph([], "a"))).endswith(
            "No edge leads to another node."
        )

    def test_is_a_frozen_value_that_json_can_hold(self):
        summary = graph_summary(TOY)
        with pytest.raises(FrozenInstanceError):
            summary.n_nodes = 3
        facts = json.loads(json.dumps(summary.to_dict()))
        assert facts["violating_weight"] == 7
        assert facts["spectrum"]["shape"] == [5, 5]
        nothing = json.loads(json.dumps(graph_summary(digraph([], "ab")).to_dict()))
        shares = (
            "violating_fraction",
            "violating_edge_fraction",
            "reciprocity",
            "weight_reciprocity",
        )
        assert [nothing[share] for share in shares] == [None] * 4

    def test_a_sign_may_be_the_senders(self):
        graph = nx.DiGraph([("a", "b"), ("b", "a")])
        graph.nodes["a"]["sign"] = 1
        graph.nodes["b"]["sign"] = 1
        graph["b"]["a"]["sign"] = -1  # an edge's own sign comes first
        summary = graph_summary(graph)
        assert (summary.n_exc, summary.n_inh, summary.total_weight) == (1, 1, 2)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_of_signs_that_weigh_the_same_the_rarer_violates(self, sign):
        graph = digraph(
            [("a", "b", 2.0, sign), ("a", "c", 1.0, -sign), ("a", "d", 1.0, -sign)]
        )
        assert (
            graph_summary(graph).n_violating,
            graph_summary(graph).violating_weight,
        ) == (1, 2)

    def test_strengths_are_magnitudes(self):
        graph = digraph([("a", "b", -2.0, -1), ("b", "a", -1.0, None)])
        assert graph_summary(graph).total_weight == 3
        assert signed_matrix(graph, drop_unknown=True).values.tolist() == [
            [0, 0],
            [-2, 0],
        ]

    @given(graphs)
    def test_agrees_with_networkx_and_slow_loops(self, graph):
        summary, table = (
            graph_summary(graph),
            graph_summary(graph).table().set_index("neuron"),
        )
        plain = graph.copy()
        plain.remove_edges_from(list(nx.selfloop_edges(plain)))
        if plain.number_of_edges():
            assert summary.reciprocity == pytest.approx(nx.overall_reciprocity(plain))
            total = sum(w for *_, w in plain.edges(data="weight"))
            back = sum(
                min(w, plain[v][u]["weight"])
                for u, v, w in plain.edges(data="weight")
                if plain.has_edge(v, u)
            )
            assert (
                math.isnan(summary.weight_reciprocity)
                if total == 0
                else summary.weight_reciprocity == back / total
            )
        else:
            assert math.isnan(summary.reciprocity)
        violating = 0.0
        for node in graph:
            sums = dict.fromkeys((1, -1, None), 0.0)
            for *_, data in graph.out_edges(node, data=True):
                sums[data["sign"]] += data["weight"]
            violating += min(sums[1], sums[-1])
            row = table.loc[node]
            assert [row["exc_out"], row["inh_out"], row["unknown_out"]] == list(
                sums.values()
            )
            received = dict.fromkeys((1, -1, None), 0.0)
            for *_, data in graph.in_edges(node, data=True):
                received[data["sign"]] += data["weight"]
            assert [row["exc_in"], row["inh_in"], row["unknown_in"]] == list(
                received.values()
            )
            assert (row["in_degree"], row["out_degree"]) == (
                graph.in_degree(node),
                graph.out_degree(node),
            )
            assert row["in_strength"] == graph.in_degree(node, weight="weight")
            assert row["out_strength"] == graph.out_degree(node, weight="weight")
        assert summary.violating_weight == violating
        mixed = [
            {s for *_, s in graph.out_edges(node, data="sign")} >= {1, -1}
            for node in graph
        ]
        assert summary.n_mixed == sum(mixed)

    def test_spectrum_is_of_the_signed_matrix(self):
        summary = graph_summary(fly_visual())
        expected = spectrum(signed_matrix(fly_visual()).values)
        np.testing.assert_allclose(
            summary.spectrum.singular_values, expected.singular_values
        )
        assert summary.spectrum.spectral_radius == pytest.approx(
            expected.spectral_radius
        )
        assert summary.spectrum is summary.spectrum

    def test_the_worm_breaks_the_law_as_published(self):
        summary = graph_summary(celegans())
        assert (summary.n_nodes, summary.n_edges, summary.total_weight) == (
            302,
            3638,
            20589,
        )
        assert (summary.n_exc, summary.n_inh, summary.n_unknown) == (1327, 425, 1886)
        assert (summary.n_mixed, summary.n_senders) == (97, 243)
        assert summary.violating_fraction == pytest.approx(0.0673, abs=5e-5)
        violations = celegans().dale_violations()
        table = summary.table().set_index("neuron").loc[violations["neuron"]]
        np.testing.assert_allclose(
            table["minority_fraction"], violations["minority_fraction"]
        )

    def test_the_fly_breaks_the_law_in_four_types(self):
        summary = graph_summary(fly_visual())
        assert (summary.n_mixed, summary.n_senders) == (4, 63)
        assert summary.violating_fraction == pytest.approx(0.0205, abs=5e-5)


class TestLawfulGraph:
    def test_majority_gives_every_edge_its_senders_sign(self):
        lawful = lawful_graph(TOY, "majority")
        assert list(lawful.graph().edges(data="sign")) == [
            ("a", "b", 1), ("a", "c", 1), ("a", "a", 1), ("a", "d", 1), ("b", "a", -1),
        ]  # fmt: skip
        assert (
            lawful.n_edges,
            lawful.n_assigned,
            lawful.n_flipped,
            lawful.n_dropped,
        ) == (8, 1, 2, 3)
        assert (lawful.total_weight, lawful.assigned_weight, lawful.flipped_weight) == (
            33,
            9,
            3,
        )
        assert lawful.dropped_weight == 13
        assert (lawful.excitatory, lawful.inhibitory, lawful.tied, lawful.unknown) == (
            ("a",),
            ("b",),
            ("c",),
            ("d",),
        )
        assert list(lawful.graph()) == list(TOY)

    def test_drop_gives_no_edge_a_sign(self):
        lawful = lawful_graph(TOY, "drop")
        assert list(lawful.graph().edges(data="sign")) == [
            ("a", "b", 1),
            ("b", "a", -1),
        ]
        assert (lawful.n_assigned, lawful.n_flipped, lawful.n_dropped) == (0, 0, 6)
        assert lawful.dropped_weight == 25

    def test_transmitter_overrules_the_edges(self):
        graph = TOY.copy()
        nx.set_node_attributes(
            graph, {"a": "GABA", "b": "ACh", "c": None, "d": "dopamine"}, "nt"
        )
        lawful = lawful_graph(graph, "transmitter", attribute="nt", signs=FAST)
        assert list(lawful.graph().edges(data="sign")) == [
            ("a", "b", -1), ("a", "c", -1), ("a", "a", -1), ("a", "d", -1), ("b", "a", 1),
        ]  # fmt: skip
        assert (lawful.n_assigned, lawful.n_flipped, lawful.n_dropped) == (1, 2, 3)
        assert (lawful.tied, lawful.unknown) == ((), ("c", "d"))

    def test_a_node_that_the_rule_gives_no_sign_has_none(self):
        graph = TOY.copy()
        nx.set_node_attributes(graph, {"a": "GABA"}, "transmitter")
        nx.set_node_attributes(graph, 1, "sign")
        nodes = (
            lawful_graph(graph, "transmitter", signs=FAST).graph().nodes(data="sign")
        )
        # one that sends nothing keeps its own
        assert dict(nodes) == {"a": -1, "b": None, "c": None, "d": None, "lonely": 1}

    def test_otherwise_is_the_sign_of_those_without(self):
        lawful = lawful_graph(TOY, "majority", otherwise=-1)
        assert (lawful.n_dropped, lawful.tied, lawful.unknown) == (0, ("c",), ("d",))
        assert lawful.inhibitory == ("b", "c", "d")
        kept = lawful_graph(TOY, "drop", otherwise=-1)
        assert kept.graph().has_edge("c", "b")
        assert not kept.graph().has_edge("c", "a")
        assert not kept.graph().has_edge(
            "d", "a"
        )  # its sign is given, but the edge's is not known

    def test_what_was_done_is_listed_by_sender(self):
        table = lawful_graph(TOY, "majority").table()
        assert table["sign"].fillna(0).tolist() == [1, -1, 0, 0]
        assert table.drop(columns="sign").to_dict("split")["data"] == [
            ["a", 4, 1, 2, 0, 0.0], ["b", 1, 0, 0, 0, 0.0], ["c", 2, 0, 0, 2, 8.0], ["d", 1, 0, 0, 1, 5.0],
        ]  # fmt: skip
        assert str(lawful_graph(TOY, "majority")) == (
            "Signs by majority: senders 1 excitatory, 1 inhibitory, 1 tied, 1 unknown. Of 8 edges, 1 got a sign, "
            "2 changed theirs, and 3 were left out, 39.4% of the weight."
        )
        facts = json.loads(json.dumps(lawful_graph(TOY, "majority").to_dict()))
        assert (facts["rule"], facts["n_flipped"], facts["tied"]) == (
            "majority",
            2,
            ["c"],
        )

    def test_the_given_graph_and_the_result_are_left_alone(self):
        before = nx.to_dict_of_dicts(TOY.copy())
        lawful = lawful_graph(TOY, "majority")
        lawful.graph().remove_node("a")
        assert nx.to_dict_of_dicts(TOY) == before
        assert "a" in lawful.graph()

    def test_edges_of_weight_zero_have_a_sign_too(self):
        lawful = lawful_graph(
            digraph([("a", "b", 0.0, -1), ("b", "a", 0.0, 1), ("b", "c", 0.0, -1)]),
            "majority",
        )
        assert (lawful.inhibitory, lawful.tied) == (("a",), ("b",))

    @pytest.mark.parametrize("rule", ["majority", "drop"])
    @given(graph=graphs)
    def test_the_law_holds_afterwards_and_again_nothing_changes(self, rule, graph):
        lawful = lawful_graph(graph, rule)
        summary = graph_summary(lawful)
        assert (summary.n_mixed, summary.n_unknown, summary.violating_weight) == (
            0,
            0,
            0,
        )
        graph_populations(lawful)  # a layer can be made of it
        assert lawful.n_edges - lawful.n_dropped == summary.n_edges
        assert lawful.dropped_weight == lawful.total_weight - summary.total_weight
        again = lawful_graph(lawful, rule)
        assert (again.n_assigned, again.n_flipped, again.n_dropped) == (0, 0, 0)
        if rule == "drop":
            kept = nx.get_edge_attributes(lawful.graph(), "sign")
            assert all(graph.edges[edge]["sign"] == sign for edge, sign in kept.items())
            best = 0.0
            for node in graph:
                sums = [
                    sum(
                        data["weight"]
                        for *_, data in graph.out_edges(node, data=True)
                        if data["sign"] == sign
                    )
                    for sign in (1, -1)
                ]
                best += max(sums) if sums[0] != sums[1] else 0
            assert summary.total_weight == best

    def test_rules_agree_with_the_worms_own(self):
        rules = {
            "majority": {},
            "transmitter": {"attribute": "fast_transmitter", "signs": FAST},
        }
        for rule, options in rules.items():
            edges = celegans(rule).graph().edges(data="sign")
            expected = {
                (pre, post): sign for pre, post, sign in edges if sign is not None
            }
            lawful = lawful_graph(celegans(), rule, **options)
            assert nx.get_edge_attributes(lawful.graph(), "sign") == expected
        majority = lawful_graph(celegans(), "majority")
        assert (
            len(majority.excitatory),
            len(majority.inhibitory),
            len(majority.tied),
        ) == (170, 70, 3)

    def test_a_lawful_graph_goes_straight_into_a_circuit(self):
        lawful = lawful_graph(celegans(), "majority")
        rnn = EIRNN.from_graph(lawful, 4)
        signs.check(rnn).raise_for_violations()
        populations, nodes = graph_populations(lawful)
        assert (rnn.populations, rnn.nodes) == (populations, nodes)
        values = signed_matrix(lawful, nodes=nodes).values
        weight = rnn.weight_hh_l0.detach().double().numpy()
        np.testing.assert_allclose(
            weight, values * (0.95 / spectrum(values).spectral_radius), rtol=1e-5
        )
        assert torch.equal(rnn.weight_hh_l0_present, graph_mask(lawful, nodes=nodes))

    def test_all_edges_of_the_mushroom_body_by_class(self):
        lawful = lawful_graph(larva_mushroom_body(), "majority")
        assert len(lawful.excitatory) == 154
        assert {node[0] for node in lawful.unknown} == {"O", "I"}

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (
                {"rule": "vote"},
                "`rule` must be one of 'transmitter', 'majority', 'drop'; got 'vote'.",
            ),
            (
                {"rule": "majority", "attribute": "nt"},
                "`attribute` must be left out unless `rule` is 'transmitter'; got 'nt'.",
            ),
            (
                {"rule": "drop", "signs": FAST},
                f"`signs` must be left out unless `rule` is 'transmitter'; got {FAST!r}.",
            ),
            (
                {"rule": "drop", "otherwise": 0},
                "`otherwise` must be +1, -1 or None; got 0.",
            ),
            (
                {"rule": "drop", "otherwise": True},
                "`otherwise` must be +1, -1 or None; got True.",
            ),
            (
                {"rule": "transmitter"},
                "`signs` must give the sign of each transmitter where `rule` is 'transmitter'; got None.",
            ),
            (
                {"rule": "transmitter", "signs": {"ACh": 2}},
                "`signs` must be +1 or -1; got 2 for 'ACh'.",
            ),
            (
                {"rule": "transmitter", "signs": FAST, "attribute": "nt"},
                "`attribute` must name a transmitter in `signs` on some node; got 'nt'.",
            ),
        ],
    )
    def test_wrong_arguments_are_answered_in_one_sentence(self, options, sentence):
        with pytest.raises(ValueError) as raised:
            lawful_graph(TOY, **options)
        assert str(raised.value) == sentence


class TestMatrices:
    def test_rows_receive_and_columns_send(self):
        nodes, values = signed_matrix(TOY, drop_unknown=True)
        assert nodes == ("a", "b", "c", "d", "lonely")
        expected = np.zeros((5, 5))
        for pre, post, data in TOY.edges(data=True):
            expected[nodes.index(post), nodes.index(pre)] = data["weight"] * (
                data["sign"] or 0
            )
        assert np.array_equal(values, expected)
        adjacency = nx.to_numpy_array(TOY, weight="weight")
        assert np.array_equal(
            np.abs(values)[:, :3], adjacency.T[:, :3] * (values != 0)[:, :3]
        )

    def test_nodes_say_the_order(self):
        order = ["lonely", "d", "c", "b", "a"]
        nodes, values = signed_matrix(TOY, nodes=order, drop_unknown=True)
        assert nodes == tuple(order)
        assert np.array_equal(
            values[::-1, ::-1], signed_matrix(TOY, drop_unknown=True).values
        )
        assert torch.equal(graph_mask(TOY, nodes=order).flip(0, 1), graph_mask(TOY))

    def test_a_mask_is_where_edges_are(self):
        mask = graph_mask(TOY)
        assert mask.dtype == torch.bool
        assert np.array_equal(mask.numpy(), nx.to_numpy_array(TOY, weight=None).T > 0)

    def test_populations_put_excitatory_nodes_first(self):
        populations, nodes = graph_populations(fly_visual(), drop_minority=True)
        assert populations == Populations(40, 25)
        majority = (
            graph_summary(fly_visual()).table().set_index("neuron")["sign"].fillna(1)
        )
        assert [majority[node] for node in nodes] == [1] * 40 + [-1] * 25
        with pytest.raises(
            ValueError,
            match="unless `drop_minority` is True; node 'R8' sends both signs",
        ):
            graph_populations(fly_visual())

    def test_unknown_signs_are_refused(self):
        with pytest.raises(ValueError) as raised:
            signed_matrix(TOY)
        sentence = "`graph` must have a sign on every edge, unless `drop_unknown` is True; got 2 of 8 without."
        assert str(raised.value) == sentence

    @pytest.mark.parametrize("call", [lambda nodes: graph_mask(TOY, nodes=nodes), lambda nodes: signed_matrix(
        TOY, nodes=nodes, drop_unknown=True)])  # fmt: skip
    @pytest.mark.parametrize("nodes", ["abc", "abcde", ["a", "a", "b", "c", "d"]])
    def test_other_nodes_are_refused(self, call, nodes):
        with pytest.raises(ValueError) as raised:
            call(nodes)
        assert str(raised.value).startswith(
            "`nodes` must be the 5 nodes of the graph, each once; got "
        )


@pytest.mark.parametrize("read", [graph_summary, signed_matrix, graph_populations, graph_mask,
                                  lambda graph: lawful_graph(graph, "majority")])  # fmt: skip
@pytest.mark.parametrize(
    ("graph", "error", "sentence"),
    [
        ([1], TypeError, "`graph` must be a networkx digraph; got list."),
        (
            nx.Graph([(0, 1)]),
            TypeError,
            "`graph` must be a DiGraph, one edge from node to node; got Graph.",
        ),
        (nx.DiGraph(), ValueError, "`graph` must have a node; got none."),
    ],
    ids=["a list", "undirected", "empty"],
)
def test_what_is_no_digraph_is_refused(read, graph, error, sentence):
    with pytest.raises(error) as raised:
        read(graph)
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        (
            {"sign": 0},
            "`graph` must have a sign, +1 or -1, on every node or edge, see `lawful_graph`; got 0 on the edge from 'a' to 'b'.",
        ),
        (
            {"weight": math.inf, "sign": 1},
            "`graph` must have finite numbers as weights; got inf on the edge from 'a' to 'b'.",
        ),
    ],
)
def test_signs_and_weights_are_checked(attributes, sentence):
    graph = nx.DiGraph()
    graph.add_edge("a", "b", **attributes)
    for read in (
        graph_summary,
        signed_matrix,
        lambda graph: lawful_graph(graph, "drop"),
    ):
        with pytest.raises(ValueError) as raised:
            read(graph)
        assert str(raised.value) == sentence


def test_what_gives_a_graph_is_asked_for_it():
    assert digraph_edges.digraph("graph", TOY) is TOY
    assert list(digraph_edges.digraph("graph", fly_visual())) == list(
        fly_visual().graph()
    )
