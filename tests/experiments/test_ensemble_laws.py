"""Ensembles keep the law, and what each model learns alone, over the tables of layers and optimisers."""

import copy
import warnings

import pytest
import torch
from torch import nn

from daleml import signs
from daleml.experiments import Ensemble
from daleml.optim import EG, enforce, param_groups
from tests.catalog import LAYERS, NETWORKS, OPTIMIZERS, Images, layers

COUPLING = ("Adafactor", "LBFGS", "Muon")
"""Optimisers whose steps depend on norms over a parameter."""
ELEMENTWISE = [case for case in OPTIMIZERS if case.name not in COUPLING]


def alone(build, seed):
    torch.manual_seed(seed)
    return build()


def learn(model, optimizer, x, losses):
    for _ in range(2):
        optimizer.zero_grad()
        losses(model(x)).backward()
        optimizer.step()
    signs.check(model).raise_for_violations()


def of_all(outputs):
    return (outputs - 1).square().flatten(1).mean(1).sum()


def of_one(outputs):
    return (outputs - 1).square().mean()


@layers(LAYERS)
def test_every_layer_learns_as_alone(case):
    torch.manual_seed(0)
    x = torch.rand(5, *case.in_shape, dtype=torch.float64)

    def build():
        return case.build(dtype=torch.float64)

    ensemble = Ensemble(build, seeds=[4, 2])
    with warnings.catch_warnings():
        # None runs one by one.
        warnings.simplefilter("error")
        learn(ensemble, EG(param_groups(ensemble, 0.5), 0.5), x, of_all)
    for k, seed in enumerate([4, 2]):
        model = alone(build, seed)
        learn(model, EG(param_groups(model, 0.5), 0.5), x, of_one)
        for name, value in model.state_dict().items():
            found = ensemble[k].state_dict()[name]
            torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("optimizer", ELEMENTWISE, ids=lambda case: case.name)
def test_every_elementwise_optimiser_steps_each_as_alone(optimizer):
    torch.manual_seed(0)
    x = torch.rand(6, 9)
    build = NETWORKS["dense"]

    def learned(model, losses):
        attached = optimizer.build(list(model.parameters()), 0.1)
        if optimizer.guarded:
            enforce(attached, model)
        learn(model, attached, x, losses)
        return model

    ensemble = learned(Ensemble(build, seeds=[4, 2]), of_all)
    for k, seed in enumerate([4, 2]):
        model = learned(alone(build, seed), of_one)
        for name, value in model.state_dict().items():
            found = ensemble[k].state_dict()[name]
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["recurrent", "convolutional"])
def test_the_law_holds_in_every_network(name):
    torch.manual_seed(0)
    build, x = NETWORKS[name], torch.rand(6, 9)
    ensemble = Ensemble(build, seeds=2)
    optimizer = EG(param_groups(ensemble, 0.03), 0.03)
    with warnings.catch_warnings():
        # Circuits with noisy rates draw from their models' own streams, one by one.
        warnings.simplefilter("ignore")
        learn(ensemble, optimizer, x, of_all)
    ensemble = copy.deepcopy(ensemble).eval()
    together = ensemble(x)
    for k in range(2):
        torch.testing.assert_close(together[k], ensemble[k](x), rtol=1e-4, atol=1e-5)
    assert isinstance(ensemble[0], Images) == (name == "convolutional")
    assert isinstance(ensemble[0], nn.Module)
