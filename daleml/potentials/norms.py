"""Potentials that are powers of norms: the Euclidean one and the p-norms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml.potentials.potential import Potential


@dataclass(frozen=True)
class Euclidean(Potential):
    r"""Half the squared norm, :math:`\phi(w) = \tfrac12 \sum w^2`.

    Mirror descent is gradient descent.

    Example:
        >>> import torch
        >>> Euclidean().step(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]))
        tensor([ 0.5000, -1.5000])
    """

    def value(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\tfrac12 \sum w^2`."""
        return weight.square().sum() / 2

    def gradient(self, weight: Tensor) -> Tensor:
        """Return :math:`w` itself."""
        # A copy, as of every other potential: whoever changes it leaves the weight alone.
        return weight.clone()

    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        """Return the dual coordinate itself."""
        return dual.clone()

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor:
        return (weight - reference).square() / 2

    def decay(self, weight: Tensor) -> Tensor:
        """Return :math:`w`."""
        return weight

    def step(self, weight: Tensor, dual_step: Tensor) -> Tensor:
        """Return :math:`w` less the step."""
        if not self._maps_as(Euclidean):
            return super().step(weight, dual_step)
        return weight - dual_step


@dataclass(frozen=True)
class PNorm(Potential):
    r"""The p-norm to the power of p, :math:`\phi(w) = \tfrac1p \sum |w|^p`.

    ``p=2`` is gradient descent.

    .. math:: \nabla\phi(w) = \operatorname{sign}(w) |w|^{p-1}

    Weights pass through zero: for Dale's law it needs the guard, :func:`~daleml.optim.enforce`.

    Args:
        p: Above 1. Below 2 small weights move less than large ones, and solutions are sparse;
            above 2 they move more.

    Raises:
        ValueError: If ``p`` is not above 1.

    Example:
        >>> import torch
        >>> PNorm(3).step(torch.tensor([4.0]), torch.tensor([7.0]))  # 4² - 7 = 3²
        tensor([3.])
    """

    p: float

    def __post_init__(self) -> None:
        if require.number("p", self.p) <= 1:
            raise ValueError(f"`p` must be above 1; got {self.p}.")

    def value(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\tfrac1p \sum |w|^p`."""
        return weight.abs().pow(self.p).sum() / self.p

    def gradient(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\operatorname{sign}(w) |w|^{p-1}`."""
        return torch.copysign(_power(weight.abs(), self.p - 1), weight)

    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        r"""Return :math:`\operatorname{sign}(y) |y|^{1/(p-1)}`."""
        return torch.copysign(_power(dual.abs(), 1 / (self.p - 1)), dual)

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor:
        size, other = weight.abs(), reference.abs()
        return (size.pow(self.p) - other.pow(self.p)) / self.p - self.gradient(
            reference
        ) * (weight - reference)

    def decay(self, weight: Tensor) -> Tensor:
        r"""Return :math:`(p - 1) \operatorname{sign}(w) |w|^{p-1}`."""
        return (self.p - 1) * self.gradient(weight)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Raise to a power, by the cheap operation where there is one: a compiler does not find it."""
    if exponent == 1:
        return base
    if exponent == 2:
        return base * base
    return base.sqrt() if exponent == 0.5 else base.pow(exponent)
