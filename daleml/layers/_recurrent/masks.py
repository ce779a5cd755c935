"""Masks of the synapses that exist, from a matrix, a density, blocks of densities or a graph."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from daleml import require
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._support import digraph_edges, synapse_arrays
from daleml.layers.blocks import ARROW, Blocks
from daleml.populations import Populations

if TYPE_CHECKING:
    import networkx as nx
    from scipy.sparse import sparray, spmatrix

Connectivity: TypeAlias = (
    "Tensor | float | Blocks | nx.DiGraph[Any] | sparray | spmatrix | None"
)
"""A boolean matrix (post, pre), which may be sparse, the fraction of synapses that exist or one
for each pathway, a graph, or None for all."""
Ends: TypeAlias = tuple[Populations | int, Populations | int]
"""The postsynaptic and the presynaptic populations of a weight, or their numbers of units."""


def mask_matrix(
    name: str,
    given: Connectivity,
    ends: Ends,
    *,
    autapses: bool | None = None,
    signs: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor | None:
    """Return which synapses exist, boolean, ``(post, pre)``, on the CPU; None if all do.

    Args:
        name: The argument's name, for errors.
        given: What the user gave.
        ends: The postsynaptic and the presynaptic populations of the weight.
        autapses: Whether a unit may synapse onto itself; None leaves it to what was given, and
            forbids it where that says nothing of single synapses. Ignored for a weight between
            different units: give True.
        signs: The units' signs, with which those of a graph must agree.
        generator: Source of randomness for a density.

    Raises:
        TypeError: If ``given`` is none of the kinds.
        ValueError: If it has the wrong shape or values, or disagrees with ``signs``.
    """
    if autapses is not None:
        require.flag("autapses", autapses)
    # A number may come as an array of one.
    if isinstance(given, (torch.Tensor, np.ndarray, np.generic)) and given.ndim == 0:
        given = given.item()
    post, pre = map(Populations.coerce, ends)
    shape = post.size, pre.size
    if given is None:
        present, says = torch.ones(shape, dtype=torch.bool, device="cpu"), False
    elif digraph_edges.is_graph(given):
        present, says = _of_graph(name, given, shape, signs), True
    elif is_density(given):
        density = require.fraction(name, given)
        if density == 0:
            raise ValueError(
                f"`{name}` must be above 0 if it is a density; got {given}."
            )
        densities = torch.full(shape, density, device="cpu")
        present, says = _drawn(densities, generator), False
    elif isinstance(given, Blocks):
        for pathway, density in given.by_pathway(post, pre, argument=name).items():
            require.fraction(f"{name}[{pathway!r}]", density)
        present, says = _drawn(given.matrix(post, pre), generator), False
    else:
        present, says = matrix_of_flags(name, given, shape), True
    if autapses is False or (autapses is None and not says):
        present.fill_diagonal_(False)
    # A mask of ones would cost a product at every step.
    if bool(present.all()):
        return None
    return present


def draw_of(given: Any, ends: Ends) -> bool | DrawnBlocks:
    """Return whether synapses are drawn at random; of blocks, by which densities."""
    if not isinstance(given, Blocks):
        return is_density(given)
    post, pre = map(Populations.coerce, ends)
    by_pathway = given.by_pathway(post, pre)
    if all(density in (0, 1) for density in by_pathway.values()):
        return False
    rows = []
    for target in post.names:
        rows.append(tuple(by_pathway[source + ARROW + target] for source in pre.names))
    return DrawnBlocks(
        tuple(post.sizes.values()), tuple(pre.sizes.values()), tuple(rows)
    )


def is_structured(given: Any) -> bool:
    """Whether it was said which units are connected, so that rows may differ on purpose."""
    return given is not None and not is_density(given)


def is_density(given: Any) -> bool:
    """Whether synapses are drawn at random, at one density."""
    if isinstance(given, (torch.Tensor, np.ndarray, np.generic)) and given.ndim == 0:
        given = given.item()
    return isinstance(given, numbers.Real) and not isinstance(given, bool)


def _drawn(densities: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw which synapses exist, each with a probability of its own."""
    device = "cpu" if generator is None else generator.device
    drawn = torch.rand(densities.shape, generator=generator, device=device)
    return drawn.cpu() < densities


def matrix_of_flags(name: str, given: Any, shape: tuple[int, int]) -> Tensor:
    """Return a matrix of 0 and 1, or raise if it is none of that shape."""
    if synapse_arrays.is_sparse(given):
        # Of the few units that a matrix of all pairs is for.
        given = given.toarray()
    try:
        values = torch.as_tensor(given, device="cpu").detach()
        # Both would pass the comparison below, or raise something else.
        if values.is_complex():
            raise TypeError
        values = values.to_dense()
    except (TypeError, ValueError, RuntimeError):
        kinds = "a boolean matrix, a density, Blocks or a networkx digraph"
        hint = ": write Blocks({...})" if isinstance(given, Mapping) else ""
        raise TypeError(
            f"`{name}` must be {kinds}; got {type(given).__name__}{hint}."
        ) from None
    if values.shape != shape:
        raise ValueError(
            f"`{name}` must have shape {shape}, (post, pre); got {tuple(values.shape)}."
        )
    wrong = values[(values != 0) & (values != 1)]
    if wrong.numel():
        raise ValueError(
            f"`{name}` must be boolean, or hold 0 and 1 only; got {wrong[0].item():g}."
        )
    return values.to(torch.bool).clone()


def _of_graph(
    name: str, graph: nx.DiGraph[Any], shape: tuple[int, int], signs: Tensor | None
) -> Tensor:
    graph, nodes = graph_of_units(name, graph, shape, signs)
    return torch.from_numpy(digraph_edges.present(graph, nodes))


def graph_of_units(
    name: str, graph: Any, shape: tuple[int, int], signs: Tensor | None
) -> tuple[nx.DiGraph[Any], list[Any]]:
    """Return a digraph and its nodes, one for each unit, whose signs agree with the units'.

    Raises:
        TypeError: If it is no digraph.
        ValueError: If it has more or fewer nodes, or one of another sign.
    """
    graph = digraph_edges.digraph(name, graph)
    nodes = list(graph)
    if (len(nodes), len(nodes)) != shape:
        raise ValueError(
            f"`{name}` must have one node per unit, {shape[0]}; got {len(nodes)}."
        )
    if signs is not None:
        for node, sign in zip(nodes, signs.tolist(), strict=True):
            found = digraph_edges.signs_said(graph, node)
            if found - {int(sign)}:
                kind = "excitatory" if sign > 0 else "inhibitory"
                raise ValueError(
                    f"`{name}` must agree with the populations; node {node!r} is {kind} in"
                    " them only."
                )
    return graph, nodes
