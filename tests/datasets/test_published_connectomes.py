"""Connectomes from the tables in which they are published: a made-up file of each shape."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from daleml.analysis import graph_summary, lawful_graph
from daleml.datasets import read_connectome
from daleml.layers import EIRNN

A, B, C, D = (720575940600000000 + k for k in (1, 2, 3, 4))
"""Ids as FlyWire's and MICrONS's are: no float tells two of them apart."""


def gz(path, text):
    with gzip.open(path, "wt") as file:
        file.write(text)
    return path


def edges(connectome):
    """The edges as a mapping from a pair to weight and sign."""
    table = connectome.edges
    assert table["source"].dtype == table["target"].dtype
    signs = [None if pd.isna(sign) else int(sign) for sign in table["sign"]]
    pairs = zip(table["source"].tolist(), table["target"].tolist(), strict=True)
    return dict(
        zip(pairs, zip(table["weight"].tolist(), signs, strict=True), strict=True)
    )


# -- FlyWire ---------------------------------------------------------------------------------------

CODEX = (
    "pre_root_id,post_root_id,neuropil,syn_count,nt_type\n"
    f"{A},{B},AL_L,7,ACH\n{A},{B},AL_R,4,ACH\n{A},{C},AL_R,3,GABA\n{B},{A},LO_L,6,GABA\n"
    f"{B},{B},LO_L,9,GABA\n{C},{A},AL_R,12,GLUT\n{D},{A},AL_R,5,SER\n{D},{B},,2,\n"
)
NEURONS = (
    "root_id,group,nt_type,nt_type_score,da_avg,ser_avg,gaba_avg,glut_avg,ach_avg,oct_avg\n"
    f"{A},AL,ACH,0.9,0,0,0,0,0.9,0\n{B},LO,GABA,0.8,0,0,0.8,0,0,0\n"
    f"{C},AL,GLUT,0.7,0,0,0,0.7,0,0\n{D},AL,SER,0.6,0,0.6,0,0,0,0\n"
)
CLASSES = (
    "root_id,flow,super_class,class,sub_class,hemilineage,side,nerve\n"
    f"{C},intrinsic,central,ALPN,,,left,\n{A},afferent,sensory,olfactory,,,left,\n"
)


def test_codex_sums_neuropils_and_believes_the_neurons(tmp_path):
    path = gz(tmp_path / "connections.csv.gz", CODEX)
    tables = [
        gz(tmp_path / "neurons.csv.gz", NEURONS),
        gz(tmp_path / "classification.csv.gz", CLASSES),
    ]
    fly = read_connectome(path, tables, min_weight=5)
    assert edges(fly) == {
        (A, B): (11, 1),
        (B, A): (6, -1),
        (B, B): (9, -1),
        (C, A): (12, -1),
        (D, A): (5, None),
    }
    assert fly.neurons["neuron"].tolist() == [A, B, C, D]
    assert fly.neurons["neuron"].dtype == "int64"
    assert fly.neurons["transmitter"].tolist() == ["ACH", "GABA", "GLUT", "SER"]
    assert fly.neurons["super_class"].fillna("").tolist() == [
        "sensory",
        "",
        "central",
        "",
    ]
    assert fly.weight_unit == "synapses"
    assert str(fly) == (
        "FlyWire, Codex: 4 neurons, 5 edges, 4 of known sign\n"
        "Read by the columns pre 'pre_root_id', post 'post_root_id', weight 'syn_count',"
        " transmitter 'nt_type'.\n"
        "8 rows were summed to 7 pairs.\n"
        "2 pairs of a weight below 5 were left out.\n"
        "Signs by the transmitter of each neuron, 'nt_type': ACH +1, GABA -1, GLUT -1; 1 of 5"
        " pairs have none (SER).\n"
        "1 of 5 pairs are autapses.\n"
        "Dorkenwald et al. 2024 Nature 634:124-138; Schlegel et al. 2024 Nature 634:139"
    )


def test_codex_alone_has_the_transmitter_of_each_row(tmp_path):
    path = gz(tmp_path / "connections.csv.gz", CODEX)
    fly = read_connectome(path)
    assert edges(fly)[A, C] == (3, -1)
    assert edges(fly)[D, B] == (2, None)
    assert fly.dale_violations()["neuron"].tolist() == [A]
    lawful = lawful_graph(fly, "majority", otherwise=1)
    assert EIRNN.from_graph(lawful, 1).populations.n_inh == 2
    # A sign that the user gives is one that is there.
    modulated = read_connectome(path, signs={"ACH": 1, "SER": 1})
    assert edges(modulated)[D, A] == (5, 1)
    assert edges(modulated)[B, A] == (6, None)


def test_only_the_neuropils_asked_for_count(tmp_path):
    path = gz(tmp_path / "connections.csv.gz", CODEX)
    fly = read_connectome(path, neuropils=["AL_R"])
    assert edges(fly) == {
        (A, B): (4, 1),
        (A, C): (3, -1),
        (C, A): (12, -1),
        (D, A): (5, None),
    }
    assert "Rows of the neuropils AL_R count." in fly.notes
    assert edges(read_connectome(path, neuropils="LO_L")).keys() == {(B, A), (B, B)}
    with pytest.raises(ValueError) as raised:
        read_connectome(path, neuropils=["AL_R", "XX"])
    assert str(raised.value) == (
        "`neuropils` must be in 'neuropil'; got 'XX', which no row has."
    )


@pytest.mark.parametrize("ending", ["feather", "parquet"])
def test_flywire_of_zenodo_has_probabilities_of_transmitters(ending, tmp_path):
    table = pd.read_csv(io.StringIO(CODEX)).rename(
        columns={"pre_root_id": "pre_pt_root_id", "post_root_id": "post_pt_root_id"}
    )
    for name in ("gaba", "ach", "glut", "oct", "ser", "da"):
        table[f"{name}_avg"] = table["nt_type"].eq(name.upper()).astype(float)
    path = tmp_path / f"proofread_connections_783.{ending}"
    getattr(table.drop(columns="nt_type"), f"to_{ending}")(path)
    fly = read_connectome(path)
    # Eleven rows of the first cell say ACH and three say GABA: it is cholinergic.
    assert edges(fly)[A, C] == (3, 1)
    assert edges(fly)[B, A] == (6, -1)
    assert edges(fly)[D, A] == (5, None)
    told = dict(zip(fly.neurons["neuron"], fly.neurons["transmitter"], strict=True))
    assert told == {A: "ACH", B: "GABA", C: "GLUT", D: "SER"}
    assert graph_summary(fly).n_mixed == 0


# -- MICrONS ---------------------------------------------------------------------------------------


def microns():
    rows = [(A, B, 900), (A, B, 1100), (B, A, 3000), (0, A, 77), (A, C, 5), (C, B, 40)]
    table = pd.DataFrame(rows, columns=["pre_pt_root_id", "post_pt_root_id", "size"])
    return table.assign(id=range(len(rows)), ctr_pt_position_x=1.5)


def cells():
    classes = ["aibs_coarse_excitatory", "aibs_coarse_inhibitory"]
    return pd.DataFrame(
        {
            "id": [11, 12, 13, 14, 15],
            "pt_root_id": [A, B, C, C, 0],
            "classification_system": [*classes, classes[0], classes[0], classes[0]],
            "cell_type": ["23P", "BC", "4P", "5P", "5P"],
        }
    )


def test_microns_sums_the_sizes_of_synapses(tmp_path):
    path = tmp_path / "synapses.csv"
    microns().to_csv(path, index=False)
    mouse = read_connectome(path, cells())
    assert edges(mouse) == {
        (A, B): (2000, 1),
        (B, A): (3000, -1),
        (A, C): (5, 1),
        (C, B): (40, None),
    }
    assert mouse.edges["n_synapses"].tolist() == [2, 1, 1, 1]
    assert mouse.weight_unit == "voxels"
    # A segment of two nuclei is no cell of one type.
    assert mouse.neurons["cell_type"].tolist() == ["23P", "BC"]
    for note in (
        "1 rows were left out whose id is 0 or -1.",
        "1 rows of `neurons` have no id.",
        "1 neurons stand in several rows of `neurons`, and were left without any.",
        "1 of 3 neurons of the connections have no row in `neurons`.",
    ):
        assert note in mouse.notes
    counted = read_connectome(microns(), cells(), weight=None)
    assert edges(counted)[A, B] == (2, 1)
    assert counted.weight_unit == "rows"
    alone = read_connectome(microns())
    assert graph_summary(alone).n_unknown == 4
    assert alone.notes[-1] == "Nothing says signs; 4 of 4 pairs have none."


# -- hemibrain -------------------------------------------------------------------------------------


def test_the_hemibrain_has_no_signs_of_its_own(tmp_path):
    path = tmp_path / "traced-total-connections.csv"
    path.write_text(
        "bodyId_pre,bodyId_post,weight\n200326126,264083994,10\n264083994,1,2\n"
    )
    neurons = tmp_path / "traced-neurons.csv"
    neurons.write_text(
        'bodyId,type,instance\n200326126,CL141,CL141_R\n264083994,FB4Y,"FB4Y(EB/NO)"\n1,,\n'
    )
    brain = read_connectome(path, neurons)
    assert brain.name == "hemibrain"
    assert edges(brain) == {
        (200326126, 264083994): (10, None),
        (264083994, 1): (2, None),
    }
    assert brain.neurons["instance"].tolist()[:2] == ["CL141_R", "FB4Y(EB/NO)"]
    signed = pd.read_csv(neurons).assign(predictedNt=["acetylcholine", "gaba", None])
    assert edges(read_connectome(path, signed)) == {
        (200326126, 264083994): (10, 1),
        (264083994, 1): (2, -1),
    }


# -- the worm --------------------------------------------------------------------------------------


def test_of_the_worms_edges_the_chemical_ones_count(tmp_path):
    path = tmp_path / "herm_full_edgelist.csv"
    path.write_text(
        "Source, Target, Weight, Type\nADAL, AVBR, 3, chemical\nADAL, AVBR, 1, electrical\n"
        "AVBR , ADAL, 2, chemical\n"
    )
    worm = read_connectome(path)
    assert edges(worm) == {("ADAL", "AVBR"): (3, None), ("AVBR", "ADAL"): (2, None)}
    assert "Rows of electrical were left out." in worm.notes
    told = pd.DataFrame({"neuron": ["ADAL", "AVBR"], "transmitter": ["glu", "ach"]})
    signed = read_connectome(path, told, signs={"ach": 1, "glu": -1})
    assert edges(signed)["ADAL", "AVBR"] == (3, -1)
    unsigned = read_connectome(path, told)
    assert unsigned.notes[-1].startswith(
        "No signs, since `signs` does not give those of"
    )
    # Other tables have a column of that name too.
    other = pd.DataFrame(
        {"source": ["a"], "target": ["b"], "weight": [2.0], "type": ["E"], "sign": [1]}
    )
    assert edges(read_connectome(other)) == {("a", "b"): (2, 1)}


def test_workbooks_hold_matrices_whose_rows_send(tmp_path):
    cells = np.full((6, 7), None, dtype=object)
    cells[0, 0] = "Hermaphrodite, chemical"
    cells[1, 3], cells[3, 0] = "PHARYNX", "PHARYNX"
    cells[2, 3:6] = cells[3:6, 2] = ["I1L", "M3", "ADAL"]
    cells[3, 4], cells[4, 3], cells[5, 5], cells[3, 6] = 4, 7, 2, 99
    path = tmp_path / "SI 5 Connectome adjacency matrices.xlsx"
    with pd.ExcelWriter(path) as book:
        for sheet in ("hermaphrodite chemical", "male chemical"):
            pd.DataFrame(cells).to_excel(
                book, sheet_name=sheet, header=False, index=False
            )
    worm = read_connectome(path, sheet="hermaphrodite chemical")
    assert edges(worm) == {
        ("I1L", "M3"): (4, None),
        ("M3", "I1L"): (7, None),
        ("ADAL", "ADAL"): (2, None),
    }
    with pytest.raises(ValueError) as raised:
        read_connectome(path)
    assert str(raised.value) == (
        "`sheet` must name one of 'hermaphrodite chemical', 'male chemical'; got None."
    )
    pd.DataFrame([[1, 2], [3, 4]]).to_excel(tmp_path / "none.xlsx", header=False)
    with pytest.raises(
        ValueError, match="must hold a matrix with the names of senders"
    ):
        read_connectome(tmp_path / "none.xlsx")


# -- what is refused -------------------------------------------------------------------------------

PLAIN = pd.DataFrame({"pre": [A, B], "post": [B, A], "weight": [1.0, -2.0]})


def test_weights_with_signs_say_them():
    assert edges(read_connectome(PLAIN)) == {(A, B): (1, 1), (B, A): (2, -1)}
    assert read_connectome(PLAIN, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: read_connectome(PLAIN, pd.DataFrame({"root_id": [5, 6]})),
            "`neurons` must hold neurons of the connections, by the same ids; got 5 there and"
            f" {A} here.",
        ),
        (
            lambda: read_connectome(PLAIN, pd.DataFrame({"x": [5, 6]})),
            "`neurons` must have a column of ids, such as root_id or bodyId; got 'x': pass"
            " `columns={'neuron': ...}`.",
        ),
        (
            lambda: read_connectome(PLAIN.astype({"pre": float})),
            "`connections` must name a cell in every row of 'pre', exactly; got floats, such"
            " as 7.20576e+17, which round ids beyond 2**53: read the column as int64 or as"
            " text.",
        ),
        (
            lambda: read_connectome(PLAIN, neuropils=["AL"]),
            "`neuropils` must be left out where no column names one; got 'pre', 'post',"
            " 'weight': pass `columns={'neuropil': ...}`.",
        ),
        (
            lambda: read_connectome(PLAIN, sheet="a"),
            "`sheet` must be left out unless `connections` is a workbook; got 'a'.",
        ),
        (
            lambda: read_connectome(PLAIN, min_weight=-1),
            "`min_weight` must be at least 0; got -1.",
        ),
    ],
)
def test_what_could_be_read_wrongly_is_refused(make, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        make()
    assert str(raised.value) == sentence


def test_columns_of_any_name_are_read_if_they_are_named():
    table = PLAIN.set_axis(["a", "b", "c"], axis=1).assign(where="AL")
    neurons = pd.DataFrame({"cell": [A, B], "kind": ["x", "y"]})
    roles = {"pre": "a", "post": "b", "weight": "c"}
    found = read_connectome(
        table,
        neurons,
        columns={**roles, "neuropil": "where", "neuron": "cell"},
        neuropils=["AL"],
    )
    assert edges(found) == edges(read_connectome(PLAIN))
    assert found.neurons["kind"].tolist() == ["x", "y"]
