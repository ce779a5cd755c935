"""The executor of a Dask cluster, by the address of its scheduler.

Dask's messages are pickles: whoever answers at a scheduler's address can run any code here. So
its address has to be trusted, as a machine is to which one logs in.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

_PATIENCE = "10s"
# The protocols of Dask that cross machines: its `inproc` does not.
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^\s/?#]+:\d{1,5}/?")


@contextlib.contextmanager
def executor(address: str) -> Iterator[Any]:
    """Connect to a Dask scheduler, and yield the executor of its cluster.

    Args:
        address: The scheduler's address, such as ``"tcp://host:8786"``.

    Raises:
        ValueError: If Dask is not installed, or no scheduler answers at the address.
    """
    with _client(address) as client:
        # Runs draw chance, though only from their seeds: Dask is to look at none as the same.
        yield client.get_executor(pure=False)


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
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
        yield client


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
