"""What is typed wrong, left out, or erased on the way to ``train``: a sentence, or one warning."""

import itertools
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils.rnn import pack_sequence
from torch.optim import lr_scheduler as schedules
from torch.optim.swa_utils import SWALR
from torch.utils.data import DataLoader, IterableDataset

from daleml.layers import DANNLinear, EILinear
from daleml.optim import EG, EGAdamW, enforce, param_groups
from daleml.trackers import DEFAULT, held_out, sign_flips
from daleml.training import Shuffled, train
from tests.names import steady

X = torch.rand(12, 9, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def call(net=None, batches=None, optimizer=None, loss=cross_entropy, **options):
    net = nn.Linear(9, 3) if net is None else net
    optimizer = (
        torch.optim.SGD(net.parameters(), 0.1) if optimizer is None else optimizer
    )
    options.setdefault("trackers", {})
    return train(
        net,
        [(X, Y)] if batches is None else batches,
        optimizer,
        loss,
        progress=False,
        **options,
    )


def other_scheduler():
    return schedules.StepLR(torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1), 1)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"loss": "cross_entropy"}, TypeError, "`loss` must be a function of outputs and targets, such as torch.nn.functional.cross_entropy; got 'cross_entropy'."),
        ({"loss": None}, TypeError, "such as torch.nn.functional.cross_entropy; got None."),
        ({"loss": nn.CrossEntropyLoss}, TypeError, "got the class CrossEntropyLoss: call it"),
        ({"loss": lambda out, y: 3.0}, ValueError, "`loss` must return a tensor of one number; got float."),
        ({"loss": lambda out, y: out}, ValueError, "`loss` must return a tensor of one number; got a tensor of shape (12, 3)."),
        ({"loss": lambda out, y: out.detach().sum()}, ValueError, "`loss` must depend on what `model` learns; what it returned has no gradient."),
        ({"net": "a network"}, TypeError, "`model` must be a module; got str."),
        ({"optimizer": "adam"}, TypeError, "`optimizer` must be a torch optimiser; got str."),
        ({"optimizer": torch.optim.SGD(nn.Linear(9, 3).parameters(), 0.1)}, ValueError, "`optimizer` must train parameters of `model`; it holds none of them"),
        ({"epochs": 0}, ValueError, "`epochs` must be at least 1; got 0."),
        ({"epochs": -1}, ValueError, "`epochs` must be at least 1; got -1."),
        ({"epochs": 2.0}, TypeError, "`epochs` must be an integer; got 2.0."),
        ({"epochs": True}, TypeError, "`epochs` must be an integer; got True."),
        ({"batches": (X, Y)}, ValueError, "`batches` must yield pairs of inputs and targets; got Tensor."),
        ({"batches": [X]}, ValueError, "`batches` must yield pairs of inputs and targets; got Tensor."),
        ({"batches": [(X, torch.tensor(3))]}, ValueError, "`batches` must yield targets that have a length; got a tensor of shape ()."),
        ({"batches": [(X, 3)]}, ValueError, "`batches` must yield targets that have a length; got int."),
        ({"batches": X}, TypeError, "`batches` must be a list of pairs, a DataLoader, or a function of the epoch's number; got Tensor."),
        ({"batches": {"x": X}}, TypeError, "or a function of the epoch's number; got dict."),
        ({"batches": 3}, TypeError, "or a function of the epoch's number; got int."),
        ({"batches": Shuffled}, TypeError, "`batches` must be an object; got the class Shuffled: call it first."),
        ({"batches": ((X, Y) for _ in range(2)), "epochs": 3}, ValueError, "`batches` must be read anew in each of the 3 epochs; got a generator, which can be read once"),
        ({"batches": zip([X], [Y], strict=True), "epochs": 2}, ValueError, "got a zip, which can be read once"),
        ({"batches": itertools.repeat((X, Y), 2), "epochs": 2}, ValueError, "got a repeat, which can be read once"),
        ({"batches": iter([(X, Y)]), "epochs": 2}, ValueError, "got a list_iterator, which can be read once"),
        ({"scheduler": schedules.StepLR}, TypeError, "`scheduler` must be a scheduler of torch.optim.lr_scheduler, or one like them; got the class StepLR."),
        ({"scheduler": 0.1}, TypeError, "or one like them; got float."),
        ({"scheduler": other_scheduler()}, ValueError, "`scheduler` must be one of `optimizer`; it was made for another optimiser."),
        ({"trackers": None}, TypeError, "`trackers` must map names to functions of the model; got NoneType."),
        ({"trackers": [len]}, TypeError, "`trackers` must map names to functions of the model; got list."),
        ({"trackers": {"n": 3}}, TypeError, "`trackers` must map names to functions of the model; got 3 for 'n'."),
    ],
    ids=steady,
)  # fmt: skip
def test_a_slip_is_one_sentence_before_anything_is_learnt(options, error, sentence):
    net = options.setdefault("net", nn.Linear(9, 3))
    before = net.weight.detach().clone() if isinstance(net, nn.Module) else None
    if before is None:
        options["optimizer"] = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    with pytest.raises(error) as raised:
        call(**options)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert before is None or torch.equal(before, net.weight)


