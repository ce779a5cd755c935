"""Tables of cell types: the printed numbers, their orientation, and circuits made of them."""

import copy
import json
import math
import pickle
from dataclasses import FrozenInstanceError
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import torch

from daleml.datasets import (
    CellTypeTable,
    billeh,
    campagnola,
    garcia_del_molino,
    pfeffer,
    potjans_diesmann,
    v1dd,
)
from daleml.datasets.unit_counts import divided
from daleml.layers import EIRNN, Blocks

LOADERS = [billeh, campagnola, garcia_del_molino, pfeffer, potjans_diesmann, v1dd]
EVERY = pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)


def table(pathways, types=(("E", 1), ("I", -1)), **more):
    """A table made by hand."""
    return CellTypeTable(
        "hand-made",
        pd.DataFrame(types, columns=["type", "sign"]),
        pd.DataFrame(pathways),
        **more,
    )


WHOLE = {
    "pre": ["E", "E", "I", "I"],
    "post": ["E", "I", "E", "I"],
    "probability": [0.1, 0.2, 0.3, 0.4],
    "strength": [1.0, 2.0, 3.0, 4.0],
}


class TestPublished:
    def test_potjans_diesmann_has_the_rows_of_the_paper(self):
        """Rows of the published matrix are receivers; its columns go from 23E to 6I."""
        printed = {
            "23E": [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0],
            "4I": [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0],
            "6I": [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
        }
        columns = ["23E", "23I", "4E", "4I", "5E", "5I", "6E", "6I"]
        matrix = potjans_diesmann().matrix("probability")
        for post, row in printed.items():
            assert matrix.loc[post, columns].tolist() == row
        assert matrix["5I"].tolist() == [0, 0.0003, 0.3726, 0.0197, 0, 0, 0.3158, 0.008]

    def test_potjans_diesmann_has_the_numbers_of_cells(self):
        counts = potjans_diesmann().counts
        assert sum(counts.values()) == 77_169
        assert (counts["4E"], counts["5I"]) == (21_915, 1_065)

    def test_potjans_diesmann_inhibits_four_times_as_strongly(self):
        strengths = potjans_diesmann().strength
        assert strengths["23E->6I"] == 0.15
        assert strengths["6I->23E"] == 4 * 0.15
        assert strengths.pop("4E->23E") == 2 * 0.15
        assert set(strengths.values()) == {0.15, 0.6}

    def test_potjans_diesmann_gives_the_synapses_of_the_full_model(self):
        """The model has 0.3 thousand million synapses: the formula of its docstring, summed."""
        column = potjans_diesmann()
        total = 0.0
        for pathway, p in column.probability.items():
            pre, post = pathway.split("->")
            pairs = column.counts[pre] * column.counts[post]
            total += math.log1p(-p) / math.log1p(-1 / pairs)
        assert total == pytest.approx(2.99e8, rel=0.01)

    def test_v1dd_has_senders_in_the_rows_of_the_file(self):
        """E to PV is not PV to E."""
        v1 = v1dd()
        assert v1.probability["23E->23PV"] == pytest.approx(0.286, abs=5e-4)
        assert v1.probability["23PV->23E"] == pytest.approx(0.676, abs=5e-4)
        matrix = v1.matrix("probability")
        assert matrix.loc["23PV", "23E"] == v1.probability["23E->23PV"]
        printed = {
            "23SST": [0.527, 0.561, 0.338, 0.404, 0.041, 0.181, 0.150, 0.081],
            "4E": [0.017, 0.060, 0.029, 0.039, 0.031, 0.316, 0.324, 0.085],
        }
        kinds = ("E", "PV", "SST", "VIP")
        posts = [f"{layer}{kind}" for layer in ("23", "4") for kind in kinds]
        for pre, row in printed.items():
            assert matrix.loc[posts, pre].to_numpy() == pytest.approx(row, abs=5.1e-4)

    def test_v1dd_has_nineteen_types_and_ten_pathways_at_its_end(self):
        v1 = v1dd()
        assert len(v1.names) == 19
        assert sum(sign > 0 for sign in v1.signs.values()) == 6
        smallest = [p for p in v1.probability.values() if p < 3e-5]
        assert len(smallest) == 10

    def test_billeh_has_layers_and_nothing_between_them(self):
        v1 = billeh()
        layer = v1.select("4*")
        assert layer.probability["4SST->4PV"] == 0.857
        assert layer.probability["4PV->4SST"] == 0.03
        assert v1.select("23*").strength["23PV->23E"] == 0.48
        for pathway in v1.known("probability"):
            pre, post = pathway.split("->")
            assert pre.rstrip("EPVST") == post.rstrip("EPVST")

    def test_campagnola_leaves_out_what_was_hardly_seen_and_badly_fitted(self):
        frame = campagnola().to_frame().set_index(["pre", "post"])
        assert frame.loc[("PV", "PV"), ["strength", "median", "n_pairs"]].tolist() == [
            0.654,
            0.467,
            240,
        ]
        assert math.isnan(frame.loc[("VIP", "23E"), "strength"])
        for bad in [("23E", "SST"), ("SST", "VIP")]:
            assert math.isnan(frame.loc[bad, "sigma_ln"])
        assert frame.loc[("SST", "23E"), "sigma_ln"] == 0.96

    def test_pfeffer_is_relative_to_pv_onto_e(self):
        known = pfeffer().known("strength")
        assert known["PV->E"] == 1
        assert (known["SST->VIP"], known["VIP->SST"]) == (0.77, 0.15)
        assert not any(pathway.startswith("E->") for pathway in known)

    def test_garcia_del_molino_has_receivers_in_the_rows_of_the_paper(self):
        model = garcia_del_molino()
        signed = model.matrix("strength") * pd.Series(model.signs)
        assert signed.to_numpy().tolist() == [
            [2.4167, -0.3329, -0.8039, 0],
            [2.9706, -3.4554, -2.1291, 0],
            [4.6440, 0, 0, -2.7896],
            [0.7162, 0, -0.1560, 0],
        ]


class TestEveryTable:
    @EVERY
    def test_each_call_returns_tables_of_its_own(self, load):
        spoilt = load()
        before = load().to_dict()
        spoilt.types["sign"] = 1
        spoilt.pathways["pre"] = "E"
        assert load().to_dict() == before

    @EVERY
    def test_says_where_it_is_from_and_what_it_means(self, load):
        data = load()
        readme = resources.files("daleml.datasets") / "data" / "README.md"
        beside = readme.read_text(encoding="utf-8")
        assert f"| {data.licence} | {data.citation} |" in beside
        assert data.source
        for quantity in ("probability", "strength"):
            means = getattr(data, f"{quantity}_means")
            assert bool(means) == (quantity in data.pathways.columns)
        assert data.citation in str(data)

    @EVERY
    def test_goes_into_json(self, load):
        facts = json.loads(json.dumps(load().to_dict()))
        assert facts["names"] == list(load().names)
        assert facts["licence"] == load().licence

    @EVERY
    def test_puts_excitatory_types_first(self, load):
        signs = list(load().signs.values())
        assert signs == sorted(signs, reverse=True)

    @EVERY
    def test_a_frame_has_the_sign_of_the_sender(self, load):
        data = load()
        frame = data.to_frame()
        assert frame["sign"].tolist() == [data.signs[pre] for pre in frame["pre"]]

    def test_the_licence_that_has_to_be_kept_is_beside_the_tables(self):
        home = resources.files("daleml.datasets") / "data" / "cell_types"
        text = (home / "LICENSE-biorealistic-v1-model.txt").read_text(encoding="utf-8")
        assert v1dd().licence.split(", ", 1)[1] in text
        assert "REDISTRIBUTIONS OF SOURCE CODE MUST RETAIN" in text.upper()


class TestTable:
    def test_a_pathway_goes_from_the_sender_to_the_receiver(self):
        one = table(WHOLE)
        assert one.probability == {
            "E->E": 0.1,
            "E->I": 0.2,
            "I->E": 0.3,
            "I->I": 0.4,
        }
        assert one.matrix("strength").to_numpy().tolist() == [[1.0, 3.0], [2.0, 4.0]]

    def test_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            table(WHOLE).name = "mine"

    def test_a_pathway_that_was_not_measured_is_not_zero(self):
        partly = table({**WHOLE, "strength": [1.0, 2.0, np.nan, 4.0]})
        assert partly.known("strength") == {"E->E": 1.0, "E->I": 2.0, "I->I": 4.0}
        assert math.isnan(partly.matrix("strength").loc["E", "I"])
        with pytest.raises(ValueError) as error:
            _ = partly.strength
        assert str(error.value) == (
            "`strength` must be known for every pathway; got none for I->E (1 of 4) in"
            ' hand-made: take some types by select(...), or known("strength") with numbers'
            " of yours for the rest."
        )

    def test_a_pathway_that_is_not_listed_was_not_measured(self):
        rows = {name: column[:3] for name, column in WHOLE.items()}
        with pytest.raises(ValueError, match=r"got none for I->I \(1 of 4\)"):
            _ = table(rows).probability

    def test_a_quantity_that_the_table_lacks_is_refused(self):
        with pytest.raises(ValueError) as error:
            _ = v1dd().strength
        assert str(error.value) == (
            "`strength` must be in the table; got probability only in Mouse V1, electron"
            " microscopy (V1DD); take those of another table by with_strength(...)."
        )
        with pytest.raises(ValueError) as error:
            campagnola().matrix("probability")
        assert str(error.value) == (
            "`probability` must be in the table; got strength only in Mouse synaptic strengths."
        )
        with pytest.raises(ValueError) as error:
            v1dd().known("weight")
        assert str(error.value) == (
            '`quantity` must be "probability" or "strength"; got \'weight\'.'
        )

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"probability": [0.1, 0.2, 1.3, 0.4]},
                "`probability` must be in [0, 1]; got 1.3.",
            ),
            (
                {"strength": [1, -2, 3, 4]},
                "`strength` must be finite and at least 0; got -2.",
            ),
            (
                {"strength": [1, 2, 3, math.inf]},
                "`strength` must be finite and at least 0; got inf.",
            ),
            (
                {"probability": ["a", "b", "c", "d"]},
                "`probability` must hold numbers; got 'a'.",
            ),
            (
                {"pre": ["E", "E", "I", "X"]},
                "`pathways` must join the types E, I; got 'X'.",
            ),
            (
                {"pre": ["E", "E", "I", "I"], "post": ["E", "I", "E", "E"]},
                "`pathways` must list each once; got I->E again.",
            ),
        ],
    )
    def test_refuses_other_numbers(self, change, sentence):
        with pytest.raises(ValueError) as error:
            table({**WHOLE, **change})
        assert str(error.value) == sentence

    def test_refuses_tables_without_their_columns(self):
        with pytest.raises(ValueError) as error:
            table({"pre": ["E"], "probability": [0.1]})
        assert str(error.value) == (
            "`pathways` must have the columns pre, post; got none called post."
        )
        with pytest.raises(ValueError) as error:
            table({"pre": ["E"], "post": ["I"], "p": [0.1]})
        assert str(error.value) == (
            "`pathways` must have the column probability or strength; got pre, post, p."
        )
        with pytest.raises(
            ValueError, match="`types` must list each once; got E again"
        ):
            table(WHOLE, types=[("E", 1), ("I", -1), ("E", 1)])
        with pytest.raises(ValueError, match=r"signs of \+1 or -1; got 0"):
            table(WHOLE, types=[("E", 1), ("I", 0)])

    def test_a_type_without_a_number_of_cells_is_no_type_without_cells(self):
        types = pd.DataFrame({"type": ["E", "I"], "sign": [1, -1]})
        types["count"] = [80.0, np.nan]
        partly = CellTypeTable("hand-made", types, pd.DataFrame(WHOLE))
        with pytest.raises(ValueError) as error:
            partly.populations(10)
        assert str(error.value) == (
            "`counts` must be given, since hand-made does not say how many cells are I; got"
            " None: write a number for each of E, I."
        )

    def test_selects_and_renames(self):
        v1 = v1dd().select("23E", "4*")
        assert v1.names == ("23E", "4E", "4PV", "4SST", "4VIP")
        assert len(v1.probability) == 25
        renamed = v1.rename({"23E": "upper"})
        assert renamed.probability["4PV->upper"] == v1dd().probability["4PV->23E"]
        with pytest.raises(ValueError, match=r"got '7\*'\.$"):
            v1.select("7*")
        with pytest.raises(ValueError, match="got none"):
            v1.select()
        with pytest.raises(ValueError, match="must rename types of 23E, .*got '5E'"):
            v1.rename({"5E": "E"})
        with pytest.raises(
            ValueError, match="`types` must list each once; got 4E again"
        ):
            v1.rename({"23E": "4E"})

    def test_joins_probabilities_and_strengths(self):
        layer = {"23E": "E", "23PV": "PV", "23SST": "SST", "23VIP": "VIP"}
        strengths = campagnola().rename({"23E": "E"})
        both = v1dd().select("23*").rename(layer).with_strength(strengths)
        assert both.probability["PV->E"] == v1dd().probability["23PV->23E"]
        assert both.known("strength") == strengths.known("strength")
        for said in (both.source, both.licence, both.citation):
            assert "; " in said
        with pytest.raises(ValueError) as error:
            v1dd().select("23*").with_strength(strengths)
        assert str(error.value) == (
            "`other` must have the types 23E, 23PV, 23SST, 23VIP with their signs; got E,"
            " PV, SST, VIP."
        )


