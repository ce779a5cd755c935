"""The potential's derivatives at states that have settled under a teaching signal, summed to a gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot as _one_hot

from daleml import _checks
from daleml.learning.activations import is_holomorphic
from daleml.learning.holomorphic import HolomorphicNetwork
from daleml.learning.rules import Gradients
from daleml.learning.settling import States


def read(
    network: HolomorphicNetwork,
    x: Tensor,
    y: Tensor,
    keep: Tensor,
    readings: Iterable[tuple[States, Tensor, Tensor]],
) -> Gradients:
    r"""Return :math:`\operatorname{Re} \sum_k c_k\, \partial \Phi_{\beta_k} / \partial \theta`, averaged over samples.

    Args:
        network: The network.
        x: Inputs, (batch, \*in_shape).
        y: Their classes, (batch,).
        keep: Which samples count, (batch,).
        readings: States of ``len(beta)`` points stacked along the batch, their strengths, and what each counts.

    Returns:
        By parameter that is learnt, the gradient.
    """
    gradients: Gradients = {}
    target = one_hot(y, network)[keep]
    for states, betas, counts in readings:
        n = len(betas)
        rows = keep.repeat(n)
        kept = [state[rows] for state in states]
        below = [x[keep].repeat(n, *(1,) * (x.ndim - 1)), *kept[:-1]]
        count = (counts / keep.sum()).repeat_interleave(len(target))[:, None]
        for connection, pre, post in zip(network.connections, below, kept, strict=True):
            signal = post * count.reshape(-1, *(1,) * (post.ndim - 1))
            _add(gradients, connection, connection.learn(pre, signal))  # type: ignore[operator]
        error = network.error(kept[-1], target.repeat(n, 1)) * betas.repeat_interleave(len(target))[:, None]
        _add(gradients, network.readout, network.readout.learn(kept[-1], error * count))
    return gradients


def turning(beta: float, n_points: int, like: Tensor) -> Tensor:
    """Return ``n_points`` strengths of size ``beta`` evenly round the circle, complex, from the real one on."""
    angles = torch.arange(n_points, dtype=torch.float64) * (2 * math.pi / n_points)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return (beta * torch.polar(torch.ones_like(angles), angles)).to(like.device, complex_type)


def require_points(n_points: int, network: HolomorphicNetwork) -> int:
    """Return the number of points, or raise if the network cannot be nudged at so many."""
    _checks.integer("n_points", n_points, minimum=1)
    if n_points > 2:
        if not is_holomorphic(network.activation):
            raise ValueError(
                "`n_points` must be 1 or 2 with an activation that is not holomorphic; "
                f"got {n_points} with {network.activation!r}."
            )
        if network.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"`n_points` must be 1 or 2 in {network.dtype}; got {n_points}.")
    return n_points


def _add(gradients: Gradients, connection: nn.Module, found: tuple[Tensor, Tensor]) -> None:
    for parameter, gradient in zip((connection.weight, connection.bias), found, strict=True):
        if isinstance(parameter, nn.Parameter) and parameter.requires_grad:
            gradients[parameter] = gradients[parameter] + gradient if parameter in gradients else gradient


def one_hot(y: Tensor, network: HolomorphicNetwork) -> Tensor:
    """Return the probability of each class, (batch, n_classes), in the network's dtype."""
    return _one_hot(y, network.n_classes).to(network.dtype)


def draw_noise(states: States, sd: float, generator: torch.Generator | None) -> list[Tensor]:
    """Return real normal noise for each layer's drive."""
    return [
        sd * torch.randn(state.shape, generator=generator, dtype=state.real.dtype, device=state.device)
        for state in states
    ]


def complex_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy; of complex logits, its real part."""
    loss = (torch.logsumexp(logits, dim=1) - (target * logits).sum(1)).mean()
    return loss.real if loss.is_complex() else loss