def test_what_can_be_read_once_is_enough_for_one_epoch():
    assert len(call(batches=((X, Y) for _ in range(2)), epochs=1)) == 2


class Once:
    """A loader of somebody's own, used up after one epoch."""

    def __init__(self):
        self._left = iter([(X, Y)])

    def __iter__(self):
        return self._left


class Anew(Once):
    """One that is its own iterator, and begins anew."""

    def __iter__(self):
        self._left = iter([(X, Y)])
        return self

    def __next__(self):
        return next(self._left)


def once(left):
    return lambda epoch: left


ONCE = once(iter([(X, Y)]))


class Stream(IterableDataset):
    def __init__(self):
        self._left = iter([(X, Y)])

    def __iter__(self):
        yield from self._left


@pytest.mark.parametrize(
    "batches", [Once(), DataLoader(Stream(), batch_size=None), ONCE]
)
def test_batches_that_are_used_up_are_an_error_and_no_silence(batches):
    with pytest.raises(
        ValueError,
        match=r"got none in epoch 2\. If they can be read once only, give a list",
    ):
        call(batches=batches, epochs=3)


def test_a_loader_that_is_its_own_iterator_and_begins_anew_is_none():
    assert len(call(batches=Anew(), epochs=3)) == 4


def test_parameters_that_will_not_learn_are_named():
    net = nn.Sequential(nn.Linear(9, 4), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(net[1].parameters(), 0.1)
    with pytest.warns(
        UserWarning,
        match=r"^`optimizer` leaves out 2 of the 4 parameters of `model`, `0\.weight`, `0\.bias`, which will",
    ) as told:
        call(net, optimizer=optimizer, epochs=2)
    assert len(told) == 1
    net[0].requires_grad_(False)
    call(net, optimizer=optimizer)


def test_shuffled_wants_tensors_with_examples():
    for inputs, targets, error, match in (
        (X.numpy(), Y, TypeError, "`inputs` must be a tensor; got ndarray"),
        (X, Y.tolist(), TypeError, "`targets` must be a tensor; got list"),
        (
            X,
            torch.tensor(1),
            ValueError,
            "`targets` must hold examples along its first dimension",
        ),
        (X[:0], Y[:0], ValueError, "`inputs` must hold at least one example; got none"),
    ):
        with pytest.raises(error, match=match):
            Shuffled(inputs, targets)


def test_held_out_wants_a_function_and_as_many_targets():
    for loss in ("cross_entropy", nn.CrossEntropyLoss):
        with pytest.raises(
            TypeError, match="`loss` must be a function of outputs and targets; got"
        ):
            held_out(X, Y, loss)
    for targets in (Y[:5], Y[:1]):  # one would be compared with every output
        with pytest.raises(
            ValueError,
            match=f"`targets` must be as many as the model's outputs, 12; got {len(targets)}",
        ):
            held_out(X, targets, cross_entropy)(nn.Linear(9, 3))


def test_a_tracker_is_called_outside_train_without_a_gradient_or_a_warning():
    net, grads = nn.Linear(9, 3), []

    def loss(outputs, targets):
        grads.append(outputs.requires_grad)
        return cross_entropy(outputs, targets)

    found = {"test": held_out(X, Y, loss), "flips": sign_flips(net), **DEFAULT}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tracker in found.values():
            tracker(net)
    assert grads == [False]


# -- learning-rate corrections -----------------------------------------------------------------------------------------


def dann(kind=EG, lr=0.1, **options):
    net = DANNLinear(9, 3)
    groups = param_groups(net, lr, **options)
    return net, groups, kind(groups, lr)


def test_lrs_keeps_every_correction():
    net, groups, _ = dann(lr=0.2, euclidean_lr=0.05)
    assert [group["role"] for group in groups] == [
        "weight_ex",
        "weight_ix",
        "weight_ei",
        "bias",
    ]
    assert groups.lrs(0.2) == pytest.approx([group["lr"] for group in groups])
    assert groups.lrs(1.0) == pytest.approx([1, 1 / math.sqrt(3), 1 / 9, 0.25])
    assert param_groups(net, 0.0).lrs(1.0) == pytest.approx(
        [1, 1 / math.sqrt(3), 1 / 9, 1]
    )
    for group in groups:
        group["lr"] = 7.0
    assert groups.lrs(1.0) == pytest.approx([1, 1 / math.sqrt(3), 1 / 9, 0.25])
    with pytest.raises(ValueError, match="`max_lr` must be at least 0; got -1"):
        groups.lrs(-1)
    groups.append({"params": []})
    with pytest.raises(ValueError, match="`lrs` needs groups that param_groups made"):
        groups.lrs(1.0)


KEEP = {
    "OneCycleLR": lambda o, groups: schedules.OneCycleLR(
        o, groups.lrs(0.5), total_steps=20, cycle_momentum=False
    ),
    "CyclicLR": lambda o, groups: schedules.CyclicLR(
        o, groups.lrs(0.1), groups.lrs(0.5), 2, cycle_momentum=False
    ),
    "ReduceLROnPlateau": lambda o, groups: schedules.ReduceLROnPlateau(
        o, patience=0, threshold=1.0, min_lr=groups.lrs(0.09)
    ),
    "SWALR": lambda o, groups: SWALR(o, groups.lrs(0.05), anneal_epochs=3),
    "CosineAnnealingLR": lambda o, groups: schedules.CosineAnnealingLR(o, 8),
    "LambdaLR": lambda o, groups: schedules.LambdaLR(o, lambda epoch: epoch / 4),
    "StepLR": lambda o, groups: schedules.StepLR(o, 1),
    "LinearLR": lambda o, groups: schedules.LinearLR(o, 0.1),
}
ERASE = {
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 0.5, total_steps=20, cycle_momentum=False),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.1, 0.5, 2, cycle_momentum=False),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, patience=0, threshold=1.0, min_lr=0.09),
    "SWALR": lambda o: SWALR(o, 0.05, anneal_epochs=3),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 8, eta_min=0.05),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 8, eta_min=0.05),
    "LambdaLR": lambda o: schedules.LambdaLR(o, [lambda epoch: 1.0, lambda epoch: 1.0 + epoch, lambda epoch: 1.0, lambda epoch: 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", KEEP)
@pytest.mark.parametrize(
    "kind", [EG, EGAdamW, torch.optim.SGD], ids=lambda kind: kind.__name__
)
def test_schedulers_that_are_given_lists_keep_the_corrections(kind, name):
    net, groups, optimizer = dann(kind)
    guard = enforce(optimizer, net)
    call(net, optimizer=optimizer, scheduler=KEEP[name](optimizer, groups), epochs=4)
    guard.remove()
    rates = [group["lr"] / group["lr_scale"] for group in optimizer.param_groups]
    assert rates == pytest.approx([rates[0]] * 4)
    assert rates[0] > 0


@pytest.mark.parametrize("name", ERASE)
def test_schedulers_that_erase_the_corrections_are_named_once(name):
    net, _, optimizer = dann()
    with pytest.warns(
        UserWarning,
        match=r"which erases the corrections of `param_groups` \(weight_ex 1, weight_ix 0\.577, weight_ei 0\.111, bias 1\)",
    ) as told:
        call(net, optimizer=optimizer, scheduler=ERASE[name](optimizer), epochs=5)
    assert len(told) == 1


def test_a_loop_over_groups_erases_them_too():
    net, _, optimizer = dann(EGAdamW)
    for group in optimizer.param_groups:
        group["lr"] = 0.03
    with pytest.warns(
        UserWarning,
        match=r"^`optimizer` has one learning rate, 0\.03, in all groups, which erases",
    ):
        call(net, optimizer=optimizer)


def test_a_rate_of_ones_own_for_a_group_and_groups_without_corrections_are_nobodys_business():
    net, groups, optimizer = dann()
    optimizer.param_groups[1]["lr"] *= 3
    call(
        net, optimizer=optimizer, scheduler=KEEP["StepLR"](optimizer, groups), epochs=3
    )
    plain = DANNLinear(9, 3)
    call(plain, optimizer=EG(plain.parameters(), 0.1))
    lawful = EILinear(9, 3)
    optimizer = EG(param_groups(lawful, 0.1), 0.1)
    call(
        lawful,
        optimizer=optimizer,
        scheduler=schedules.OneCycleLR(optimizer, 0.1, 9, cycle_momentum=False),
    )


def test_states_of_groups_in_another_order_are_refused():
    _, _, optimizer = dann()
    other = EG(list(reversed(param_groups(DANNLinear(9, 3), 0.1))), 0.1)
    state = optimizer.state_dict()
    with pytest.raises(
        ValueError,
        match="`state_dict` must have its groups in the order of the optimiser's, bias, weight_ei, weight_ix, weight_ex; got weight_ex",
    ):
        other.load_state_dict(state)
    _, _, same = dann()
    same.load_state_dict(state)


def test_another_optimiser_of_the_same_model_says_so_at_the_checkpoint(tmp_path):
    net, _, optimizer = dann()
    call(net, optimizer=optimizer, checkpoint=tmp_path)
    groups = list(reversed(param_groups(net, 0.1)))
    with pytest.raises(
        ValueError, match="group 0 of its optimiser holds weight_ex, not bias"
    ):
        call(net, optimizer=EG(groups, 0.1), checkpoint=tmp_path, epochs=2)


def test_a_regression_with_a_task_of_ones_own_still_trains():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = call(
            nn.Linear(9, 1), [(X, X.sum(1, keepdim=True))], loss=mse_loss, epochs=2
        )
    assert history.loss[2] < history.loss[1]


def test_examples_are_counted_in_what_targets_hold():
    """The last batch is smaller, and counts less, whatever its targets lie in."""
    net = nn.Linear(9, 3)
    apart = {
        "tuple": lambda y: (y, y),
        "mapping": lambda y: {"digit": y},
        "packed": lambda y: pack_sequence(list(y[:, None].float())),
    }
    parts = X.split(8)
    losses = {}
    for name, hold in apart.items():
        optimizer = torch.optim.SGD(net.parameters(), 1e-30)
        batches = [(x, hold(y)) for x, y in zip(parts, Y.split(8), strict=True)]
        history = call(net, batches, optimizer, loss=lambda out, y: out.square().mean())
        losses[name] = history.loss[1]
    expected = float(net(X).detach().square().mean())
    assert losses == pytest.approx(dict.fromkeys(apart, expected))
