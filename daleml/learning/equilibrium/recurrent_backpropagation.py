"""The exact gradient at a fixed point, by implicit differentiation: recurrent backpropagation."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from daleml.learning.equilibrium.gradient_rule import (
    GradientRule,
    Gradients,
    Relaxations,
    in_own_precision,
    laid_out,
)
from daleml.learning.equilibrium.relaxation import relax, require_settled


class RecurrentBackpropagation(GradientRule):
    r"""Backpropagation at the fixed point, by implicit differentiation.

    Its gradient is exact, and is what equilibrium propagation should give. With :math:`h^* = f(h^*,
    \theta)`, the adjoint :math:`v` settles as the states did,

    .. math::
        v \leftarrow \frac{\partial \mathcal L}{\partial h}
        + \Bigl(\frac{\partial f}{\partial h}\Bigr)^{\!\top} v, \qquad
        \frac{d \mathcal L}{d \theta} = \frac{\partial \mathcal L}{\partial \theta}
        + \Bigl(\frac{\partial f}{\partial \theta}\Bigr)^{\!\top} v .

    It needs no symmetry of the weights, and so is exact under
    :meth:`HolomorphicNetwork.keep_dale_` too.

    Args:
        network: The network.
        leave_out: Fraction of a batch's samples that may fail to settle and be left out of the
            mean.

    Shape:
        Called with inputs (batch, \*in_shape) and classes (batch,).

    Returns:
        Called, the mean cross-entropy, and :class:`Relaxations`: the one relaxation is the
        adjoint's, and its residual, relative to the largest of the loss's derivatives, is the
        nudged one.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`.
        ValueError: If ``leave_out`` is outside [0, 1].
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

    @in_own_precision
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and the relaxations it was read from.

        ``.grad`` is left alone.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            y: Their classes, (batch,), int64.

        Raises:
            NotSettledError: If too many samples did not settle, states or adjoint.
        """
        self._require_batch(x, y)
        network = self.network
        check = functools.partial(
            require_settled,
            max_steps=network.max_steps,
            tolerance=network.tolerance,
            leave_out=self.leave_out,
        )
        # No gradient is needed on the way to the fixed point, only at it.
        free = network.settle(x)
        keep = check(free.residual)
        with torch.enable_grad():
            # One step from the fixed point is recorded, whose Jacobian is all that the adjoint
            # needs.
            states = tuple(
                state[keep].detach().requires_grad_() for state in free.states
            )
            moved = network.step(network.bottom(x[keep]), states)
            logits = network.readout(states[-1])
            losses = cross_entropy(logits, y[keep], reduction="none")
        slopes = _pull_back((losses.sum(),), states, (torch.ones_like(losses[0]),))
        # In units of its largest entry, so that a tolerance of states fits the adjoint.
        largest = torch.stack([slope.abs().max() for slope in slopes]).max()
        scale = largest.clamp(min=torch.finfo(x.dtype).tiny)
        slopes = tuple(slope / scale for slope in slopes)

        def step(adjoint: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            back = _pull_back(moved, states, adjoint)
            return tuple(slope + part for slope, part in zip(slopes, back, strict=True))

        # The same iteration as that of the states, with the transposed Jacobian.
        adjoint = relax(
            step,
            slopes,
            max_steps=network.max_steps,
            tolerance=network.tolerance,
            step_size=network.step_size,
        )
        settled = adjoint.residual <= network.tolerance
        # A sample is kept if its states and its adjoint have settled.
        both = keep.clone()
        both[keep] = settled
        worst = torch.full_like(free.residual, float(adjoint.residual.max()))
        # States that have not settled, and were left out, count once more here.
        check(torch.where(both, 0.0, worst), what="the adjoint of `network`")
        gradients = self._read(losses, moved, adjoint.states, settled, scale)
        found = Relaxations(
            n_relaxations=1,
            n_steps=free.n_steps + adjoint.n_steps,
            free_residual=float(free.residual[both].max()),
            nudged_residual=float(adjoint.residual[settled].max()),
            share_left_out=1 - float(both.to("cpu", torch.float64).mean()),
        )
        return losses[settled].mean().detach(), gradients, found

    def _read(
        self,
        losses: Tensor,
        moved: Sequence[Tensor],
        adjoint: Sequence[Tensor],
        settled: Tensor,
        scale: Tensor,
    ) -> Gradients:
        """Return the gradients of the mean loss of the samples that settled."""
        n_settled = settled.sum()
        along = [settled.to(losses) / n_settled]
        for part in adjoint:
            counts = settled.reshape(-1, *(1,) * (part.ndim - 1))
            along.append(torch.where(counts, part, 0) * scale / n_settled)
        learnt = [p for p in self.network.parameters() if p.requires_grad]
        found = _pull_back((losses, *moved), learnt, along)
        gradients: Gradients = {}
        for parameter, gradient in zip(learnt, found, strict=True):
            gradients[parameter] = laid_out(parameter, gradient)
        return gradients


def _pull_back(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return the transposed Jacobian of ``outputs`` to ``inputs`` times ``along``.

    It is zero where nothing depends on anything, as in a lone layer.
    """
    used, directions = [], []
    for output, direction in zip(outputs, along, strict=True):
        if output.requires_grad:
            used.append(output)
            directions.append(direction)
    if not used or not inputs:
        return tuple(torch.zeros_like(one) for one in inputs)
    return torch.autograd.grad(
        used,
        inputs,
        directions,
        # The same step is pulled back through at every iteration.
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
