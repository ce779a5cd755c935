"""Small networks of Morris-Lecar cells."""

import torch

from daleml.learning import (
    MorrisLecarNetwork,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(n=12, **options):
    return MorrisLecarNetwork(
        5, n, 3, **{"dt_ms": 0.5, "generator": seeded()} | options
    ).double()
