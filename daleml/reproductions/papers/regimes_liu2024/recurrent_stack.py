r"""Recurrent networks that differ in their numbers, trained and measured as one stack.

.. math::
    h_t = \max(0, W h_{t-1} + U x_t), \qquad y_t = V h_t

Each weight is a stack, (networks, rows, columns), and so is every activity. Gradients are
written out: a step of all networks together takes a half of the time that it takes by
``backward``, and the tangent kernel of recurrent weights has a form that holds no Jacobian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RecurrentStack:
    """The weights of several networks of one shape.

    Attributes:
        recurrent: (networks, units, units).
        inputs: (networks, units, n_inputs).
        readout: (networks, n_outputs, units).
    """

    recurrent: Tensor
    inputs: Tensor
    readout: Tensor

    @classmethod
    def around(
        cls,
        matrices: list[Tensor],
        n_inputs: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> RecurrentStack:
        """Build networks around recurrent matrices; all other weights are the same in each.

        Args:
            matrices: The recurrent weights of each, (units, units).
            n_inputs: How many inputs.
            n_outputs: How many outputs.
            generator: Source of the other weights, drawn as torch's linear layers draw them.
        """
        units = len(matrices[0])
        others = []
        for shape in ((units, n_inputs), (n_outputs, units)):
            drawn = torch.empty(shape, dtype=matrices[0].dtype)
            drawn.uniform_(-1, 1, generator=generator).div_(math.sqrt(shape[1]))
            others.append(drawn.repeat(len(matrices), 1, 1))
        return cls(torch.stack(matrices), *others)

    def clone(self) -> RecurrentStack:
        """Return a copy that shares nothing with it."""
        return RecurrentStack(*(one.clone() for one in self.weights))

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """All weights."""
        return self.recurrent, self.inputs, self.readout


def run(stack: RecurrentStack, x: Tensor) -> Tensor:
    """Return the activity of every network.

    Args:
        stack: The networks.
        x: Their inputs.

    Shape:
        ``x`` (time, batch, n_inputs) -> (networks, time, batch, units).
    """
    steps, batch, _ = x.shape
    driven = torch.matmul(x.flatten(0, 1), stack.inputs.mT)
    h = driven.view(len(driven), steps, batch, -1)
    recurrent = stack.recurrent.mT
    h[:, 0].relu_()
    for step in range(1, steps):
        h[:, step].baddbmm_(h[:, step - 1], recurrent).relu_()
    return h


def sent_back(stack: RecurrentStack, active: Tensor, signal: Tensor) -> Tensor:
    r"""Return the derivative by the input of every unit at every step.

    .. math::
        \delta_t = [h_t > 0] \odot (s_t + W^\top \delta_{t+1})

    Args:
        stack: The networks.
        active: Which units were active, 1 or 0.
        signal: :math:`s`, the derivative by the activity at that step alone; overwritten.

    Shape:
        ``active`` and ``signal`` (networks, time, batch, units), as what is returned.
    """
    last = signal.shape[1] - 1
    signal[:, last] *= active[:, last]
    for step in range(last - 1, -1, -1):
        signal[:, step].baddbmm_(signal[:, step + 1], stack.recurrent)
        signal[:, step] *= active[:, step]
    return signal


def loss_and_gradients(
    stack: RecurrentStack, x: Tensor, targets: Tensor
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Return the cross-entropy of each network over all steps, and its gradients.

    Args:
        stack: The networks.
        x: The inputs, the same for all.
        targets: The classes.

    Shape:
        ``x`` (time, batch, n_inputs), ``targets`` (time, batch) -> (networks,), and gradients
        like the weights.
    """
    h = run(stack, x)
    flat = h.flatten(1, 2)
    log_p = torch.bmm(flat, stack.readout.mT).log_softmax(-1)
    wanted = torch.nn.functional.one_hot(targets.flatten(), log_p.shape[-1]).to(log_p)
    n = len(wanted)
    losses = -(log_p * wanted).sum((1, 2)) / n
    error = (log_p.exp() - wanted) / n
    signal = torch.bmm(error, stack.readout).view_as(h)
    delta = sent_back(stack, (h > 0).to(h), signal)
    # What a step adds to the recurrent gradient goes with the activity of the step before.
    recurrent = torch.bmm(delta[:, 1:].flatten(1, 2).mT, h[:, :-1].flatten(1, 2))
    inputs = torch.matmul(delta.flatten(1, 2).mT, x.flatten(0, 1))
    return losses, (recurrent, inputs, torch.bmm(error.mT, flat))


def tangent_kernels(stack: RecurrentStack, x: Tensor) -> Tensor:
    r"""Return the tangent kernel of the recurrent weights, of all steps, outputs and probes.

    With :math:`\delta^o_s` the derivative of output o by the input of the units at step s, and p
    the probe that o answers,

    .. math::
        \frac{\partial o}{\partial W} = \sum_s \delta^o_s (h^p_{s-1})^\top, \qquad
        K_{o o'} = \sum_{s, s'} (\delta^o_s \cdot \delta^{o'}_{s'})
            (h^p_{s-1} \cdot h^{p'}_{s'-1})

    Args:
        stack: The networks.
        x: The probes.

    Shape:
        ``x`` (time, probes, n_inputs) -> (networks, outputs, outputs), where outputs are those
        of all steps: time * n_outputs * probes.
    """
    h = run(stack, x)
    networks, steps, probes, units = h.shape
    n_outputs = stack.readout.shape[1]
    copies = steps * n_outputs
    # One copy of the probes for each output at each step, which alone has a signal there.
    signal = h.new_zeros(networks, steps, steps, n_outputs, probes, units)
    for step in range(steps):
        signal[:, step, step] = stack.readout[:, :, None]
    active = (h > 0).to(h).repeat(1, 1, copies, 1)
    delta = sent_back(stack, active, signal.view(networks, steps, -1, units))
    kernels = h.new_zeros(networks, copies, probes, copies, probes)
    for one in range(1, steps):
        for other in range(1, steps):
            inner = torch.bmm(delta[:, one], delta[:, other].mT).view_as(kernels)
            before = torch.bmm(h[:, one - 1], h[:, other - 1].mT)
            kernels.addcmul_(inner, before[:, None, :, None, :])
    return kernels.view(networks, copies * probes, -1)


def alignment(one: Tensor, other: Tensor) -> Tensor:
    """Return the alignment of matrices, the cosine of the angle between them, for each pair.

    Args:
        one: The matrices.
        other: Those that they are compared with.

    Shape:
        Both (networks, n, n) -> (networks,).
    """
    norms = torch.linalg.matrix_norm(one) * torch.linalg.matrix_norm(other)
    found: Tensor = (one * other).sum((1, 2)) / norms
    return found
