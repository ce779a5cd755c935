"""The base of potentials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Potential(ABC):
    r"""A convex function :math:`\phi` of the weights, a sum over them; subclasses are small values.

    Example:
        >>> import torch
        >>> weight = torch.tensor([0.5, -2.0])
        >>> from daleml.potentials import PNorm
        >>> potential = PNorm(3)
        >>> dual = potential.gradient(weight)
        >>> dual
        tensor([ 0.2500, -4.0000])
        >>> potential.inverse_gradient(dual)
        tensor([ 0.5000, -2.0000])
        >>> potential.divergence(weight, weight)
        tensor(0.)
    """

    keeps_signs: ClassVar[bool] = False
    """Whether no step, however long, can carry a weight through zero."""

    @abstractmethod
    def value(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\phi(w)`, one number."""

    @abstractmethod
    def gradient(self, weight: Tensor) -> Tensor:
        r"""Return the dual coordinate :math:`\nabla\phi(w)`, of the weight's shape."""

    @abstractmethod
    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        r"""Return the weight whose dual coordinate this is, :math:`(\nabla\phi)^{-1}`.

        Args:
            dual: :math:`\nabla\phi(w)`.
            signs: The signs of the weights, which broadcast to ``dual``'s shape. Only the
                negative entropy needs them: its gradient is one to one within an orthant, not
                across; default: the positive one.
        """

    def divergence(self, weight: Tensor, reference: Tensor) -> Tensor:
        r"""Return the Bregman divergence of two tensors of weights, one number.

        .. math:: \phi(w) - \phi(r) - \langle\nabla\phi(r), w - r\rangle

        At least zero, and zero where the two are equal. It is not symmetric.

        Args:
            weight: :math:`w`.
            reference: :math:`r`, of the weight's shape.
        """
        # The definition cancels where the two are close; closed forms do not.
        each = self._divergences(weight, reference)
        if each is None:
            apart = (self.gradient(reference) * (weight - reference)).sum()
            return (self.value(weight) - self.value(reference) - apart).clamp_min(0)
        return each.clamp_min(0).sum()

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor | None:
        """Return the divergence of each weight where there is a closed form, else None.

        Rounding errors may be below zero.
        """
        return None

    @abstractmethod
    def decay(self, weight: Tensor) -> Tensor:
        r"""Return :math:`w\, \phi''(w)`: weight decay in the dual coordinate.

        A dual step along it shrinks every weight by the same fraction, whatever its size:
        :math:`w` in the Euclidean case, which is torch's weight decay, and
        :math:`\operatorname{sign}(w)` for the negative entropy.
        """

    def step(self, weight: Tensor, dual_step: Tensor) -> Tensor:
        r"""Return the weight after a step in the dual coordinate.

        .. math:: (\nabla\phi)^{-1}(\nabla\phi(w) - \mathrm{step})

        Args:
            weight: :math:`w`.
            dual_step: The step, of the weight's shape.
        """
        dual = self.gradient(weight) - dual_step
        if not self.keeps_signs:
            return self.inverse_gradient(dual)
        # A weight of zero has no dual coordinate under such a potential, and stays where it is.
        return torch.where(
            weight == 0, weight, self.inverse_gradient(dual, weight.sign())
        )

    def _maps_as(self, owner: type[Potential]) -> bool:
        """Whether the maps to the dual and back are those of a class: its closed forms hold."""
        own = type(self)
        return (
            own.gradient is owner.gradient
            and own.inverse_gradient is owner.inverse_gradient
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the potential as plain data: its name, under ``"name"``, and its parameters."""
        return {"name": type(self).__name__, **asdict(self), **vars(self)}
