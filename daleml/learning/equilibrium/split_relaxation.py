r"""Relaxation under complex teaching signals, with real and imaginary parts kept apart.

It computes what :meth:`HolomorphicNetwork.step` does with complex states, in half the time. A
weight is real, so it acts on real and imaginary parts alike: one real product of both, stacked,
takes half the time of a complex one, which needs a complex copy of the weight besides. Under a
real teaching signal, :math:`\beta` or :math:`-\beta`, nothing is complex, and nothing imaginary
is computed.

The states of all points are one real tensor for each layer, see :class:`SplitRows`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils import parametrize, prune

from daleml.learning.equilibrium.activations import Activation, softmax, split_form
from daleml.learning.equilibrium.connections import ConvConnection, DenseConnection
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.relaxation import Settled, States, relax
from daleml.learning.equilibrium.split_rows import SplitRows

_DYNAMICS = ("bottom", "step", "nudge", "error")
"""The methods of a network that are its dynamics, and that a subclass may override."""


def can_be_split(network: HolomorphicNetwork) -> bool:
    """Whether :func:`relax_split` computes what the network does.

    It does not where somebody has overridden the dynamics, or where a hook on a connection may
    look at complex states, or change them.
    """
    for name in _DYNAMICS:
        method = getattr(getattr(network, name), "__func__", None)
        if method is not getattr(HolomorphicNetwork, name):
            return False
    for connection in (*network.connections, network.readout):
        kind: type = type(connection)
        if parametrize.is_parametrized(connection):
            # Torch has then put a class of its own in front.
            kind = kind.__mro__[1]
        if kind not in (DenseConnection, ConvConnection) or connection._forward_hooks:
            return False
        # Somebody may have put a function of their own in front of the method.
        if "forward" in vars(connection):
            return False
        for hook in connection._forward_pre_hooks.values():
            # Pruning's hook computes the weight, and looks at nothing else.
            if not isinstance(hook, prune.BasePruningMethod):
                return False
    return True


def relax_split(
    network: HolomorphicNetwork,
    bottom: Tensor,
    states: States,
    target: Tensor,
    betas: Tensor,
    tolerance: float,
) -> Settled:
    """Relax all points side by side, from the same states.

    Args:
        network: The network.
        bottom: What the input contributes to the first layer, see ``HolomorphicNetwork.bottom``.
        states: Real states to begin with.
        target: Probability of each class.
        betas: Strength of the teaching signal at each point, complex.
        tolerance: The largest residual that counts as none.

    Shape:
        ``bottom``, ``states``: (batch, ...); ``target``: (batch, n_classes); ``betas``:
        (points,) -> states of (points * batch, ...), complex, point by point.
    """
    batch = len(bottom)
    is_real = betas.imag == 0
    order = torch.argsort(~is_real, stable=True)
    # Real points first, as `SplitRows` has it.
    n_real = int(is_real.sum())
    rows = SplitRows(n_real * batch, (len(betas) - n_real) * batch)
    drive = rows.repeat(bottom.to(network.dtype))
    target = target.repeat(len(betas), 1)
    strength = betas[order].repeat_interleave(batch)[:, None]
    activate = _activation_by_rows(network.activation, rows)

    def step(states: States) -> States:
        return _split_step(network, drive, states, target, strength, rows, activate)

    def distance(new: States, old: States) -> Tensor:
        return _largest_change(new, old, rows)

    # Autocast leaves complex states alone, so it must not coarsen these.
    with torch.autocast(bottom.device.type, enabled=False):
        settled = relax(
            step,
            tuple(rows.repeat(state.to(network.dtype)) for state in states),
            max_steps=network.max_steps,
            tolerance=tolerance,
            step_size=network.step_size,
            distance=distance,
        )
    # Back from real points first to the order of the points.
    back = torch.argsort(order)
    numbers = tuple(
        _by_point(rows.join(state), len(betas))[back].flatten(0, 1)
        for state in settled.states
    )
    residual = _by_point(settled.residual, len(betas))[back].flatten()
    return Settled(numbers, residual, settled.n_steps)


def _split_step(
    network: HolomorphicNetwork,
    bottom: Tensor,
    states: States,
    target: Tensor,
    beta: Tensor,
    rows: SplitRows,
    activate: Callable[[Tensor], Tensor],
) -> States:
    """Return what ``HolomorphicNetwork.step`` does, of states whose parts are kept apart."""
    # The same loop as in `HolomorphicNetwork.step`, on rows.
    drives = [bottom]
    upper = list(network.connections)[1:]
    for below, above, connection in zip(states, states[1:], upper, strict=False):
        drive, feedback = connection(below, above, rows)
        drives[-1] = drives[-1] + feedback
        drives.append(drive)
    drives[-1] = drives[-1] + _split_nudge(network, states[-1], target, beta, rows)
    return tuple(activate(drive) for drive in drives)


def _activation_by_rows(
    activation: Activation, rows: SplitRows
) -> Callable[[Tensor], Tensor]:
    """Return what an activation makes of numbers whose parts are kept apart."""
    split = split_form(activation)
    if split is None:
        return functools.partial(rows.apply, activation)

    def activate(drive: Tensor) -> Tensor:
        real, re, im = rows.parts(drive)
        return torch.cat([activation(real), *split(re, im)])

    return activate


def _split_nudge(
    network: HolomorphicNetwork,
    top: Tensor,
    target: Tensor,
    beta: Tensor,
    rows: SplitRows,
) -> Tensor:
    """Return the teaching signal's drive of the last hidden layer."""
    # There are few classes, so that complex numbers cost little here.
    output = softmax(rows.join(network.readout(top, None, rows)))
    error = rows.split(beta * (target - output))
    return (error @ network.readout.weight).reshape(top.shape)


def _largest_change(new: States, old: States, rows: SplitRows) -> Tensor:
    """Return the largest change of a unit by number; NaN if there is one."""
    changes = []
    for after, before in zip(new, old, strict=True):
        # The largest absolute value of a complex change, as with complex states.
        changes.append(rows.absolute(after - before).flatten(1).amax(1))
    return torch.stack(changes).amax(0)


def _by_point(x: Tensor, n_points: int) -> Tensor:
    return x.reshape(n_points, -1, *x.shape[1:])
