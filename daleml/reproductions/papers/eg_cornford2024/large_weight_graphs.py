"""The graph of the largest weights of a recurrent network, and how small a world it is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Graph = NDArray[np.bool_]
"""Which unit of a row is reached from which unit of a column."""


def largest_weights(weight: NDArray[np.float64], fraction: float) -> Graph:
    """Return where the largest weights lie, by magnitude.

    Args:
        weight: A square matrix. Its diagonal does not count.
        fraction: The fraction of the weights off the diagonal that is kept.
    """
    n = len(weight)
    sizes = np.abs(weight)
    # Below every size: a unit's weight to itself is no edge, as in the authors' code.
    np.fill_diagonal(sizes, -1.0)
    n_kept = round(fraction * n * (n - 1))
    kept = np.zeros(n * n, dtype=bool)
    kept[np.argsort(-sizes, axis=None, kind="stable")[:n_kept]] = True
    return kept.reshape(n, n)


def clustering(graph: Graph) -> float:
    """Return the mean clustering coefficient of a directed graph.

    Args:
        graph: The graph, without loops.

    References:
        Fagiolo 2007, Physical Review E 76: 026107.
    """
    edges = graph.astype(float)
    both = edges + edges.T
    triangles = np.einsum("ij,ji->i", both @ both, both)
    degree = both.sum(1)
    # Of a neighbour that is reached both ways, no triangle can be made with itself.
    mutual = (edges * edges.T).sum(1)
    possible = 2 * (degree * (degree - 1) - 2 * mutual)
    shares = np.divide(
        triangles, possible, out=np.zeros(len(graph)), where=possible > 0
    )
    return float(shares.mean())


def path_length(graph: Graph) -> float:
    """Return the mean shortest path between ordered pairs of the largest strong component.

    Args:
        graph: The graph.
    """
    distance = _distances(graph)
    mutual = np.isfinite(distance) & np.isfinite(distance.T)
    # Units that reach each other are one component: its largest row is that of any member.
    members = np.flatnonzero(mutual[mutual.sum(1).argmax()])
    if len(members) < 2:
        return math.nan
    inside = distance[np.ix_(members, members)]
    return float(inside.sum() / (len(members) * (len(members) - 1)))


def _distances(graph: Graph) -> NDArray[np.float64]:
    """Return how many edges lead from unit j to unit i, at (i, j)."""
    # All units begin at once: column j of the frontier is what j reached in the last step.
    edges = graph.astype(np.float32)
    reached = np.eye(len(graph), dtype=bool)
    distance = np.where(reached, 0.0, np.inf)
    frontier, steps = reached, 0
    while frontier.any():
        steps += 1
        frontier = (edges @ frontier.astype(np.float32) > 0) & ~reached
        distance[frontier] = steps
        reached = reached | frontier
    return distance


def small_world(graph: Graph, nulls: list[Graph]) -> float:
    r"""Return how much more clustered a graph is than others, at what cost in path length.

    .. math:: \frac{C / \bar C_\text{null}}{L / \bar L_\text{null}}

    Args:
        graph: The graph.
        nulls: Those that it is compared with. NaN is returned if none has a triangle.

    References:
        Humphries & Gurney 2008, PLoS ONE 3: e2051.
    """
    by_chance = float(np.mean([clustering(one) for one in nulls]))
    if by_chance == 0:
        return math.nan
    longer = path_length(graph) / float(np.mean([path_length(one) for one in nulls]))
    return clustering(graph) / by_chance / longer


def random_graph(graph: Graph, rng: np.random.Generator) -> Graph:
    """Return a graph of as many units and edges, without loops, drawn at random.

    Args:
        graph: The graph that it is like.
        rng: Source of randomness.
    """
    return largest_weights(rng.random(graph.shape), _density(graph))


def rewired(graph: Graph, rng: np.random.Generator, swaps: int = 10) -> Graph:
    """Return a graph in which every unit has as many incoming and outgoing edges as here.

    Pairs of edges exchange their targets where that makes neither a loop nor an edge twice.

    Args:
        graph: The graph, without loops.
        rng: Source of randomness.
        swaps: How many exchanges are tried for each edge.

    References:
        Maslov & Sneppen 2002, Science 296: 910.
    """
    # Row i, column j is an edge from j to i.
    targets, sources = (ends.tolist() for ends in np.nonzero(graph))
    edges = set(zip(targets, sources, strict=True))
    pairs = rng.integers(len(targets), size=(swaps * len(targets), 2)).tolist()
    for one, other in pairs:
        first = targets[other], sources[one]
        second = targets[one], sources[other]
        # A loop.
        if first[0] == first[1] or second[0] == second[1]:
            continue
        # An edge that is there already.
        if first in edges or second in edges:
            continue
        edges -= {(targets[one], sources[one]), (targets[other], sources[other])}
        edges |= {first, second}
        targets[one], targets[other] = targets[other], targets[one]
    found = np.zeros_like(graph)
    found[targets, sources] = True
    return found


def _density(graph: Graph) -> float:
    n = len(graph)
    return float(graph.sum() / (n * (n - 1)))
