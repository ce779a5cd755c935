"""Models sharded over two processes keep the law, and learn what one process learns."""

import pytest
import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)
from torch.nn.parallel import DistributedDataParallel

from daleml import Populations, analysis, signs, trackers
from daleml.layers import EIRNN, EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.potentials import HyperbolicEntropy, NegativeEntropy, PNorm
from tests.distributed.processes import run
from tests.distributed.subjects import (
    assert_same_weights,
    batches,
    network,
    sharded,
    shelf,
    train,
    upset,
    whole,
)


def guarded(optimizer, model):
    enforce(optimizer, model)
    return optimizer


def adamw(model):
    return guarded(torch.optim.AdamW(model.parameters(), lr=0.05), model)


def eg(model):
    return EG(param_groups(model, lr=0.1), lr=0.1, momentum=0.9)


def eg_adamw(model):
    return EGAdamW(param_groups(model, lr=0.1), lr=0.1)


# -- what every suite runs -------------------------------------------------------------------------


def test_two_processes_do_what_one_does(tmp_path):
    run(_do_what_one_does, 2, tmp_path, tmp_path)


def _do_what_one_does(rank, folder):
    _check_reports()
    for build in (adamw, eg):
        _train_alike(build)
    # Torch's fused AdamW, which biases take, rounds by where in a vector a number lies.
    _train_alike(eg_adamw, rtol=1e-6, atol=1e-8)
    _share_a_checkpoint(folder)
    _refuse()


def _check_reports():
    """The report is that of the whole model, in every process."""
    model, twin = sharded(shelf(), 2), shelf()
    assert signs.check(model) == signs.check(twin)
    upset(model)
    upset(twin)
    report = signs.check(model)
    assert report.n_violations > 500
    assert report == signs.check(twin)
    assert signs.check(model.state_dict()) == report
    seen = [None, None]
    distributed.all_gather_object(seen, report)
    assert seen[0] == seen[1]
    assert analysis.weight_samples(model).keys() == analysis.weight_samples(twin).keys()
    assert trackers.svd_entropies(model) == trackers.svd_entropies(twin)
    signs.project_(model)
    signs.project_(twin)
    assert signs.check(model)
    assert_same_weights(model, twin)


def _train_alike(build, **tolerance):
    """One process, shards and copies learn the same, to the bit unless told otherwise."""
    alone, shards = network(), sharded(network(), 2)
    copies = DistributedDataParallel(network())
    for model in (alone, shards, copies):
        train(model, build(model), batches(3))
        assert signs.check(model)
    assert_same_weights(shards, alone, **tolerance)
    assert_same_weights(copies, alone)


def _share_a_checkpoint(folder):
    """A sharded run goes on where it was saved, and a plain model reads what is gathered."""
    model = sharded(network(), 2)
    optimizer = eg(model)
    train(model, optimizer, batches(2))
    weights, moments = get_state_dict(model, optimizer)
    checkpoint.save(
        {"model": weights, "optimizer": moments}, checkpoint_id=folder / "run"
    )
    _go_on(folder, 2)
    gathered = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True)
    )
    plain = network()
    plain.load_state_dict(gathered)
    assert_same_weights(model, plain)


def _go_on(folder, n_processes, **tolerance):
    """Read the checkpoint of a run, train on, and compare with a run that was never stopped."""
    model, alone = sharded(network(), n_processes), network()
    optimizer = eg(model)
    weights, moments = get_state_dict(model, optimizer)
    checkpoint.load(
        {"model": weights, "optimizer": moments}, checkpoint_id=folder / "run"
    )
    set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=moments)
    assert signs.check(model)
    train(model, optimizer, batches(2, start=2))
    train(alone, eg(alone), batches(4))
    assert_same_weights(model, alone, **tolerance)


def _refuse():
    """What breaks the law is refused in every process, and what each process draws alone."""
    model = sharded(network(), 2)
    before = whole(model[0].weight).clone()
    lawless = network().state_dict()
    lawless["0.weight"].neg_()
    with pytest.raises(RuntimeError, match=r"Dale's law is broken: 0\.weight, unit 0"):
        set_model_state_dict(
            model, lawless, options=StateDictOptions(full_state_dict=True)
        )
    torch.testing.assert_close(whole(model[0].weight), before, rtol=0, atol=0)
    late = network()
    optimizer = adamw(late)
    with pytest.raises(ValueError, match="must be sharded before its optimiser is"):
        train(sharded(late, 2), optimizer, batches(1))
    torch.manual_seed(distributed.get_rank())
    drawn = sharded(nn.Sequential(EILinear(Populations(6, 3), 7, mask=0.5)), 2)
    with pytest.raises(ValueError, match=r"`0\.weight` must have the same signs, mask"):
        signs.check(drawn)


# -- the rest --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sharded_run_goes_on_in_another_number_of_processes(tmp_path):
    run(_save, 2, tmp_path, tmp_path)
    # Of seven rows in three processes, and of three in two: uneven shards, and gradients that
    # are averaged over three are rounded.
    run(_load, 3, tmp_path, tmp_path)


