"""Options with a value per unit, of a circuit whose units are the nodes of a graph.

A circuit puts excitatory nodes first, so its units may stand in another order than the graph's
nodes, and a plain sequence would not say which of the two it follows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml._support.type_names import is_mapping


def per_unit(
    name: str, given: Any, nodes: Sequence[Hashable], listed: Sequence[Hashable]
) -> Any:
    """Return an option in the order of the units, from a mapping by node.

    Args:
        name: The option.
        given: A mapping that has every node; or what is for all units; or a sequence in the
            order of the units, where that is the graph's own. The last two are returned as they
            are.
        nodes: The units.
        listed: The nodes in the graph's order.

    Raises:
        ValueError: If a mapping lacks a node or has others, or a sequence's order is not clear.
    """
    if not is_mapping(given):
        _require_order(name, given, nodes, listed)
        return given
    values = _chosen(name, given, nodes)
    missing = [node for node in nodes if node not in values]
    if missing:
        raise ValueError(
            f"`{name}` must have a value for every node; got none for {missing[0]!r}."
        )
    ordered = [values[node] for node in nodes]
    # Tensors may have gradients, which a list of them would lose.
    if any(isinstance(value, Tensor) for value in ordered):
        return torch.stack([torch.as_tensor(value) for value in ordered])
    return ordered


def rows(
    name: str,
    given: Any,
    n_columns: int,
    nodes: Sequence[Hashable],
    listed: Sequence[Hashable],
) -> Any:
    """Return a mask of one row per unit, from a mapping of nodes to rows; others have none.

    Raises:
        ValueError: If a mapping has others than the nodes, a row has another length, or a
            matrix's order is not clear.
    """
    if not is_mapping(given):
        _require_order(name, given, nodes, listed)
        return given
    values = _chosen(name, given, nodes)
    mask = torch.zeros(len(nodes), n_columns, device="cpu", dtype=torch.float64)
    for unit, node in enumerate(nodes):
        row = torch.as_tensor(values.get(node, False), device="cpu")
        if row.ndim and row.shape != (n_columns,):
            raise ValueError(
                f"`{name}` must have rows of {n_columns} inputs; got shape"
                f" {tuple(row.shape)} for node {node!r}."
            )
        mask[unit] = row
    return mask


def reordered(name: str, given: Any, order: Tensor) -> Any:
    """Return an option with a value, or a row, per unit in the order of the units.

    Args:
        name: The option.
        given: What follows the order in which units were given; or what is for all units, which
            is returned as it is.
        order: Unit ``k`` is the given unit ``order[k]``.

    Raises:
        ValueError: If there are more or fewer values than units.
    """
    try:
        n_values = len(given)
    except TypeError:
        # A number, None, or a tensor of one number has no order.
        return given
    if n_values != len(order):
        raise ValueError(
            f"`{name}` must have a value for each of {len(order)} units, in the order in"
            f" which they were given; got {n_values}."
        )
    if isinstance(given, Tensor):
        return given[order.to(given.device)]
    if isinstance(given, np.ndarray):
        return given[order.numpy()]
    return [given[unit] for unit in order.tolist()]


def _chosen(name: str, given: Any, nodes: Sequence[Hashable]) -> dict[Hashable, Any]:
    values = dict(given.items())
    known = set(nodes)
    others = [key for key in values if key not in known]
    if others:
        raise ValueError(f"`{name}` must name nodes of the graph; got {others[0]!r}.")
    return values


def _require_order(
    name: str, given: Any, nodes: Sequence[Hashable], listed: Sequence[Hashable]
) -> None:
    """Raise if it is not clear whether a sequence follows the graph's nodes or the units."""
    try:
        n_values = len(given)
    except TypeError:
        # A number, None, or a tensor of one number has no order.
        return
    if isinstance(given, str) or list(nodes) == list(listed):
        return
    raise ValueError(
        f"`{name}` must be a mapping by node, {{{nodes[0]!r}: ..., }}, since the circuit"
        f" puts excitatory nodes first and the graph does not; got {type(given).__name__}"
        f" of {n_values}."
    )
