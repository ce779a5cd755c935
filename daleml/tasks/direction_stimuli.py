"""Inputs that are tuned to a direction: what units of a ring receive."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def preferred(n_units: int) -> Tensor:
    """Return the directions that units of a ring prefer, in radians, evenly spaced from 0."""
    return torch.arange(n_units, dtype=torch.get_default_dtype()) * (
        2 * math.pi / n_units
    )


def von_mises(
    directions: Tensor, n_units: int, height: float, concentration: float
) -> Tensor:
    r"""Return what each unit receives from a direction, :math:`h e^{\kappa (\cos \delta - 1)}`.

    Args:
        directions: In radians, (...).
        n_units: How many units the ring has.
        height: What a unit receives from the direction it prefers, :math:`h`.
        concentration: :math:`\kappa`; the larger, the fewer units receive something.

    Returns:
        (..., n_units).
    """
    apart = directions[..., None] - preferred(n_units)
    return height * torch.exp(concentration * (apart.cos() - 1))


def bump(directions: Tensor, n_units: int, height: float, width: float) -> Tensor:
    r"""Return what each unit receives from a direction, :math:`h e^{-\delta^2 / 2 w^2}`.

    Args:
        directions: In radians, (...).
        n_units: How many units the ring has.
        height: What a unit receives from the direction it prefers, :math:`h`.
        width: :math:`w`, in radians.

    Returns:
        (..., n_units).
    """
    apart = distance(directions[..., None], preferred(n_units))
    return height * torch.exp(-(apart / width).square() / 2)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return the angle between directions in radians, from 0 to pi."""
    apart = torch.remainder(one - other, 2 * math.pi)
    return torch.minimum(apart, 2 * math.pi - apart)


def population_vector(rates: Tensor) -> Tensor:
    """Return the direction that a ring's rates point to, in radians from 0 to 2 pi.

    Args:
        rates: (..., n_units).
    """
    angles = preferred(rates.shape[-1]).to(rates)
    along = (rates * angles.cos()).sum(-1)
    across = (rates * angles.sin()).sum(-1)
    return torch.remainder(torch.atan2(across, along), 2 * math.pi)
