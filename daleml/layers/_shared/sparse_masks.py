"""Which synapses of a sparse weight exist: drawn or read, without a matrix of all pairs.

A density becomes a number of synapses, rounded, of which each set is as likely as any other: so
two draws of one circuit have parameters of the same shape, and a checkpoint of one can be read by
the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml import require
from daleml._sparse_weights import Pattern, of_arrays
from daleml._support import digraph_edges, synapse_arrays
from daleml.layers._recurrent import masks
from daleml.layers.blocks import Blocks
from daleml.populations import Populations

_SHUFFLED = 2**22
"""The most pairs that are put in a random order as a whole, where many of them are drawn."""


def sparse_mask(
    name: str,
    given: Any,
    ends: masks.Ends,
    *,
    autapses: bool | None = None,
    signs: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Pattern:
    """Return where the synapses of a weight lie, on the CPU; see :func:`masks.mask_matrix`.

    Args:
        name: The argument's name, for errors.
        given: A density, Blocks, a graph, a matrix of scipy.sparse or torch.sparse of 0 and 1,
            or a boolean matrix.
        ends: The postsynaptic and the presynaptic populations of the weight.
        autapses: Whether a unit may synapse onto itself; None leaves it to what was given.
        signs: The units' signs, with which those of a graph must agree.
        generator: Source of randomness.

    Raises:
        TypeError: If ``given`` is none of the kinds.
        ValueError: If it has the wrong shape or values.
    """
    if autapses is not None:
        require.flag("autapses", autapses)
    post, pre = map(Populations.coerce, ends)
    shape = post.size, pre.size
    if masks.is_density(given) or isinstance(given, Blocks):
        keeps = autapses if autapses is not None else False
        return _drawn(name, given, (post, pre), keeps, generator)
    receivers, senders = _read(name, given, shape, signs)
    if autapses is False:
        others = receivers != senders
        receivers, senders = receivers[others], senders[others]
    return of_arrays(receivers, senders, shape)


def n_asked(given: Any, ends: masks.Ends) -> float | None:
    """Return about how many synapses a mask asks for; None if it is no mask that tells."""
    post, pre = map(Populations.coerce, ends)
    if masks.is_density(given):
        return float(given) * post.size * pre.size
    if isinstance(given, Blocks):
        n = 0.0
        sizes = post.sizes, pre.sizes
        for pathway, density in given.by_pathway(post, pre).items():
            source, _, target = pathway.partition("->")
            n += density * sizes[0][target] * sizes[1][source]
        return n
    if synapse_arrays.is_sparse(given):
        return float(given.nnz)
    if isinstance(given, Tensor) and given.layout != torch.strided:
        return float(given._nnz())
    if digraph_edges.is_graph(given):
        return float(given.number_of_edges())
    values = np.asarray(given) if not isinstance(given, Tensor) else given
    return float((values != 0).sum()) if getattr(values, "ndim", 0) == 2 else None


# -- drawn


def _drawn(
    name: str,
    given: Any,
    ends: tuple[Populations, Populations],
    autapses: bool,
    generator: torch.Generator | None,
) -> Pattern:
    """Draw so many synapses as each density asks for."""
    post, pre = ends
    shape = post.size, pre.size
    if not isinstance(given, Blocks):
        density = require.fraction(name, _number(given))
        if density == 0:
            raise ValueError(
                f"`{name}` must be above 0 if it is a density; got {given}."
            )
        places = _of_block(shape, density, not autapses, generator)
        return _of_places(places, shape)
    found = []
    for pathway, density in given.by_pathway(post, pre, argument=name).items():
        require.fraction(f"{name}[{pathway!r}]", density)
        source, _, target = pathway.partition("->")
        # Units of one population lie side by side, so that a pathway is a block.
        rows, columns = post[target], pre[source]
        size = rows.stop - rows.start, columns.stop - columns.start
        # Only where units of one population reach each other, a unit may reach itself.
        loops = not autapses and post == pre and rows == columns
        places = _of_block(size, density, loops, generator)
        receivers = torch.div(places, size[1], rounding_mode="floor")
        senders = places - receivers * size[1]
        found.append((receivers + rows.start) * shape[1] + senders + columns.start)
    return _of_places(torch.cat(found).sort().values, shape)


def _number(given: Any) -> Any:
    """Return a number as one of Python, where it came as an array of one."""
    return given.item() if hasattr(given, "item") else given


def _of_block(
    size: tuple[int, int],
    density: float,
    without_loops: bool,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw pairs of a block, by their places in it, sorted."""
    n_post, n_pre = size
    n_columns = n_pre - 1 if without_loops else n_pre
    places = _distinct(
        round(density * n_post * n_columns), n_post * n_columns, generator
    )
    if not without_loops or not n_columns:
        return places
    # The column of the unit itself is left out, and those after it follow.
    rows = torch.div(places, n_columns, rounding_mode="floor")
    columns = places - rows * n_columns
    return rows * n_pre + columns + (columns >= rows)


