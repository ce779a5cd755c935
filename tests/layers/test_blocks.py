"""Blocks: which entry counts, what is refused, and the masks that circuits draw of them."""

import copy
import json
import pickle

import pandas as pd
import pytest
import torch

from daleml import Populations, signs
from daleml.layers import DANNRNN, EIRNN, Blocks, EIRNNCell

PV = Populations.of(exc={"E": 3}, inh={"PV": 2, "SST": 1})
AREAS = Populations.of(exc={"V1.E": 2, "PFC.E": 3}, inh={"V1.I": 1, "PFC.I": 2})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_form_says_the_same_numbers():
    arrows = Blocks({"E->E": 0.1, "E -> PV": 0.4, "PV->E": 0.5, "PV->PV": 0})
    nested = Blocks({"E": {"E": 0.1, "PV": 0.4}, "PV": {"E": 0.5, "PV": 0.0}})
    rows_post = pd.DataFrame(
        [[0.1, 0.5], [0.4, 0.0]], index=["E", "PV"], columns=["E", "PV"]
    )
    assert arrows == nested == Blocks(rows_post) == Blocks(rows_post.to_dict())
    assert len({arrows, nested}) == 1
    assert arrows != Blocks({"E->E": 0.1}) != Blocks({"E->E": 0.1}, default=None)


def test_the_matrix_is_the_one_written_by_hand():
    found = Blocks({"E->E": 0.1, "E->PV": 0.4, "*->SST": True}, default=0.2)
    by_hand = torch.full((6, 6), 0.2)
    by_hand[:3, :3], by_hand[3:5, :3], by_hand[5] = 0.1, 0.4, 1
    assert torch.equal(found.matrix(PV, PV), by_hand)
    assert found.matrix(PV, PV, dtype=torch.float64).dtype == torch.float64
    assert torch.equal(found.matrix(PV, Populations(4)), by_hand[:, [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"*->*": 1, "*.E->*": 2}, 2),  # a pattern over all
        ({"*.E->*.E": 1, "V1->V1": 2}, 2),  # an area over a pattern
        ({"V1->V1": 1, "V1.E->V1": 2}, 2),  # a name over an area
        ({"V1.E->V1.E": 2, "V1->V1.E": 1, "V1.E->*": 1}, 2),
        ({"V1.E->*": 1, "V1->V1": 2}, 2),  # 3 + 0 against 2 + 2
    ],
)
def test_the_more_exact_entry_counts(entries, said):
    for given in (entries, dict(reversed(entries.items()))):
        found = Blocks(given).matrix(AREAS, AREAS)
        assert (found[:2, :2] == said).all()


def test_equally_exact_entries_are_refused_unless_a_better_one_decides():
    both = {"V1.E->*": 1, "*->V1.E": 2}
    for given in (both, dict(reversed(both.items()))):
        with pytest.raises(
            ValueError, match="equally exact: add an entry 'V1.E->V1.E'"
        ):
            Blocks(given).matrix(AREAS, AREAS)
    for given in ({**both, "V1.E->V1.E": 5}, {"V1.E->V1.E": 5, **both}):
        assert Blocks(given).matrix(AREAS, AREAS)[0, 0] == 5


REFUSED = [
    ("E->PV", "`given` must be a mapping of pathways to numbers, such as {'E->PV': 0.4}, or a table with a row for each postsynaptic population; got 'E->PV'."),
    ({"E->PV->E": 1}, "`given` must name pathways as 'E->PV', from the presynaptic to the postsynaptic population; got 'E->PV->E'."),
    ({"->E": 1}, "`given` must name a population on each side of a pathway; got ''."),
    ({3: 1}, "`given` must be a string; got int."),
    ({3: {"E": 1}}, "`given` must name populations by strings; got 3 in a dict."),
    ({"E->E": 1, "E -> E": 1}, "`given` must have each pathway once; got 'E->E' twice."),
    ({"E->E": float("nan")}, "`given['E->E']` must be a number; got NaN."),
    ({"E->E": float("inf")}, "`given['E->E']` must be finite; got inf."),
    ({"E->E": "1"}, "`given['E->E']` must be a number; got '1'."),
    (pd.DataFrame([[0.1]]), "`given` must name populations by strings; got 0 in a DataFrame."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "sentence"), REFUSED, ids=str)
def test_what_is_no_blocks_is_refused(given, sentence):
    with pytest.raises((TypeError, ValueError)) as refused:
        Blocks(given)
    assert str(refused.value) == sentence


