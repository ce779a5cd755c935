"""Activations for networks that settle under a complex teaching signal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from daleml import require

Activation: TypeAlias = Callable[[Tensor], Tensor]
"""A function of a real or complex tensor, element by element."""
SplitActivation: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""An activation of complex numbers, from their real and imaginary parts to its own."""


@dataclass(frozen=True)
class Logistic:
    r"""The logistic function, steep and shifted so that a silent input gives a low rate.

    .. math:: \sigma(z) = \frac{1}{1 + e^{-(a z - b)}}

    It is holomorphic.

    Args:
        slope: :math:`a`.
        offset: :math:`b`.

    Shape:
        Any, real or complex; the same.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If ``slope`` is not positive.

    Example:
        >>> import torch
        >>> Logistic()(torch.tensor([0.0, 0.5, 1.0]))
        tensor([0.1192, 0.5000, 0.8808])

    Notes:
        Its poles are at :math:`z = (b + i \pi (2k + 1)) / a`, with the slope of 4 about .79
        from the real line: a teaching signal that carries a unit there is too large, however
        many points sample it.

    References:
        Laborieux & Zenke 2022 (NeurIPS), all dense networks.
    """

    slope: float = 4.0
    offset: float = 2.0

    def __post_init__(self) -> None:
        require.positive("slope", self.slope)
        require.number("offset", self.offset)

    def __call__(self, z: Tensor) -> Tensor:
        """Apply it."""
        return logistic(self.slope * z - self.offset)

    def split(self, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary part of the activation of ``re + i im``."""
        return _logistic_parts(self.slope * re - self.offset, self.slope * im)


@dataclass(frozen=True)
class HoloTanh:
    r"""A sum of logistic functions that grows like :math:`z/2` from 0 to 2 and is flat outside.

    .. math::
        \sigma(z) = \tfrac{z}{2}\, s(a z) + (1 - \tfrac{z}{2})\, s(a (z - 2)), \qquad
        s(u) = 1 / (1 + e^{-u})

    It is holomorphic.

    Args:
        steepness: :math:`a`, how sharp the corners are.

    Shape:
        Any, real or complex; the same.

    Raises:
        TypeError: If ``steepness`` is not a number.
        ValueError: If ``steepness`` is not positive.

    Example:
        >>> import torch
        >>> HoloTanh()(torch.tensor([-4.0, 1.0, 6.0]))
        tensor([-0.0286,  0.5000,  1.0286])

    References:
        Laborieux & Zenke 2022 (NeurIPS), all convolutional networks.
    """

    steepness: float = 1.0

    def __post_init__(self) -> None:
        require.positive("steepness", self.steepness)

    def __call__(self, z: Tensor) -> Tensor:
        """Apply it."""
        half = z / 2
        rising = logistic(self.steepness * z)
        falling = logistic(self.steepness * (z - 2))
        return half * rising + (1 - half) * falling

    def split(self, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real and the imaginary part of the activation of ``re + i im``."""
        a, half_re, half_im = self.steepness, re / 2, im / 2
        rising_re, rising_im = _logistic_parts(a * re, a * im)
        falling_re, falling_im = _logistic_parts(a * (re - 2), a * im)
        # z/2 (rising - falling) + falling, the product written out.
        apart_re, apart_im = rising_re - falling_re, rising_im - falling_im
        # Written out, since a complex product would first have to join the parts.
        found_re = half_re * apart_re - half_im * apart_im + falling_re
        found_im = half_re * apart_im + half_im * apart_re + falling_im
        return found_re, found_im


@dataclass(frozen=True)
class HardClip:
    r"""A control that is not holomorphic, :math:`\min(\max(a x, 0), 1)`, of real inputs only.

    Args:
        slope: :math:`a`.

    Shape:
        Any, real; the same.

    Raises:
        TypeError: If ``slope`` is not a number.
        ValueError: If ``slope`` is not positive.

    Example:
        >>> import torch
        >>> HardClip()(torch.tensor([-1.0, 1.0, 3.0]))
        tensor([0.0000, 0.5000, 1.0000])

    References:
        Laborieux & Zenke 2022 (NeurIPS), the control.
    """

    slope: float = 0.5

    def __post_init__(self) -> None:
        require.positive("slope", self.slope)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply it."""
        return (self.slope * x).clamp(0, 1)


def logistic(z: Tensor) -> Tensor:
    """Return ``1 / (1 + exp(-z))``, real or complex, without overflow.

    Torch's own of complex numbers takes a hundred times as long as of real ones; this takes
    about ten.
    """
    if not z.is_complex():
        return torch.sigmoid(z)
    return torch.complex(*_logistic_parts(z.real, z.imag))


def _logistic_parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the two parts of the logistic function of :math:`x + iy`.

    With :math:`s = e^{-|x|}` and :math:`d = 1 + 2 s \cos y + s^2`, the real part is :math:`(1 +
    s \cos y) / d` for positive x and :math:`(s^2 + s \cos y) / d` for negative x, and the
    imaginary part :math:`s \sin y / d`. No exponential overflows.
    """
    # In place on tensors made here: each pass over memory is a tenth of the whole.
    size = x.abs().neg_().exp_()
    across = torch.cos(y).mul_(size)
    square = size * size
    scale = torch.add(square, across, alpha=2).add_(1).reciprocal_()
    positive = across + 1
    negative = across.add_(square)
    real = torch.where(x < 0, negative, positive).mul_(scale)
    return real, torch.sin(y).mul_(size).mul_(scale)


def split_form(activation: Activation) -> SplitActivation | None:
    """Return an activation's method ``split``, which takes and gives the parts of numbers.

    None if it has none. A subclass that overrides ``__call__`` must override ``split`` too, for
    that of its base class is another function then.
    """
    for owner in type(activation).__mro__:
        if "__call__" in vars(owner) or "split" in vars(owner):
            split = getattr(activation, "split", None)
            return split if callable(split) and "split" in vars(owner) else None
    return None


def softmax(z: Tensor, dim: int | tuple[int, ...] = -1) -> Tensor:
    """Return the softmax over ``dim``, real or complex; torch has none of complex numbers.

    What is subtracted before the exponential cancels, so that it need not be holomorphic itself.
    """
    if z.is_complex():
        size = torch.exp(z.real - z.real.detach().amax(dim, keepdim=True))
        # exp(x + iy) in one pass: size e^x, angle y.
        weights = torch.polar(size, z.imag)
    else:
        weights = torch.exp(z - z.detach().amax(dim, keepdim=True))
    return weights / weights.sum(dim, keepdim=True)


_RADIUS = 0.1
"""Radius of the circles round which an activation is integrated."""
_FARTHEST = 4.0
"""Their centres lie on the real line, from minus this to this."""
_POINTS = 64
"""Number of points on each circle."""
_TOLERANCE = 1e-6
"""The largest integral that counts as none, relative to the largest value."""


def is_holomorphic(activation: Activation) -> bool:
    r"""Whether an activation is holomorphic within .1 of the real line, by Cauchy's theorem.

    .. math::
        \oint_{|z - c| = r} \sigma(z)\, dz = 0 \quad \text{for every centre } c
        \text{ on the real line}

    Args:
        activation: A function of a tensor that acts element by element, such as ``torch.tanh``.

    Returns:
        True if it takes complex numbers and its integral vanishes round 161 circles of radius
        .1, centred on -4 to 4.

    Example:
        >>> import torch
        >>> is_holomorphic(Logistic()), is_holomorphic(torch.tanh), is_holomorphic(torch.relu)
        (True, True, False)
        >>> is_holomorphic(lambda z: z * (z.real > 0))  # it jumps across the imaginary axis
        False

    Notes:
        This is a numerical test: a fault outside those circles is not seen. A pole nearer to
        the line than .1 counts as a fault, even of a function that is holomorphic on the line
        itself: ``Logistic(40)`` has one at a distance of .08.
    """
    angles = torch.arange(_POINTS, dtype=torch.float64) * (2 * math.pi / _POINTS)
    # The trapezoidal rule on a circle converges faster than any power of the number of points.
    turn = torch.polar(torch.ones_like(angles), angles)
    end = _FARTHEST + _RADIUS / 4
    centres = torch.arange(-_FARTHEST, end, _RADIUS / 2, dtype=torch.float64)
    try:
        values = activation(centres[:, None] + _RADIUS * turn)
    except Exception:  # Whatever it raises, it does not take complex numbers.
        return False
    if not isinstance(values, Tensor) or values.shape != (len(centres), _POINTS):
        return False
    if not values.isfinite().all():
        return False
    integral = (values * turn).mean(dim=1).abs()
    largest = values.abs().amax().clamp(min=1e-12)
    return bool((integral <= _TOLERANCE * largest).all())
