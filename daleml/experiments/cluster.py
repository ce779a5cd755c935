"""Calls run by the workers of a Dask cluster.

Dask's messages are pickles: whoever answers at a scheduler's address can run any code here. So
its address has to be trusted, as a machine is to which one logs in.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_PATIENCE = "10s"
# The protocols of Dask that cross machines: its `inproc` does not.
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^\s/?#]+:\d{1,5}/?")


@contextlib.contextmanager
def results(
    address: str,
    function: Callable[..., Any],
    calls: Sequence[tuple[Any, ...]],
    jobs: int | None,
) -> Iterator[Iterator[Any]]:
    """Call a function many times on a cluster, and hand over the results as they come.

    Args:
        address: The scheduler's address, such as ``"tcp://host:8786"``.
        function: What to call.
        calls: Its arguments, a tuple per call.
        jobs: The most calls at once; None for as many as the cluster has workers.

    Raises:
        ValueError: If Dask is not installed, or no scheduler answers at the address.
    """
    from joblib import Parallel, delayed, parallel_config

    with _client(address), parallel_config("dask", n_jobs=jobs or -1):
        workers = Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch="all"
        )
        yield workers(delayed(function)(*arguments) for arguments in calls)


@contextlib.contextmanager
def _client(address: str) -> Iterator[None]:
    """Connect to a Dask scheduler for as long as it is needed."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(
            "`scheduler` must be the address of a Dask scheduler, such as tcp://host:8786;"
            f" got {address!r}."
        )
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "`scheduler` must be left out unless dask is installed: pip install"
            " 'daleml[cluster]'."
        ) from None
    try:
        with _silence():
            client = Client(address, timeout=_PATIENCE)  # type: ignore[no-untyped-call]
    except Exception as error:
        # Anything may answer: a proxy's page that is read as the length of a message asks for
        # exabytes, and the like.
        raise ValueError(
            "`scheduler` must be the address of a Dask scheduler; nothing that is one"
            f" answered at {address!r} within {_PATIENCE} ({_why(error)})."
        ) from None
    with client:
        yield


def _why(error: Exception) -> str:
    if isinstance(error, (OSError, TimeoutError)):
        return " ".join(str(error).split()).rstrip(".") or "no answer"
    return "its answer is not Dask's"


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask from telling of the same failure by lines and tracebacks of its own."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
