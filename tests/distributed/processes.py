"""Several processes on this machine, in one group, without a port."""

from datetime import timedelta

import torch
from torch import distributed, multiprocessing


def run(function, n_processes, folder, *given):
    """Call ``function(rank, *given)`` in so many processes; what one of them raises is raised."""
    store = folder / f"store of {n_processes}"
    multiprocessing.spawn(
        _in_a_group, (function, store, n_processes, given), nprocs=n_processes
    )


def _in_a_group(rank, function, store, n_processes, given):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        store=distributed.FileStore(str(store), n_processes),
        rank=rank,
        world_size=n_processes,
        timeout=timedelta(minutes=2),
    )
    try:
        function(rank, *given)
    finally:
        distributed.destroy_process_group()
