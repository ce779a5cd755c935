"""Circuits of wirings that were given: units in any order, cell types, and the order undone."""

import copy
import pickle
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml import Populations, signs
from daleml.analysis import graph_populations, graph_summary, spectrum
from daleml.layers import EIRNN

CELLS = ["PV", "E", "SST", "E", "PV"]
# A row for each presynaptic unit; the last sends nothing.
BY_SENDER = np.array(
    [
        [0.0, -1.0, -2.0, 0.0, -0.5],
        [1.5, 0.0, 2.5, 0.25, 0.0],
        [-3.0, -0.5, -1.0, 0.0, 0.0],
        [0.0, 4.0, 0.5, 0.0, 8.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def built(weights=BY_SENDER, rows="pre", **options):
    options = {"names": CELLS, "dtype": torch.float64, **options}
    return EIRNN.from_matrix(weights, 2, rows=rows, **options)


def test_strengths_are_as_given_in_the_order_of_the_circuit():
    rnn = built()
    assert rnn.populations == Populations.of(exc={"E": 2}, inh={"PV": 2, "SST": 1})
    assert rnn.order.tolist() == [1, 3, 0, 4, 2]
    weight = rnn.weight_hh_l0.detach()
    for k, i in enumerate(rnn.order.tolist()):
        for m, j in enumerate(rnn.order.tolist()):
            assert weight[m, k] == BY_SENDER[i, j]
    assert signs.check(rnn)
    back = rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).detach().numpy()
    assert np.array_equal(back, BY_SENDER.T)
    # A silent unit has the sign of its type.
    kept = rnn.get_buffer("weight_hh_l0_signs").flatten().tolist()
    assert kept == [1, 1, -1, -1, -1]


def test_the_other_orientation_and_what_holds_a_matrix(tmp_path):
    np.save(tmp_path / "w.npy", BY_SENDER)
    np.savetxt(tmp_path / "w.csv", BY_SENDER, delimiter=",")
    torch.save({"w": torch.tensor(BY_SENDER)}, tmp_path / "w.pt")
    expected = built().weight_hh_l0
    for rows, weights in {
        "post": (BY_SENDER.T, torch.tensor(BY_SENDER.T), BY_SENDER.T.tolist()),
        "pre": (
            tmp_path / "w.npy",
            str(tmp_path / "w.csv"),
            tmp_path / "w.pt",
            scipy.sparse.csr_array(BY_SENDER),
            torch.tensor(BY_SENDER).to_sparse(),
        ),
    }.items():
        for one in weights:
            assert torch.equal(built(one, rows).weight_hh_l0, expected)


def test_a_labelled_matrix_names_the_units():
    labels = ["basket", "pyr1", "martinotti", "pyr2", "chandelier"]
    table = pd.DataFrame(BY_SENDER, labels, labels)
    rnn = built(
        table, dt_ms=5, tau_ms=dict(zip(labels, (10, 20, 30, 40, 50), strict=True))
    )
    assert rnn.nodes == ("pyr1", "pyr2", "basket", "chandelier", "martinotti")
    assert rnn.tau_ms.tolist() == [20, 40, 10, 50, 30]
    # What has the names of units needs no order.
    types = pd.Series(CELLS, labels).sort_index()
    of_units = {label: 1 if cell == "E" else -1 for label, cell in types.items()}
    for names in (types, types.to_dict()):
        twin = built(table, names=names, signs=of_units)
        assert twin.nodes == rnn.nodes
        assert torch.equal(twin.weight_hh_l0, rnn.weight_hh_l0)
    with pytest.raises(ValueError) as raised:
        built(table, names=types.drop("pyr1"))
    assert str(raised.value) == (
        "`names` must have a value for every unit, by its name in `weights`; got none for"
        " 'pyr1'."
    )
    assert built(names=pd.Series(CELLS)).populations == rnn.populations


def test_a_labelled_file_names_the_units_as_its_table_does(tmp_path):
    labels = ["basket", "pyr1", "martinotti", "pyr2", "chandelier"]
    table = pd.DataFrame(BY_SENDER, labels, labels)
    kept = built(table, dt_ms=5, tau_ms=[10, 20, 30, 40, 50])
    for corner in ("", "cell"):
        table.to_csv(tmp_path / "w.csv", index_label=corner)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rnn = built(tmp_path / "w.csv", dt_ms=5, tau_ms=[10, 20, 30, 40, 50])
        assert rnn.nodes == kept.nodes
        assert torch.equal(rnn.weight_hh_l0, kept.weight_hh_l0)
        assert torch.equal(rnn.tau_ms, kept.tau_ms)
    # Units that pandas numbers have no names, nor have columns that rows do not share.
    for names in (range(5), labels[::-1]):
        pd.DataFrame(BY_SENDER, names, range(5)).to_csv(tmp_path / "w.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert built(tmp_path / "w.csv").nodes is None


def test_names_that_only_blanks_tell_apart_are_refused():
    graph = nx.DiGraph([("A", "B "), ("B", "A")])
    nx.set_edge_attributes(graph, 1, "sign")
    nx.set_edge_attributes(graph, 1.0, "weight")
    for read in (lambda: EIRNN.from_graph(graph, 1), lambda: graph_summary(graph)):
        with pytest.raises(ValueError) as raised:
            read()
        assert str(raised.value) == (
            "`graph` must name nodes by more than blanks; got 'B ' and 'B': strip the names"
            " of the table first."
        )
    labels = ["A", "B", "C", " B", "D"]
    with pytest.raises(
        ValueError, match="must name units by more than blanks; got 'B'"
    ):
        built(pd.DataFrame(BY_SENDER, labels, labels))


def test_options_by_unit_follow_the_order_of_the_matrix():
    tau = [10.0, 20.0, 30.0, 40.0, 50.0]
    mask = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]])
    for taus in (tau, np.array(tau), torch.tensor(tau)):
        rnn = built(dt_ms=5, tau_ms=taus, input_mask=mask)
        assert rnn.in_given_order(rnn.tau_ms).tolist() == tau
        present = rnn.get_buffer("weight_ih_l0_present")
        assert rnn.in_given_order(present, dim=0).tolist() == mask.tolist()
    assert built(dt_ms=5, tau_ms=50).tau_ms == 50


