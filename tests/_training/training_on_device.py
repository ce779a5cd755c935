"""What ``train`` does on the make-believe device, beside a run on the CPU; see ``device_calls``."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from daleml.callbacks import EarlyStopping, TrainingState
from daleml.layers import EIRNN, DANNLinear
from daleml.optim import EG, param_groups
from daleml.tasks import PerceptualDecision
from daleml.trackers import held_out
from daleml.training import DivergedError, Shuffled, train
from tests import make_believe_device as device

X = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3


def learn(where: str, batches: Any = None, **options: Any) -> tuple[nn.Module, Any]:
    """Train on a device with all that `train` takes, data and held-out data on the CPU."""
    torch.manual_seed(0)
    net = DANNLinear(6, 3, device="cpu")
    net.reset_parameters(torch.Generator().manual_seed(1))
    net = net.to(where)
    groups = param_groups(net, 0.1)
    optimizer = EG(groups, 0.1, momentum=0.9)
    given: dict[str, Any] = {
        "epochs": 3,
        "trackers": {"later": held_out(X, Y, cross_entropy)},
        "callbacks": [EarlyStopping("later/loss", maximise=True, restore_best=True)],
        "scheduler": OneCycleLR(optimizer, groups.lrs(0.3), total_steps=15),
        "scheduler_step": "batch",
        "clip_norm": 1.0,
        **options,
    }
    loss = given.pop("loss", cross_entropy)
    if batches is None:
        batches = Shuffled(X, Y, 8)
    return net, train(net, batches, optimizer, loss, progress=False, **given)


def as_on_the_cpu() -> None:
    """History and restored weights are those of the CPU, and a resumed run ends with the same."""
    here, expected = learn("cpu")
    there, history = learn(device.NAME)
    # Steps of a device are taken in lists, which rounds otherwise.
    assert_frame_equal(history, expected, rtol=1e-5)
    with tempfile.TemporaryDirectory() as folder:

        def kill(state: TrainingState) -> None:
            if state.epoch == 3:
                raise KeyboardInterrupt

        calls = [EarlyStopping("later/loss", maximise=True, restore_best=True)]
        with pytest.raises(KeyboardInterrupt):
            learn(device.NAME, callbacks=[*calls, kill], checkpoint=folder)
        resumed, again = learn(device.NAME, checkpoint=folder)
    assert again.equals(history)
    nets = zip(here.parameters(), there.parameters(), resumed.parameters(), strict=True)
    for one, other, third in nets:
        assert other.device.type == third.device.type == device.NAME
        assert torch.equal(other.cpu(), third.cpu())
        torch.testing.assert_close(one, other.cpu(), rtol=1e-5, atol=1e-6)


def data_from_either_side() -> None:
    """Batches, wherever they lie, meet a model wherever it lies, and index without waiting."""
    _, expected = learn("cpu")
    for x, y in ((X.to(device.NAME), Y.to(device.NAME)), (X, Y.to(device.NAME))):
        for where in ("cpu", device.NAME):
            _, history = learn(where, Shuffled(x, y, 8))
            assert_frame_equal(history, expected, rtol=1e-5)
    task = PerceptualDecision()
    circuit = EIRNN(task.n_inputs, task.n_outputs, device=device.NAME)
    optimizer = EG(param_groups(circuit, 0.01), 0.01)

    def loss(outputs: Any, trials: Any) -> torch.Tensor:
        return task.loss(outputs[0], trials)

    tests = held_out(*next(iter(task.batches(8, 1)(1))), loss)
    history = train(
        circuit,
        task.batches(8, 2),
        optimizer,
        loss,
        trackers={"test": tests},
        progress=False,
    )
    assert history["test/loss"].notna().all()


def a_loss_that_diverges() -> None:
    """It is found at the end of its epoch, which is not saved."""

    def batches(epoch: int) -> Any:
        for x, y in Shuffled(X, Y, 8)(epoch):
            yield x * (math.nan if epoch == 2 else 1.0), y

    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(DivergedError, match=r"got nan in epoch 2\."):
            learn(device.NAME, batches, checkpoint=folder)
        _, history = learn(device.NAME, checkpoint=folder)
    assert_frame_equal(history, learn("cpu")[1], rtol=1e-5)


def reading_at_a_step() -> None:
    """Only a callback that reads the loss waits for the device in between."""

    class Quiet:
        def on_step(self, state: TrainingState) -> None:
            self.step = state.step

    class Curious(Quiet):
        def on_step(self, state: TrainingState) -> None:
            self.loss = state.batch_loss

    waits = []
    for call in (None, Quiet(), Curious()):
        callbacks = [] if call is None else [call]
        with device.counted() as counted:
            learn(device.NAME, callbacks=callbacks, trackers={})
        waits.append(counted.by_kind["item"])
    assert waits[1] == waits[0]
    assert waits[2] == waits[0] + 15


ROWS = (as_on_the_cpu, data_from_either_side, a_loss_that_diverges, reading_at_a_step)
