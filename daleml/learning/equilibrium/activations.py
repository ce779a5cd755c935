"""Nonlinearities for networks that settle under a complex teaching signal, and a test of whether one is fit for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from daleml import require

Activation: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Logistic:
    r"""The logistic function, steep and shifted so that a silent input gives a low rate.

    Holomorphic.

    .. math:: \sigma(z) = \frac{1}{1 + e^{-(a z - b)}}

    Args:
        slope: :math:`a`.
        offset: :math:`b`.

    Shape:
        Any, real or complex; the same.

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


@dataclass(frozen=True)
class HoloTanh:
    r"""Grows like :math:`z/2` between 0 and 2 and levels off outside, built of logistic functions; holomorphic.

    .. math:: \sigma(z) = \tfrac{z}{2}\, s(a z) + (1 - \tfrac{z}{2})\, s(a (z - 2)), \qquad s(u) = 1 / (1 + e^{-u})

    Args:
        steepness: :math:`a`, how sharp the corners are.

    Shape:
        Any, real or complex; the same.

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
        return half * logistic(self.steepness * z) + (1 - half) * logistic(
            self.steepness * (z - 2)
        )


@dataclass(frozen=True)
class HardClip:
    r"""The control that is not holomorphic, :math:`\min(\max(a x, 0), 1)`: real inputs only.

    Args:
        slope: :math:`a`.

    Shape:
        Any, real; the same.

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
    size = z.real.abs()
    small = torch.exp(-size)
    across = small * torch.cos(z.imag)
    scale = 1 / (1 + 2 * across + small * small)
    real = torch.where(z.real < 0, across + small * small, 1 + across) * scale
    return torch.complex(real, small * torch.sin(z.imag) * scale)


def softmax(z: Tensor, dim: int | tuple[int, ...] = -1) -> Tensor:
    """Return the softmax over ``dim``, real or complex; torch has none of complex numbers.

    What is subtracted before the exponential cancels, so that it need not be holomorphic itself.
    """
    real = z.real if z.is_complex() else z
    size = torch.exp(real - real.detach().amax(dim, keepdim=True))
    weights = torch.polar(size, z.imag) if z.is_complex() else size
    return weights / weights.sum(dim, keepdim=True)


_RADIUS, _REACH, _POINTS, _TOLERANCE = 0.1, 4.0, 64, 1e-6


def is_holomorphic(activation: Activation) -> bool:
    r"""Whether an activation is holomorphic within .1 of the real line, by Cauchy's theorem.

    .. math:: \oint_{|z - c| = r} \sigma(z)\, dz = 0 \quad \text{for every centre } c \text{ on the real line}

    Args:
        activation: A function of a tensor that acts element by element, such as ``torch.tanh``.

    Returns:
        True if it takes complex numbers and its integral vanishes round 161 circles of radius
        .1, centred on -4 to 4.

    Example:
        >>> import torch
        >>> is_holomorphic(Logistic()), is_holomorphic(torch.tanh), is_holomorphic(torch.relu)
        (True, True, False)
        >>> is_holomorphic(lambda z: z * (z.real > 0))  # takes complex numbers, and is broken along the imaginary axis
        False

    Notes:
        A numerical test: a fault outside those circles is not seen. A pole nearer to the line
        than .1 is one, even of a function that is holomorphic on the line itself:
        ``Logistic(40)`` has one at a distance of .08.
    """
    angles = torch.arange(_POINTS, dtype=torch.float64) * (2 * math.pi / _POINTS)
    turn = torch.polar(torch.ones_like(angles), angles)
    centres = torch.arange(
        -_REACH, _REACH + _RADIUS / 4, _RADIUS / 2, dtype=torch.float64
    )
    try:
        values = activation(centres[:, None] + _RADIUS * turn)
    except Exception:  # whatever it raises, it does not take complex numbers
        return False
    if (
        not isinstance(values, Tensor)
        or values.shape != (len(centres), _POINTS)
        or not values.isfinite().all()
    ):
        return False
    integral = (values * turn).mean(dim=1).abs()
    return bool((integral <= _TOLERANCE * values.abs().amax().clamp(min=1e-12)).all())