def test_what_does_not_fit_the_populations_is_refused():
    with pytest.raises(ValueError, match=r"^`blocks\['E->VIP'\]` must name one of"):
        Blocks({"E->VIP": 1}).matrix(PV, PV)
    with pytest.raises(ValueError, match="got none for 'E->PV'.$"):
        Blocks({"*->E": 1}, default=None).matrix(PV, PV)
    with pytest.raises(AttributeError, match="Blocks do not change"):
        Blocks({"E->E": 1}).default = 3


def test_blocks_go_round():
    blocks = Blocks({"E->E": 0.1, "*->PV": 0.25}, default=None)
    assert Blocks.from_dict(json.loads(json.dumps(blocks.to_dict()))) == blocks
    assert copy.deepcopy(blocks) == pickle.loads(pickle.dumps(blocks)) == blocks
    assert eval(repr(blocks), {"Blocks": Blocks}) == blocks
    assert str(blocks).splitlines() == [
        r"to \ from    E     *",
        "E          0.1     -",
        "PV           -  0.25",
        "every other pathway: refused",
    ]
    with pytest.raises(ValueError, match="must have 'entries' and 'default'"):
        Blocks.from_dict({"entries": {}})
    with pytest.raises(TypeError, match="must be a mapping, as of `to_dict`"):
        Blocks.from_dict([])


# -- masks of circuits


DENSITIES = Blocks({"E->E": 0.3, "E->PV": 0.6, "*->SST": 1, "PV->E": 0.5})


def by_hand(densities, generator):
    return torch.rand(densities.shape, generator=generator) < densities


def test_a_mask_of_blocks_is_the_one_drawn_by_hand():
    rnn = EIRNN(
        4, PV, 2, mask=DENSITIES, layer_mask=Blocks({"E->*": 1}), generator=seeded()
    )
    for layer, order in (("l0", 0), ("l1", 1)):
        drawn = seeded()
        for _ in range(2 * order):
            torch.rand(6, 6, generator=drawn)
        expected = by_hand(DENSITIES.matrix(PV, PV), drawn).fill_diagonal_(False)
        found = getattr(rnn, f"weight_hh_{layer}_present")
        assert torch.equal(found.bool(), expected), layer
    # Upper layers read the excitatory units of the one below, and no others.
    assert (rnn.weight_ih_l1_present == torch.tensor([1, 1, 1, 0, 0, 0])).all()
    assert (rnn.weight_ih_l1[:, 3:] == 0).all()


def test_other_circuits_and_inputs_take_blocks():
    inputs = Populations.of(exc={"stimulus": 2, "context": 3})
    to = Blocks({"stimulus->E": 1, "context->PV": 1})
    for make in (EIRNN, EIRNNCell):
        circuit = make(inputs, PV, input_mask=to, mask=Blocks({"E->*": 1}))
        weight = next(
            w for n, w in circuit.named_parameters() if n.startswith("weight_ih")
        )
        assert torch.equal(weight != 0, to.matrix(PV, inputs) > 0)
    dann = DANNRNN(4, 5, 2, mask=Blocks({"E->E": 0.5}), generator=seeded())
    assert 0 < dann.weight_ex_hh_l0_present.sum() < 25


def test_what_a_mask_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"`mask\['E->E'\]` must be a fraction in \[0, 1\]; got 1.5"
    ):
        EIRNN(3, PV, mask=Blocks({"E->E": 1.5}))
    with pytest.raises(ValueError, match=r"`input_mask\['E->VIP'\]` must name one of"):
        EIRNN(3, PV, input_mask=Blocks({"E->VIP": 1}))
    with pytest.raises(
        ValueError, match="`layer_mask` must be left out of a circuit of one"
    ):
        EIRNN(3, PV, layer_mask=0.5)


def test_another_draw_is_adopted_and_another_wiring_refused():
    """What was left to chance may differ; blocks of 0 and 1, and the densities, may not."""
    big = Populations.of(exc={"E": 30}, inh={"PV": 12})
    blocks = Blocks({"E->E": 0.2, "E->PV": 0.7, "PV->E": 1})
    here, other = (EIRNN(2, big, mask=blocks, generator=seeded(i)) for i in (0, 1))
    here.load_state_dict(other.state_dict())
    assert torch.equal(here.weight_hh_l0_present, other.weight_hh_l0_present)
    signs.check(here).raise_for_violations()
    # As many synapses in all, the other way round.
    swapped = Blocks({"E->E": 0.2, "E->PV": 1, "PV->E": 0.7})
    for wiring in (swapped, Blocks({"E->E": 0.5, "E->PV": 0.35, "PV->E": 1})):
        stranger = EIRNN(2, big, mask=wiring, generator=seeded(2))
        with pytest.raises(RuntimeError, match="adopt_masks"):
            here.load_state_dict(stranger.state_dict())
