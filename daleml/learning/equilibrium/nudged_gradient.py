"""The potential's derivatives at states that have settled under a teaching signal, summed to a gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot as _one_hot

from daleml import require
from daleml.learning.equilibrium.activations import is_holomorphic
from daleml.learning.equilibrium.connections import Connection
from daleml.learning.equilibrium.gradient_rule import Gradients, laid_out
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.relaxation import NotSettledError, States


def gradients_at(
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
        readings: States of ``len(beta)`` points stacked along the batch, their strengths, and
            what each counts.

    Returns:
        By parameter that is learnt, the gradient.
    """
    found: dict[tuple[Connection, str], Tensor] = {}
    target = one_hot(y, network)[keep]
    for states, betas, counts in readings:
        n = len(betas)
        rows = keep.repeat(n)
        kept = [state[rows] for state in states]
        below = [x[keep].repeat(n, *(1,) * (x.ndim - 1)), *kept[:-1]]
        count = (counts / keep.sum()).repeat_interleave(len(target))[:, None]
        for connection, pre, post in zip(network.connections, below, kept, strict=True):
            signal = post * count.reshape(-1, *(1,) * (post.ndim - 1))
            _add(found, connection, connection.learn(pre, signal))  # type: ignore[arg-type, operator]
        error = (
            network.error(kept[-1], target.repeat(n, 1))
            * betas.repeat_interleave(len(target))[:, None]
        )
        _add(found, network.readout, network.readout.learn(kept[-1], error * count))
    samples = [
        x[:1],
        *(state[:1].new_zeros(1, *state.shape[1:], dtype=x.dtype) for state in kept),
    ]
    return _to_parameters(network, found, samples)


def points_on_circle(beta: float, n_points: int, like: Tensor) -> Tensor:
    """Return ``n_points`` strengths of size ``beta`` evenly round the circle, complex, from the real one on."""
    angles = torch.arange(n_points, dtype=torch.float64) * (2 * math.pi / n_points)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return (beta * torch.polar(torch.ones_like(angles), angles)).to(
        like.device, complex_type
    )


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
    total: dict[tuple[Connection, str], Tensor],
    connection: Connection,
    found: tuple[Tensor, Tensor],
) -> None:
    for key, gradient in zip(
        ((connection, "weight"), (connection, "bias")), found, strict=True
    ):
        total[key] = total[key] + gradient if key in total else gradient


def _to_parameters(
    network: HolomorphicNetwork,
    found: dict[tuple[Connection, str], Tensor],
    samples: list[Tensor],
) -> Gradients:
    """Carry gradients of weights and biases on to the parameters they are, or are computed from."""
    gradients: Gradients = {}
    inputs = dict(zip((*network.connections, network.readout), samples, strict=True))
    for (connection, name), gradient in found.items():
        for parameter, part in _origins(connection, name, gradient, inputs[connection]):
            so_far = gradients.get(parameter)
            gradients[parameter] = laid_out(
                parameter, part if so_far is None else so_far + part
            )
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
    """List the parameters that a weight or bias is, or is computed from, with the gradient to each."""
    value = getattr(connection, name)
    if isinstance(value, nn.Parameter):
        return [(value, gradient)] if value.requires_grad else []
    if value is None:
        return []
    connection(
        sample
    )  # a hook that computes the weight, as pruning's, does so now with autograd watching
    value = getattr(connection, name)
    learnt = [
        parameter for parameter in connection.parameters() if parameter.requires_grad
    ]
    if not learnt or not value.requires_grad:
        return []
    parts = torch.autograd.grad(value, learnt, gradient, allow_unused=True)
    return [
        (parameter, part)
        for parameter, part in zip(learnt, parts, strict=True)
        if part is not None
    ]


def one_hot(y: Tensor, network: HolomorphicNetwork) -> Tensor:
    """Return the probability of each class, (batch, n_classes), in the network's dtype."""
    return _one_hot(y, network.n_classes).to(network.dtype)


def draw_noise(
    states: States, sd: float, generator: torch.Generator | None
) -> list[Tensor]:
    """Return real normal noise for each layer's drive."""
    return [
        sd
        * torch.randn(
            state.shape,
            generator=generator,
            dtype=state.real.dtype,
            device=state.device,
        )
        for state in states
    ]


def complex_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy; of complex logits, its real part."""
    loss = (torch.logsumexp(logits, dim=1) - (target * logits).sum(1)).mean()
    return loss.real if loss.is_complex() else loss
