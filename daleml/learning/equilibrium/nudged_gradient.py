"""The gradient that is read from states settled under a teaching signal.

It is a sum of the potential's derivatives at those states.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot as _one_hot

from daleml import require
from daleml.learning.equilibrium.activations import is_holomorphic
from daleml.learning.equilibrium.connections import Connection
from daleml.learning.equilibrium.gradient_rule import Gradients, laid_out
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.relaxation import NotSettledError, States


class Reading(NamedTuple):
    r"""States under a teaching signal, and what their derivatives count.

    Attributes:
        states: The states of all points, stacked along the batch.
        betas: :math:`\beta_k`, the strength at each point, (points,).
        coefficients: :math:`c_k`, what each point counts in the sum, (points,).
    """

    states: States
    betas: Tensor
    coefficients: Tensor


def gradients_at(
    network: HolomorphicNetwork,
    x: Tensor,
    y: Tensor,
    keep: Tensor,
    readings: Iterable[tuple[States, Tensor, Tensor]],
) -> Gradients:
    r"""Return the gradient of a batch, averaged over samples.

    .. math:: \operatorname{Re} \sum_k c_k\, \partial \Phi_{\beta_k} / \partial \theta

    Args:
        network: The network.
        x: Inputs, (batch, \*in_shape).
        y: Their classes, (batch,).
        keep: Which samples count, (batch,).
        readings: The states to read, see :class:`Reading`.

    Returns:
        The gradient by parameter that learns.
    """
    sums: dict[tuple[Connection, str], Tensor] = {}
    target = one_hot(y, network)[keep]
    for states, betas, coefficients in readings:
        n_points = len(betas)
        # Points are stacked along the batch, so a sample has one row for each.
        rows = keep.repeat(n_points)
        kept = [state[rows] for state in states]
        below = [x[keep].repeat(n_points, *(1,) * (x.ndim - 1)), *kept[:-1]]
        counts = (coefficients / keep.sum()).repeat_interleave(len(target))[:, None]
        for connection, pre, post in zip(network.connections, below, kept, strict=True):
            # dPhi/dW = post pre^T, for the sum of layers is linear in each weight.
            signal = post * counts.reshape(-1, *(1,) * (post.ndim - 1))
            learnt = connection.learn(pre, signal)  # type: ignore[operator]
            _add(sums, connection, learnt)  # type: ignore[arg-type]
        # dPhi/dz = beta (y - softmax(z)), for the readout is not in the sum over layers.
        beta = betas.repeat_interleave(len(target))[:, None]
        error = beta * network.error(kept[-1], target.repeat(n_points, 1))
        _add(sums, network.readout, network.readout.learn(kept[-1], error * counts))
    samples = [x[:1]]
    for state in kept:
        samples.append(x.new_zeros(1, *state.shape[1:]))
    return _to_parameters(network, sums, samples)


def points_on_circle(beta: float, n_points: int, like: Tensor) -> Tensor:
    r"""Return strengths on a circle, :math:`|\beta|\, e^{2 \pi i k / N}` for k from 0 to N - 1.

    Args:
        beta: :math:`|\beta|`, the radius of the circle.
        n_points: :math:`N`.
        like: A real tensor, whose device and precision the strengths have.

    Returns:
        Complex numbers, (n_points,); the first is real, and if N is even, so is the one
        opposite.
    """
    angles = torch.arange(n_points, dtype=torch.float64) * (2 * math.pi / n_points)
    turn = torch.polar(torch.ones_like(angles), angles)
    if n_points % 2 == 0:
        # Without the rounding of pi, for what is real needs no complex states.
        turn[n_points // 2] = -1
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return (beta * turn).to(like.device, complex_type)


def require_points(n_points: int, network: HolomorphicNetwork) -> int:
    """Return the number of points, or raise if the network cannot be nudged at so many."""
    require.integer("n_points", n_points, minimum=1)
    if n_points > 2 and not is_holomorphic(network.activation):
        raise ValueError(
            "`n_points` must be 1 or 2 with an activation that is not holomorphic within"
            f" .1 of the real line; got {n_points} with {network.activation!r}."
        )
    return n_points


def _add(
    sums: dict[tuple[Connection, str], Tensor],
    connection: Connection,
    found: tuple[Tensor, Tensor],
) -> None:
    for name, gradient in zip(("weight", "bias"), found, strict=True):
        key = (connection, name)
        sums[key] = sums[key] + gradient if key in sums else gradient


def _to_parameters(
    network: HolomorphicNetwork,
    sums: dict[tuple[Connection, str], Tensor],
    samples: list[Tensor],
) -> Gradients:
    """Carry gradients of weights and biases on to the parameters that they are computed from.

    Args:
        network: The network.
        sums: The gradient of the weight and of the bias of each connection.
        samples: An input of each connection.
    """
    gradients: Gradients = {}
    # A tied parameter receives the sum of what all its uses give.
    inputs = dict(zip((*network.connections, network.readout), samples, strict=True))
    for (connection, name), gradient in sums.items():
        for parameter, part in _origins(connection, name, gradient, inputs[connection]):
            if parameter in gradients:
                part = gradients[parameter] + part
            gradients[parameter] = laid_out(parameter, part)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and parameter not in gradients:
            raise ValueError(
                "`network` must learn no parameters but those that its connections'"
                f" weights and biases are computed from; got {name!r}, of which a"
                " relaxation gives no gradient."
            )
        if parameter in gradients and not bool(gradients[parameter].isfinite().all()):
            raise NotSettledError(
                "`network` must settle to finite gradients; got infinity or NaN in that of"
                f" {name!r}."
            )
    return gradients


@torch.enable_grad()
def _origins(
    connection: Connection, name: str, gradient: Tensor, sample: Tensor
) -> list[tuple[nn.Parameter, Tensor]]:
    """List the parameters that a weight or bias is computed from, with the gradient to each."""
    value = getattr(connection, name)
    if isinstance(value, nn.Parameter):
        return [(value, gradient)] if value.requires_grad else []
    if value is None:
        return []
    # A hook that computes the weight, as pruning's, does so now with autograd watching.
    connection(sample)
    value = getattr(connection, name)
    learnt = [
        parameter for parameter in connection.parameters() if parameter.requires_grad
    ]
    if not learnt or not value.requires_grad:
        return []
    parts = torch.autograd.grad(value, learnt, gradient, allow_unused=True)
    found = []
    for parameter, part in zip(learnt, parts, strict=True):
        if part is not None:
            found.append((parameter, part))
    return found


def one_hot(y: Tensor, network: HolomorphicNetwork) -> Tensor:
    """Return the probability of each class, (batch, n_classes), in the network's dtype."""
    return _one_hot(y, network.n_classes).to(network.dtype)


def draw_noise(
    states: States, sd: float, generator: torch.Generator | None
) -> list[Tensor]:
    """Return real normal noise of standard deviation ``sd`` for each layer's drive."""
    noise = []
    for state in states:
        drawn = torch.randn(
            state.shape,
            generator=generator,
            dtype=state.real.dtype,
            device=state.device,
        )
        noise.append(sd * drawn)
    return noise


def complex_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy; of complex logits, its real part."""
    loss = (torch.logsumexp(logits, dim=1) - (target * logits).sum(1)).mean()
    return loss.real if loss.is_complex() else loss
