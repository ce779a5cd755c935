"""The base class of rules that compute the gradient of a network that settles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypeVar, cast

import torch
from torch import Tensor, nn

from daleml import require
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.network_arguments import require_input

Gradients: TypeAlias = dict[nn.Parameter, Tensor]
"""The gradient of each parameter that learns."""

G = TypeVar("G", bound=Callable[..., Any])

_NOT_SHOWN = {"network", "generator"}
"""Attributes of a rule that its ``repr`` leaves out."""


@dataclass(frozen=True)
class Relaxations:
    """The relaxations that a gradient was read from.

    Attributes:
        n_relaxations: Number of relaxations of each sample, besides the one without a teaching
            signal.
        n_steps: Number of iterations of all relaxations, if they ran one after another. The
            sample that takes longest counts.
        free_residual: The largest residual of the samples that were kept, at the end of the
            relaxation without a teaching signal. A residual is the distance of a unit from what
            it is driven to. NaN where there is no such relaxation.
        nudged_residual: The largest residual of these samples at the end of the relaxations
            with a teaching signal; under noise it measures the noise.
        share_left_out: Fraction of the samples that did not settle and were left out.

    Example:
        >>> import torch
        >>> from daleml.learning import EquilibriumPropagation, HolomorphicNetwork
        >>> rule = EquilibriumPropagation(HolomorphicNetwork(6, [8], 3), n_points=10)
        >>> _, relaxations = rule(torch.rand(4, 6), torch.tensor([0, 1, 2, 0]))
        >>> relaxations.n_relaxations, relaxations.to_dict()["share_left_out"]
        (6, 0.0)
    """

    n_relaxations: int
    n_steps: int
    free_residual: float
    nudged_residual: float
    share_left_out: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


class GradientRule:
    """The base class of what computes the gradient of a network's cross-entropy.

    Called with a batch, a rule adds the gradient to ``.grad``. A rule of your own overrides
    :meth:`gradients`.

    Args:
        network: The network, which says how long and how exactly it settles.
        leave_out: Fraction of a batch's samples that may fail to settle and be left out of the
            mean.

    Raises:
        TypeError: If ``network`` is no :class:`HolomorphicNetwork`.
        ValueError: If ``leave_out`` is outside [0, 1].
    """

    def __init__(self, network: HolomorphicNetwork, leave_out: float = 0.0) -> None:
        if not isinstance(network, HolomorphicNetwork):
            raise TypeError(
                f"`network` must be a HolomorphicNetwork; got {type(network).__name__}."
            )
        self.network = network
        self.leave_out = require.fraction("leave_out", leave_out)

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and the relaxations it was read from.

        ``.grad`` is left alone.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            y: Their classes, (batch,), int64.
        """
        raise NotImplementedError

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Relaxations]:
        """Add the gradient of a batch to the parameters' ``.grad``, as ``backward`` does.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            y: Their classes, (batch,), int64.

        Returns:
            The mean cross-entropy of the samples, and the relaxations that the gradient was
            read from.

        Raises:
            NotSettledError: If more samples than may be left out did not settle; no ``.grad``
                is touched.
        """
        loss, gradients, relaxations = self.gradients(x, y)
        for parameter, gradient in gradients.items():
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                # A sum may be laid out otherwise than both of its terms.
                parameter.grad = laid_out(parameter, gradient + parameter.grad)
        return loss, relaxations

    def _require_batch(self, x: Tensor, y: Tensor) -> None:
        require_input(x, self.network.in_shape, self.network.dtype)
        got = type(y).__name__
        if isinstance(y, Tensor):
            got = f"{y.dtype} of shape {tuple(y.shape)}"
            if y.dtype == torch.int64 and y.shape == x.shape[:1]:
                got = ""
        if got:
            raise ValueError(
                f"`y` must hold a class for each of the {len(x)} samples, in int64; got"
                f" {got}."
            )
        # Torch's one-hot would raise too, in words that name no argument.
        if int(y.min()) < 0 or int(y.max()) >= self.network.n_classes:
            wrong = y[(y < 0) | (y >= self.network.n_classes)][0].item()
            raise ValueError(
                f"`y` must be classes from 0 to {self.network.n_classes - 1}; got {wrong}."
            )

    def __repr__(self) -> str:
        """Describe the rule's settings."""
        settings = []
        for name, value in vars(self).items():
            if name not in _NOT_SHOWN:
                settings.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(settings)})"


def in_own_precision(gradients: G) -> G:
    """Let a rule's ``gradients`` compute in the precision of its network, whatever autocast says.

    What a relaxation leaves unsettled is divided by the strength of the teaching signal, so that
    states in half precision would give no gradient.
    """

    @functools.wraps(gradients)
    def compute(rule: Any, x: Any, y: Any) -> Any:
        device = rule.network.readout.weight.device.type
        with torch.autocast(device, enabled=False):
            return gradients(rule, x, y)

    return cast("G", compute)


def laid_out(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient in the parameter's own layout of memory.

    Fused optimisers assume that both are laid out alike, and do not look.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
