"""Generators that differ wherever their keys do."""

from __future__ import annotations

import numpy as np
import torch


def generator(*key: int) -> torch.Generator:
    """Return a generator seeded by several numbers, such as a run's seed and its epoch.

    torch's own looks at the lowest 32 bits of a seed only, so that numbers cannot simply be put side by side in one.
    """
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
