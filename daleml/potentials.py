r"""Potentials: the convex functions that give mirror descent its geometry.

Mirror descent takes its step in the dual coordinate :math:`\nabla\phi(w)` of a potential
:math:`\phi`,

.. math:: \nabla\phi(w_{t+1}) = \nabla\phi(w_t) - \eta\, g .

=====================  ========================================  ==============================
potential              :math:`\phi(w)`, summed over the weights  its descent
=====================  ========================================  ==============================
``Euclidean``          :math:`\tfrac12 w^2`                      gradient descent
``PNorm(p)``           :math:`\tfrac1p |w|^p`                    from sparse (p near 1) to spread
``HyperbolicEntropy``  :math:`w \operatorname{arsinh}(w/\beta)   between the two beside it
                       - \sqrt{w^2+\beta^2}`
``NegativeEntropy``    :math:`|w| \ln |w|`                       exponentiated gradient, lawful
=====================  ========================================  ==============================

Only under the negative entropy can no weight change sign. All four act weight by weight, on
tensors of any shape.

A potential of your own is a subclass of :class:`Potential`, or of one of these: whatever method
it overrides, ``MirrorDescent`` follows it, on whole tensors. Its parameters are best the fields
of a frozen dataclass.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from daleml import require

# dual coordinates beyond which the hyperbolic sine is half an exponential, to the last digit
_LONG = 20.0


@dataclass(frozen=True)
class Potential(ABC):
    r"""A convex function :math:`\phi` of the weights, a sum over them; subclasses are small values.

    Example:
        >>> import torch
        >>> weight = torch.tensor([0.5, -2.0])
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
        r"""Return the Bregman divergence :math:`\phi(w) - \phi(r) - \langle\nabla\phi(r), w - r\rangle`, one number.

        At least zero, and zero where the two are equal. It is not symmetric.

        Args:
            weight: :math:`w`.
            reference: :math:`r`, of the weight's shape.
        """
        each = self._divergences(weight, reference)
        if each is None:
            apart = (self.gradient(reference) * (weight - reference)).sum()
            return (self.value(weight) - self.value(reference) - apart).clamp_min(0)
        return each.clamp_min(0).sum()

    def _divergences(self, weight: Tensor, reference: Tensor) -> Tensor | None:
        """Return the divergence of each weight, rounding errors below zero and all, where there is a closed form."""
        return None

    @abstractmethod
    def decay(self, weight: Tensor) -> Tensor:
        r"""Return :math:`w\, \phi''(w)`.

        The change of the dual coordinate when the weight grows by a small share.

        A dual step along it shrinks every weight by the same share, whatever its size:
        :math:`w` in the Euclidean case, which is torch's weight decay, and
        :math:`\operatorname{sign}(w)` for the negative entropy.
        """

    def step(self, weight: Tensor, dual_step: Tensor) -> Tensor:
        r"""Return the weight after a step in the dual, :math:`(\nabla\phi)^{-1}(\nabla\phi(w) - \mathrm{step})`."""
        dual = self.gradient(weight) - dual_step
        if not self.keeps_signs:
            return self.inverse_gradient(dual)
        # A weight of zero has no dual coordinate under such a potential, and stays where it is.
        return torch.where(
            weight == 0, weight, self.inverse_gradient(dual, weight.sign())
        )

    def _maps_as(self, owner: type[Potential]) -> bool:
        """Whether the maps to the dual and back are those of a class, so that its closed forms hold."""
        own = type(self)
        return (
            own.gradient is owner.gradient
            and own.inverse_gradient is owner.inverse_gradient
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the potential as plain data: its name, under ``"name"``, and its parameters."""
        return {"name": type(self).__name__, **asdict(self), **vars(self)}


@dataclass(frozen=True)
class Euclidean(Potential):
    r"""Half the squared norm, :math:`\phi(w) = \tfrac12 \sum w^2`.

    Mirror descent is gradient descent.
    """

    def value(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\tfrac12 \sum w^2`."""
        return weight.square().sum() / 2

    def gradient(self, weight: Tensor) -> Tensor:
        """Return :math:`w` itself."""
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
        return (
            weight - dual_step
            if self._maps_as(Euclidean)
            else super().step(weight, dual_step)
        )


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
        return weight * torch.exp(-weight.sign() * dual_step)


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
        r"""Return :math:`\sum w \operatorname{arsinh}(w / \beta) - \sqrt{w^2 + \beta^2} + \beta`."""
        bulk = weight * (
            weight / (self._root(weight) + self._beta(weight))
        )  # the square alone might overflow
        return (weight * self.gradient(weight) - bulk).sum()

    def gradient(self, weight: Tensor) -> Tensor:
        r"""Return :math:`\operatorname{arsinh}(w / \beta)`."""
        beta = self._beta(weight)
        ratio = weight / beta
        far = weight.sign() * (
            weight.abs().log() + math.log(2 / beta)
        )  # where the ratio overflows
        return torch.where(ratio.isinf(), far, torch.asinh(ratio))

    def inverse_gradient(self, dual: Tensor, signs: Tensor | float = 1.0) -> Tensor:
        r"""Return :math:`\beta \sinh y`, or the largest finite number where that is beyond it."""
        beta, largest = self._beta(dual), torch.finfo(dual.dtype).max
        far = dual.sign() * torch.exp(
            dual.abs() + math.log(beta / 2)
        )  # where the hyperbolic sine overflows
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
        longest = math.floor(
            math.log(largest)
        )  # longer steps would be infinite, and their difference no number
        sign = torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)
        size, along = weight.abs(), dual_step.clamp(-longest, longest) * sign
        across = beta / (self._root(weight) + size) * torch.sinh(along) * beta
        return sign * (size * torch.exp(-along) - across).clamp(-largest, largest)

    def _root(self, weight: Tensor) -> Tensor:
        return torch.hypot(weight, torch.full_like(weight, self._beta(weight)))

    def _beta(self, weight: Tensor) -> float:
        """Return ``beta`` as the weight's dtype can hold it: neither zero nor infinite."""
        limits = torch.finfo(weight.dtype)
        return min(max(self.beta, limits.tiny), limits.max / 4)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Raise to a power, by the cheap operation where there is one: a compiler does not find it."""
    if exponent == 1:
        return base
    if exponent == 2:
        return base * base
    return base.sqrt() if exponent == 0.5 else base.pow(exponent)


_KINDS: dict[str, type[Potential]] = {
    kind.__name__: kind
    for kind in (Euclidean, NegativeEntropy, PNorm, HyperbolicEntropy)
}


def is_plain(potential: Potential) -> bool:
    """Whether a potential is exactly one of daleml's, which act weight by weight, and none that inherits from it."""
    return type(potential) in _KINDS.values()


def from_dict(data: Mapping[str, Any]) -> Potential:
    """Return the potential that :meth:`Potential.to_dict` described.

    Raises:
        ValueError: If no potential of daleml has that name.
    """
    options = dict(data)
    name = options.pop("name", None)
    if name not in _KINDS:
        raise ValueError(f"`name` must be one of {', '.join(_KINDS)}; got {name!r}.")
    return _KINDS[name](**options)
