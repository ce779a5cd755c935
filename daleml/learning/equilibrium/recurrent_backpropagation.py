"""The exact gradient at a fixed point, by implicit differentiation: recurrent backpropagation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from daleml.learning.equilibrium.gradient_rule import (
    GradientRule,
    Gradients,
    Relaxations,
    laid_out,
)
from daleml.learning.equilibrium.relaxation import relax, require_settled


class RecurrentBackpropagation(GradientRule):
    r"""Backpropagation at the fixed point, by implicit differentiation.

    What equilibrium propagation should give.

    With :math:`h^* = f(h^*, \theta)`, the adjoint :math:`v` settles as the states did,

    .. math::
        v \leftarrow \frac{\partial \mathcal L}{\partial h} + \Bigl(\frac{\partial f}{\partial h}\Bigr)^{\!\top} v,
        \qquad \frac{d \mathcal L}{d \theta} = \frac{\partial \mathcal L}{\partial \theta}
        + \Bigl(\frac{\partial f}{\partial \theta}\Bigr)^{\!\top} v .

    It needs no symmetry of the weights, and so is exact under
    :meth:`HolomorphicNetwork.keep_dale_` too.

    Args:
        network: The network.
        leave_out: Share of a batch's samples that may fail to settle and be left out of the mean.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean cross-entropy, and :class:`Relaxations`: the one relaxation is the
        adjoint's, and its residual, relative to the largest of the loss's derivatives, is the
        nudged one.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`.
        NotSettledError: When called, if states or adjoint have not settled.

    Example:
        >>> import torch
        >>> from daleml.learning import HolomorphicNetwork
        >>> network = HolomorphicNetwork(6, [8, 8], 3)
        >>> rule = RecurrentBackpropagation(network)
        >>> loss, _ = rule(torch.rand(4, 6), torch.tensor([0, 1, 2, 0]))
        >>> network.readout.weight.grad.shape
        torch.Size([3, 8])

    References:
        Almeida 1987; Pineda 1987.
    """

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and what it was read from.

        ``.grad`` is left alone.
        """
        self._require_batch(x, y)
        network = self.network
        free = network.settle(x)
        limits = {"max_steps": network.max_steps, "tolerance": network.tolerance}
        keep = require_settled(free.residual, **limits, leave_out=self.leave_out)  # type: ignore[arg-type]
        parameters = [
            parameter for parameter in network.parameters() if parameter.requires_grad
        ]
        with torch.enable_grad():
            states = tuple(
                state[keep].detach().requires_grad_() for state in free.states
            )
            moved = network.step(network.bottom(x[keep]), states)
            losses = cross_entropy(
                network.readout(states[-1]), y[keep], reduction="none"
            )
        slopes = _pulled((losses.sum(),), states, (torch.ones_like(losses[0]),))
        # In units of its largest entry, for a tolerance of states to mean the same of the adjoint.
        scale = (
            torch.stack([slope.abs().max() for slope in slopes])
            .max()
            .clamp(min=torch.finfo(x.dtype).tiny)
        )
        slopes = tuple(slope / scale for slope in slopes)

        def pull(adjoint: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            back = _pulled(moved, states, adjoint)
            return tuple(slope + part for slope, part in zip(slopes, back, strict=True))

        adjoint = relax(pull, slopes, **limits, step_size=network.step_size)  # type: ignore[arg-type]
        both = keep.clone()
        both[keep] = adjoint.residual <= network.tolerance
        require_settled(
            torch.where(
                both, 0.0, torch.full_like(free.residual, float(adjoint.residual.max()))
            ),
            **limits,  # type: ignore[arg-type]
            leave_out=self.leave_out,
            what="the adjoint of `network`",
        )
        share = both[keep].to(losses) / both.sum()
        weights = [
            torch.where(both[keep].reshape(-1, *(1,) * (part.ndim - 1)), part, 0)
            * scale
            / both.sum()
            for part in adjoint.states
        ]
        reached = _pulled((losses, *moved), parameters, (share, *weights))
        found = Relaxations(
            n_relaxations=1,
            n_steps=free.n_steps + adjoint.n_steps,
            free_residual=float(free.residual[both].max()),
            nudged_residual=float(adjoint.residual[both[keep]].max()),
            share_left_out=1 - float(both.double().mean()),
        )
        return (
            losses[both[keep]].mean().detach(),
            _by_parameter(parameters, reached),
            found,
        )


def _pulled(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the transposed Jacobian times ``along``.

    Zeros where nothing depends on anything, as in a lone layer.
    """
    pairs = [
        (output, one)
        for output, one in zip(outputs, along, strict=True)
        if output.requires_grad
    ]
    if not pairs or not inputs:
        return tuple(torch.zeros_like(one) for one in inputs)
    return torch.autograd.grad(
        [output for output, _ in pairs],
        inputs,
        [one for _, one in pairs],
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )


def _by_parameter(
    parameters: list[nn.Parameter], gradients: Sequence[Tensor]
) -> Gradients:
    return {
        parameter: laid_out(parameter, one)
        for parameter, one in zip(parameters, gradients, strict=True)
    }
