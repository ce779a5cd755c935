"""Tables of synapses: the published counts, what is selected and summed, and files that are not what they should be."""

import gzip
import hashlib
import json
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daleml.analysis import fit_weights
from daleml.datasets import (
    SynapseTable,
    cerebellum,
    kasthuri,
    larva,
    local_files,
    microns_l23,
    mossy_fibres,
    read_synapses,
)

has_data = pytest.mark.skipif(
    not os.environ.get("DALEML_DATA"),
    reason="set DALEML_DATA to the folder of data sets",
)

TOY = SynapseTable(
    "toy",
    pd.DataFrame(
        {
            "axon": [2**60 + 1, 2**60 + 1, 5, 5, 7],
            "dendrite": ["a", "a", "a", "b", "b"],
            "kind": ["E", "E", "I", "I", None],
            "area": [0.1, 0.2, 0.4, np.nan, 0.8],
            "volume": [1, 2, 3, 4, 5],
        }
    ),
    source="here",
    licence="none",
    citation="nobody",
    units={"area": "um2", "volume": "um3"},
    pre="axon",
    post="dendrite",
    thresholds={"area": 0.05},
)


class TestSynapseTable:
    def test_says_what_was_measured_and_what_could_not_be_seen(self):
        assert str(TOY) == (
            "toy: 5 synapses, 4 connections; area (um2, n = 4, seen above 0.05), volume (um3)\nnobody"
        )
        assert "\n" not in repr(TOY)
        facts = json.loads(json.dumps(TOY.to_dict()))
        assert facts["columns"]["area"] == {"unit": "um2", "threshold": 0.05, "n": 4}
        assert facts["columns"]["kind"] == {"unit": None, "threshold": None, "n": 4}
        del facts["columns"]
        assert facts == {
            "name": "toy", "source": "here", "licence": "none", "citation": "nobody", "row": "synapse", "n_rows": 5,
            "pre": "axon", "post": "dendrite", "n_connections": 4,
        }  # fmt: skip

    def test_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            TOY.name = "mine"

    def test_values_are_those_measured_and_the_callers_own(self):
        assert TOY.values("area").tolist() == [0.1, 0.2, 0.4, 0.8]
        assert TOY.values("volume").dtype == np.float64
        TOY.values("volume")[:] = 0
        assert TOY.values("volume").sum() == 15

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ({"kind": "E"}, [1, 2]),
            ({"kind": ("E", "I")}, [1, 2, 3, 4]),
            ({"kind": "I", "dendrite": "b"}, [4]),
            ({"axon": [5, 7], "dendrite": {"a"}}, [3]),
            ({}, [1, 2, 3, 4, 5]),
        ],
    )
    def test_values_of_some_synapses(self, where, expected):
        assert TOY.values("volume", **where).tolist() == expected
        assert TOY.select(**where).table["volume"].tolist() == expected

    def test_a_selection_keeps_the_rest_and_is_a_copy(self):
        chosen = TOY.select(kind="E")
        assert (chosen.units, chosen.thresholds, chosen.pre) == (
            TOY.units,
            TOY.thresholds,
            "axon",
        )
        everything = TOY.select()
        for table in (chosen.table, everything.table):
            table["volume"] = 0
        assert TOY.values("volume").sum() == 15

    def test_a_connection_is_the_sum_of_its_synapses(self):
        pairs = TOY.per_connection("volume")
        assert pairs.table["axon"].tolist() == [
            2**60 + 1,
            5,
            5,
            7,
        ]  # as a float, it would end in 0
        assert pairs.table["dendrite"].tolist() == ["a", "a", "b", "b"]
        assert pairs.table["n_synapses"].tolist() == [2, 1, 1, 1]
        assert pairs.values("volume").tolist() == [3, 3, 4, 5]
        assert (
            str(pairs).splitlines()[0]
            == "toy, volume summed per connection: 4 connections; volume (um3)"
        )

    def test_a_connection_of_which_a_part_is_missing_is_missing(self):
        pairs = TOY.per_connection("area")
        assert pairs.table["area"].isna().tolist() == [False, False, True, False]
        assert pairs.values("area").tolist() == pytest.approx([0.3, 0.4, 0.8])
        assert pairs.thresholds == {"area": 0.05}

    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 99)),
            min_size=1,
        )
    )
    def test_sums_agree_with_a_loop(self, rows):
        table = pd.DataFrame(rows, columns=["pre", "post", "size"])
        pairs = (
            SynapseTable("x", table, pre="pre", post="post")
            .per_connection("size")
            .table
        )
        sums, counts = {}, {}
        for pre, post, size in rows:
            sums[pre, post] = sums.get((pre, post), 0) + size
            counts[pre, post] = counts.get((pre, post), 0) + 1
        assert {
            (row[0], row[1]): row[2]
            for row in pairs[["pre", "post", "size"]].to_numpy().tolist()
        } == sums
        assert pairs["n_synapses"].tolist() == list(counts.values())

    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (
                lambda: TOY.values("psd"),
                "`column` must name a column of axon, dendrite, kind, area, volume; got 'psd'.",
            ),
            (
                lambda: TOY.values("kind"),
                "`column` must hold numbers; got 'kind', with values such as 'E'.",
            ),
            (
                lambda: TOY.values("area", kind="e"),
                "`kind` must be one of 'E', 'I'; got 'e'.",
            ),
            (
                lambda: TOY.values("area", kind=["E", "x"]),
                "`kind` must be one of 'E', 'I'; got 'x'.",
            ),
            (
                lambda: TOY.values("area", type="E"),
                "`where` must name a column of axon, dendrite, kind, area, volume; got 'type'.",
            ),
            (
                lambda: TOY.per_connection("area").per_connection("area"),
                "`per_connection` must be asked of single synapses; got a table of connections.",
            ),
            (
                lambda: TOY.per_connection("axon"),
                "`column` must be a measured one, not an end of the connection; got 'axon'.",
            ),
            (
                lambda: SynapseTable("x", TOY.table, pre="axon").per_connection("area"),
                "`per_connection` must know the columns `pre` and `post`; got axon, None.",
            ),
            (
                lambda: SynapseTable("x", TOY.table, units={"are": "um2"}),
                "`units` must name a column of axon, dendrite, kind, area, volume; got 'are'.",
            ),
            (
                lambda: SynapseTable("x", pd.DataFrame({"n": range(20)})).select(n=20),
                "`n` must be one of 0, 1, 2, 3, 4, 5, 6, 7 and 12 more; got 20.",
            ),
        ],
    )
    def test_wrong_questions_are_answered_in_one_sentence(self, call, sentence):
        with pytest.raises(ValueError) as raised:
            call()
        assert str(raised.value) == sentence