def test_options_go_by_population_too():
    tau = {"E": 20.0, "PV": 10.0, "SST": 30.0}
    of_type = [tau[cell] for cell in CELLS]
    rnn = built(dt_ms=5, tau_ms=tau)
    assert rnn.in_given_order(rnn.tau_ms).tolist() == of_type
    # Nodes that have names of their own have populations too.
    rnn = EIRNN.from_graph(typed_graph(), 1, population="type", dt_ms=5, tau_ms=tau)
    assert rnn.tau_ms.tolist() == [20, 20, 10, 10, 30]
    exists = torch.tensor(BY_SENDER.T) != 0
    rnn = built(fixed=exists & (torch.rand(5, 5) < 0.5), strength=None)
    fixed = rnn.in_given_order(rnn.get_buffer("weight_hh_l0_fixed"), dim=(0, 1))
    assert not (fixed.bool() & ~exists).any()
    acting = rnn.in_given_order(rnn.effective_weights()[0].recurrent, dim=(0, 1))
    assert torch.equal(acting, torch.tensor(BY_SENDER.T))


def test_zeros_are_no_synapses_unless_they_are_to_grow():
    assert int(built().get_buffer("weight_hh_l0_present").sum()) == 12
    dense = built(zeros_exist=True)
    assert not hasattr(dense, "weight_hh_l0_present")
    assert torch.equal(dense.weight_hh_l0, built().weight_hh_l0)


def test_strengths_are_scaled_where_a_radius_is_asked_for():
    given = spectrum(built()).spectral_radius
    rnn = built(spectral_radius=1.2)
    assert spectrum(rnn).spectral_radius == pytest.approx(1.2)
    torch.testing.assert_close(rnn.weight_hh_l0, built().weight_hh_l0 * (1.2 / given))


def test_units_of_both_signs_are_refused_or_cut():
    mixed = BY_SENDER.copy()
    mixed[1, 0] = -0.5
    with pytest.raises(ValueError) as raised:
        built(mixed)
    assert str(raised.value) == (
        "`weights` must give each presynaptic unit one sign, unless `drop_minority` is"
        " True; got unit 1 of type 'E' with 2 positive and 1 negative weights."
    )
    rnn = built(mixed, drop_minority=True)
    back = rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).detach().numpy()
    mixed[1, 0] = 0
    assert np.array_equal(back, mixed.T)
    with pytest.raises(ValueError) as raised:
        built(BY_SENDER, "post")
    assert "its transpose keeps Dale's law, so `rows` may be the other one." in str(
        raised.value
    )


