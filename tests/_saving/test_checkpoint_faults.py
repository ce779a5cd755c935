"""What may happen to a checkpoint folder: strangers' files, a second run, a kill, a full disk, damage, old formats."""

import copy
import errno
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler as schedules

from daleml import Populations
from daleml import checkpoint as checkpoints
from daleml._saving import checkpoint_folder as files
from daleml.checkpoint import CheckpointError
from daleml.law import DaleError
from daleml.layers import EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.potentials import HyperbolicEntropy
from daleml.training import DivergedError, Shuffled, train
from tests.names import steady

X = torch.rand(12, 9, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def network():
    return nn.Sequential(EILinear(Populations(6, 3), 5), nn.ReLU(), nn.Linear(5, 3))


def go(
    epochs,
    folder=None,
    *,
    model=network,
    optimizer=None,
    scheduler=None,
    loss=cross_entropy,
    **options,
):
    torch.manual_seed(0)
    net = model()
    built = (
        EG(param_groups(net, 0.1), 0.1, momentum=0.5)
        if optimizer is None
        else optimizer(net)
    )
    made = None if scheduler is None else scheduler(built)
    options.setdefault("trackers", {})
    batches = options.pop("batches", Shuffled(X, Y, 4))
    train(
        net,
        batches,
        built,
        loss,
        epochs=epochs,
        scheduler=made,
        checkpoint=folder,
        progress=False,
        **options,
    )
    return net, built, made


def weights(run):
    return {name: value.clone() for name, value in run[0].state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


def epoch_of(folder):
    return json.loads((folder / "checkpoint.json").read_text())["content"]["epoch"]


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# -- strangers' files --------------------------------------------------------------------------------------------------

STRANGERS = (
    "model-best.safetensors", "optimizer-notes.safetensors", ".hidden.safetensors", "model-1.safetensors", "notes.txt",
    "optimizer-2.safetensors", "model-99.safetensors", "model-0.2.safetensors", ".checkpoint.json.bak", "checkpoint.json.old",
)  # fmt: skip


def test_strangers_files_are_neither_removed_nor_replaced(tmp_path):
    for name in STRANGERS:
        save_file({"mine": torch.ones(2)}, tmp_path / name)
    (tmp_path / "model-3.safetensors").mkdir()
    (tmp_path / "model-4.safetensors").symlink_to(tmp_path / "model-best.safetensors")
    before = content_of(tmp_path)
    go(2, tmp_path)
    net = weights(go(5, tmp_path))
    assert all(
        content_of(tmp_path)[name] == content for name, content in before.items()
    )
    named = json.loads((tmp_path / "checkpoint.json").read_text())["content"]["files"]
    assert (
        len(
            [
                path
                for path in tmp_path.iterdir()
                if path.name not in (*STRANGERS, *named)
            ]
        )
        == 3
    )
    assert same(load_file(tmp_path / next(iter(named))), net)


def test_a_copy_of_a_checkpoints_file_is_a_strangers(tmp_path):
    go(2, tmp_path / "other")
    go(1, tmp_path / "own")
    copies = {
        "model-2.safetensors": tmp_path / "other" / "model-2.safetensors",
        "model-7.safetensors": tmp_path / "own" / "model-1.safetensors",
    }
    for name, source in copies.items():
        (tmp_path / "own" / name).write_bytes(source.read_bytes())
    expected = {name: source.read_bytes() for name, source in copies.items()}
    go(4, tmp_path / "own")
    assert {name: (tmp_path / "own" / name).read_bytes() for name in copies} == expected


def test_what_a_killed_run_left_is_removed(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    go(1, tmp_path)
    (tmp_path / ".unfinished-x.json").write_text("{")
    (tmp_path / ".unfinished-le7fx_px.safetensors").write_text("")
    with monkeypatch.context() as patched:
        patched.setattr(
            files, "write_index", killed
        )  # the tensor files of epoch 2 are there, and nothing names them
        with pytest.raises(KeyboardInterrupt):
            go(3, tmp_path)
    assert (tmp_path / "model-2.safetensors").exists()
    assert epoch_of(tmp_path) == 1
    go(4, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.json", "model-4.safetensors", "optimizer-4.safetensors",
    ]  # fmt: skip


def test_a_run_killed_in_its_first_save_begins_again(tmp_path, monkeypatch):
    def killed(folder, kind, *rest):
        if kind == "optimizer":
            raise KeyboardInterrupt
        return written(folder, kind, *rest)

    written = files.write_tensors
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_tensors", killed)
        with pytest.raises(KeyboardInterrupt):
            go(2, tmp_path)
    assert (tmp_path / "model-0.safetensors").exists()
    assert same(weights(go(2, tmp_path)), weights(go(2)))
    assert len(list(tmp_path.iterdir())) == 3


# -- one writer --------------------------------------------------------------------------------------------------------


def test_a_second_run_is_refused_and_a_later_one_is_not(tmp_path):
    seen = []

    def again(epoch):
        if epoch == 2:
            with pytest.raises(
                CheckpointError, match="another run writes its checkpoint there"
            ) as raised:
                go(3, tmp_path)
            seen.append(str(raised.value))
        return [(X, Y)]

    go(3, tmp_path, batches=again)
    assert len(seen) == 1
    assert "\n" not in seen[0]
    go(4, tmp_path, batches=[(X, Y)])
    assert epoch_of(tmp_path) == 4


def test_threads_and_other_names_of_a_folder_are_seen(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    raised = []

    def other():
        try:
            go(3, tmp_path / "link" / ".." / "real")
        except CheckpointError as error:
            raised.append(error)

    def again(epoch):
        if epoch == 1:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        return [(X, Y)]

    go(1, tmp_path / "real", batches=again)
    assert len(raised) == 1


SECOND = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests._saving.test_checkpoint_faults import go, X, Y
def batches(epoch):
    if epoch == 2:
        child = os.fork()  # as a loader's worker: it outlives the run, and must not hold its lock
        if child == 0:
            os.close(1)
            signal.pause()
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return [(X, Y)]
go(3, Path(sys.argv[1]), batches=batches)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_killed_run_and_its_workers_are_no_obstacle(tmp_path, request):
    root = str(request.config.rootpath)
    run = subprocess.run(
        [sys.executable, "-c", SECOND, str(tmp_path), root],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.returncode == -signal.SIGKILL
    child = int(run.stdout)
    try:
        assert any(
            path.name.startswith(".") for path in tmp_path.iterdir()
        )  # the lock's file is there still
        assert same(
            weights(go(3, tmp_path, batches=[(X, Y)])), weights(go(3, batches=[(X, Y)]))
        )
        assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    finally:
        os.kill(child, signal.SIGKILL)


# -- what must not be saved --------------------------------------------------------------------------------------------


class PoisonedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * math.nan


def poisoned(epoch, n_batches=3, by=math.nan):
    """A loss that is finite, and whose gradient is not in an epoch's last batch."""
    n = [0]

    def loss(outputs, targets):
        n[0] += 1
        value = cross_entropy(outputs, targets)
        return PoisonedGradient.apply(value) if n[0] == epoch * n_batches else value

    return loss


POISONABLE = {
    "EG": None,
    "EG foreach": lambda net: EG(param_groups(net, 0.1), 0.1, foreach=True),
    "EGAdamW": lambda net: EGAdamW(param_groups(net, 0.01), 0.01),
    "EGAdamW foreach": lambda net: EGAdamW(param_groups(net, 0.01), 0.01, foreach=True),
    "hyperbolic": lambda net: guarded(
        MirrorDescent(net.parameters(), 0.1, HyperbolicEntropy(1.0)), net
    ),
    "SGD": lambda net: guarded(torch.optim.SGD(net.parameters(), 0.1), net),
    "Adam": lambda net: guarded(torch.optim.Adam(net.parameters(), 0.01), net),
    "RMSprop": lambda net: guarded(torch.optim.RMSprop(net.parameters(), 0.01), net),
}


def guarded(optimizer, net):
    enforce(optimizer, net)
    return optimizer


@pytest.mark.parametrize("trackers", [{}, None], ids=["no trackers", "trackers"])
@pytest.mark.parametrize("name", POISONABLE)
def test_a_poisoned_gradient_leaves_the_last_good_checkpoint(name, trackers, tmp_path):
    build = POISONABLE[name]
    options = {} if trackers is None else {"trackers": trackers}
    if trackers is None:
        from daleml.trackers import DEFAULT

        options = {"trackers": DEFAULT}
    with pytest.raises(DivergedError, match="epoch 2") as raised:
        go(4, tmp_path, optimizer=build, loss=poisoned(2), **options)
    assert raised.value.epoch == 2
    assert isinstance(raised.value, RuntimeError)
    assert epoch_of(tmp_path) == 1
    with pytest.warns(UserWarning, match="`loss`"):
        resumed = go(4, tmp_path, optimizer=build, **options)
    assert same(weights(resumed), weights(go(4, optimizer=build)))


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    """Adam's second moment overflows before a weight does: it would never move again."""

    def loss(outputs, targets):
        return 1e25 * cross_entropy(outputs, targets)

    with pytest.raises(
        DivergedError,
        match=r"`optimizer` must keep a finite state; exp_avg_sq of `0\.weight`.* after epoch 1",
    ):
        go(1, tmp_path, optimizer=POISONABLE["Adam"], loss=loss)
    assert epoch_of(tmp_path) == 0


def test_what_was_infinite_before_may_stay_so(tmp_path):
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(9, 3)
            self.register_buffer("mask", torch.tensor([0.0, 0.0, -math.inf]))

        def forward(self, x):
            return super().forward(x) + self.mask

    sgd = lambda net: torch.optim.SGD(net.parameters(), 0.1)  # noqa: E731
    resumed = [
        go(n, tmp_path, model=Masked, optimizer=sgd, batches=[(X, Y % 2)])
        for n in (1, 2)
    ]
    assert same(
        weights(resumed[1]),
        weights(go(2, model=Masked, optimizer=sgd, batches=[(X, Y % 2)])),
    )


def test_lawless_weights_are_not_saved_and_said_at_once(tmp_path):
    unguarded = lambda net: torch.optim.SGD(net.parameters(), 5.0)  # noqa: E731
    with pytest.raises(
        DaleError,
        match=r"`model` must be lawful to be saved; [\d,]+ synapses break Dale's law after epoch 1: let `optim",
    ):
        go(3, tmp_path, optimizer=unguarded)
    assert epoch_of(tmp_path) == 0
    with pytest.warns(
        UserWarning,
        match=r"^[\d,]+ synapses break Dale's law after epoch 1: let `optim.enforce",
    ) as told:
        go(3, optimizer=unguarded)
    assert len(told) == 1


def test_a_model_that_begins_lawless_is_not_saved(tmp_path):
    def lawless():
        net = network()
        with torch.no_grad():
            net[0].weight.neg_()
        return net

    with pytest.raises(
        DaleError,
        match=r"45 synapses break Dale's law before training: call `signs.project_\(model\)` first",
    ):
        go(1, tmp_path, model=lawless)
    assert not (tmp_path / "checkpoint.json").exists()


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(
        DivergedError, match=r"`loss` must stay finite; got inf in epoch 1\."
    ):
        train(
            net,
            [(X, Y)],
            EG(param_groups(net, 0.1), 0.1),
            lambda out, y: cross_entropy(out, y) * math.inf,
            progress=False,
        )
    assert same(before, net.state_dict())


def test_the_error_of_a_worker_keeps_its_epoch():
    import pickle

    error = pickle.loads(pickle.dumps(DivergedError("gone", 3)))
    assert (str(error), error.epoch) == ("gone", 3)


# -- disks and signals -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize("kind", ["model", "optimizer"])
def test_a_full_disk_is_one_error_and_leaves_the_old_checkpoint(kind, tmp_path):
    import resource

    go(1, tmp_path)
    before = content_of(tmp_path)
    room = (
        min(len(content) for name, content in before.items() if name.startswith(kind))
        - 1
    )

    def full(epoch):
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (room, limits[1])
        )  # files may grow no further
        return Shuffled(X, Y, 4)(epoch)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises((OSError, CheckpointError)) as raised:
            go(3, tmp_path, batches=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{tmp_path}/{kind}" in str(raised.value)
    assert "\n" not in str(raised.value)
    left = content_of(tmp_path)
    assert all(left[name] == content for name, content in before.items())
    assert not any(name.startswith(".") for name in left)
    assert same(weights(go(3, tmp_path)), weights(go(3)))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
    ],
)
def test_an_index_that_cannot_be_written_names_its_path(error, tmp_path, monkeypatch):
    def fails(*_):
        raise error

    go(1, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("daleml._support.atomic_files.write_text", fails)
        with pytest.raises(
            CheckpointError,
            match=r"`.*checkpoint\.json` could not be written: (No space|Input).*is kept",
        ):
            go(2, tmp_path)
    assert epoch_of(tmp_path) == 1
    assert same(weights(go(3, tmp_path)), weights(go(3)))


def test_sigterm_goes_the_way_of_ctrl_c(tmp_path):
    def ended(epoch):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return [(X, Y)]

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        go(3, tmp_path, batches=ended)
    assert signal.getsignal(signal.SIGTERM) == before
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())
    whole = weights(go(3, batches=lambda epoch: [(X, Y)]))
    assert same(weights(go(3, tmp_path, batches=lambda epoch: [(X, Y)])), whole)


# -- refused, and nothing changed --------------------------------------------------------------------------------------


def rewrite(folder, change):
    """Change the content of an index, and let its digest be right again."""
    path = folder / "checkpoint.json"
    index = json.loads(path.read_text())
    index["content"] = change(index["content"])
    index["sha256"] = hashlib.sha256(json.dumps(index["content"]).encode()).hexdigest()
    path.write_text(json.dumps(index))


def put(content, path, value):
    *ways, last = path
    for way in ways:
        content = content[way]
    if value is DELETE:
        del content[last]
    else:
        content[last] = value


DELETE = object()


def plateau(optimizer):
    return schedules.ReduceLROnPlateau(optimizer, patience=0)


def milestones(optimizer):
    return schedules.MultiStepLR(optimizer, [3, 5], 0.5)


def everything(net, optimizer, scheduler):
    """Return all that a refused checkpoint must leave as it was."""
    return (
        copy.deepcopy(net.state_dict()), copy.deepcopy(optimizer.state_dict()), copy.deepcopy(scheduler.state_dict()),
        torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist(),
    )  # fmt: skip


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            equal(one[key], other[key]) for key in one
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(
            equal(a, b) for a, b in zip(one, other, strict=True)
        )
    return one == other


_LIVE = {}
"""Runs that have learnt something else, by their scheduler: a refused checkpoint leaves them as they are."""


def live(scheduler):
    torch.manual_seed(5)
    net = network()
    optimizer = EGAdamW(param_groups(net, 0.02), 0.02)
    made = scheduler(optimizer)
    train(
        net,
        [(X, Y)],
        optimizer,
        cross_entropy,
        epochs=2,
        scheduler=made,
        trackers={},
        progress=False,
    )
    return net, optimizer, made


def resume(folder, scheduler=milestones):
    """Try to go on with a model and an optimiser that have learnt something else, and see what became of them."""
    # Taken out: a run is tried again only if it was found to be as it was.
    net, optimizer, made = _LIVE.pop(scheduler, None) or live(scheduler)
    before = everything(net, optimizer, made)
    run = checkpoints.Run(net, optimizer, made)
    try:
        with checkpoints.opened(folder, run):
            checkpoints.load(folder, run)
    except CheckpointError as error:
        refusal = str(error)
    else:
        return None
    assert "\n" not in refusal
    assert equal(before, everything(net, optimizer, made)), (
        "a refused checkpoint changed something"
    )
    _LIVE[scheduler] = net, optimizer, made
    return refusal


_SAVED = {}
"""The files of a checkpoint, by its scheduler."""


def saved(folder, scheduler=milestones):
    """Save a run of three epochs; it is trained once, and its files are copied from then on."""
    if scheduler in _SAVED:
        for name, content in _SAVED[scheduler].items():
            (folder / name).write_bytes(content)
        return
    go(
        3,
        folder,
        optimizer=lambda net: EGAdamW(param_groups(net, 0.01), 0.01),
        scheduler=scheduler,
    )
    _SAVED[scheduler] = {path.name: path.read_bytes() for path in folder.iterdir()}


WRONG = [
    (("epoch",), "two"), (("epoch",), -5), (("epoch",), 2.0), (("epoch",), True), (("epoch",), None), (("epoch",), 7),
    (("history",), 3), (("history",), []), (("history", 1), None), (("history", 1, "epoch"), 5), (("history", 2, "loss"), "x"),
    (("files",), {}), (("files",), 1), (("files",), {"../model-3.safetensors": "0", "optimizer-3.safetensors": "0"}),
    (("files", "model-3.safetensors"), 3), (("files", "model-3.safetensors"), "0" * 64), (("classes",), None),
    (("classes",), []), (("classes", 0), "torch.optim.sgd.SGD"), (("classes", 1), None), (("optimizer",), None),
    (("optimizer",), []), (("optimizer", "param_groups"), []), (("optimizer", "param_groups"), 3),
    (("optimizer", "param_groups", 0, "lr"), -1), (("optimizer", "param_groups", 0, "lr"), "x"),
    (("optimizer", "param_groups", 0, "lr"), None), (("optimizer", "param_groups", 0, "lr"), True),
    (("optimizer", "param_groups", 0, "lr"), {"type": "float", "value": "nan"}), (("optimizer", "param_groups", 0, "lr"), DELETE),
    (("optimizer", "param_groups", 1, "initial_lr"), -0.1), (("optimizer", "param_groups", 0, "betas"), [0.9]),
    (("optimizer", "param_groups", 0, "betas"), {"type": "tuple", "value": [1.5, 0.9]}),
    (("optimizer", "param_groups", 0, "eps"), -1e-8), (("optimizer", "param_groups", 0, "weight_decay"), "much"),
    (("optimizer", "param_groups", 0, "amsgrad"), 3), (("optimizer", "param_groups", 0, "params"), [1]),
    (("optimizer", "param_groups", 0, "params"), []), (("optimizer", "param_groups", 0, "role"), "bias"),
    (("optimizer", "param_groups", 0, "euclidean"), True), (("optimizer", "state"), 3), (("optimizer", "state", "value", 0, 0), 77),
    (("optimizer", "state", "value", 0, 1), 4), (("optimizer", "state", "value", 0, 1, "step"), "two"),
    (("optimizer", "state", "value", 0, 1, "step"), -1), (("optimizer", "state", "value", 0, 1, "exp_avg"), 3),
    (("optimizer", "state", "value", 0, 1, "exp_avg", "value"), "optimizer.state.1.exp_avg"),
    (("optimizer", "state", "value", 0, 1, "exp_avg", "value"), "missing"), (("scheduler",), None), (("scheduler",), 3),
    (("scheduler", "last_epoch"), "two"), (("scheduler", "last_epoch"), -5), (("scheduler", "last_epoch"), DELETE),
    (("scheduler", "milestones"), [3]), (("scheduler", "milestones"), DELETE), (("scheduler", "gamma"), "x"),
    (("scheduler", "base_lrs"), [0.1]), (("scheduler", "base_lrs", 0), -1), (("scheduler", "_last_lr"), "x"),
    (("model",), 3), (("model",), {"more": 1}), (("python_random",), 3), (("python_random",), {"type": "tuple", "value": [3, [], None]}),
    (("parameters", 0), ["other"]), (("parameters",), 3), (("parameters",), None), (("parameters",), {}),
    (("run",), 3), (("run",), ""), (("run",), "x"), (("run",), "../" * 11), (("given",), 3), (("given",), []), (("given",), {}),
    (("given", "optimizer"), None), (("given", "model"), DELETE), (("given", "scheduler"), DELETE),
    (("optimizer", "state", "value"), []), (("optimizer", "state", "value", 0), DELETE), (("optimizer", "state", "value", 0, 0), None),
    (("optimizer", "state", "value", 0, 0), "x"), (("optimizer", "state", "value", 0, 1, "exp_avg"), DELETE),
    (("optimizer", "state", "value", 0, 1, "step"), 3), (("optimizer", "state", "value", 0, 1, "exp_avg"), None),
    (("optimizer", "param_groups", 0, "lr_scale"), None), (("optimizer", "param_groups", 0, "lr_scale"), -1),
    (("optimizer", "param_groups", 0, "lr_scale"), DELETE), (("optimizer", "param_groups", 0, "role"), DELETE),
    (("optimizer", "param_groups", 0, "euclidean"), DELETE), (("optimizer", "param_groups", 0, "eps"), DELETE),
    (("optimizer", "param_groups", 0, "weight_decay"), None), (("scheduler", "gamma"), None),
    (("scheduler", "milestones", "value", 0, 0), "x"), (("scheduler", "milestones", "value", 0, 1), -1),
    (("scheduler", "milestones", "value", 0, 1), None), (("scheduler", "_last_lr", 0), -1),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), WRONG, ids=steady)
def test_a_wrong_value_is_refused_and_nothing_is_changed(path, value, tmp_path):
    saved(tmp_path)
    rewrite(tmp_path, lambda content: put(content, path, value) or content)
    assert resume(tmp_path) is not None


@pytest.mark.parametrize(
    "key", ["run", "epoch", "files", "classes", "optimizer", "scheduler", "model", "python_random", "history", "given", "parameters"]
)  # fmt: skip
def test_a_missing_key_is_refused_and_nothing_is_changed(key, tmp_path):
    saved(tmp_path)
    rewrite(tmp_path, lambda content: put(content, (key,), DELETE) or content)
    assert f"KeyError '{key}'" in resume(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{",
        "\ufeff{}",
        "null",
        '{"format": true}',
        '{"format": 2, "sha256": 1, "content": 3}',
        "",
    ],
)
def test_an_index_that_is_none_is_refused(text, tmp_path):
    saved(tmp_path)
    (tmp_path / "checkpoint.json").write_text(text, encoding="utf-8")
    assert (
        "is damaged" in (message := resume(tmp_path)) or "must be of format" in message
    )
    assert len(message) < 500


def folder_for(name):
    def change(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def other_tensors(change):
    """Write the tensors of the optimiser's file anew, with the right digest."""

    def spoil(folder):
        path = folder / "optimizer-3.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rewrite(
            folder,
            lambda content: put(content, ("files", path.name), digest) or content,
        )

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        folder_for("checkpoint.json"), folder_for("model-3.safetensors"), folder_for("optimizer-3.safetensors"),
        lambda folder: (folder / "model-3.safetensors").write_bytes(b""),
        other_tensors(lambda tensors: tensors.pop("random.torch")),
        other_tensors(lambda tensors: tensors.pop("random.numpy")),
        other_tensors(lambda tensors: tensors.update({"random.torch": torch.zeros(3)})),
        other_tensors(lambda tensors: tensors.update({"random.numpy.rest": torch.zeros(2)})),
        other_tensors(lambda tensors: tensors.update({"optimizer.state.0.exp_avg": torch.zeros(2)})),
        other_tensors(lambda tensors: tensors.update({"optimizer.state.0.step": torch.tensor(-3.0)})),
    ],
)  # fmt: skip
def test_files_that_are_wrong_are_refused_and_nothing_is_changed(spoil, tmp_path):
    saved(tmp_path)
    spoil(tmp_path)
    assert resume(tmp_path) is not None