class TestReadSynapses:
    def test_any_table_of_yours(self, tmp_path):
        (tmp_path / "mine.TSV").write_text("cell\t psd \n1\t2.5\n2\tNA\n3\tnan\n")
        table = read_synapses(
            tmp_path / "mine.TSV",
            units={"psd": "nm2"},
            thresholds={"psd": 1},
            citation="me",
        )
        assert str(table) == "mine.TSV: 3 synapses; psd (nm2, n = 1, seen above 1)\nme"
        assert table.values("psd").tolist() == [2.5]

    def test_gzipped(self, tmp_path):
        (tmp_path / "mine.csv.gz").write_bytes(
            gzip.compress(b"pre,post,size\n1,2,3\n1,2,4\n")
        )
        table = read_synapses(
            str(tmp_path / "mine.csv.gz"), pre="pre", post="post", name="two"
        )
        assert table.name == "two"
        assert table.per_connection("size").values("size").tolist() == [7]

    def test_as_spreadsheets_write_them(self, tmp_path):
        (tmp_path / "excel.csv").write_bytes(
            "\ufeffzell;fläche\r\n1;0.5\r\n2;0.25\r\n".encode()
        )
        table = read_synapses(
            tmp_path / "excel.csv", separator=";", units={"fläche": "um2"}
        )
        assert list(table.table) == ["zell", "fläche"]
        assert table.values("fläche").tolist() == [0.5, 0.25]
        (tmp_path / "ends.csv").write_text(
            "a,b\n1,2,\n3,4,\n"
        )  # a comma at the end of each line
        assert read_synapses(tmp_path / "ends.csv").table.to_dict("list") == {
            "a": [1, 3],
            "b": [2, 4],
        }

    def test_what_is_no_table_is_named(self, tmp_path):
        with pytest.raises(
            ValueError,
            match=r"^`path` must end in one of \.csv, \.tsv, .*, or \.csv\.gz and the like; got mine\.ods\.$",
        ):
            read_synapses(tmp_path / "mine.ods")
        with pytest.raises(
            FileNotFoundError,
            match=r"^`path` must be a file of synapses; got .*mine\.csv\.$",
        ):
            read_synapses(tmp_path / "mine.csv")
        (tmp_path / "empty.csv").write_text("")
        with pytest.raises(
            ValueError,
            match=r"^`path` must be a table; got empty\.csv: No columns to parse from file\.$",
        ):
            read_synapses(tmp_path / "empty.csv")
        (tmp_path / "ragged.csv").write_text("a,b\n1,2\n1,2,3,4\n")
        with pytest.raises(
            ValueError,
            match=r"^`path` must be a table; got ragged\.csv: Error tokenizing data\.",
        ):
            read_synapses(tmp_path / "ragged.csv")
        (tmp_path / "nameless.csv").write_text("a,b\n1,2,3\n4,5,6\n")
        with pytest.raises(
            ValueError,
            match=r"^`path` must be a table; got nameless\.csv: it has rows longer than its first",
        ):
            read_synapses(tmp_path / "nameless.csv")
        (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
        with pytest.raises(
            ValueError, match=r"^`units` must name a column of a, b; got 'c'\.$"
        ):
            read_synapses(tmp_path / "mine.csv", units={"c": "um"})


# -- files of the user's: where they are looked for, and what is refused -------------------------------------------------

KASTHURI = (
    "axon,dendrite,axon_type,is_spine,psd_px,spine_um3,vesicles,axon_len_um,spine_id,spine_vox\n"
    "1,9,0,1,100,0.5,7,2.5,4,300\n"
    "1,9,1,0,200,,-1,-1,0,-1\n"
    "2,9,-1,1,300,0.1,-2,0,-1,0\n"
    "3,9,2,1,400,0.2,0,1,3,9\n"
)  # fmt: skip


def test_kasthuri_reads_its_codes(tmp_path):
    (tmp_path / "kasthuri2015_synapses.csv").write_text(KASTHURI)
    table = kasthuri(tmp_path, check=False).table
    assert table["axon_type"].tolist() == ["E", "I", "other", "other"]
    assert table["axon_type_code"].tolist() == [0, 1, -1, 2]
    assert table["is_spine"].tolist() == [True, False, True, True]
    measured = {
        column: table[column].dropna().tolist()
        for column in ("vesicles", "axon_len_um", "spine_id", "spine_vox")
    }
    assert measured == {
        "vesicles": [7, 0],
        "axon_len_um": [2.5, 0, 1],
        "spine_id": [4, 3],
        "spine_vox": [300, 9],
    }


def test_cerebellum_leaves_out_what_its_authors_do_and_says_so(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(
        "granule_cell,purkinje_cell,score,cleft_area_um2\ng,p,1,0.01125\ng,p,1,0.011\ng,p,1,0\ng,p,1,\n"
    )
    assert cerebellum(file, check=False).values("cleft_area_um2").tolist() == [0.01125]
    assert cerebellum(file, check=False).thresholds == {"cleft_area_um2": 0.01125}
    every = cerebellum(file, min_area_um2=None, check=False)
    assert (len(every.table), every.thresholds) == (4, {})
    assert (
        cerebellum(file, min_area_um2=0.0, check=False).values("cleft_area_um2").size
        == 3
    )
    with pytest.raises(
        ValueError, match=r"^`min_area_um2` must be at least 0; got -1\.$"
    ):
        cerebellum(file, min_area_um2=-1)


def test_mossy_fibres_are_a_graph_from_boutons_to_granule_cells(tmp_path):
    (tmp_path / "cerebellum_mf_grc_edges.csv").write_text(
        "mossy_bouton,granule_cell\nmf_3__0,g1\nmf_3__1,g1\nmf_3__0,g2\n"
    )
    graph = mossy_fibres(tmp_path, check=False).graph()
    assert dict(graph.nodes(data=True)) == {
        "mf_3__0": {"kind": "mossy bouton", "fibre": "mf_3"},
        "mf_3__1": {"kind": "mossy bouton", "fibre": "mf_3"},
        "g1": {"kind": "granule cell", "fibre": None},
        "g2": {"kind": "granule cell", "fibre": None},
    }
    assert graph["mf_3__0"]["g2"] == {"weight": 1.0, "sign": 1}


@pytest.fixture
def small_larva(tmp_path):
    (tmp_path / "larva_signed_neurons.csv").write_text(
        "neuron,name,simple_group,hemisphere,nt\n1,a,KCs,L,acetylcholine\n2,b,LNs,R,gaba\n3,c,PNs,L,glutamate\n"
    )
    (tmp_path / "larva_signed_edges.csv").write_text(
        "source,target,synapses\n1,2,4\n2,3,1\n3,1,2\n"
    )
    return tmp_path


@pytest.mark.parametrize("glutamate", [-1, 1, None])
def test_larva_takes_the_sign_of_the_senders_transmitter(small_larva, glutamate):
    brain = larva(small_larva, glutamate=glutamate, check=False)
    graph = brain.graph()
    assert [data["sign"] for *_, data in graph.edges(data=True)] == [1, -1, glutamate]
    assert brain.weights().tolist() == [4, 1, 2]
    assert graph.nodes[2] == {
        "name": "b",
        "group": "LNs",
        "hemisphere": "R",
        "transmitter": "gaba",
    }


def test_larva_refuses_other_signs(small_larva):
    for glutamate in (0, True, "+"):
        with pytest.raises(
            ValueError, match=r"^`glutamate` must be \+1, -1 or None; got "
        ):
            larva(small_larva, glutamate=glutamate, check=False)


LOADERS = pytest.mark.parametrize(
    ("load", "name", "origin"),
    [
        (
            kasthuri,
            "kasthuri2015_synapses.csv",
            "supplement mmc6 of Kasthuri et al. 2015 Cell 162:648",
        ),
        (
            microns_l23,
            "microns_l23_synapses.csv",
            "https://www.microns-explorer.org/phase1",
        ),
        (
            cerebellum,
            "cerebellum_grc_pc_synapses.csv",
            "https://github.com/htem/cb2_project_analysis",
        ),
        (
            mossy_fibres,
            "cerebellum_mf_grc_edges.csv",
            "https://github.com/htem/cb2_project_analysis",
        ),
        (
            larva,
            "larva_signed_neurons.csv",
            "https://github.com/funkelab/drosophila_neurotransmitters",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)


@LOADERS
def test_an_absent_file_says_where_to_get_it(load, name, origin, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as raised:
        load(tmp_path)
    message = str(raised.value)
    assert message.startswith(f"`path` must be {name} or its folder; it is ")
    assert message.endswith(f"{origin}; got {tmp_path}.")
    monkeypatch.setenv("DALEML_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=name):
        load()
    for unset in (
        lambda: monkeypatch.setenv("DALEML_DATA", ""),
        lambda: monkeypatch.delenv("DALEML_DATA"),
    ):
        unset()
        with pytest.raises(ValueError) as raised:
            load()
        start = f"`path` must be given where the environment variable DALEML_DATA is not set: {name} is "
        assert str(raised.value).startswith(start)
        assert str(raised.value).endswith(f"{origin}; got None.")


@LOADERS
def test_another_file_is_refused_unless_asked_for(load, name, origin, tmp_path):
    (tmp_path / name).write_text("a,b\n1,2\n")
    found = hashlib.sha256(b"a,b\n1,2\n").hexdigest()[:12]
    with pytest.raises(ValueError) as raised:
        load(tmp_path)
    assert str(raised.value).startswith(f"`path` must be {name} of SHA-256 ")
    assert str(raised.value).endswith(
        f"... unless `check` is False; got {found}... for {tmp_path / name}."
    )
    with pytest.raises(
        ValueError,
        match=r"^`path` must be a table with the columns .*; got none called ",
    ):
        load(tmp_path, check=False)
    with pytest.raises(TypeError, match=r"^`check` must be True or False; got 0\.$"):
        load(tmp_path, check=0)


def test_a_file_of_the_right_checksum_is_read(tmp_path):
    (tmp_path / "it.csv").write_text("a,b\n1,\n")
    file = local_files.LocalFile(
        "it.csv", hashlib.sha256(b"a,b\n1,\n").hexdigest(), "nowhere"
    )
    for path in (tmp_path, tmp_path / "it.csv", str(tmp_path)):
        assert file.find(path, check=True) == tmp_path / "it.csv"
    assert file.table(tmp_path, ("a", "b"), check=True)["b"].isna().all()


# -- the data themselves: skipped, visibly, where they are not -----------------------------------------------------------


@has_data
def test_kasthuri_counts_and_fit():
    table = kasthuri()
    assert len(table.table) == 1700
    assert table.table["axon_type"].value_counts().to_dict() == {
        "E": 1610,
        "I": 87,
        "other": 3,
    }
    assert table.table["axon"].nunique() == 856
    kinds = (
        table.table[table.table["axon_type"] != "other"]
        .groupby("axon")["axon_type"]
        .nunique()
    )
    assert (
        kinds.max() == 1
    )  # no axon has two types: Dale's law, as far as morphology tells
    assert (table.values("spine_um3").size, table.values("vesicles").size) == (
        1197,
        798,
    )
    assert table.table["spine_id"].nunique() == 1178
    measured = table.table.dropna(subset="spine_um3")
    np.testing.assert_allclose(
        measured["spine_um3"], measured["spine_vox"] * 24 * 24 * 29 * 1e-9, rtol=1e-5
    )
    fit = fit_weights(table.values("psd_px", axon_type="E"))
    assert list(fit.params.values()) == pytest.approx([5.7528, 0.8695], abs=1e-4)
    spines = fit_weights(table.values("spine_um3"))
    assert list(spines.params.values()) == pytest.approx([-2.676, 0.701], abs=1e-3)


@has_data
def test_microns_counts_and_the_choice_of_the_unit():
    table = microns_l23()
    assert (len(table.table), table.to_dict()["n_connections"]) == (1961, 1736)
    assert table.values("cleft_vx").min() == 50 > table.thresholds["cleft_vx"]
    pairs = table.per_connection("spine_vol_um3")
    assert (len(pairs.table), int((pairs.table["n_synapses"] > 1).sum())) == (1736, 189)
    assert pairs.table["pre_root_id"].dtype == "int64"
    assert fit_weights(table.values("spine_vol_um3")).params["sigma"] == pytest.approx(
        0.836, abs=5e-4
    )
    assert fit_weights(pairs.values("spine_vol_um3")).params["sigma"] == pytest.approx(
        0.883, abs=5e-4
    )


@has_data
def test_cerebellum_counts():
    table = cerebellum()
    assert table.values("cleft_area_um2").size == len(table.table) == 8722
    every = cerebellum(min_area_um2=None)
    assert (len(every.table), every.to_dict()["n_connections"]) == (8876, 3543)
    assert (
        every.table["granule_cell"].nunique(),
        every.table["purkinje_cell"].nunique(),
    ) == (522, 98)
    fibres = mossy_fibres()
    assert fibres.to_dict()["n_edges"] == 12387
    assert fibres.neurons["kind"].value_counts().to_dict() == {
        "granule cell": 3925,
        "mossy bouton": 1070,
    }


@has_data
def test_larva_counts():
    brain = larva()
    facts = brain.to_dict()
    assert (facts["n_neurons"], facts["n_edges"], facts["total_weight"]) == (
        366,
        12345,
        46613,
    )
    assert brain.neurons["transmitter"].value_counts().to_dict() == {
        "acetylcholine": 300,
        "gaba": 40,
        "glutamate": 26,
    }
    assert (brain.neurons["group"] == "KCs").sum() == 222
    assert len(brain.dale_violations()) == 0
    assert larva(glutamate=None).to_dict()["n_edges_unknown"] == len(
        brain.edges[
            brain.edges["source"].isin(
                brain.neurons["neuron"][brain.neurons["transmitter"] == "glutamate"]
            )
        ]
    )


@has_data
def test_a_file_may_be_named_itself():
    file = Path(os.environ["DALEML_DATA"]) / "microns_l23_synapses.csv"
    pd.testing.assert_frame_equal(microns_l23(file).table, microns_l23().table)
