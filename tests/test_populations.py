import copy
import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daleml import Populations
from daleml.layers import EIRNN, EIConv2d, EILinear


def test_excitatory_units_come_first():
    pops = Populations(n_exc=3, n_inh=2)
    assert pops.size == 5
    assert pops.signs().tolist() == [1, 1, 1, -1, -1]
    assert pops.signs().dtype == torch.float32
    assert pops.signs(dtype=torch.int8).dtype == torch.int8
    assert pops.signs()[pops.exc].tolist() == [1, 1, 1]
    assert pops.signs()[pops.inh].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("n", "inhibitory", "n_inh"),
    [(100, 0.2, 20), (10, 0, 0), (10, 1, 10), (3, 0.5, 2), (7, 0.1, 1)],
)
def test_split(n, inhibitory, n_inh):
    assert Populations.split(n, inhibitory) == Populations(n - n_inh, n_inh)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_split_is_within_half_a_unit(n, inhibitory):
    pops = Populations.split(n, inhibitory)
    assert pops.size == n
    assert abs(pops.n_inh - n * inhibitory) <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda: Populations(-1, 2), ValueError, "`n_exc` must be at least 0; got -1."),
        (lambda: Populations(1, -2), ValueError, "`n_inh` must be at least 0; got -2."),
        (
            lambda: Populations(0, 0),
            ValueError,
            "`n_exc` + `n_inh` must be at least 1; got 0.",
        ),
        (
            lambda: Populations(1.5, 2),
            TypeError,
            "`n_exc` must be an integer; got 1.5.",
        ),
        (
            lambda: Populations(True, 2),
            TypeError,
            "`n_exc` must be an integer; got True.",
        ),
        (
            lambda: Populations([3], 2),
            TypeError,
            "`n_exc` must be an integer; got [3].",
        ),
        (lambda: Populations.split(0), ValueError, "`n` must be at least 1; got 0."),
        (
            lambda: Populations.split(10, 1.2),
            ValueError,
            "`inhibitory` must be a fraction in [0, 1]; got 1.2.",
        ),
        (
            lambda: Populations.split(10, -0.1),
            ValueError,
            "`inhibitory` must be a fraction in [0, 1]; got -0.1.",
        ),
        (
            lambda: Populations.split(10, float("nan")),
            ValueError,
            "`inhibitory` must be finite; got nan.",
        ),
        (
            lambda: Populations.split(10, "0.2"),
            TypeError,
            "`inhibitory` must be a number; got '0.2'.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build()
    assert str(raised.value) == sentence


def test_is_a_value():
    pops = Populations(3, 2)
    assert pops == pickle.loads(pickle.dumps(pops))
    assert hash(pops) == hash(Populations(3, 2))
    assert pops.to_dict() == {"n_exc": 3, "n_inh": 2}
    with pytest.raises(AttributeError):
        pops.n_exc = 4


CELLS = Populations.of(exc={"E": 80}, inh={"PV": 10, "SST": 6, "VIP": 4})
AREAS = Populations.of(exc={"V1.E": 3, "PFC.E": 2}, inh={"V1.I": 2, "PFC.I": 1})


def test_types_stand_in_the_order_given():
    assert (CELLS.n_exc, CELLS.n_inh, CELLS.size) == (80, 20, 100)
    assert CELLS.names == tuple(CELLS) == ("E", "PV", "SST", "VIP")
    assert CELLS.sizes == {"E": 80, "PV": 10, "SST": 6, "VIP": 4}
    assert CELLS["E"] == CELLS.exc == slice(0, 80)
    assert CELLS["SST"] == slice(90, 96)
    assert CELLS.signs()[CELLS["VIP"]].tolist() == [-1] * 4
    assert "PV" in CELLS
    assert "I" not in CELLS


def test_a_plain_partition_has_two_names_and_equals_one_that_names_them():
    named = Populations.of(exc={"E": 80}, inh={"I": 20})
    assert named == Populations(80, 20)
    assert hash(named) == hash(Populations(80, 20))
    assert repr(named) == "Populations(n_exc=80, n_inh=20)"
    assert Populations(80, 20).names == ("E", "I")
    assert Populations(3).names == ("E",)
    assert Populations(0, 3).names == ("I",)
    assert Populations(0, 3)["I"] == slice(0, 3)
    assert Populations.of(exc={"pyramidal": 80}, inh={"I": 20}) != named


def test_a_key_is_a_name_an_area_or_a_pattern():
    assert AREAS.matching("V1") == ("V1.E", "V1.I")
    assert AREAS.index("V1").tolist() == [0, 1, 2, 5, 6]
    assert AREAS.index("*.I").tolist() == [5, 6, 7]
    assert AREAS.index("PFC.E").dtype == torch.int64
    assert AREAS.matching("*") == AREAS.names
    # An area is a whole word.
    deep = Populations.of(exc={"cortex.V1.E": 2, "cortex.V10.E": 1})
    assert deep.matching("cortex.V1") == ("cortex.V1.E",)
    assert deep.matching("cortex") == deep.names


def test_a_value_for_each_unit():
    tau = CELLS.per_unit("tau_ms", {"E": 20, "PV": 5, "[SV]*": 10})
    assert tau == [20] * 80 + [5] * 10 + [10] * 10
    assert AREAS.per_unit("x", {"V1": "a", "PFC": "b"}) == list("aaabbaab")
    column = pd.Series({"E": 20, "PV": 5, "SST": 10, "VIP": 10})
    assert CELLS.per_unit("tau_ms", column) == tau
    assert Populations.of(pd.Series({"E": 8}), pd.Series({"PV": 2})).sizes == {
        "E": 8,
        "PV": 2,
    }


counts = st.dictionaries(st.sampled_from("ABCDEFGH"), st.integers(1, 5), max_size=4)


@given(counts, counts, st.integers(1, 3))
def test_names_survive_json_pickle_copy_and_repeat(exc, inh, n):
    inh = {f"{name}-": count for name, count in inh.items()}
    if not exc and not inh:
        return
    pops = Populations.of(exc, inh)
    assert pops.sizes == exc | inh
    assert eval(repr(pops)) == pops
    assert pickle.loads(pickle.dumps(pops)) == pops
    assert copy.deepcopy(pops) == pops
    # Sorted, as a hub's config is, which also takes a dataclass apart by itself.
    for content in (pops.to_dict(), dataclasses.asdict(pops)):
        read = json.loads(json.dumps(content, sort_keys=True))
        assert Populations.from_dict(read) == pops
        assert Populations.from_dict(read).names == pops.names
    larger = pops.repeat(n)
    assert list(larger.sizes) == list(pops.names)
    assert larger.per_unit("x", {name: name for name in pops}) == [
        name for name, count in pops.sizes.items() for _ in range(count * n)
    ]


def test_a_pickle_from_before_there_were_names_is_read():
    old = (
        b"\x80\x04\x95B\x00\x00\x00\x00\x00\x00\x00\x8c\x12daleml.populations\x94\x8c"
        b"\x0bPopulations\x94\x93\x94)\x81\x94}\x94(\x8c\x05n_exc\x94K\x03\x8c\x05n_inh"
        b"\x94K\x02ub."
    )
    assert pickle.loads(old) == Populations(3, 2)
    assert pickle.loads(old).names == ("E", "I")


@given(
    st.lists(
        st.sampled_from([("E", 1), ("S", 1), ("PV", -1), ("SST", -1)]), min_size=1
    ),
    st.booleans(),
)
def test_units_in_any_order_are_sorted_and_the_order_undoes_it(units, named):
    signs = torch.tensor([sign for _, sign in units])
    cells = [name for name, _ in units] if named else None
    pops, order = Populations.from_signs(signs, cells)
    assert pops.signs().tolist() == signs[order].tolist()
    back = torch.argsort(order)
    assert signs[order][back].tolist() == signs.tolist()
    if not named:
        assert pops == Populations(int((signs > 0).sum()), int((signs < 0).sum()))
    else:
        for name in pops:
            there = order[pops[name]].tolist()
            assert there == [i for i, cell in enumerate(cells) if cell == name]


def test_signs_and_names_are_read_from_what_holds_them():
    table = pd.DataFrame(
        {"sign": [-1, 1, -1], "cell": ["PV", "E", "SST"]}, index=[7, 8, 9]
    )
    expected = Populations.of(exc={"E": 1}, inh={"PV": 1, "SST": 1})
    for signs in (table["sign"], table["sign"].to_numpy(), [-1.0, 1.0, -1.0]):
        pops, order = Populations.from_signs(signs, table["cell"])
        assert pops == expected
        assert order.tolist() == [1, 0, 2]
    pops, _ = Populations.from_signs([1, -1], np.array(["E", "PV"]))
    assert json.loads(json.dumps(pops.to_dict()))["types"] == [["E", 1], ["PV", 1]]


WRONG = {
    "a name that is not there": (
        lambda: CELLS["pv"],
        "`name` must name one of the populations 'E', 'PV', 'SST', 'VIP', an area or a"
        " pattern of them; got 'pv' (did you mean 'PV'?).",
    ),
    "an area for one type": (
        lambda: AREAS["V1"],
        "`name` must be the name of one population, one of 'V1.E', 'PFC.E', 'V1.I',"
        " 'PFC.I'; got 'V1': write `index('V1')` for the units of several.",
    ),
    "a number for a name": (
        lambda: CELLS[0],
        "`name` must name populations by strings; got int 0.",
    ),
    "a pattern of none": (
        lambda: CELLS.index("X*", argument="tau_ms"),
        "`tau_ms` must name one of the populations 'E', 'PV', 'SST', 'VIP', an area or a"
        " pattern of them; got 'X*'.",
    ),
    "a population without a value": (
        lambda: CELLS.per_unit("tau_ms", {"E": 20, "PV": 10}),
        "`tau_ms` must have a value for every population; got none for 'SST', 'VIP'.",
    ),
    "two values for one": (
        lambda: CELLS.per_unit("tau_ms", {"E": 20, "*": 10}),
        "`tau_ms` must give each population one value; got 'E' and '*', which both cover"
        " 'E'.",
    ),
    "a list for a mapping": (
        lambda: CELLS.per_unit("tau_ms", [1, 2]),
        "`tau_ms` must be a mapping of populations to values; got list.",
    ),
    "no types": (
        lambda: Populations.of(),
        "`exc` or `inh` must name a cell type; got none.",
    ),
    "a type without units": (
        lambda: Populations.of({"E": 3}, {"PV": 0}),
        "`inh['PV']` must be at least 1; got 0.",
    ),
    "half a unit": (
        lambda: Populations.of({"E": 2.5}),
        "`exc['E']` must be an integer; got 2.5.",
    ),
    "a count for types": (
        lambda: Populations.of(80, 20),
        "`exc` must be a mapping of names to numbers of units, such as {'E': 80}; got 80.",
    ),
    "types for a count": (
        lambda: Populations({"E": 8}, {"I": 2}),
        "`n_exc` must be an integer; got {'E': 8}: for named cell types write"
        " Populations.of(exc=..., inh=...).",
    ),
    "a number as a name": (
        lambda: Populations.of({3: 2}),
        "`exc` must have strings as names; got 3.",
    ),
    "a pathway as a name": (
        lambda: Populations.of({"E->I": 2}),
        "`exc` must have names without '->', '*', '?', '[', ']', spaces around them, or a"
        " dot that no letter precedes or follows; got 'E->I'.",
    ),
    "one name for both signs": (
        lambda: Populations.of({"E": 8}, {"E": 2}),
        "`types` must name each type once; got 'E' twice.",
    ),
    "an area for a type": (
        lambda: Populations.of({"V1": 8}, {"V1.I": 2}),
        "`types` must not name a type as the area of another; got 'V1' and 'V1.I'.",
    ),
    "types that do not divide the units": (
        lambda: Populations(3, 2, types=[["E", 4], ["I", 1]]),
        "`types` must have 3 excitatory units, then 2 inhibitory ones; got (('E', 4),"
        " ('I', 1)).",
    ),
    "a sign that is none": (
        lambda: Populations.from_signs([1, 0]),
        "`signs` must be +1 or -1 for each unit; got 0 for unit 1.",
    ),
    "a matrix of signs": (
        lambda: Populations.from_signs(torch.ones(2, 2)),
        "`signs` must hold +1 or -1 for each unit; got shape (2, 2).",
    ),
    "a type of both signs": (
        lambda: Populations.from_signs([1, -1], ["a", "a"]),
        "`names` must give units of one type one sign; got 'a' for unit 1, which inhibits,"
        " and for one that excites.",
    ),
    "a number for a cell type": (
        lambda: Populations.from_signs([1, -1], ["E", 2]),
        "`names` must hold strings; got 2 for unit 1.",
    ),
    "types for a size": (
        lambda: EIRNN(2, {"E": 8}),
        "`hidden_size` must be a Populations or an integer; got {'E': 8}: write"
        " Populations.of(exc=..., inh=...).",
    ),
    "columns of two orders": (
        lambda: Populations.from_signs(
            pd.Series([1, -1], ["a", "b"]), pd.Series(["PV", "E"], ["b", "a"])
        ),
        "`names` must have the index of `signs`, in its order; got ['b', 'a'] and ['a',"
        " 'b'] first.",
    ),
    "too few names": (
        lambda: Populations.from_signs([1, -1], ["a"]),
        "`names` must hold the cell type of each of 2 units; got 1.",
    ),
    "a list for a description": (
        lambda: Populations.from_dict([80, 20]),
        "`content` must be a mapping, as of `to_dict`; got [80, 20].",
    ),
}


@pytest.mark.parametrize("slip", WRONG)
def test_wrong_names_are_one_sentence(slip):
    call, sentence = WRONG[slip]
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_layers_show_the_types():
    assert repr(EILinear(CELLS, 2)) == (
        "EILinear(exc={'E': 80}, inh={'PV': 10, 'SST': 6, 'VIP': 4}, out_features=2, bias=True)"
    )
    assert "n_exc=8, n_inh=2" in repr(EILinear(Populations(8, 2), 2))
    rnn = EIRNN(Populations.of({"LGN": 3}), CELLS)
    assert repr(rnn).startswith(
        "EIRNN(Populations.of(exc={'LGN': 3}), exc={'E': 80}, inh={'PV': 10,"
    )
    assert "exc={'V1.E': 3, 'PFC.E': 2}" in repr(EIConv2d(AREAS, 2, 3))
