"""What computes the gradient of a network that settles, whichever way.

And what it was read from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from daleml import require
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork

Gradients: TypeAlias = dict[nn.Parameter, Tensor]


@dataclass(frozen=True)
class Relaxations:
    """What a gradient was read from.

    Attributes:
        n_relaxations: Relaxations of a sample, besides the one without a teaching signal.
        n_steps: Iterations of all of them, if they are run one after another; the longest
            sample counts.
        free_residual: How far a unit was at most from what it is driven to, before the last
            iteration without a teaching signal, of the samples kept; NaN where there is no such
            relaxation.
        nudged_residual: The same with a teaching signal; under noise it measures the noise.
        share_left_out: Share of the samples that did not settle and were left out.

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
        """Return it as plain values, ready for JSON."""
        return asdict(self)


class GradientRule:
    """Something that computes the gradient of a network's cross-entropy.

    Called, it adds it to ``.grad``.

    Args:
        network: The network, which says how long and how exactly it settles.
        leave_out: Share of a batch's samples that may fail to settle and be left out of the mean.
    """

    def __init__(self, network: HolomorphicNetwork, leave_out: float = 0.0) -> None:
        if not isinstance(network, HolomorphicNetwork):
            raise TypeError(
                f"`network` must be a HolomorphicNetwork; got {type(network).__name__}."
            )
        self.network = network
        self.leave_out = require.fraction("leave_out", leave_out)

    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Gradients, Relaxations]:
        """Return the mean loss, its gradient by parameter, and what it was read from.

        ``.grad`` is left alone.
        """
        raise NotImplementedError

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Relaxations]:
        """Add the gradient of a batch to ``.grad`` of the network's parameters, as ``backward`` does.

        Args:
            x: Inputs, ``(batch, *in_shape)``.
            y: Their classes, (batch,), int64.

        Returns:
            The mean cross-entropy of the samples, and what the gradient was read from.

        Raises:
            NotSettledError: If more samples than may be left out did not settle; no ``.grad``
                is touched.
        """
        loss, gradients, relaxations = self.gradients(x, y)
        for parameter, gradient in gradients.items():
            parameter.grad = (
                gradient
                if parameter.grad is None
                else laid_out(parameter, gradient + parameter.grad)
            )
        return loss, relaxations

    def _require_batch(self, x: Tensor, y: Tensor) -> None:
        self.network._require_input(x)
        if (
            not isinstance(y, Tensor)
            or y.dtype != torch.int64
            or y.shape != x.shape[:1]
        ):
            got = (
                f"{y.dtype} of shape {tuple(y.shape)}"
                if isinstance(y, Tensor)
                else type(y).__name__
            )
            raise ValueError(
                f"`y` must hold a class for each of the {len(x)} samples, in int64; got"
                f" {got}."
            )
        if int(y.min()) < 0 or int(y.max()) >= self.network.n_classes:
            wrong = y[(y < 0) | (y >= self.network.n_classes)][0].item()
            raise ValueError(
                f"`y` must be classes from 0 to {self.network.n_classes - 1}; got {wrong}."
            )

    def __repr__(self) -> str:
        """Describe the rule's settings."""
        settings = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if name not in _UNSAID
        )
        return f"{type(self).__name__}({settings})"


_UNSAID = {"network", "generator"}


def laid_out(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient in the parameter's own layout.

    Fused optimisers take the memory of both for aligned.
    """
    return (
        gradient
        if gradient.stride() == parameter.stride()
        else torch.empty_like(parameter).copy_(gradient)
    )