def test_signs_that_are_given_are_kept():
    unit_signs = [-1, 1, -1, 1, -1]
    assert built(signs=unit_signs).populations == built().populations
    rnn = built(names=None, signs=[-1, 1, -1, 1, 1])
    assert rnn.populations == Populations(3, 2)
    with pytest.raises(ValueError) as raised:
        built(names=None, signs=[-1, 1, -1, -1, 1])
    assert str(raised.value) == (
        "`weights` must have the signs that `signs` gives, unless `drop_minority` is True;"
        " got unit 3 with 3 positive and 0 negative weights."
    )
    # Without types, a unit that sends nothing excites.
    assert built(names=None).populations == Populations(3, 2)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_any_lawful_matrix_comes_back_as_it_was(n, seed):
    rng = np.random.default_rng(seed)
    unit_signs = rng.choice([1, -1], n)
    weights = rng.gamma(2, size=(n, n)) * (rng.random((n, n)) < 0.5) * unit_signs
    rnn = EIRNN.from_matrix(
        weights, 1, rows="post", signs=unit_signs, dtype=torch.float64
    )
    assert signs.check(rnn)
    back = rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).detach()
    assert np.array_equal(back.numpy(), weights)


@pytest.mark.filterwarnings("error")
def test_a_checkpoint_of_units_in_another_order_warns():
    weights = np.arange(16.0).reshape(4, 4) * [[1], [-1], [1], [-1]]
    first, same = (built(weights, names=None) for _ in range(2))
    same.load_state_dict(first.state_dict())
    other = built(weights[[1, 0, 3, 2]][:, [1, 0, 3, 2]], names=None)
    sentence = (
        r"order: .* with '0, 2, 1\.\.\. .* has '1, 3, 0\.\.\. .*: build one with the"
    )
    with pytest.warns(UserWarning, match=sentence):
        other.load_state_dict(first.state_dict())


def test_the_order_survives_copies_and_pickles():
    rnn = built()
    for twin in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):
        assert torch.equal(twin.order, rnn.order)
        assert twin.populations == rnn.populations
    plain = EIRNN(2, Populations(3, 1))
    values = torch.rand(2, 4)
    assert plain.order is None
    assert plain.in_given_order(values) is values


WRONG = {
    "rows of neither": (
        {"rows": "columns"},
        "`rows` must be 'post' if a row holds the synapses onto a unit, or 'pre' if it"
        " holds those that the unit makes; got 'columns'.",
    ),
    "no square": (
        {"weights": np.ones((2, 3))},
        "`weights` must be square, a row and a column for each unit; got shape (2, 3).",
    ),
    "not a number": (
        {"weights": [[np.nan, 1.0], [1.0, 0.0]]},
        "`weights` must be finite; got 1 NaN or infinite values of 4.",
    ),
    "truth values": (
        {"weights": np.ones((2, 2), dtype=bool)},
        "`weights` must be a matrix of real numbers, or a file of one; got ndarray.",
    ),
    "names of other units": (
        {"names": ["E"]},
        "`names` must hold the cell type of each of 5 units; got 1.",
    ),
    "signs of other units": (
        {"signs": [1, -1]},
        "`signs` must hold +1 or -1 for each of 5 units; got 2.",
    ),
    "a type of both signs": (
        {"names": ["PV", "E", "SST", "E", "E"], "signs": [-1, 1, -1, 1, -1]},
        "`names` must give units of one type one sign; got 'E' for unit 4, which inhibits,"
        " and for one that excites.",
    ),
    "a variable of an array": (
        {"variable": "W"},
        "`variable` must be left out unless `weights` is a file; got 'W'.",
    ),
    "a mask beside it": (
        {"mask": 0.5},
        "`mask` must be left out, since the matrix says it; got 0.5.",
    ),
    "strengths beside it": (
        {"strength": torch.ones(5, 5)},
        "`strength` must be left out, since the matrix says it; got Tensor.",
    ),
    "a word for names": (
        {"names": "EIEIE"},
        "`names` must hold the cell type of each unit; got the string 'EIEIE'.",
    ),
    "labels that differ": (
        {"weights": pd.DataFrame(np.eye(2), ["a", "b"], ["b", "a"]), "names": None},
        "`weights` must name the same units in rows and columns, in one order; got ['a',"
        " 'b'] and ['b', 'a'] first.",
    ),
    "too few time constants": (
        {"dt_ms": 5, "tau_ms": [10, 20]},
        "`tau_ms` must have a value for each of 5 units, in the order in which they were"
        " given; got 2.",
    ),
    "a type that is not there": (
        {"dt_ms": 5, "tau_ms": {"E": 20, "PVs": 10, "SST": 5}},
        "`tau_ms` must name one of the populations 'E', 'PV', 'SST', an area or a pattern of"
        " them; got 'PVs' (did you mean 'PV'?).",
    ),
    "beyond the precision": (
        {"weights": [[0.0, 1e300], [1.0, 0.0]], "names": None, "dtype": torch.float32},
        "`weights` must have weights in the range of torch.float32; got some beyond it.",
    ),
}


