"""Whether recurrent strengths are about to be given, so that those drawn need no correction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ARE_TO_COME = ContextVar("recurrent strengths are to come", default=False)


@contextmanager
def strengths_to_come() -> Iterator[None]:
    """Mark that the circuit built inside is given its recurrent strengths next.

    They are drawn none the less, so that a generator moves on as it does elsewhere; but what
    takes long, their spectral radius, is measured once, of the strengths that stay.
    """
    token = _ARE_TO_COME.set(True)
    try:
        yield
    finally:
        _ARE_TO_COME.reset(token)


def are_to_come() -> bool:
    """Whether the circuit that is being built is given its recurrent strengths next."""
    return _ARE_TO_COME.get()
