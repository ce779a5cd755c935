"""Where a public name lives, for whoever asks the package itself for it."""

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
        return (
            f"it is daleml.{homes[name]}.{name}: write `from daleml.{homes[name]} import"
            f" {name}`"
        )
    near = difflib.get_close_matches(
        name, ["Populations", "dalify", "train", *homes], n=1, cutoff=0.75
    )
    if not near:
        return ""
    path = f"daleml.{homes[near[0]]}" if near[0] in homes else "daleml"
    return f"did you mean {path}.{near[0]}?"


def _public_names() -> Iterator[tuple[str, str]]:
    for home in _HOMES:
        module = importlib.import_module(f"daleml.{home}")
        names = set(getattr(module, "__all__", _defined_in(module)))
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not found.name.startswith("_"):
                names.add(found.name)  # such as `plots`, a folder one folder down
        for name in sorted(names):
            yield home, name


def _defined_in(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and getattr(value, "__module__", None) == module.__name__
        ):
            yield name
