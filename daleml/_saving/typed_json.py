"""The form of typed JSON: nested state as strict JSON that keeps its types, without pickle.

None, booleans, integers below 2**53, finite floats, strings, lists, and dictionaries whose keys
are strings are written as they are. Everything else is an object ``{"type": ..., ...}``, see
:mod:`~daleml._saving.encoding` and :mod:`~daleml._saving.decoding`. What has no entry there is
refused by its path.
"""

from __future__ import annotations

import sys
from typing import Any

TYPE = "type"
"""The key of an object that is no mapping."""
SAME = "same as"
"""The type of what was met before: its value is the number of that."""
# The default factories of `defaultdict` that are kept.
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
            # By `vars`, so that no `__getattr__` of a module runs.
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
            if found is None:
                break
        if isinstance(found, type):
            return found
    return None
