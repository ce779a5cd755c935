"""What was fixed of a sparse weight stays fixed: signs by sender, checkpoints, copies, optimisers."""

import contextlib
import copy
import pickle

import pytest
import torch

from daleml import Populations, _sparse_weights, signs
from daleml.layers import EIRNN, Blocks, EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from tests.layers.sparse import twins

NAME = "weight_hh_l0"


def build(seed=0, mask=0.4, **options):
    generator = torch.Generator().manual_seed(seed)
    return EIRNN(3, twins.POPS, mask=mask, sparse=True, generator=generator, **options)


def matrix(circuit):
    return circuit.effective_weights()[0].recurrent.detach().to_dense()


def test_a_report_names_the_units_on_both_sides():
    circuit = build()
    pattern = _sparse_weights.pattern(circuit, NAME)
    synapse = int((pattern.pre == 13).nonzero()[0])
    with torch.no_grad():
        circuit.weight_hh_l0[synapse] = 0.5
        circuit.weight_hh_l0[0] = float("nan")
    report = signs.check(circuit)
    nan, positive = report.violations
    assert (nan.unit, nan.onto) == (int(pattern.pre[0]), (int(pattern.post[0]),))
    onto = int(pattern.post[synapse])
    n_made = int((pattern.pre == 13).sum())
    assert str(positive) == (
        f"weight_hh_l0, unit 13 of PV (inhibitory): 1 of {n_made} synapses positive, worst"
        f" 0.5, onto unit {onto}"
    )
    again = signs.check(circuit.state_dict()).violations
    assert [(one.unit, one.count, one.onto) for one in again] == [
        (one.unit, one.count, one.onto) for one in report.violations
    ]
    signs.project_(circuit)
    assert circuit.weight_hh_l0[synapse] == 0
    assert report.n_units == 3 + 17


def test_signs_are_given_by_sender():
    circuit = build()
    with pytest.raises(ValueError, match="each of the 17 presynaptic units"):
        signs.fix(circuit, NAME, torch.ones(circuit.weight_hh_l0.numel()))
    other = twins.POPS.signs()
    other[4] = -1
    with pytest.raises(ValueError, match="other signs for 1 unit, .* unit 4"):
        signs.fix(circuit, NAME, other)
    signs.fix(circuit, NAME, twins.POPS)
    signs.release(circuit, NAME)
    report = signs.check(circuit)
    assert [one.parameter for one in report.unjudged] == [NAME]


def test_indices_that_something_wrote_into_are_found_and_put_back():
    circuit = build()
    before = matrix(circuit)
    circuit.weight_hh_l0_pre[0] = 16
    with pytest.raises(ValueError, match=r"sorted by receiver|something wrote into"):
        signs.check(circuit)
    circuit.weight_hh_l0_pre[0] = 99
    with pytest.raises(ValueError, match="indices from 0 to 16"):
        circuit(torch.rand(2, 1, 3))
    torch.testing.assert_close(matrix(signs.restore_(circuit)), before)
    assert signs.check(circuit)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda groups: EG(groups, 0.1, momentum=0.9),
        lambda groups: EGAdamW(groups, 0.05),
        lambda groups: MirrorDescent(groups, 0.1),
        lambda groups: torch.optim.AdamW(groups, 0.05),
    ],
    ids=["EG", "EGAdamW", "MirrorDescent", "guarded AdamW"],
)
def test_the_law_is_kept_while_a_sparse_circuit_learns_as_its_dense_twin(optimizer):
    sparse, dense = twins.pair(dt_ms=20, tau_ms=100)
    inputs = torch.rand(4, 8, 3, dtype=torch.float64)
    losses = []
    for circuit in (sparse, dense):
        step = optimizer(param_groups(circuit, 0.05))
        if isinstance(step, torch.optim.AdamW):
            enforce(step, circuit)
        for _ in range(5):
            step.zero_grad()
            loss = (circuit(inputs)[0] - 0.2).square().mean()
            loss.backward()
            step.step()
        losses.append(loss.item())
        assert signs.check(circuit)
    torch.testing.assert_close(matrix(sparse), dense.weight_hh_l0.detach())
    assert losses[0] == pytest.approx(losses[1])


def test_what_is_fixed_does_not_learn_and_factors_slow_what_learns():
    circuit = build(
        fixed=Blocks({"PV->*": 1}), lr_scale=Blocks({"E->*": 0.5, "SST->*": 0})
    )
    before = matrix(circuit)
    circuit(torch.rand(4, 8, 3))[0].square().mean().backward()
    assert (circuit.weight_hh_l0.grad != 0).any()
    step = torch.optim.SGD(circuit.parameters(), 0.1)
    enforce(step, circuit)
    step.step()
    after = matrix(circuit)
    assert torch.equal(after[:, 12:], before[:, 12:])
    assert not torch.equal(after[:, :12], before[:, :12])
    assert signs.check(circuit)