@pytest.mark.parametrize("slip", WRONG)
def test_impossible_matrices_are_refused_in_one_sentence(slip):
    changed, sentence = WRONG[slip]
    with pytest.raises((TypeError, ValueError)) as raised:
        built(**{"weights": BY_SENDER, **changed})
    assert str(raised.value) == sentence


def test_other_than_units_are_not_put_in_order():
    with pytest.raises(ValueError) as raised:
        built().in_given_order(torch.rand(3, 4))
    assert str(raised.value) == (
        "`values` must have 5 units along dimension -1; got shape (3, 4)."
    )


# -- graphs ----------------------------------------------------------------------------------------


def typed_graph():
    graph = nx.DiGraph()
    for node, sign, cell in (
        ("b1", -1, "PV"),
        ("p1", 1, "E"),
        ("m1", -1, "SST"),
        ("p2", 1, "E"),
        ("b2", -1, "PV"),
    ):
        graph.add_node(node, sign=sign, type=cell)
    graph.add_edge("p1", "b1", weight=3.0)
    graph.add_edge("b1", "p2", weight=2.0)
    graph.add_edge("m1", "b2", weight=1.0)
    return graph


def test_cell_types_of_nodes_name_the_populations():
    graph = typed_graph()
    types = dict(graph.nodes(data="type"))
    for population in ("type", types):
        rnn = EIRNN.from_graph(graph, 1, population=population)
        assert rnn.populations == Populations.of(exc={"E": 2}, inh={"PV": 2, "SST": 1})
        assert rnn.nodes == ("p1", "p2", "b1", "b2", "m1")
        assert graph_populations(graph, population=population) == (
            rnn.populations,
            rnn.nodes,
        )
    assert rnn.order.tolist() == [1, 3, 0, 4, 2]
    expected = nx.to_numpy_array(graph).T * [-1, 1, -1, 1, -1]
    back = rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).detach().numpy()
    assert np.array_equal(back, expected)
    # Without them nothing is new but the order.
    plain = EIRNN.from_graph(graph, 1)
    assert plain.populations == Populations(2, 3)
    assert plain.nodes == ("p1", "p2", "b1", "m1", "b2")
    assert plain.order.tolist() == [1, 3, 0, 2, 4]


@pytest.mark.parametrize(
    ("population", "sentence"),
    [
        (3, "`population` must be the attribute of nodes that holds their cell type, or a mapping by node; got int."),
        ("kind", "`population` must give the cell type of every node, a string; got None for 'b1'."),
        ({"b1": "PV"}, "`population` must give the cell type of every node, a string; got None for 'p1'."),
        (dict.fromkeys(typed_graph(), "all"), "`population` must give nodes of one cell type one sign; got 'all' for 'p1', whose sign is +1, and for one of the other sign."),
    ],
)  # fmt: skip
def test_cell_types_that_do_not_fit_are_refused(population, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        EIRNN.from_graph(typed_graph(), 1, population=population)
    assert str(raised.value) == sentence


def test_a_file_of_several_matrices_asks_for_the_variable(tmp_path):
    files = tmp_path / "net.mat", tmp_path / "net.npz"
    scipy.io.savemat(files[0], {"w": BY_SENDER, "w_in": np.ones((5, 2))})
    np.savez(files[1], w=BY_SENDER, w_in=np.ones((5, 2)))
    for file in files:
        for variable in (None, "W"):
            with pytest.raises(ValueError, match="^`variable` must name one matrix"):
                built(file, variable=variable)
        chosen = built(file, variable="w")
        assert torch.equal(chosen.weight_hh_l0, built().weight_hh_l0)


def test_on_meta_there_are_populations_and_no_values():
    with torch.device("meta"):
        rnn = built(drop_minority=True)
        graphed = EIRNN.from_graph(typed_graph(), 1, population="type")
    assert rnn.weight_hh_l0.is_meta
    assert rnn.order.tolist() == graphed.order.tolist() == [1, 3, 0, 4, 2]
