"""Circuits of sparse matrices and of tables of edges, against those of the same digraph."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from daleml import Populations, signs
from daleml.analysis import graph_summary, lawful_graph
from daleml.layers import EIRNN

N = 30
IDS = [720575940600000001 + 3 * k for k in range(N)]
"""Ids that no float holds: two of them differ by less than its spacing."""


def edges(seed=0, lawful=True):
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(N) for j in range(N) if rng.random() < 0.2]
    table = pd.DataFrame(pairs, columns=["pre", "post"])
    table["weight"] = rng.integers(1, 20, len(table)).astype(float)
    table["sign"] = np.where(table["pre"] % 5 == 0, -1, 1)
    if not lawful:
        table.loc[::9, "sign"] *= -1
    table["pre"], table["post"] = (
        table[end].map(dict(enumerate(IDS))) for end in ("pre", "post")
    )
    return table


def digraph(table):
    return nx.from_pandas_edgelist(
        table, "pre", "post", ["weight", "sign"], create_using=nx.DiGraph
    )


def built(graph, **options):
    generator = torch.Generator().manual_seed(0)
    return EIRNN.from_graph(graph, 2, generator=generator, **options)


def assert_same(one, other):
    assert one.nodes == other.nodes
    assert one.populations == other.populations
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "feather"])
def test_a_file_of_edges_is_read_as_its_graph_is(ending, tmp_path):
    table, path = edges(lawful=False), tmp_path / f"edges.{ending}"
    # More columns than those that are needed, one of them with gaps.
    table["x"] = [None] + [0.5] * (len(table) - 1)
    if ending in ("parquet", "feather"):
        getattr(table, f"to_{ending}")(path)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    expected = built(digraph(table), drop_minority=True)
    rnn = built(path, drop_minority=True)
    assert_same(rnn, expected)
    assert all(type(node) is int for node in rnn.nodes)
    assert set(rnn.nodes) == set(table["pre"]) | set(table["post"])
    assert rnn.n_dropped == expected.n_dropped > 0
    assert signs.check(rnn)


def test_columns_go_by_usual_names_or_by_those_given():
    table = edges()
    expected = built(digraph(table))
    codex = table.rename(
        columns={"pre": "pre_root_id", "post": "post_root_id", "weight": "syn_count"}
    )
    assert_same(built(codex), expected)
    blanks = table.rename(
        columns={"pre": " Source", "post": "Target ", "weight": "N_syn"}
    )
    assert_same(built(blanks), expected)
    own = table.rename(columns={"pre": "a", "post": "b", "weight": "c", "sign": "d"})
    roles = {"pre": "a", "post": "b", "weight": "c", "sign": "d"}
    assert_same(built(own, columns=roles), expected)
    del roles["weight"]
    assert_same(built(own, columns=roles, weight="c"), expected)
    table["size"] = 1.0
    assert_same(built(table), expected)
    ones = digraph(table.assign(weight=1.0))
    assert_same(built(table, weight=None), built(ones))
    assert_same(built(table, weight="size"), built(ones))


def test_rows_of_a_pair_are_added_up_and_said():
    table = edges()
    expected = built(digraph(table))
    halves = pd.concat([table, table]).assign(weight=lambda rows: rows["weight"] / 2)
    sentence = (
        "^the table, read by pre 'pre', post 'post', weight 'weight', sign 'sign':"
        f" {len(table)} rows of pairs that came before were added to theirs.$"
    )
    with pytest.warns(UserWarning, match=sentence):
        rnn = built(halves)
    assert_same(rnn, expected)


def test_signs_come_of_transmitters_or_of_weights():
    table = edges()
    expected = built(digraph(table))
    names = table["sign"].map({1: "ACH", -1: "GABA"})
    of_names = table.drop(columns="sign").assign(nt_type=names)
    assert_same(built(of_names, signs={"ACH": 1, "GABA": -1}), expected)
    with pytest.warns(
        UserWarning, match="does not give the sign of each transmitter in"
    ):
        unknown = graph_summary(of_names)
    assert unknown.n_unknown == len(table)
    signed = table.assign(weight=table["weight"] * table["sign"]).drop(columns="sign")
    assert_same(built(signed), expected)
    with pytest.raises(
        ValueError, match="must have a sign, .* see `lawful_graph`; got None"
    ):
        built(table.drop(columns="sign"))


def test_a_row_of_no_cell_is_left_out_and_said():
    table = edges()
    expected = built(digraph(table))
    nobody = pd.DataFrame({"pre": [0], "post": [IDS[0]], "weight": [9.0], "sign": [1]})
    with pytest.warns(
        UserWarning, match=": 1 rows were left out whose id is 0 or -1.$"
    ):
        assert_same(built(pd.concat([table, nobody])), expected)


def test_other_readers_of_graphs_take_tables_and_matrices():
    table = edges(lawful=False)
    graph = digraph(table)
    signed = table.assign(weight=table["weight"] * table["sign"])
    matrix = nx.to_scipy_sparse_array(digraph(signed))
    expected = graph_summary(graph)
    assert graph_summary(table).to_dict() == expected.to_dict()
    of_matrix = graph_summary(matrix, rows="pre")
    assert of_matrix.violating_weight == expected.violating_weight
    assert of_matrix.reciprocity == expected.reciprocity
    lawful = lawful_graph(table, "majority")
    assert lawful.to_dict() == lawful_graph(graph, "majority").to_dict()
    assert_same(built(lawful), built(lawful_graph(graph, "majority")))
    twin = built(lawful_graph(matrix, "majority", rows="pre"))
    assert torch.equal(twin.weight_hh_l0, built(lawful).weight_hh_l0)


MATRIX = scipy.sparse.csr_array(
    [
        [0.0, -1.0, 2.0, 0.0],
        [0.5, 0.0, 0.0, -1.5],
        [3.0, -2.0, 1.0, 0.0],
        [0.0, -1.0, 0.0, -2.0],
    ]
)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "dok_array"])
def test_a_sparse_matrix_is_read_as_the_dense_one(kind):
    matrix = getattr(scipy.sparse, kind)(MATRIX)
    given = {"spectral_radius": 0.9, "dt_ms": 5, "tau_ms": [10, 20, 30, 40]}
    for rows, stored in (("post", matrix), ("pre", matrix.T)):
        types = ["E", "PV", "E", "SST"]
        rnn = EIRNN.from_graph(stored, 2, rows=rows, population=types, **given)
        twin = EIRNN.from_matrix(MATRIX.toarray(), 2, rows="post", names=types, **given)
        assert rnn.populations == twin.populations
        assert rnn.nodes is None
        assert rnn.order.tolist() == twin.order.tolist() == [0, 2, 1, 3]
        torch.testing.assert_close(rnn.weight_hh_l0, twin.weight_hh_l0)
        assert torch.equal(rnn.weight_hh_l0_present, twin.weight_hh_l0_present)
        assert torch.equal(rnn.tau_ms, twin.tau_ms)


def test_what_is_stored_in_a_sparse_matrix_is_a_synapse_even_if_it_is_zero():
    stored = scipy.sparse.csr_array(
        ([0.0, 2.0, -1.0], ([0, 1, 2], [1, 1, 0])), shape=(3, 3)
    )
    rnn = EIRNN.from_graph(stored, 1, rows="post")
    assert int(rnn.weight_hh_l0_present.sum()) == 3
    assert rnn.populations == Populations(2, 1)
    mixed = scipy.sparse.csr_array([[1.0, 0.0], [-3.0, 0.0]])
    rnn = EIRNN.from_graph(mixed, 1, rows="post", drop_minority=True)
    assert rnn.n_dropped == 1
    assert EIRNN.from_matrix(mixed, 1, rows="post", drop_minority=True).n_dropped == 1


def test_options_go_by_node_in_a_series():
    table = edges()
    tau = pd.Series(np.linspace(10, 50, N), IDS)
    types = pd.Series(np.where(np.arange(N) % 5 == 0, "PV", "E"), IDS)
    rnn = built(table, dt_ms=5, tau_ms=tau, population=types)
    assert rnn.populations.names == ("E", "PV")
    np.testing.assert_allclose(rnn.tau_ms, tau[list(rnn.nodes)], rtol=1e-6)


TWICE = edges().assign(nsyn=1.0)
WRONG = {
    "an orientation that nobody gave": (
        lambda: EIRNN.from_graph(MATRIX, 1),
        "`rows` must be 'post' if a row of the sparse matrix holds the synapses onto a unit,"
        " or 'pre' if it holds those that the unit makes, which the matrix does not say; got"
        " None.",
    ),
    "an orientation of a graph": (
        lambda: EIRNN.from_graph(digraph(edges()), 1, rows="post"),
        "`rows` must be left out unless `graph` is a sparse matrix; got 'post'.",
    ),
    "columns of a graph": (
        lambda: EIRNN.from_graph(digraph(edges()), 1, columns={"pre": "a"}),
        "`columns` must be left out unless `graph` is a table of edges; got {'pre': 'a'}.",
    ),
    "no square": (
        lambda: EIRNN.from_graph(MATRIX[:2], 1, rows="post"),
        "`graph` must be square, a row and a column for each unit; got shape (2, 4).",
    ),
    "cell types of other units": (
        lambda: EIRNN.from_graph(MATRIX, 1, rows="post", population=["E"]),
        "`population` must hold the cell type of each of 4 units; got 1.",
    ),
    "two columns of strengths": (
        lambda: built(TWICE),
        "`columns` must say which column holds 'weight'; got 'weight', 'nsyn' in the table:"
        " pass `columns={'weight': 'weight'}`.",
    ),
    "no column of senders": (
        lambda: built(edges().rename(columns={"pre": "a"})),
        "`graph` must have a column for 'pre', such as pre or prerootid; got 'a', 'post',"
        " 'weight', 'sign': pass `columns={'pre': ...}`, or give a matrix to"
        " `EIRNN.from_matrix`.",
    ),
    "a column that is not there": (
        lambda: built(edges(), columns={"weight": "size"}),
        "`columns` must name columns of the table; got 'size' for 'weight', beside 'pre',"
        " 'post', 'weight', 'sign'.",
    ),
    "a role that is none": (
        lambda: built(edges(), columns={"sender": "pre"}),
        "`columns` must have roles among 'pre', 'post', 'weight', 'sign', 'transmitter'; got"
        " 'sender'.",
    ),
    "no weights": (
        lambda: built(edges().rename(columns={"weight": "w"})),
        "`graph` must have a column of weights, such as weight or syn_count; got 'pre',"
        " 'post', 'w', 'sign': pass `columns={'weight': ...}`, or `weight=None` to count"
        " every row as 1.",
    ),
    "ids that were rounded": (
        lambda: built(edges().astype({"pre": float})),
        "`graph` must name a cell in every row of 'pre', exactly; got floats, such as"
        " 7.20576e+17, which round ids beyond 2**53: read the column as int64 or as"
        " text.",
    ),
    "an empty id": (
        lambda: built(edges().replace({"pre": {IDS[3]: None}})),
        "`graph` must name a cell in every row of 'pre'; got none in",
    ),
    "a sign of two": (
        lambda: built(edges().assign(sign=2)),
        "`graph` must have +1, -1 or nothing in 'sign'; got 2 in",
    ),
    "a weight that is no number": (
        lambda: built(edges().assign(weight="many")),
        "`graph` must have finite numbers in 'weight'; got others in",
    ),
    "signs of no transmitter": (
        lambda: built(edges(), signs={"ACH": 1}),
        "`signs` must be left out where no column names a transmitter; got 'pre', 'post',"
        " 'weight', 'sign': pass `columns={'transmitter': ...}`.",
    ),
    "signs of others": (
        lambda: built(edges().assign(nt="ACH"), signs={"ach": 1}),
        "`signs` must name transmitters that are there, ACH; got ach.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", WRONG)
def test_what_could_be_read_wrongly_is_refused(slip):
    make, sentence = WRONG[slip]
    with pytest.raises((TypeError, ValueError)) as raised:
        make()
    found = str(raised.value)
    assert found == sentence or (
        sentence[-1] not in ".?" and found.startswith(sentence)
    )


def test_damaged_files_and_missing_ids_name_the_file(tmp_path):
    path = tmp_path / "edges.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(
        ValueError,
        match=r"`graph` must be a table that can be read; got edges.parquet: ",
    ):
        built(path)
    gaps = edges().astype({"pre": "Int64"})
    gaps.loc[0, "pre"] = pd.NA
    gaps.to_feather(tmp_path / "gaps.feather")
    with pytest.raises(ValueError, match="in every row of 'pre'; got none in 1 of"):
        built(tmp_path / "gaps.feather")
    with pytest.raises(FileNotFoundError):
        built(tmp_path / "none.csv")


def test_a_unit_that_sends_nothing_has_the_sign_of_its_type():
    weights = np.zeros((4, 4))
    weights[1, 0], weights[2, 1], weights[3, 1] = 2.0, -1.0, -1.0
    types = ["E", "I", "E", "I"]  # units 2 and 3 receive only
    given = scipy.sparse.csr_array(weights)
    rnn = EIRNN.from_graph(given, 1, rows="post", population=types)
    assert rnn.populations.sizes == {"E": 2, "I": 2}
    assert rnn.order.tolist() == [0, 2, 1, 3]
    alike = EIRNN.from_matrix(given, 1, rows="post", names=types)
    assert alike.populations == rnn.populations
    with pytest.raises(ValueError, match="one cell type one sign"):
        EIRNN.from_graph(given, 1, rows="post", population=["E", "E", "E", "I"])