def test_copies_casts_and_pickles_keep_the_synapses():
    circuit = build()
    for twin in (
        copy.deepcopy(circuit),
        pickle.loads(pickle.dumps(circuit)),
        copy.deepcopy(circuit).double().float(),
    ):
        torch.testing.assert_close(matrix(twin), matrix(circuit))
        with torch.no_grad():
            twin.weight_hh_l0.mul_(2)
        assert signs.check(twin)
    assert not torch.equal(matrix(twin), matrix(circuit))


def test_a_checkpoint_of_another_draw_is_read_and_one_of_other_synapses_is_refused():
    trained, circuit = build(1), build(2)
    circuit.load_state_dict(trained.state_dict())
    torch.testing.assert_close(matrix(circuit), matrix(trained))
    assert signs.check(circuit)
    given = torch.ones(17, 17).tril(-1).bool()
    other = build(mask=given)
    with pytest.raises(RuntimeError, match=r"absent in the module.*signs.adopt_masks"):
        other.load_state_dict(trained.state_dict())
    assert torch.equal(matrix(other) != 0, given)
    kept = build(mask=given)
    with signs.keep_masks(kept):
        kept.load_state_dict(trained.state_dict())
    torch.testing.assert_close(matrix(kept), matrix(trained) * given)
    with signs.adopt_masks(other):
        other.load_state_dict(trained.state_dict())
    torch.testing.assert_close(matrix(other), matrix(trained))
    assert signs.check(other)
    other(torch.rand(3, 2, 3))[0].sum().backward()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_circuit_on_meta_takes_the_checkpoint_it_is_assigned(seed):
    trained = build(seed)
    with torch.device("meta"):
        empty = build(2)
    empty.load_state_dict(trained.state_dict(), assign=True)
    assert not any(value.is_meta for value in empty.state_dict().values())
    torch.testing.assert_close(matrix(empty), matrix(trained))
    x = torch.rand(3, 2, 3)
    torch.testing.assert_close(empty(x)[0], trained(x)[0])
    assert signs.check(empty)
    # A matrix, too, whose synapses are known.
    with torch.device("meta"):
        other = build(seed)
    dense = twins.POPS, matrix(trained)
    twin = EIRNN(3, dense[0], mask=dense[1] != 0)
    twin.weight_hh_l0.data = dense[1]
    other.load_state_dict(twin.state_dict(), assign=True)
    torch.testing.assert_close(matrix(other), matrix(trained))


def test_memory_that_nobody_filled_is_refused_and_filled_again():
    with torch.device("meta"):
        circuit = build()
    circuit.to_empty(device="cpu")
    circuit.weight_hh_l0_post.fill_(99)
    with pytest.raises(ValueError, match="got 99 to 99. Call `signs.restore_` to put"):
        circuit.reset_parameters()
    signs.restore_(circuit).reset_parameters()
    assert signs.check(circuit)


def test_indices_beside_a_parametrised_weight_are_put_back():
    circuit = build()
    torch.nn.utils.parametrize.register_parametrization(
        circuit, NAME, torch.nn.Identity()
    )
    circuit.weight_hh_l0_post.fill_(3)
    assert signs.check(signs.restore_(circuit))


@pytest.mark.filterwarnings("ignore:populations. the checkpoint is of:UserWarning")
def test_a_checkpoint_of_other_signs_is_refused_unless_it_is_to_be_adopted():
    circuit = build()
    others = Populations.of(exc={"E": 11}, inh={"PV": 4, "SST": 2})
    pattern = twins.present(_sparse_weights.pattern(circuit, NAME))
    trained = EIRNN(3, others, mask=pattern, sparse=True)
    with pytest.raises(
        RuntimeError, match="the signs of 1 units, the first of them unit 11"
    ):
        circuit.load_state_dict(trained.state_dict())
    with signs.adopt_signs(circuit):
        circuit.load_state_dict(trained.state_dict())
    assert signs.check(circuit)
    torch.testing.assert_close(matrix(circuit), matrix(trained))


