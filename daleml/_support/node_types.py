"""The cell types of a graph's nodes, by an attribute that holds them or by a mapping."""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable, Mapping, Sequence
from typing import Any

from daleml._support.type_names import is_mapping

CellTypes = Mapping[Hashable, str] | str | None
"""The cell type of each node: by node, or the attribute of nodes that holds it."""


def cell_types(
    attributes: Mapping[str, Sequence[Any]],
    nodes: Sequence[Any],
    unit_signs: Sequence[int],
    given: CellTypes,
    silent: Container[int] = (),
) -> list[str] | None:
    """Return the cell type of each node, or None if nobody gave any.

    Args:
        attributes: Those that were read of the nodes, a value for each.
        nodes: The nodes of a graph.
        unit_signs: +1 or -1 for each.
        given: The cell types, or the attribute that holds them.
        silent: Places of nodes that say no sign and send nothing: any sign is right for them.

    Raises:
        TypeError: If ``given`` is neither.
        ValueError: If a node has no cell type, or two of one type have two signs.
    """
    if given is None:
        return None
    if not isinstance(given, str) and not is_mapping(given):
        raise TypeError(
            "`population` must be the attribute of nodes that holds their cell type, or a"
            f" mapping by node; got {type(given).__name__}."
        )
    if isinstance(given, str):
        values = attributes[given]
    else:
        values = [given.get(node) for node in nodes]
    found = []
    sign_of: dict[str, int] = {}
    for place, cell_type in enumerate(values):
        node, sign = nodes[place], unit_signs[place]
        if not isinstance(cell_type, str):
            raise ValueError(
                "`population` must give the cell type of every node, a string; got"
                f" {cell_type!r} for {node!r}."
            )
        if place not in silent and sign_of.setdefault(cell_type, sign) != sign:
            raise ValueError(
                "`population` must give nodes of one cell type one sign; got"
                f" {cell_type!r} for {node!r}, whose sign is {sign:+d}, and for one of the"
                " other sign."
            )
        found.append(cell_type)
    return found


def with_silent(
    unit_signs: Sequence[int], types: Sequence[str] | None, silent: Collection[int]
) -> list[int]:
    """Return the sign of each node, where one that is silent has the sign of its cell type."""
    signs = list(unit_signs)
    if types is None:
        return signs
    said = {
        cell_type: sign
        for place, (cell_type, sign) in enumerate(zip(types, signs, strict=True))
        if place not in silent
    }
    for place in silent:
        signs[place] = said.get(types[place], signs[place])
    return signs


def asked(given: CellTypes) -> tuple[str, ...]:
    """Return the attributes of nodes that are needed to know their cell types."""
    return (given,) if isinstance(given, str) else ()


def in_order(given: Any, n_units: int) -> Any:
    """Return cell types that follow the order of nameless units as a mapping by unit."""
    if given is None or isinstance(given, str) or is_mapping(given):
        return given
    types = list(given)
    if len(types) != n_units:
        raise ValueError(
            f"`population` must hold the cell type of each of {n_units} units; got"
            f" {len(types)}."
        )
    return dict(enumerate(types))
