"""The state in which every run begins, whatever process runs it and whatever ran there before."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from daleml.experiments.python_random import own_random

LARGEST_SEED = 2**32 - 1
"""The largest seed that all three global generators take."""


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    """Put back what a run may set for its process, and the next one is not to begin with."""
    folder = ""
    # It may be gone, before a run or after it.
    with contextlib.suppress(OSError):
        folder = os.getcwd()
    device = torch.get_default_device()
    precision = torch.get_float32_matmul_precision()
    exact = torch.get_deterministic_debug_mode()
    try:
        yield
    finally:
        # In another thread it would move the caller, who may have gone elsewhere meanwhile.
        if threading.current_thread() is threading.main_thread():
            with contextlib.suppress(OSError):
                os.chdir(folder)
        if torch.get_default_device() != device:
            # Where there was none, the CPU is the default without a mode that costs time.
            torch.set_default_device(None if device.type == "cpu" else device)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)
        # Setting it imports a compiler.
        if torch.get_deterministic_debug_mode() != exact:
            torch.set_deterministic_debug_mode(exact)


@contextlib.contextmanager
def isolated(seed: int, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Compute on one thread, with the global generators seeded; put everything back at the end.

    What a run sets for its whole process (the folder it works in, torch's default device and
    dtype, how exact products are) is put back too.

    Sums over several threads are rounded in another order, so that numbers would depend on how
    many cores a machine has.

    Args:
        seed: What the generators of Python, NumPy and torch are seeded with.
        dtype: torch's default dtype within; default: as it is.
    """
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    gradients = torch.is_grad_enabled()
    default = torch.get_default_dtype()
    of_numpy = np.random.get_state()  # noqa: NPY002
    devices: Any = []
    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if begun:
        devices = range(torch.cuda.device_count())
    with (
        threadpool_limits(1),
        np.errstate(),
        _put_back(),
        own_random(seed),
        torch.random.fork_rng(devices),
    ):
        torch.set_num_threads(1)
        torch.set_default_dtype(default if dtype is None else dtype)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(default)
            torch.set_grad_enabled(gradients)
            np.random.set_state(of_numpy)  # noqa: NPY002