def test_dense_and_sparse_circuits_of_the_same_synapses_read_each_others_checkpoints():
    sparse, dense = twins.pair()
    signs.project_(dense)
    kept = dense.weight_hh_l0.detach().clone()
    dense.load_state_dict(sparse.state_dict())
    torch.testing.assert_close(dense.weight_hh_l0.detach(), kept)
    with torch.no_grad():
        dense.weight_hh_l0.mul_(2)
    sparse.load_state_dict(dense.state_dict())
    torch.testing.assert_close(matrix(sparse), 2 * kept)
    full = EIRNN(3, twins.POPS, dtype=torch.float64)
    with pytest.raises(
        RuntimeError, match="weights where the sparse module has no synapse"
    ):
        sparse.load_state_dict(full.state_dict())
    with signs.adopt_masks(sparse):
        sparse.load_state_dict(full.state_dict())
    torch.testing.assert_close(matrix(sparse), full.weight_hh_l0.detach())
    assert signs.check(sparse)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "`sparse` must be left out without `mask`"),
        ({"mask": 0.1, "num_layers": 2}, "`layer_mask` must say which synapses lead"),
        ({"mask": 0.0}, "`mask` must be above 0"),
        ({"mask": torch.ones(3, 3)}, r"`mask` must have shape \(17, 17\)"),
        ({"mask": "all"}, "`mask` must be a boolean matrix, a density"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        EIRNN(3, twins.POPS, sparse=True, **options)


def test_scipy_matrices_say_which_synapses_exist_and_how_strong_they_are():
    import numpy as np
    import scipy.sparse

    exists = scipy.sparse.random_array((17, 17), density=0.3, rng=0) != 0
    circuit = build(mask=exists)
    assert np.array_equal(matrix(circuit).numpy() != 0, exists.toarray())
    with pytest.raises(ValueError, match=r"0 and 1 only; got .* give `strength`"):
        build(mask=scipy.sparse.random_array((17, 17), density=0.3, rng=0))
    strong = scipy.sparse.csr_array(exists.astype(float) * 3)
    strong.data[::2] = 1e-6
    graded = build(mask=exists, strength=strong)
    assert graded.weight_hh_l0.detach()[::2].abs().max() < 1e-3


def test_densities_are_kept_block_by_block_to_the_synapse():
    circuit = build(mask=Blocks({"E->E": 0.25, "E->PV": 1, "PV->E": 0.5}))
    there = matrix(circuit) != 0
    assert int(there[:12, :12].sum()) == round(0.25 * 12 * 11)
    assert not there.diagonal().any()
    assert there[12:15, :12].all()
    assert int(there[:12, 12:15].sum()) == 18
    assert int(there.sum()) == 33 + 36 + 18


def test_sparse_is_chosen_by_size_and_density():
    small = EIRNN(3, twins.POPS, mask=0.01, sparse=None)
    assert small.weight_hh_l0.ndim == 2
    pops = Populations(480, 120)
    for density, ndim in ((0.01, 1), (0.5, 2)):
        rnn = EIRNN(3, pops, mask=density, sparse=None, device="meta")
        assert rnn.weight_hh_l0.ndim == ndim


STRENGTHS = {"strength": Blocks({"PV->*": 10}, default=1)}
FACTORS = {"lr_scale": Blocks({"E->*": 0.5}, default=1)}


def test_strengths_are_not_given_to_synapses_that_a_checkpoint_brought():
    circuit = build(2, **STRENGTHS)
    circuit.load_state_dict(build(1).state_dict())
    # As many as before, but elsewhere.
    with pytest.raises(ValueError, match="`strength` must be of the synapses"):
        circuit.reset_parameters()
    layers = [
        EILinear(twins.POPS, 9, mask=0.5, sparse=True, **options)
        for options in (STRENGTHS, {})
    ]
    layers[0].reset_parameters()
    layers[0].load_state_dict(layers[1].state_dict())
    with pytest.raises(ValueError, match="`strength` must be of the synapses"):
        layers[0].reset_parameters()


def test_factors_on_learning_stay_with_their_synapses():
    circuit, trained = build(2, **FACTORS), build(1, **FACTORS)
    for rules in (contextlib.nullcontext, signs.adopt_masks):
        with (
            rules(circuit),
            pytest.raises(RuntimeError, match="than those that `lr_scale` was given"),
        ):
            circuit.load_state_dict(trained.state_dict())
    torch.testing.assert_close(matrix(circuit), matrix(build(2)))
    with signs.keep_masks(circuit):
        circuit.load_state_dict(trained.state_dict())
    # Another draw, as DistributedDataParallel broadcasts it.
    circuit.weight_hh_l0_post.copy_(trained.weight_hh_l0_post)
    circuit.weight_hh_l0_pre.copy_(trained.weight_hh_l0_pre)
    with pytest.raises(ValueError, match="must hold what was fixed"):
        signs.check(circuit)


def test_a_checkpoint_that_was_cast_is_read_unless_its_indices_were_rounded():
    trained = build(1)
    for dtype in (torch.float32, torch.bfloat16):
        circuit = build(2)
        circuit.load_state_dict(
            {k: v.to(dtype) for k, v in trained.state_dict().items()}
        )
        assert torch.equal(matrix(circuit) != 0, matrix(trained) != 0)
        assert circuit.weight_hh_l0_post.dtype == torch.int32
    large = EILinear(3000, 2, mask=0.5, sparse=True)
    cast = {name: value.half() for name, value in large.state_dict().items()}
    with pytest.raises(RuntimeError, match="must hold one index for each"):
        large.load_state_dict(cast)


def test_a_checkpoint_that_lost_where_its_synapses_lie_is_refused():
    circuit, state = build(2), build(1).state_dict()
    before = matrix(circuit)
    del state[NAME + "_post"]
    with pytest.raises(RuntimeError, match="must say where its synapses lie"):
        circuit.load_state_dict(state, strict=False)
    assert torch.equal(matrix(circuit), before)
