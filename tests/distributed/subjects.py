"""Small models that are sharded, trained and compared with their unsharded twins."""

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from daleml import Populations, signs
from daleml.layers import EIRNN, DANNLinear, EIConv2d, EILinear, Readout

N_CLASSES = 3


def network():
    """Build a network with a mask, a DANN, fixed synapses and factors on what each learns."""
    torch.manual_seed(0)
    return nn.Sequential(
        EILinear(Populations(6, 3), 7, mask=0.5),
        nn.ReLU(),
        DANNLinear(7, 5),
        nn.ReLU(),
        EILinear(
            Populations(4, 1),
            N_CLASSES,
            fixed=torch.rand(N_CLASSES, 5) < 0.3,
            lr_scale=torch.rand(N_CLASSES, 5) * 2,
        ),
        nn.ReLU(),
        EILinear(Populations(2, 1), N_CLASSES, mask=0.8, sparse=True),
    )


class Shelf(nn.ModuleDict):
    """Layers that do not run in turn; ``fully_shard`` asks for a ``forward``."""

    def forward(self, x):
        return x


def shelf():
    """Build layers whose presynaptic units lie along either dimension, or in groups."""
    torch.manual_seed(0)
    units = Populations(9, 3)
    model = Shelf(
        {
            "rnn": EIRNN(3, units, mask=0.6, tau_ms=100.0, dt_ms=20.0),
            "sparse": EIRNN(3, units, mask=0.6, sparse=True),
            "readout": Readout(units, 2),
            "conv": EIConv2d(Populations(4, 2), 6, 3),
            "transposed": nn.ConvTranspose2d(3, 4, 2),
            "transposed_groups": nn.ConvTranspose2d(4, 6, 2, groups=2),
            "groups": nn.Conv2d(4, 6, 2, groups=2),
            "table": nn.Embedding(5, 4),
            "some": nn.Linear(4, 3),
            "pruned": nn.Linear(4, 3),
        }
    )
    present = torch.rand(3, 4, 2, 2) < 0.7
    signs.fix(model["transposed"], "weight", [1, -1, 1], present=present)
    for name in ("transposed_groups", "groups"):
        signs.fix(model[name], "weight", [1, -1, 1, -1])
    signs.fix(model["table"], "weight", [1, -1, 1, -1, 1])
    signs.fix(model["some"], "weight", [1, -1, None, -1])
    signs.project_(model)
    nn.utils.prune.random_unstructured(model["pruned"], "weight", 0.5)
    return model


def sharded(model, n_processes):
    """Shard each layer of a model, and the model."""
    mesh = init_device_mesh("cpu", (n_processes,))
    for layer in model.children():
        if next(layer.parameters(), None) is not None:
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def batches(n, start=0):
    """Draw the same batches in every process, so that averaging gradients rounds nothing."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(N_CLASSES, (16,), generator=generator)
    x = torch.rand(start + n, 16, 9, generator=generator)
    return [(one, labels) for one in x[start:]]


def train(model, optimizer, given):
    """Train a network on batches."""
    for x, labels in given:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()


@torch.no_grad()
def upset(model):
    """Give every weight a wrong sign."""
    for parameter in model.parameters():
        parameter.neg_()


def whole(tensor):
    """Return a tensor that may be sharded as a whole."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.detach()


def assert_same_weights(model, other, **tolerance):
    """Raise unless two models have the same weights, to the bit unless told otherwise."""
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(whole(one), whole(two), **tolerance)
