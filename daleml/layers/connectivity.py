"""Which synapses of a circuit exist, from a matrix, a density or a graph; and which of a graph's nodes excite."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from daleml import _checks

if TYPE_CHECKING:
    import networkx as nx

Connectivity: TypeAlias = "Tensor | float | nx.DiGraph[Any] | None"
"""A boolean matrix (post, pre), the fraction of synapses that exist, a graph, or None for all."""


def matrix(
    name: str,
    given: Connectivity,
    shape: tuple[int, int],
    *,
    autapses: bool | None = None,
    signs: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor | None:
    """Return which synapses exist, boolean, ``(post, pre)``, on the CPU; None if all do.

    Args:
        name: The argument's name, for errors.
        given: What the user gave.
        shape: Of the weight.
        autapses: Whether a unit may synapse onto itself; None leaves it to what was given, and forbids it where that
            says nothing of single synapses. Ignored for a weight between different units: give True.
        signs: The units' signs, with which those of a graph must agree.
        generator: Source of randomness for a density.

    Raises:
        TypeError: If ``given`` is none of the kinds.
        ValueError: If it has the wrong shape or values, or disagrees with ``signs``.
    """
    if autapses is not None:
        _checks.flag("autapses", autapses)
    if isinstance(given, (torch.Tensor, np.ndarray, np.generic)) and given.ndim == 0:
        given = given.item()
    if given is None:
        present, says = torch.ones(shape, dtype=torch.bool), False
    elif _is_graph(given):
        present, says = _of_graph(name, given, shape, signs), True
    elif not isinstance(given, bool) and isinstance(given, numbers.Real):
        density = _checks.fraction(name, given)
        if density == 0:
            raise ValueError(f"`{name}` must be above 0 if it is a density; got {given}.")
        device = "cpu" if generator is None else generator.device
        present, says = (torch.rand(shape, generator=generator, device=device) < density).cpu(), False
    else:
        present, says = _of_matrix(name, given, shape), True
    if autapses is False or (autapses is None and not says):
        present.fill_diagonal_(False)
    return None if bool(present.all()) else present


def _of_matrix(name: str, given: Any, shape: tuple[int, int]) -> Tensor:
    try:
        values = torch.as_tensor(given, device="cpu").detach()
        if values.is_complex() or values.layout != torch.strided:
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        kinds = "a boolean matrix, a density or a networkx digraph"
        raise TypeError(f"`{name}` must be {kinds}; got {type(given).__name__}.") from None
    if values.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, (post, pre); got {tuple(values.shape)}.")
    wrong = values[(values != 0) & (values != 1)]
    if wrong.numel():
        raise ValueError(f"`{name}` must be boolean, or hold 0 and 1 only; got {wrong[0].item():g}.")
    return values.to(torch.bool).clone()


# -- graphs ------------------------------------------------------------------------------------------------------------


def _is_graph(given: object) -> bool:
    return hasattr(given, "adjacency") and hasattr(given, "number_of_nodes")


def _of_graph(name: str, graph: nx.DiGraph[Any], shape: tuple[int, int], signs: Tensor | None) -> Tensor:
    require_digraph(name, graph)
    nodes = list(graph)
    if (len(nodes), len(nodes)) != shape:
        raise ValueError(f"`{name}` must have one node a unit, {shape[0]}; got {len(nodes)}.")
    if signs is not None:
        for node, sign in zip(nodes, signs.tolist(), strict=True):
            found = _signs_said(graph, node, known=False)
            if found - {int(sign)}:
                kind = "excitatory" if sign > 0 else "inhibitory"
                raise ValueError(f"`{name}` must agree with the populations; node {node!r} is {kind} in them only.")
    present = torch.zeros(shape, dtype=torch.bool)
    index = {node: i for i, node in enumerate(nodes)}
    for pre, post in graph.edges:
        present[index[post], index[pre]] = True
    return present


def require_digraph(name: str, graph: Any) -> None:
    """Raise unless ``graph`` is a networkx ``DiGraph`` without parallel edges."""
    if not _is_graph(graph):
        raise TypeError(f"`{name}` must be a networkx digraph; got {type(graph).__name__}.")
    if not graph.is_directed() or graph.is_multigraph():
        raise TypeError(f"`{name}` must be a DiGraph, one edge from node to node; got {type(graph).__name__}.")


def signed_nodes(graph: nx.DiGraph[Any], *, drop_minority: bool = False) -> tuple[nx.DiGraph[Any], list[Any], int]:
    """Sort the nodes of a signed graph into excitatory ones, then inhibitory ones.

    A node's sign is its attribute ``sign``, or that of the edges it sends; they must agree. A node that says nothing
    and sends nothing excites, which makes no difference to anything.

    Args:
        graph: Edges, or nodes, with an attribute ``sign`` of +1 or -1.
        drop_minority: Whether, where a node sends edges of both signs, to leave out those of the sign with the lesser
            total ``weight`` (an edge without one weighs 1), instead of refusing the graph.

    Returns:
        The graph, without what was left out; its nodes, excitatory ones first; how many of them are excitatory.

    Raises:
        TypeError: If ``graph`` is no digraph.
        ValueError: If a sign is unknown, or a node sends both.
    """
    require_digraph("graph", graph)
    _checks.flag("drop_minority", drop_minority)
    if not len(graph):
        raise ValueError("`graph` must have a node; got none.")
    signs: dict[Any, int] = {}
    left_out: list[tuple[Any, Any]] = []
    for node in graph:
        said = _signs_said(graph, node)
        if len(said) == 2:
            if not drop_minority:
                raise ValueError(
                    f"`graph` must keep Dale's law, unless `drop_minority` is True; node {node!r} sends both signs."
                )
            sent = _sent(graph, node, known=False)
            total = sum((sign or 0) * abs(_strength(pre, post, data)) for pre, post, data, sign in sent)
            said = {1 if total >= 0 else -1}
            left_out += [(pre, post) for pre, post, _, sign in sent if sign is not None and sign not in said]
        signs[node] = said.pop() if said else 1
    kept = graph
    if left_out:
        kept = graph.copy()
        kept.remove_edges_from(left_out)
    nodes = [node for sign in (1, -1) for node in kept if signs[node] == sign]
    return kept, nodes, sum(sign > 0 for sign in signs.values())


def strengths(graph: nx.DiGraph[Any], nodes: list[Any]) -> Tensor:
    """Return the edges' ``weight``, without sign, as ``(post, pre)``; 1 where an edge has none.

    Raises:
        ValueError: If a weight is not a finite number.
    """
    index = {node: i for i, node in enumerate(nodes)}
    weights = torch.zeros(len(nodes), len(nodes), dtype=torch.float64)
    for pre, post, data in graph.edges(data=True):
        weights[index[post], index[pre]] = abs(_strength(pre, post, data))
    return weights


def _signs_said(graph: nx.DiGraph[Any], node: Hashable, *, known: bool = True) -> set[int]:
    """Return the signs that a node and the edges it sends name; with ``known``, one of the two must name them all."""
    own = _sign(graph.nodes[node].get("sign"), f"on node {node!r}", known=False)
    sent = _sent(graph, node, known=known and own is None)
    return {sign for sign in (own, *(sign for *_, sign in sent)) if sign is not None}


def _sent(
    graph: nx.DiGraph[Any], node: Hashable, *, known: bool = True
) -> list[tuple[Any, Any, dict[str, Any], int | None]]:
    return [
        (pre, post, data, _sign(data.get("sign"), f"on the edge from {pre!r} to {post!r}", known=known))
        for pre, post, data in graph.out_edges(node, data=True)
    ]


def _sign(given: Any, where: str, *, known: bool) -> int | None:
    """Read +1 or -1, or, unless it must be known, None."""
    if given is None and not known:
        return None
    try:
        value = float(given)
    except (TypeError, ValueError, RuntimeError):
        value = 0.0
    if value not in (1, -1):
        raise ValueError(f"`graph` must have a sign, +1 or -1, on every node or edge; got {given!r} {where}.")
    return int(value)


def _strength(pre: Any, post: Any, data: dict[str, Any]) -> float:
    given = data.get("weight", 1.0)
    try:
        value = float(given)
    except (TypeError, ValueError, RuntimeError):
        value = math.nan
    if not math.isfinite(value) or isinstance(given, str):
        where = f"on the edge from {pre!r} to {post!r}"
        raise ValueError(f"`graph` must have finite numbers as weights; got {given!r} {where}.")
    return value
