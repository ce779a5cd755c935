"""How far the gradient of a rule is from the exact one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from daleml.learning.equilibrium.gradient_rule import GradientRule
from daleml.learning.equilibrium.recurrent_backpropagation import (
    RecurrentBackpropagation,
)


@dataclass(frozen=True)
class GradientError:
    """The error of an estimated gradient, over all parameters as one vector, and for each.

    Attributes:
        relative_error: Length of the difference over the length of the exact gradient.
        cosine: Cosine of the angle between the two.
        by_parameter: The error for each parameter that learns, by its name. The largest
            gradient, often the readout's, decides the other two numbers.

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
        """Return plain values, ready for JSON."""
        return asdict(self)


def compare_gradients(rule: GradientRule, x: Tensor, y: Tensor) -> GradientError:
    r"""Measure how far a rule's gradient is from backpropagation at the fixed point.

    .. math:: \frac{\lVert \hat g - g \rVert}{\lVert g \rVert}, \qquad
              \cos(\hat g, g) = \frac{\hat g \cdot g}{\lVert \hat g \rVert \lVert g \rVert}

    Args:
        rule: A rule such as :class:`EquilibriumPropagation`, of the network to measure on.
        x: Inputs, (batch, \*in_shape).
        y: Their classes, (batch,).

    Returns:
        Both numbers, over all parameters and for each. No ``.grad`` is touched.

    Shape:
        ``x``: (batch, \*in_shape); ``y``: (batch,).

    Raises:
        TypeError: If ``rule`` is no rule.
        ValueError: If no parameter learns, or one of which the rule gives no gradient.
        NotSettledError: If either gradient is refused.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> network = HolomorphicNetwork(6, [8, 8], 3, dtype=torch.float64)
        >>> x, y = torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
        >>> one_point = EquilibriumPropagation(network, beta=0.1, n_points=1)
        >>> twelve_points = EquilibriumPropagation(network, beta=0.1, n_points=12)
        >>> classic = compare_gradients(one_point, x, y)
        >>> exact = compare_gradients(twelve_points, x, y)
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
    # The same fraction may be left out, or one of the two would be refused.
    _, exact, _ = RecurrentBackpropagation(rule.network, rule.leave_out).gradients(x, y)
    estimates, exacts = [], []
    by_parameter = {}
    for name, parameter in rule.network.named_parameters():
        # A frozen parameter has no gradient to compare.
        if parameter not in exact:
            continue
        estimates.append(estimate[parameter].flatten().to("cpu", torch.float64))
        exacts.append(exact[parameter].flatten().to("cpu", torch.float64))
        by_parameter[name] = _error(estimates[-1], exacts[-1], {})
    return _error(torch.cat(estimates), torch.cat(exacts), by_parameter)


def _error(
    found: Tensor, exact: Tensor, by_parameter: dict[str, GradientError]
) -> GradientError:
    """Return the error of one vector; NaN where the exact gradient is 0."""
    relative_error = (found - exact).norm() / exact.norm()
    cosine = found @ exact / (found.norm() * exact.norm())
    return GradientError(float(relative_error), float(cosine), by_parameter)
