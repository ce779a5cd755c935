"""Pruning by size, beside torch's own and a cosine that is known."""

import math

import pytest
import torch
from torch.nn.utils import prune

from daleml.reproductions.papers.eg_cornford2024.networks import build_network
from daleml.reproductions.papers.eg_cornford2024.pruning_by_size import (
    cosine,
    pruned,
    weights_of,
)


@pytest.mark.parametrize("amount", [0.3, 0.95])
def test_the_smallest_of_all_layers_go_as_in_torch(amount):
    network, theirs = build_network(16, 0), build_network(16, 0)
    layers = [(theirs[k], "weight") for k in (0, 2, 4)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=amount)
    found = pruned(network, amount)
    for k in (0, 2, 4):
        assert torch.equal(found[k].weight, theirs[k].weight)
    assert torch.equal(weights_of(network), weights_of(build_network(16, 0)))


def test_the_largest_go_where_asked():
    network = torch.nn.Linear(5, 1, bias=False)
    network.weight.data = torch.tensor([[3.0, -4.0, 1.0, 0.5, -2.0]])
    assert pruned(network, 0.4, largest=True).weight.tolist() == [[0, 0, 1, 0.5, -2]]
    assert pruned(network, 0.4).weight.tolist() == [[3, -4, 0, 0, -2]]
    total = 9 + 16 + 1 + 0.25 + 4
    assert cosine(network, 0.4) == pytest.approx(math.sqrt(29 / total))
    assert cosine(network, 0.4, largest=True) == pytest.approx(math.sqrt(5.25 / total))
