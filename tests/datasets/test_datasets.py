"""daleml.datasets: the published counts, the sign rules, and tables nobody else can spoil."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import torch

from daleml.datasets import (
    Connectome,
    celegans,
    digits,
    fly_visual,
    larva_mushroom_body,
)

FAST = {"ACh": 1, "Glu": 1, "GABA": -1}
LOADERS = pytest.mark.parametrize(
    "load", [celegans, fly_visual, larva_mushroom_body], ids=lambda load: load.__name__
)


def connectome(
    rows: list[tuple[str, str, float, int | None]], neurons: list[str]
) -> Connectome:
    """A connectome made by hand from (source, target, weight, sign) rows."""
    edges = pd.DataFrame(rows, columns=["source", "target", "weight", "sign"])
    edges["sign"] = edges["sign"].astype("Int8")
    table = pd.DataFrame({"neuron": neurons})
    return Connectome("hand-made", table, edges, "here", "none", "nobody", "sections")


TOY = connectome(
    [
        ("a", "b", 6.0, 1),
        ("a", "c", 1.0, -1),
        ("a", "a", 1.0, -1),
        ("a", "d", 9.0, None),
        ("b", "a", 2.0, -1),
        ("b", "c", 5.0, None),
    ],
    ["a", "b", "lonely"],
)


class TestConnectome:
    def test_graph_keeps_the_isolated_and_the_unlisted(self):
        graph = TOY.graph()
        assert list(graph) == ["a", "b", "lonely", "c", "d"]
        assert graph.degree("lonely") == 0
        assert graph["a"]["c"] == {"weight": 1.0, "sign": -1}
        assert graph["a"]["d"] == {"weight": 9.0, "sign": None}

    def test_weights_are_magnitudes_in_the_order_of_the_edges(self):
        assert TOY.weights().tolist() == [6.0, 1.0, 1.0, 9.0, 2.0, 5.0]
        assert TOY.weights(+1).tolist() == [6.0]
        assert TOY.weights(-1).tolist() == [1.0, 1.0, 2.0]
        assert TOY.weights().dtype == np.float64

    def test_weights_are_the_callers_own(self):
        TOY.weights()[:] = 0.0
        assert TOY.weights().sum() == 24.0

    @pytest.mark.parametrize("sign", [0, 2, "+"])
    def test_weights_refuses_other_signs(self, sign):
        with pytest.raises(ValueError) as error:
            TOY.weights(sign)
        assert str(error.value) == f"`sign` must be None, +1 or -1; got {sign!r}."

    def test_violations_count_known_signs_only(self):
        assert TOY.dale_violations().to_dict("records") == [
            {"neuron": "a", "n_exc": 1, "n_inh": 2, "minority_fraction": 0.25}
        ]

    def test_a_lawful_connectome_has_an_empty_table_of_violations(self):
        table = connectome(
            [("a", "b", 1.0, 1), ("b", "a", 1.0, -1)], ["a", "b"]
        ).dale_violations()
        assert len(table) == 0
        assert list(table) == ["neuron", "n_exc", "n_inh", "minority_fraction"]

    def test_to_dict_is_json_with_counts(self):
        facts = json.loads(json.dumps(TOY.to_dict()))
        assert facts == {
            "name": "hand-made",
            "source": "here",
            "licence": "none",
            "citation": "nobody",
            "weight_unit": "sections",
            "n_neurons": 5,
            "n_connected": 4,
            "n_edges": 6,
            "n_edges_exc": 1,
            "n_edges_inh": 3,
            "n_edges_unknown": 2,
            "total_weight": 24.0,
        }

    def test_str_and_repr_do_not_print_the_tables(self):
        assert str(TOY) == "hand-made: 5 neurons, 6 edges, 4 of known sign\nnobody"
        assert "\n" not in repr(TOY)

    def test_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            TOY.name = "mine"

    def test_refuses_a_pair_listed_twice(self):
        with pytest.raises(ValueError) as error:
            connectome([("a", "b", 1.0, 1), ("a", "b", 2.0, 1)], ["a", "b"])
        assert (
            str(error.value)
            == "`edges` must list each source and target once; got 1 again."
        )

    def test_refuses_a_table_without_its_columns(self):
        with pytest.raises(ValueError) as error:
            Connectome("x", TOY.neurons, TOY.edges.drop(columns="sign"), "", "", "", "")
        assert str(error.value) == (
            "`edges` must have the columns source, target, weight, sign; got none called sign."
        )


class TestCelegans:
    def test_size(self):
        facts = celegans().to_dict()
        assert (facts["n_neurons"], facts["n_connected"], facts["n_edges"]) == (
            302,
            297,
            3638,
        )
        assert facts["total_weight"] == 20589

    def test_columns(self):
        worm = celegans()
        assert list(worm.edges) == ["source", "target", "weight", "sign", "polarity"]
        assert worm.edges["sign"].dtype == "Int8"
        assert list(worm.neurons) == [
            "neuron",
            "transmitter",
            "fast_transmitter",
            "exc_sections",
            "inh_sections",
        ]

    def test_polarity_counts(self):
        counts = celegans().edges["polarity"].value_counts().to_dict()
        assert counts == {"no pred": 1415, "+": 1327, "complex": 471, "-": 425}

    def test_fast_transmitter_counts(self):
        counts = celegans().neurons["fast_transmitter"].value_counts()
        assert counts[list(FAST)].to_dict() == {"ACh": 153, "Glu": 78, "GABA": 31}
        assert counts[list(FAST)].sum() == 262
        assert counts[["ACh+Glu", "ACh+GABA", "Glu+ACh"]].sum() == 10
        assert counts[""] == 30

    def test_subnetwork_of_one_fast_transmitter(self):
        worm = celegans()
        fast = set(
            worm.neurons["neuron"][worm.neurons["fast_transmitter"].isin(list(FAST))]
        )
        subgraph = worm.graph().subgraph(fast)
        assert sum(degree > 0 for _, degree in subgraph.degree) == 260
        assert subgraph.number_of_edges() == 2626

    def test_prediction_of_neurons(self):
        neurons = celegans().neurons.dropna()
        excess = np.sign(
            (neurons["exc_sections"] - neurons["inh_sections"]).astype(int)
        )
        assert excess.value_counts().to_dict() == {1: 170, -1: 70, 0: 3}

    def test_sections_of_neurons_are_those_of_the_edges(self):
        worm = celegans()
        for sign, column in ((1, "exc_sections"), (-1, "inh_sections")):
            known = worm.neurons.set_index("neuron")[column].dropna().astype(float)
            sums = worm.edges[worm.edges["sign"].eq(sign).fillna(False)].groupby(
                "source"
            )["weight"]
            assert known[known > 0].sort_index().to_dict() == sums.sum().to_dict()

    def test_cholinergic_neurons_that_mostly_inhibit(self):
        neurons = celegans().neurons.dropna()
        ach = neurons[neurons["fast_transmitter"] == "ACh"]
        assert (len(ach), int((ach["inh_sections"] > ach["exc_sections"]).sum())) == (
            142,
            42,
        )

    def test_receptor_rule_follows_the_prediction(self):
        edges = celegans("receptor").edges
        signs = edges["polarity"].map({"+": 1, "-": -1, "complex": 0, "no pred": 0})
        assert edges["sign"].fillna(0).tolist() == signs.tolist()

    def test_transmitter_rule_follows_the_sender(self):
        worm = celegans("transmitter")
        transmitter = worm.neurons.set_index("neuron")["fast_transmitter"].to_dict()
        expected = [FAST.get(transmitter[source], 0) for source in worm.edges["source"]]
        assert worm.edges["sign"].fillna(0).tolist() == expected

    def test_majority_rule_follows_the_heavier_sign(self):
        totals: dict[str, float] = {}
        for source, sign, weight in (
            celegans().edges[["source", "sign", "weight"]].to_numpy()
        ):
            totals[source] = totals.get(source, 0) + (
                0 if sign is pd.NA else sign * weight
            )
        edges = celegans("majority").edges
        assert edges["sign"].fillna(0).tolist() == [
            np.sign(totals[s]) for s in edges["source"]
        ]

    def test_receptor_rule_breaks_the_law_a_little(self):
        worm = celegans("receptor")
        violations = worm.dale_violations().set_index("neuron")["minority_fraction"]
        assert len(violations) == 97
        signed = worm.edges[worm.edges["sign"].notna()]
        of_sender = signed.groupby("source")["weight"].sum()
        minority = (violations * of_sender[violations.index]).sum() / of_sender.sum()
        assert minority == pytest.approx(0.0673, abs=5e-5)

    @pytest.mark.parametrize("rule", ["transmitter", "majority"])
    def test_rules_of_the_sender_obey_the_law(self, rule):
        assert len(celegans(rule).dale_violations()) == 0

    @pytest.mark.parametrize(
        ("rule", "n_exc", "n_inh"),
        [("receptor", 1327, 425), ("transmitter", 2802, 203), ("majority", 2063, 1018)],
    )
    def test_a_sign_is_plus_or_minus_one_or_missing(self, rule, n_exc, n_inh):
        counts = celegans(rule).edges["sign"].value_counts(dropna=True).to_dict()
        assert counts == {1: n_exc, -1: n_inh}

    @pytest.mark.parametrize("rule", ["Receptor", "", None, ["receptor"]])
    def test_refuses_other_rules(self, rule):
        with pytest.raises(ValueError) as error:
            celegans(signs=rule)
        rules = '"receptor", "transmitter", "majority"'
        assert str(error.value) == f"`signs` must be one of {rules}; got {rule!r}."

    def test_a_quoted_transmitter_is_one_cell(self):
        neurons = celegans().neurons.set_index("neuron")
        assert (
            neurons.loc["AVKL", "transmitter"] == "unknown (orphan, unc-47 expression)"
        )

    def test_graph_says_none_where_nothing_is_known(self):
        graph = celegans().graph()
        assert graph.nodes["M5"] == {
            "transmitter": "ACh ; Glu",
            "fast_transmitter": "ACh+Glu",
            "exc_sections": None,
            "inh_sections": None,
        }
        assert graph["ADAL"]["AIAL"] == {"weight": 2.0, "sign": None}


class TestFly:
    def test_size_and_signs(self):
        facts = fly_visual().to_dict()
        assert (facts["n_neurons"], facts["n_edges"]) == (65, 605)
        assert (facts["n_edges_exc"], facts["n_edges_inh"]) == (377, 228)

    def test_columns(self):
        edges = fly_visual().edges
        assert list(edges) == ["source", "target", "weight", "sign", "n_offsets"]
        assert edges["sign"].dtype == "Int8"
        assert edges["source"].nunique() == 63

    def test_weight_is_the_synapse_count(self):
        edges = fly_visual().edges.set_index(["source", "target"])
        assert edges.loc[("R1", "L1"), "weight"] == 40.0
        assert edges.loc[("C3", "Lawf2"), ["weight", "n_offsets"]].tolist() == [
            95.0,
            19,
        ]

    def test_four_exceptions_to_the_law(self):
        fly = fly_visual()
        violations = fly.dale_violations().set_index("neuron")["minority_fraction"]
        assert list(violations.index) == ["Am", "C2", "C3", "R8"]
        of_sender = fly.edges.groupby("source")["weight"].sum()
        minority = (violations * of_sender[violations.index]).sum() / of_sender.sum()
        assert minority == pytest.approx(0.0205, abs=5e-5)


class TestMushroomBody:
    @pytest.mark.parametrize(
        ("side", "neurons", "edges", "classes"),
        [
            ("left", 209, 7425, {"K": 101, "P": 58, "O": 29, "I": 21}),
            ("right", 213, 7536, {"K": 100, "P": 63, "O": 29, "I": 21}),
        ],
    )
    def test_size(self, side, neurons, edges, classes):
        body = larva_mushroom_body(side)
        facts = body.to_dict()
        assert (facts["n_neurons"], facts["n_edges"]) == (neurons, edges)
        assert body.neurons["letter"].value_counts().to_dict() == classes
        assert body.neurons["neuron"].is_unique

    def test_rows_send_and_columns_receive(self):
        home = resources.files("daleml.datasets") / "data" / "larva_mushroom_body"
        rows = (
            (home / "larva_mushroom_body_left_adjacency.txt").read_text().splitlines()
        )
        counts = [[float(cell) for cell in row.split()] for row in rows]
        body = larva_mushroom_body("left")
        names = body.neurons["neuron"].tolist()
        expected = {
            (names[pre], names[post]): count
            for pre, row in enumerate(counts)
            for post, count in enumerate(row)
            if count
        }
        edges = body.edges
        assert (
            dict(
                zip(
                    zip(edges["source"], edges["target"], strict=True),
                    edges["weight"],
                    strict=True,
                )
            )
            == expected
        )
        letters = edges["target"].str[0]
        assert not (
            letters == "P"
        ).any()  # projection neurons bring the smell: nothing here sends to them

    def test_signs_are_those_of_the_classes_that_have_one(self):
        edges = larva_mushroom_body().edges
        letters = edges["source"].str[0]
        assert edges["sign"][letters.isin(["K", "P"])].eq(1).all()
        assert edges["sign"][letters.isin(["O", "I"])].isna().all()

    def test_refuses_other_sides(self):
        with pytest.raises(ValueError) as error:
            larva_mushroom_body("middle")
        assert str(error.value) == '`side` must be "left" or "right"; got \'middle\'.'


class TestDigits:
    def test_shapes_and_types(self):
        split = digits()
        assert (split.train_x.shape, split.train_y.shape) == ((1437, 64), (1437,))
        assert (split.test_x.shape, split.test_y.shape) == ((360, 64), (360,))
        assert (split.train_x.dtype, split.train_y.dtype) == (
            torch.float32,
            torch.int64,
        )
        assert (float(split.train_x.min()), float(split.train_x.max())) == (0.0, 1.0)

    def test_pixel_means(self):
        """Of all the images 0.3053; of the training images, what ``pixel_mean`` says, 0.3054."""
        split = digits()
        everything = torch.cat([split.train_x, split.test_x]).double()
        assert float(everything.mean()) == pytest.approx(0.30526, abs=5e-6)
        assert split.pixel_mean == pytest.approx(0.30545, abs=5e-6)

    @pytest.mark.parametrize("seed", [0, 5])
    def test_split_is_the_permutation_of_the_seed(self, seed):
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(seed).permutation(1797)
        split = digits(seed)
        x, y = (
            torch.cat([split.train_x, split.test_x]),
            torch.cat([split.train_y, split.test_y]),
        )
        assert np.array_equal(x.numpy() * 16, pixels[order])
        assert np.array_equal(y.numpy(), labels[order])

    def test_global_generators_are_left_alone(self):
        np.random.seed(3)
        torch.manual_seed(3)
        before = (np.random.get_state()[1].copy(), torch.get_rng_state())
        digits(seed=1)
        assert np.array_equal(np.random.get_state()[1], before[0])
        assert torch.equal(torch.get_rng_state(), before[1])

    def test_frame_is_tidy(self):
        split = digits()
        frame = split.frame()
        assert list(frame) == ["split", "label", *(f"pixel_{i}" for i in range(64))]
        assert frame["split"].tolist() == ["train"] * 1437 + ["test"] * 360
        test = frame[frame["split"] == "test"]
        assert test["label"].tolist() == split.test_y.tolist()
        assert np.array_equal(
            test.filter(like="pixel_").to_numpy(), split.test_x.numpy()
        )

    def test_editing_the_frame_leaves_the_images(self):
        split = digits()
        frame = split.frame()
        frame["pixel_20"] = -1.0
        frame.loc[0, "pixel_21"] = -1.0
        assert float(split.train_x.min()) == 0.0

    @pytest.mark.parametrize(
        ("seed", "error", "sentence"),
        [
            (-1, ValueError, "`seed` must be at least 0; got -1."),
            (0.5, TypeError, "`seed` must be an integer; got 0.5."),
            (None, TypeError, "`seed` must be an integer; got None."),
        ],
    )
    def test_refuses_other_seeds(self, seed, error, sentence):
        with pytest.raises(error) as raised:
            digits(seed)
        assert str(raised.value) == sentence


@LOADERS
def test_each_call_returns_tables_of_its_own(load):
    spoilt, whole = load(), load()
    edges, neurons = whole.edges.copy(), whole.neurons.copy()
    spoilt.edges["weight"] = 0.0
    spoilt.edges["sign"] = pd.NA
    spoilt.neurons["neuron"] = "x"
    for connectome in (whole, load()):
        pd.testing.assert_frame_equal(connectome.edges, edges)
        pd.testing.assert_frame_equal(connectome.neurons, neurons)


@LOADERS
def test_graph_agrees_with_the_tables(load):
    data = load()
    graph = data.graph()
    assert list(graph) == data.neurons["neuron"].tolist()
    for sign in (1, -1):
        weights = [d["weight"] for *_, d in graph.edges(data=True) if d["sign"] == sign]
        assert sorted(weights) == sorted(data.weights(sign))
    assert graph.number_of_edges() == data.weights().size


@LOADERS
def test_the_readme_beside_the_data_has_the_same_citation_and_licence(load):
    readme = (resources.files("daleml.datasets") / "data" / "README.md").read_text(
        encoding="utf-8"
    )
    assert f"| {load().licence} | {load().citation} |" in readme


def test_citations():
    fenyves, wang = celegans().citation.split("; ")
    assert fenyves == "Fenyves et al. 2020 PLoS Comput Biol 16:e1007974"
    assert wang == "Wang et al. 2024 eLife 13:RP95402"
    assert fly_visual().citation == "Lappalainen et al. 2024 Nature 634:1132"