def _distinct(n: int, n_all: int, generator: torch.Generator | None) -> Tensor:
    """Draw ``n`` of the numbers from 0 to ``n_all``, sorted, each set as likely as any other."""
    device = torch.device("cpu") if generator is None else generator.device
    if n >= n_all:
        return torch.arange(n_all, device="cpu")
    if n_all <= _SHUFFLED:
        order = torch.randperm(n_all, generator=generator, device=device)
        return order[:n].cpu().sort().values
    if n > n_all // 2:
        left_out = torch.ones(n_all, dtype=torch.bool, device="cpu")
        left_out[_distinct(n_all - n, n_all, generator)] = False
        return left_out.nonzero().flatten()
    found = torch.empty(0, dtype=torch.int64, device="cpu")
    while len(found) < n:
        # A few more than are missing, since some come twice.
        more = int((n - len(found)) * 1.1) + 16
        drawn = torch.randint(n_all, (more,), generator=generator, device=device)
        found = torch.unique(torch.cat([found, drawn.cpu()]))
    # As many as too many are left out by chance, so that no part of the numbers is favoured.
    n_more = len(found) - n
    kept = torch.ones(len(found), dtype=torch.bool, device="cpu")
    if n_more:
        kept[_distinct(n_more, len(found), generator)] = False
    return found[kept]


def _of_places(places: Tensor, shape: tuple[int, int]) -> Pattern:
    receivers = torch.div(places, shape[1], rounding_mode="floor")
    senders = places - receivers * shape[1]
    return Pattern(receivers.to(torch.int32), senders.to(torch.int32), shape)


# -- read


def _read(
    name: str, given: Any, shape: tuple[int, int], signs: Tensor | None
) -> tuple[Any, Any]:
    """Return receivers and senders of the synapses that a matrix or graph says exist, sorted."""
    if digraph_edges.is_graph(given):
        return _of_graph(name, given, shape, signs)
    if synapse_arrays.is_sparse(given) or _is_torch_sparse(given):
        if isinstance(given, Tensor):
            given = _to_scipy(given)
        entries = given.tocoo()
        _require_shape(name, entries.shape, shape)
        _require_flags(name, np.asarray(entries.data))
        there = np.asarray(entries.data) != 0
        post, pre = entries.row[there], entries.col[there]
        ones = np.ones(len(post))
        found = synapse_arrays.of_pairs(post, pre, ones, shape, sum_repeats=True)
        return found.post, found.pre
    # A dense matrix is checked as that of a dense circuit, and is in memory anyway.
    present = masks.matrix_of_flags(name, given, shape)
    receivers, senders = present.nonzero().T.numpy()
    return receivers, senders


def _is_torch_sparse(given: Any) -> bool:
    return isinstance(given, Tensor) and given.layout != torch.strided


def _to_scipy(given: Tensor) -> Any:
    from scipy.sparse import coo_array

    entries = given.detach().cpu().to_sparse().coalesce()
    values = entries.values().numpy()
    return coo_array((values, tuple(entries.indices().numpy())), shape=entries.shape)


def _of_graph(
    name: str, given: Any, shape: tuple[int, int], signs: Tensor | None
) -> tuple[Any, Any]:
    graph, listed = masks.graph_of_units(name, given, shape, signs)
    nodes = {node: unit for unit, node in enumerate(listed)}
    senders = np.fromiter((nodes[one] for one, _ in graph.edges), dtype=np.int64)
    receivers = np.fromiter((nodes[one] for _, one in graph.edges), dtype=np.int64)
    found = synapse_arrays.of_pairs(
        receivers, senders, np.ones(len(senders)), shape, sum_repeats=True
    )
    return found.post, found.pre


def _require_shape(name: str, found: Any, shape: tuple[int, int]) -> None:
    if tuple(found) != shape:
        raise ValueError(
            f"`{name}` must have shape {shape}, (post, pre); got {tuple(found)}."
        )


def _require_flags(name: str, values: Any) -> None:
    if values.dtype == np.bool_:
        return
    wrong = values[(values != 0) & (values != 1)]
    if len(wrong):
        raise ValueError(
            f"`{name}` must be boolean, or hold 0 and 1 only; got {wrong[0]:g}: for"
            " strengths, call `EIRNN.from_matrix` or give `strength`."
        )
