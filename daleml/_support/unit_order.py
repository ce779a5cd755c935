"""The order of a partition's units, of units that were given in another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def by_sign(argument: str, given: Any) -> tuple[list[int], list[int]]:
    """Return the units whose sign is +1, and those whose sign is -1, each in increasing order.

    Raises:
        TypeError: If ``given`` holds no numbers.
        ValueError: If it does not hold +1 or -1 for each unit.
    """
    units: tuple[list[int], list[int]] = [], []
    for unit, number in enumerate(_numbers(argument, given)):
        if isinstance(number, bool) or number not in (1, -1):
            raise ValueError(
                f"`{argument}` must be +1 or -1 for each unit; got {number} for unit"
                f" {unit}."
            )
        units[0 if number > 0 else 1].append(unit)
    return units


def _numbers(argument: str, given: Any) -> list[Any]:
    import torch

    values = given
    if not isinstance(given, torch.Tensor):
        try:
            values = torch.tensor(list(given), device="cpu")
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"`{argument}` must hold +1 or -1 for each unit; got {given!r}."
            ) from None
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"`{argument}` must hold +1 or -1 for each unit; got shape"
            f" {tuple(values.shape)}."
        )
    numbers: list[Any] = values.detach().cpu().tolist()
    return numbers


def require_one_index(signs: Any, names: Any) -> None:
    """Raise if both are columns of tables whose rows are named otherwise, or in another order."""
    # A list has a method of that name.
    if not (hasattr(signs, "iloc") and hasattr(names, "iloc")):
        return
    if list(signs.index) != list(names.index):
        raise ValueError(
            "`names` must have the index of `signs`, in its order; got"
            f" {list(names.index)[:3]} and {list(signs.index)[:3]} first."
        )


def cell_types(
    argument: str, given: Sequence[str], exc: Sequence[int], inh: Sequence[int]
) -> list[str]:
    """Return the cell type of each unit, or raise if a type has units of both signs."""
    n_units = len(exc) + len(inh)
    if isinstance(given, str) or len(given) != n_units:
        raise ValueError(
            f"`{argument}` must hold the cell type of each of {n_units} units; got"
            f" {len(given)}."
        )
    # A list, since a table's column is looked up by its own labels.
    types = list(given)
    for unit, name in enumerate(types):
        if not isinstance(name, str):
            raise TypeError(
                f"`{argument}` must hold strings; got {name!r} for unit {unit}."
            )
    excitatory = {types[unit] for unit in exc}
    for unit in inh:
        if types[unit] in excitatory:
            raise ValueError(
                f"`{argument}` must give units of one type one sign; got {types[unit]!r}"
                f" for unit {unit}, which inhibits, and for one that excites."
            )
    return types


def by_type(
    types: Sequence[str], units: Sequence[int]
) -> tuple[dict[str, int], list[int]]:
    """Return how many of the units each type has, and the units, type by type.

    Types stand in the order of their first unit, and the units of a type in their own.
    """
    members: dict[str, list[int]] = {}
    for unit in units:
        members.setdefault(types[unit], []).append(unit)
    counts = {name: len(of_type) for name, of_type in members.items()}
    order = [unit for of_type in members.values() for unit in of_type]
    return counts, order
