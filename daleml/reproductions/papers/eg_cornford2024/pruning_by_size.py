"""Pruning by size: the smallest weights of a network taken away, or the largest."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def weights_of(network: nn.Module) -> Tensor:
    """Return all weights of a network as one vector, in double precision.

    Args:
        network: A network without biases.
    """
    return parameters_to_vector(network.parameters()).detach().double()


@torch.no_grad()
def pruned(network: nn.Module, amount: float, *, largest: bool = False) -> nn.Module:
    """Return a copy whose smallest weights of all layers together are zero.

    Args:
        network: A network without biases.
        amount: The fraction of the weights that is taken away.
        largest: Whether the largest are taken in their place.
    """
    copied = copy.deepcopy(network)
    weights = parameters_to_vector(copied.parameters())
    order = weights.abs().argsort(descending=largest, stable=True)
    weights[order[: round(amount * len(order))]] = 0.0
    vector_to_parameters(weights, copied.parameters())
    return copied


def cosine(network: nn.Module | None, amount: float, *, largest: bool = False) -> float:
    r"""Return the cosine of the angle between the weights before and after pruning.

    .. math:: \cos = \frac{\lVert w_\text{kept} \rVert}{\lVert w \rVert}

    Args:
        network: A network without biases; None for one that diverged, of which it is NaN.
        amount: The fraction of the weights that is taken away.
        largest: Whether the largest are taken in place of the smallest.
    """
    if network is None:
        return math.nan
    before = weights_of(network)
    after = weights_of(pruned(network, amount, largest=largest))
    return float(nn.functional.cosine_similarity(before, after, dim=0))
