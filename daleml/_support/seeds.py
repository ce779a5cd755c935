"""Generators that differ wherever their keys do, and batches that are divided between processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def generator(*key: int) -> torch.Generator:
    """Return a generator seeded by several numbers, such as a run's seed and its epoch.

    torch's own looks at the lowest 32 bits of a seed only, so that numbers cannot simply be put
    side by side in one.
    """
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    return torch.Generator().manual_seed(seed)


def share() -> Callable[[int], bool]:
    """Return a function of a batch's number: whether this process is to yield the batch.

    Every worker of a ``DataLoader`` has a copy of an iterable data set, and would yield all of it.
    """
    worker = torch.utils.data.get_worker_info()
    if worker is None:
        return lambda number: True
    return lambda number: number % worker.num_workers == worker.id
