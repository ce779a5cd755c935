"""Nested state as strict JSON that keeps its types, with its tensors apart.

And back again, without pickle.

None, booleans, integers below 2**53, finite floats, strings, lists, and dictionaries whose keys
are strings are written as they are. Everything else is an object ``{"type": ..., ...}``, see
:mod:`~daleml._saving.encoding` and :mod:`~daleml._saving.decoding`. What has no entry there is
refused by its path.
"""

from __future__ import annotations

import sys
from typing import Any

TYPE = "type"
SAME = "same as"
FACTORIES = {
    kind.__name__: kind
    for kind in (int, float, complex, str, bool, list, dict, set, tuple, bytes)
}


class StateError(ValueError):
    """Raised for a value that has no place in typed JSON, or for JSON that describes no value."""


def name_of(thing: Any) -> str:
    """Return the full name of a class or function."""
    return f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', repr(thing))}"


def known_class(name: str) -> type | None:
    """Return a class of a module that is imported already; None if there is none of that name."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:n]))
        if found is None:
            continue
        for part in parts[n:]:
            found = (
                vars(found).get(part) if hasattr(found, "__dict__") else None
            )  # no `__getattr__` of a module runs
            if found is None:
                break
        if isinstance(found, type):
            return found
    return None
