"""Potentials in the state of an optimiser, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from daleml.potentials import Potential, from_dict, is_plain

# The key that marks a potential whose class is not one of daleml's.
_YOURS = "yours"


def described(potential: Potential) -> dict[str, Any]:
    """Return a potential as an optimiser's state holds it: as plain data, with its origin."""
    content = potential.to_dict()
    if not is_plain(potential):
        content[_YOURS] = True
    return content


def restored(saved: Mapping[str, Any], live: Potential) -> Potential:
    """Return the potential that :func:`described` described.

    One of daleml's is built anew. No class of yours is ever looked up by its name: it must be
    that of the potential in use, which is kept where it is the same, and takes the saved
    parameters where they are the fields of a dataclass.

    Args:
        saved: What an optimiser's state holds.
        live: The potential in use.

    Raises:
        ValueError: If the saved potential is of a class of yours other than that in use.
    """
    now = described(live)
    if _alike(saved, now):
        return live
    if not saved.get(_YOURS):
        return from_dict(saved)
    of_its_class = now.get(_YOURS) and now["name"] == saved["name"]
    # What is no field, `replace` would lose.
    if of_its_class and not _beside(live):
        parameters = {}
        for key in saved.keys() - {"name", _YOURS}:
            parameters[key] = _as(getattr(live, key, None), saved[key])
        if parameters.keys() == {one.name for one in fields(live) if one.init}:
            return replace(live, **parameters)
    raise ValueError(
        f"`potential` must be the one that the state was saved under, {_named(saved)}; got"
        f" {_named(now)}: build the optimiser with it."
    )


def _beside(potential: Potential) -> set[str]:
    """Return the names of what a potential holds that is no field of a dataclass."""
    return set(vars(potential)) - {one.name for one in fields(potential)}


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return False
        return all(map(_alike, one.values(), map(other.__getitem__, one)))
    # Asked before equality, which for tensors of several elements is no yes or no.
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        both = isinstance(one, Tensor) and isinstance(other, Tensor)
        return both and torch.equal(one.detach().cpu(), other.detach().cpu())
    # A tuple comes back as a list from JSON, which knows one kind of sequence.
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def _as(old: Any, value: Any) -> Any:
    """Return a saved parameter in the type of the one in use."""
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    return value


def _named(described: Mapping[str, Any]) -> str:
    parameters = ", ".join(
        f"{key}={value}"
        for key, value in described.items()
        if key not in ("name", _YOURS)
    )
    return f"{described.get('name')}({parameters})"