def every_path(value, path=()):
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in list(items)[:8]:
        yield from every_path(item, (*path, key))


@pytest.mark.parametrize(
    "scheduler", [milestones, plateau], ids=["milestones", "plateau"]
)
def test_mutated_checkpoints_are_refused_whole_or_loaded_whole(scheduler, tmp_path):
    """40 changes of the JSON tree, drawn once: no other exception, and never half of a checkpoint."""
    saved(tmp_path, scheduler)
    original = (tmp_path / "checkpoint.json").read_text()
    tree = json.loads(original)["content"]
    paths = [path for path in every_path(tree) if path]
    values = [
        DELETE,
        None,
        -1,
        1e400,
        "x",
        [],
        {},
        {"type": "tuple", "value": []},
        {"type": "nonsense", "value": 0},
        True,
        10**30,
    ]
    draw = np.random.default_rng(0)
    refused = 0
    import warnings

    for _ in range(40):
        path, value = (
            paths[draw.integers(len(paths))],
            values[draw.integers(len(values))],
        )
        value = "huge" if value == 1e400 else value
        (tmp_path / "checkpoint.json").write_text(original)
        rewrite(
            tmp_path,
            lambda content, path=path, value=value: (
                put(content, path, value) or content
            ),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refused += resume(tmp_path, scheduler) is not None
    assert refused > 35
    (tmp_path / "checkpoint.json").write_text(original)
    with pytest.warns(UserWarning, match="goes on with"):
        assert resume(tmp_path, scheduler) is None


def test_another_precision_is_refused(tmp_path):
    for saved_as, here in (
        (torch.float64, torch.float32),
        (torch.float32, torch.float64),
        (torch.float32, torch.bfloat16),
    ):
        folder = tmp_path / f"{saved_as}{here}"
        sgd = lambda net: torch.optim.SGD(net.parameters(), 0.1)  # noqa: E731
        for dtype in (saved_as, here):
            build = lambda dtype=dtype: nn.Linear(9, 3, dtype=dtype)  # noqa: E731
            if dtype is here:
                with pytest.raises(
                    CheckpointError,
                    match=f"`weight` is of {saved_as} in it and of {here} in this model",
                ):
                    go(
                        2,
                        folder,
                        model=build,
                        optimizer=sgd,
                        batches=[(X.to(dtype), Y)],
                    )
            else:
                go(1, folder, model=build, optimizer=sgd, batches=[(X.to(dtype), Y)])


def test_parameters_in_another_order_are_refused(tmp_path):
    square = lambda: nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9))  # noqa: E731
    go(
        1,
        tmp_path,
        model=square,
        optimizer=lambda net: torch.optim.Adam(net.parameters(), 0.01),
    )
    with pytest.raises(
        CheckpointError,
        match=r"group 0 of its optimiser holds 0\.weight, .*, not 1\.weight",
    ):
        go(
            2,
            tmp_path,
            model=square,
            optimizer=lambda net: torch.optim.Adam(
                [*net[1].parameters(), *net[0].parameters()], 0.01
            ),
        )


