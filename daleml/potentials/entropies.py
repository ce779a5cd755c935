"""Potentials that are entropies: the negative and the hyperbolic one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.potentials.potential import Potential

# Dual coordinates beyond which the hyperbolic sine is half an exponential, to the last digit.
_LONG = 20.0


@dataclass(frozen=True)
class NegativeEntropy(Potential):
    r"""The negative entropy, :math:`\phi(w) = \sum |w| \ln |w|`.

    Mirror descent is exponentiated gradient.

    .. math::
        \nabla\phi(w) = \operatorname{sign}(w) (\ln |w| + 1), \qquad
        w \leftarrow w \exp(-\operatorname{sign}(w) \cdot \mathrm{step})

    It is convex in each orthant apart. A weight stays in its own: Dale's law needs no guard,
    and zero stays zero.

    Notes:
        The divergence is that of Kullback and Leibler, for weights that need not sum to one,
        :math:`\sum |w| \ln (w / r) - |w| + |r|`, and infinite where the signs differ or only
        the reference is zero.

    Example:
        >>> import torch
        >>> NegativeEntropy().step(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]))
        tensor([ 0.6065, -1.6487])

    References:
        Kivinen & Warmuth 1997; Cornford et al. 2024 (EG paper).
    """

    keeps_signs: ClassVar[bool] = True

    def value(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\sum |w| \ln |w|`, where :math:`0 \ln 0 = 0`."""
        return torch.xlogy(weight.abs(), weight.abs()).sum()

    def gradient(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\operatorname{sign}(w) (\ln |w| + 1)`.

        A zero has no dual coordinate: NaN.
        """
        return weight.sign() * (weight.abs().log() + 1)

    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        r"""Return :math:`\sigma e^{\sigma y - 1}`, with the signs :math:`\sigma`."""
        return signs * torch.exp(signs * dual - 1)

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor:
        # Where both are zero the ratio is NaN, and the divergence is zero.
        size, other = weight.abs(), reference.abs()
        ratio = torch.where(size == other, 1.0, size / other)
        apart = torch.xlogy(size, ratio) - size + other
        return torch.where(weight.sign() * reference.sign() < 0, torch.inf, apart)

    def decay(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\operatorname{sign}(w)`."""
        return weight.sign()

    def step(self, weight: Tensor, dual_step: Tensor) -> Tensor:
        r"""Return :math:`w \exp(-\operatorname{sign}(w) \cdot \mathrm{step})`."""
        if not self._maps_as(NegativeEntropy):
            return super().step(weight, dual_step)
        # Without the detour by the logarithm, which rounds, and is infinite at zero.
        return weight * torch.exp(-weight.sign() * dual_step)


@dataclass(frozen=True)
class HyperbolicEntropy(Potential):
    r"""The hyperbolic entropy.

    Like the negative entropy far above ``beta``, like half the squared norm far below.

    .. math::
        \phi(w) = \sum w \operatorname{arsinh}(w / \beta) - \sqrt{w^2 + \beta^2} + \beta, \qquad
        \nabla\phi(w) = \operatorname{arsinh}(w / \beta)

    A step is relative for large weights and absolute, of :math:`\eta \beta`, for small ones:
    weights pass through zero. For Dale's law it needs the guard, :func:`~daleml.optim.enforce`.

    Args:
        beta: Above 0, in the unit of the weights. Towards 0, mirror descent becomes
            exponentiated gradient (``NegativeEntropy`` is the limit); large, with learning rate
            :math:`\eta / \beta`, gradient descent.

    Raises:
        ValueError: If ``beta`` is not above 0.

    Example:
        >>> import torch
        >>> HyperbolicEntropy(1.0).step(torch.tensor([0.0]), torch.tensor([1.0]))
        tensor([-1.1752])

    Notes:
        The constant :math:`\beta` makes :math:`\phi(0) = 0`. The step is computed as :math:`|w|
        e^{-\sigma s} - \beta^2 \sinh(\sigma s) / (\sqrt{w^2 + \beta^2} + |w|)`, times the sign
        :math:`\sigma`, which is the same and cancels less. Steps are kept between ±88 (±709 in
        float64) and weights within their dtype, so that no step makes a weight infinite.

    References:
        Ghai, Hazan & Singer 2020, "Exponentiated gradient meets gradient descent".
    """

    beta: float

    def __post_init__(self) -> None:
        require.positive("beta", self.beta)

    def value(self, weight: Tensor) -> Tensor:
        r"""Return the hyperbolic entropy, see the class."""
        # Divided first: the square alone might overflow.
        bulk = weight * (weight / (self._root(weight) + self._beta(weight)))
        return (weight * self.gradient(weight) - bulk).sum()

    def gradient(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\operatorname{arsinh}(w / \beta)`."""
        beta = self._beta(weight)
        ratio = weight / beta
        # Where the ratio overflows, the function is ln(2|w| / beta) to the last digit.
        far = weight.sign() * (weight.abs().log() + math.log(2 / beta))
        return torch.where(ratio.isinf(), far, torch.asinh(ratio))

    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        r"""Return :math:`\beta \sinh y`, or the largest finite number where that is beyond it."""
        beta, largest = self._beta(dual), torch.finfo(dual.dtype).max
        # The hyperbolic sine may overflow where its product with beta does not.
        far = dual.sign() * torch.exp(dual.abs() + math.log(beta / 2))
        return torch.where(dual.abs() > _LONG, far, beta * torch.sinh(dual)).clamp(
            -largest, largest
        )

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor:
        apart = weight - reference
        fall = apart * (
            (weight + reference) / (self._root(weight) + self._root(reference))
        )
        return weight * (self.gradient(weight) - self.gradient(reference)) - fall

    def decay(self, weight: Tensor) -> Tensor:
        r"""Return :math:`w / \sqrt{w^2 + \beta^2}`."""
        return weight / self._root(weight)

    def step(self, weight: Tensor, dual_step: Tensor) -> Tensor:
        """Return the weight after a step in the dual, without the detour.

        See the notes of the class.
        """
        if not self._maps_as(HyperbolicEntropy):
            return super().step(weight, dual_step)
        beta, largest = self._beta(weight), torch.finfo(weight.dtype).max
        # Longer steps would be infinite, and the difference of two of them NaN.
        longest = math.floor(math.log(largest))
        sign = torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)
        size, along = weight.abs(), dual_step.clamp(-longest, longest) * sign
        # In this order, since the square of beta may underflow or overflow.
        across = beta / (self._root(weight) + size) * torch.sinh(along) * beta
        return sign * (size * torch.exp(-along) - across).clamp(-largest, largest)

    def _root(self, weight: Tensor) -> Tensor:
        return torch.hypot(weight, torch.full_like(weight, self._beta(weight)))

    def _beta(self, weight: Tensor) -> float:
        """Return ``beta`` as the weight's dtype can hold it: neither zero nor infinite."""
        limits = torch.finfo(weight.dtype)
        return min(max(self.beta, limits.tiny), limits.max / 4)
