"""The exact gradient at a fixed point, and how far a rule is from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class GradientError:
    """How far an estimate of a gradient is from the exact one, all parameters taken as one vector, and each alone.

    Attributes:
        relative_error: Length of the difference over that of the exact gradient.
        cosine: Of the angle between them.
        by_parameter: The same of each parameter that learns, by its name: the largest gradient,
            often the readout's, decides the other two numbers.

    Example:
        >>> GradientError(relative_error=0.5, cosine=0.75).off_direction
        0.25
    """

    relative_error: float
    cosine: float
    by_parameter: Mapping[str, GradientError] = field(
        default_factory=dict, repr=False, hash=False
    )

    @property
    def off_direction(self) -> float:
        """One minus the cosine."""
        return 1 - self.cosine

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return asdict(self)


def compare_gradients(rule: GradientRule, x: Tensor, y: Tensor) -> GradientError:
    r"""Measure how far a rule's gradient is from backpropagation at the fixed point.

    .. math:: \frac{\lVert \hat g - g \rVert}{\lVert g \rVert}, \qquad
              \cos(\hat g, g) = \frac{\hat g \cdot g}{\lVert \hat g \rVert \lVert g \rVert}

    Args:
        rule: Such as :class:`EquilibriumPropagation`, of the network to measure on.
        x: Inputs, (batch, \*in_shape).
        y: Their classes, (batch,).

    Returns:
        Both numbers, over all parameters and for each. No ``.grad`` is touched.

    Raises:
        TypeError: If ``rule`` is none.
        ValueError: If no parameter learns, or one of which the rule gives no gradient.
        NotSettledError: If either gradient is refused.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> network = HolomorphicNetwork(6, [8, 8], 3, dtype=torch.float64)
        >>> x, y = torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        >>> classic = compare_gradients(EquilibriumPropagation(network, beta=0.1, n_points=1), x, y)
        >>> exact = compare_gradients(EquilibriumPropagation(network, beta=0.1, n_points=12), x, y)
        >>> classic.relative_error > 1e-4, exact.relative_error < 1e-10
        (True, True)
        >>> classic.by_parameter["connections.0.weight"].relative_error > 1e-4
        True
    """
    if not isinstance(rule, GradientRule):
        raise TypeError(
            f"`rule` must be one such as EquilibriumPropagation; got {type(rule).__name__}."
        )
    if not any(parameter.requires_grad for parameter in rule.network.parameters()):
        raise ValueError(
            "`rule` must be of a network with a parameter that learns; got one whose are"
            " all frozen."
        )
    _, estimate, _ = rule.gradients(x, y)
    _, exact, _ = RecurrentBackpropagation(rule.network, rule.leave_out).gradients(x, y)
    pairs = {
        name: (
            estimate[parameter].flatten().double(),
            exact[parameter].flatten().double(),
        )
        for name, parameter in rule.network.named_parameters()
        if parameter in exact
    }
    whole = (torch.cat(part) for part in zip(*pairs.values(), strict=True))
    return GradientError(
        *_apart(*whole),
        {name: GradientError(*_apart(*pair)) for name, pair in pairs.items()},
    )


def _apart(found: Tensor, exact: Tensor) -> tuple[float, float]:
    """Return the relative error and the cosine; NaN where the exact gradient is 0."""
    return float((found - exact).norm() / exact.norm()), float(
        found @ exact / (found.norm() * exact.norm())
    )
