"""The mean magnitudes with which the columns of a column-EI weight are drawn."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def column_means(signs: Tensor, like: Tensor) -> Tensor:
    """Return the mean magnitude with which ``init.column_ei_`` draws each column, (pre,).

    Args:
        signs: (pre,), +1 or -1 for each presynaptic unit, 0 for one without a sign.
        like: The weight, for the device and the type of the means.
    """
    n_units = signs.numel()
    mean_exc, mean_inh = by_sign(*counts(signs), n_units)
    means = torch.where(signs > 0, mean_exc, mean_inh).to(like)
    return means.masked_fill(signs.to(means.device) == 0, n_units**-0.5)


def counts(signs: Tensor) -> tuple[int, int]:
    """Return how many units excite and how many inhibit."""
    return int((signs > 0).sum()), int((signs < 0).sum())


def by_sign(n_exc: int, n_inh: int, n_units: int) -> tuple[float, float]:
    """Return the mean magnitudes of excitatory and of inhibitory columns."""
    if n_exc and n_inh:
        # 2 E[x^2] - E[x]^2: the variance of an exponential weight of mean 1 times its input.
        spread = (2 * math.pi - 1) / (2 * math.pi)
        mean_exc = (spread * (n_exc + n_exc**2 / n_inh)) ** -0.5
        mean_inh = mean_exc * n_exc / n_inh
    else:
        mean_exc = mean_inh = max(n_exc + n_inh, 1) ** -0.5
    # Of one where all units have a sign.
    fraction = math.sqrt((n_exc + n_inh) / n_units)
    return mean_exc * fraction, mean_inh * fraction