def _save(rank, folder):
    _share_a_checkpoint(folder)


def _load(rank, folder):
    _go_on(folder, 3, rtol=1e-6, atol=1e-7)


class UnitSum(NegativeEntropy):
    """A potential that looks at whole tensors: the magnitudes of each keep their sum."""

    def step(self, primal, dual_step):
        after = super().step(primal, dual_step)
        return after * (primal.abs().sum() / after.abs().sum())


OPTIMISERS = {
    "SGD": lambda model: guarded(
        torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9), model
    ),
    "EG with every option": lambda model: EG(
        param_groups(model, lr=0.1),
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=0.1,
        floor=1e-3,
    ),
    "EG, damped": lambda model: EG(
        param_groups(model, lr=0.1), lr=0.1, momentum=0.9, dampening=0.5
    ),
    "EG by whole lists": lambda model: EG(
        param_groups(model, lr=0.1), lr=0.1, foreach=True
    ),
    "AMSGrad": lambda model: EGAdamW(param_groups(model, lr=0.1), lr=0.1, amsgrad=True),
    "3-norm": lambda model: guarded(
        MirrorDescent(param_groups(model, lr=0.1), lr=0.1, potential=PNorm(3)), model
    ),
    "hyperbolic": lambda model: guarded(
        MirrorDescent(
            param_groups(model, lr=0.1), lr=0.1, potential=HyperbolicEntropy(0.1)
        ),
        model,
    ),
    "a potential of one's own": lambda model: MirrorDescent(
        param_groups(model, lr=0.1), lr=0.1, momentum=0.9, potential=UnitSum()
    ),
}


@pytest.mark.slow
def test_every_optimiser_steps_shards_as_it_steps_whole_weights(tmp_path):
    run(_step_alike, 2, tmp_path)
    # Of three rows in four processes one has none.
    run(_step_alike_in_four, 4, tmp_path)


def _step_alike(rank, n_processes=2):
    for name, build in OPTIMISERS.items():
        alone, shards = network(), sharded(network(), n_processes)
        train(alone, build(alone), batches(3))
        train(shards, build(shards), batches(3))
        assert signs.check(shards), name
        # As above of AMSGrad.
        assert_same_weights(shards, alone, rtol=1e-6, atol=1e-8)
    assert eg(shards).stuck() == eg(alone).stuck()
    low = [network().bfloat16(), sharded(network().bfloat16(), n_processes)]
    for model in low:
        given = [(x.bfloat16(), labels) for x, labels in batches(4)]
        train(model, eg(model), given)
    assert_same_weights(*low)


def _step_alike_in_four(rank):
    _step_alike(rank, 4)


@pytest.mark.slow
def test_a_forward_pass_and_loading_leave_shards_that_are_projected(tmp_path):
    run(_project_shards, 2, tmp_path)


def _project_shards(rank):
    model = sharded(network(), 2)
    upset(model)
    with torch.no_grad():
        # It leaves whole copies in the outermost module, and writes into those are lost.
        model(batches(1)[0][0])
    assert signs.check(signs.project_(model))
    # One process has the weights, drawn by itself, and sends them to the others.
    torch.manual_seed(rank)
    drawn = sharded(nn.Sequential(EILinear(Populations(6, 3), 7, mask=0.5)), 2)
    sent = nn.Sequential(EILinear(Populations(6, 3), 7, mask=0.5)).state_dict()
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(drawn, sent if rank == 0 else {}, options=options)
    assert signs.check(drawn)
    # Synapses that the model has not are left out of what it reads.
    model = sharded(network(), 2)
    dense = network().state_dict()
    present = dense.pop("0.weight_present").bool()
    dense["0.weight"] = dense["0.weight_signs"] * torch.ones(7, 9)
    expected = dense["0.weight"].masked_fill(~present, 0)
    options = StateDictOptions(full_state_dict=True, strict=False)
    with signs.keep_masks(model):
        set_model_state_dict(model, dense, options=options)
    torch.testing.assert_close(whole(model[0].weight), expected, rtol=0, atol=0)
    assert signs.check(model)


@pytest.mark.slow
@pytest.mark.parametrize("broadcast", [True, False])
def test_two_processes_keep_the_same_facts(broadcast, tmp_path):
    run(_train_copies, 2, tmp_path, broadcast, tmp_path)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def _train_copies(rank, broadcast, folder):
    torch.manual_seed(0)  # one draw of synapses for all
    mask = (torch.rand(10, 10) < 0.5).fill_diagonal_(False)
    rnn = EIRNN(3, Populations(8, 2), mask=mask)
    torch.manual_seed(rank)
    model = DistributedDataParallel(rnn, broadcast_buffers=broadcast)
    optimizer = guarded(torch.optim.SGD(model.parameters(), lr=5.0), model)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.rand(4, 2, 3))[0].square().mean().backward()
        optimizer.step()
        signs.check(model).raise_for_violations()
    assert torch.equal(rnn.weight_hh_l0_present.bool(), mask)
    torch.save(rnn.state_dict(), folder / f"{rank}.pt")
