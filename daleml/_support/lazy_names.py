"""Names of a package that are imported when they are first asked for.

``import torch`` takes two seconds, and whoever fits a table of weights needs nothing of it. So
packages list where their names live, and Python comes here (PEP 562) for a name that a package
has not yet.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

Homes = Mapping[str, Sequence[str]]
"""The public names of a package, by the submodule in which each is defined."""


def knows(package: str, homes: Homes, name: str) -> bool:
    """Return whether ``name`` is a public name of ``package``, or a submodule of it."""
    if any(name in public for public in homes.values()):
        return True
    is_public = name.isidentifier() and not name.startswith("_")
    return is_public and find_spec(f"{package}.{name}") is not None


def find(package: str, homes: Homes, name: str) -> Any:
    """Return what ``package`` calls ``name``: one of its public names, or a submodule.

    Args:
        package: The package's full name.
        homes: Its public names.
        name: What was asked for.

    Raises:
        AttributeError: If there is no such name.
    """
    if not knows(package, homes, name):
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    for home, public in homes.items():
        if name in public:
            value = getattr(importlib.import_module(f"{package}.{home}"), name)
            # From now on Python finds it without asking here.
            setattr(sys.modules[package], name, value)
            return value
    return importlib.import_module(f"{package}.{name}")