class TestKinds:
    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (
                lambda: potjans_diesmann().populations(100, counts=5),
                "`counts` must be a mapping of cell types to numbers; got int.",
            ),
            (
                lambda: v1dd().with_strength("campagnola"),
                "`other` must be a CellTypeTable; got str.",
            ),
            (
                lambda: CellTypeTable("mine", [], []),
                "`types` must be a pandas DataFrame; got list.",
            ),
            (
                lambda: potjans_diesmann().populations(9.5),
                "`n` must be an integer; got 9.5.",
            ),
        ],
    )
    def test_refuses_other_kinds(self, call, sentence):
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == sentence

    def test_a_copy_has_tables_of_its_own(self):
        table = v1dd()
        copied = copy.deepcopy(table)
        copied.pathways["probability"] = 0.0
        assert table.to_dict() == v1dd().to_dict()
        assert pickle.loads(pickle.dumps(table)).to_dict() == table.to_dict()


class TestPopulations:
    def test_units_divide_as_the_cells_do(self):
        column = potjans_diesmann()
        pops = column.populations(1_000)
        assert pops.names == column.names
        assert pops.size == 1_000
        for name, size in pops.sizes.items():
            assert abs(size - 1_000 * column.counts[name] / 77_169) < 1

    def test_every_type_has_a_unit(self):
        sizes = potjans_diesmann().populations(12).sizes
        assert min(sizes.values()) == 1
        assert sum(sizes.values()) == 12
        with pytest.raises(ValueError) as error:
            potjans_diesmann().populations(7)
        assert str(error.value) == "`n` must be at least 8; got 7."

    def test_counts_are_asked_for_where_the_source_has_none(self):
        with pytest.raises(ValueError) as error:
            garcia_del_molino().populations(100)
        assert str(error.value) == (
            "`counts` must be given, since Interneuron rate model does not say how many cells"
            " are E; got None: write a number for each of E, PV, SST, VIP."
        )
        given = {"E": 80, "PV": 10, "SST": 6, "VIP": 4}
        assert garcia_del_molino().populations(50, given).sizes == {
            "E": 40,
            "PV": 5,
            "SST": 3,
            "VIP": 2,
        }

    def test_counts_have_one_positive_number_for_each_type(self):
        model = garcia_del_molino()
        with pytest.raises(
            ValueError, match="one number for each of E, PV, SST, VIP; got E"
        ):
            model.populations(100, {"E": 80})
        counts = {"E": 80, "PV": 0, "SST": 6, "VIP": 4}
        with pytest.raises(ValueError, match="PV"):
            model.populations(100, counts)

    @pytest.mark.parametrize(
        ("n", "parts", "units"),
        [
            (10, [1, 1], [5, 5]),
            (3, [1, 1], [2, 1]),
            (3, [0.1, 0.1, 0.1], [1, 1, 1]),
            (4, [1e9, 1, 1, 1], [1, 1, 1, 1]),
            (100, [70, 29, 0.1], [70, 29, 1]),
            (7, [3.4, 3.3, 0.3], [3, 3, 1]),
        ],
    )
    def test_by_largest_remainders(self, n, parts, units):
        assert divided(n, parts) == units


