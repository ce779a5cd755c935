"""The homes of public names, for whoever asks the package itself for one."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

_HOMES = (
    "signs",
    "layers",
    "layers.init",
    "layers.functional",
    "layers.dynamics",
    "optim",
    "optim.functional",
    "potentials",
    "analysis",
    "analysis.plots",
    "tasks",
    "datasets",
    "learning",
    "training",
)


def hint(name: str) -> str:
    """Return what to write instead of ``daleml.<name>``, as the end of a sentence.

    Empty if nothing is near.
    """
    homes: dict[str, str] = {}
    for home, public in _public_names():
        homes.setdefault(public, home)
    if name in homes:
        home = f"daleml.{homes[name]}"
        return f"it is {home}.{name}: write `from {home} import {name}`"
    known = ["Populations", "dalify", "train", *homes]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if not near:
        return ""
    path = "daleml"
    if near[0] in homes:
        path = f"daleml.{homes[near[0]]}"
    return f"did you mean {path}.{near[0]}?"


def _public_names() -> Iterator[tuple[str, str]]:
    for home in _HOMES:
        module = importlib.import_module(f"daleml.{home}")
        names = set(getattr(module, "__all__", _defined_in(module)))
        # Modules count, too, such as `plots`, a folder one folder down.
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not found.name.startswith("_"):
                names.add(found.name)
        for name in sorted(names):
            yield home, name


def _defined_in(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__
        if is_own and not name.startswith("_"):
            yield name