# -- formats of earlier versions ---------------------------------------------------------------------------------------


def old_random_tensors():
    _, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "random.torch": torch.get_rng_state(),
        "random.numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "random.numpy.rest": torch.tensor(
            [position, has_gauss, gauss], dtype=torch.float64
        ),
    }


def old_names(value, tensors, path):
    """Tensors aside, and everything else as JSON has it: keys become strings, tuples lists."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        return {
            str(key): old_names(item, tensors, f"{path}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [old_names(item, tensors, f"{path}.{i}") for i, item in enumerate(value)]
    return value


def write_old(folder, net, optimizer, scheduler, epoch, *, digest):
    """Write a checkpoint as the first versions did: with a digest and names, or, the very first, without."""
    folder.mkdir()
    tensors, state = {}, optimizer.state_dict()
    if digest:
        optimizer_part = old_names(state, tensors, "optimizer")
    else:
        tensors = {
            f"{i}.{k}": v
            for i, entries in state["state"].items()
            for k, v in entries.items()
            if torch.is_tensor(v)
        }
        plain = {
            str(i): {k: v for k, v in entries.items() if not torch.is_tensor(v)}
            for i, entries in state["state"].items()
        }
        optimizer_part = {"state": plain, "param_groups": state["param_groups"]}
    model = {
        name: value.contiguous().clone() for name, value in net.state_dict().items()
    }
    save_file(model, folder / f"model-{epoch}.safetensors")
    tensors |= old_random_tensors()
    save_file(
        {name: value.contiguous().clone() for name, value in tensors.items()},
        folder / f"optimizer-{epoch}.safetensors",
    )
    content = {
        "epoch": epoch,
        "files": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob("*.safetensors"))
        },
        "optimizer": optimizer_part,
        "scheduler": old_names(scheduler.state_dict(), tensors, "scheduler"),
        "python_random": random.getstate(),
        "history": [{"epoch": 0, "loss": math.nan}]
        + [{"epoch": i + 1, "loss": 1.0} for i in range(epoch)],
    }
    if not digest:
        (folder / "checkpoint.json").write_text(
            json.dumps({"format": 1, **content}) + "\n"
        )
        return
    parts = (optimizer, scheduler)
    content["classes"] = [
        f"{type(part).__module__}.{type(part).__qualname__}" for part in parts
    ]
    content = json.loads(json.dumps(content))
    index = {
        "format": 1,
        "sha256": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        "content": content,
    }
    (folder / "checkpoint.json").write_text(json.dumps(index) + "\n")


@pytest.mark.parametrize(
    "scheduler",
    [milestones, plateau, lambda o: schedules.OneCycleLR(o, [0.05] * 2, 9)],
    ids=["Counter", "inf", "cycle"],
)
@pytest.mark.parametrize("digest", [False, True], ids=["first", "with digest"])
def test_checkpoints_of_earlier_versions_are_read(digest, scheduler, tmp_path):
    build = lambda net: EGAdamW(param_groups(net, 0.02), 0.02)  # noqa: E731
    whole = go(6, optimizer=build, scheduler=scheduler)
    write_old(
        tmp_path / "old", *go(2, optimizer=build, scheduler=scheduler), 2, digest=digest
    )
    resumed = go(6, tmp_path / "old", optimizer=build, scheduler=scheduler)
    assert same(weights(whole), weights(resumed))
    assert whole[1].param_groups[0]["lr"] == resumed[1].param_groups[0]["lr"]
    if scheduler is milestones:
        assert resumed[2].milestones == Counter({3: 1, 5: 1})
    assert json.loads((tmp_path / "old" / "checkpoint.json").read_text())["format"] == 2
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == [
        "checkpoint.json", "model-6.safetensors", "optimizer-6.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [0, 3, "1", None, 1.0])
def test_another_format_is_named(number, tmp_path):
    saved(tmp_path)
    path = tmp_path / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": number}))
    assert f"must be of format 2 or older; got {number}." in resume(tmp_path)


# -- kills -------------------------------------------------------------------------------------------------------------

KILLED = """
import sys, torch
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests._saving.test_checkpoint_faults import go, milestones, weights
from safetensors.torch import save_file
torch.set_num_threads(1)
print("started", flush=True)
run = go(60, Path(sys.argv[1]), scheduler=milestones)
save_file({name: value.float() for name, value in weights(run).items()}, sys.argv[1] + "/end.st")
"""


@pytest.mark.slow
def test_a_run_killed_25_times_ends_as_one_that_was_never_stopped(tmp_path, request):
    root, draw = str(request.config.rootpath), np.random.default_rng(0)
    kills = 0
    while kills < 25:
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), root],
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdout.readline()
        time.sleep(draw.uniform(0.02, 0.15))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
        if (tmp_path / "end.st").exists():
            break
        if (tmp_path / "checkpoint.json").exists():  # the old state or the new one
            index = json.loads((tmp_path / "checkpoint.json").read_text())["content"]
            for name, digest in index.get("files", {}).items():
                assert (
                    hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
                )
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), root], check=True)
    assert kills >= 10
    whole = {
        name: value.float()
        for name, value in weights(go(60, scheduler=milestones)).items()
    }
    assert same(whole, load_file(tmp_path / "end.st"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.json", "end.st", "model-60.safetensors", "optimizer-60.safetensors",
    ]  # fmt: skip


class KilledError(BaseException):
    pass


def test_a_kill_at_any_step_of_saving_leaves_the_old_state_or_the_new(
    tmp_path, monkeypatch
):
    """Every file that a save moves into its place is once the last one: then everything stops, nothing is tidied up."""
    whole, finished = weights(go(4, scheduler=milestones)), 0
    replace, unlink = Path.replace, Path.unlink
    for last in (1, 2, 3, 4, 6, 9, 13, 16):
        folder, n = tmp_path / str(last), [0]

        def moved(self, *rest, n=n, last=last, **options):
            n[0] += 1
            if n[0] > last:
                raise KilledError
            return replace(self, *rest, **options)

        def removed(self, n=n, last=last, **options):
            if n[0] <= last:
                unlink(self, **options)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", moved)
            patched.setattr(Path, "unlink", removed)
            try:
                go(4, folder, scheduler=milestones)
                finished += 1
            except KilledError:
                pass
        assert same(whole, weights(go(4, folder, scheduler=milestones)))
        assert sorted(path.name for path in folder.iterdir() if "unfinished" not in path.name) == [
            "checkpoint.json", "model-4.safetensors", "optimizer-4.safetensors",
        ]  # fmt: skip
    assert (
        finished == 1
    )  # a whole run moves one file to begin with, and three in each of five saves
