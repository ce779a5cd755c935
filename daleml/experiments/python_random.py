"""Python's module ``random`` for one thread: what others of its process draw changes nothing.

A worker of a Dask cluster draws from the module itself, in threads of its own, while it runs
what it was given.
"""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def own_random(seed: int) -> Iterator[None]:
    """Let ``random.random()`` and its like draw from a generator of this thread.

    The generator of the module is seeded too, for functions that were imported from it by name.

    Args:
        seed: What both are seeded with.

    Example:
        >>> import random
        >>> random.seed(3)
        >>> drawn = random.random()
        >>> with own_random(3):
        ...     drawn == random.random()
        True
    """
    own = random.Random(seed)
    thread = threading.get_ident()
    before = random.getstate()
    originals = {}
    for name in random.__all__:
        function = getattr(random, name)
        # Classes are listed there, too.
        if name != "Random" and callable(getattr(own, name, None)):
            originals[name] = function
            ours = getattr(own, name)
            setattr(random, name, _for_thread(thread, ours, function))
    originals["seed"](seed)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(random, name, function)
        random.setstate(before)


def _for_thread(
    thread: int, ours: Callable[..., Any], others: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that is one in a thread, and another in all others."""

    @functools.wraps(others)
    def draw(*args: Any, **options: Any) -> Any:
        if threading.get_ident() == thread:
            return ours(*args, **options)
        return others(*args, **options)

    return draw