class TestCircuits:
    """What the tables are for: one line from there to a circuit."""

    def test_a_circuit_has_the_probabilities_of_the_table(self):
        column = potjans_diesmann()
        blocks = Blocks(column.probability)
        generator = torch.Generator().manual_seed(1)
        pops = column.populations(300)
        rnn = EIRNN(1, pops, mask=blocks, generator=generator)
        exist = (rnn.effective_weights()[0].recurrent != 0).double()
        for pathway, p in column.probability.items():
            pre, post = pathway.split("->")
            pairs = pops.sizes[pre] * pops.sizes[post]
            found = float(exist[pops[post], pops[pre]].mean())
            # Five standard deviations of a proportion, and the units that meet themselves.
            room = 5 * math.sqrt(p * (1 - p) / pairs) + p / pops.sizes[pre]
            assert abs(found - p) <= room, pathway

    def test_a_matrix_is_taken_as_the_pathways_are(self):
        """Rows are receivers in both: what E sends to PV is not what PV sends to E."""
        v1 = v1dd().select("23*")
        pops = v1.populations(4)
        of_pathways = Blocks(v1.probability).matrix(pops, pops)
        of_table = Blocks(v1.matrix("probability")).matrix(pops, pops)
        assert torch.equal(of_pathways, of_table)
        pv, e = pops["23PV"].start, pops["23E"].start
        assert float(of_pathways[pv, e]) == pytest.approx(0.286, abs=5e-4)
        assert float(of_pathways[e, pv]) == pytest.approx(0.676, abs=5e-4)

    def test_a_circuit_has_the_strengths_of_the_table_in_proportion(self):
        model = garcia_del_molino()
        units = {"E": 60, "PV": 60, "SST": 60, "VIP": 60}
        pops = model.populations(240, units)
        present = {name: float(of > 0) for name, of in model.strength.items()}
        rnn = EIRNN(
            1,
            pops,
            mask=Blocks(present),
            strength=Blocks(model.strength),
            generator=torch.Generator().manual_seed(1),
        )
        weight = rnn.effective_weights()[0].recurrent.detach().abs()
        found = {}
        for pathway in model.strength:
            pre, post = pathway.split("->")
            found[pathway] = float(weight[pops[post], pops[pre]].mean())
        unit = found["E->PV"] / model.strength["E->PV"]
        # What inhibits is scaled as a whole where a circuit is balanced.
        for receiver in pops.names:
            pathway = f"E->{receiver}"
            expected = unit * model.strength[pathway]
            assert found[pathway] == pytest.approx(expected, rel=0.15)
        for pathway, strength in model.strength.items():
            assert (found[pathway] > 0) == (strength > 0)
