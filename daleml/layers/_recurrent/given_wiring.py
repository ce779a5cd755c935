"""The wiring of a circuit that was given: by a graph, or by a matrix of weights.

Units come in any order. A circuit puts excitatory ones first, and keeps the order in which they
were given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml import _sparse_weights, reading, require
from daleml._signs import facts
from daleml._support import node_types
from daleml._support.digraph_edges import read_graph
from daleml._support.node_types import CellTypes as CellTypes
from daleml._support.signed_edges import one_sign_each
from daleml._support.synapse_arrays import Synapses, is_sparse, of_pairs
from daleml._support.type_names import is_mapping
from daleml.layers._recurrent import node_options
from daleml.layers._recurrent.strengths_to_come import strengths_to_come
from daleml.layers._shared import acting_parameters, synapse_options
from daleml.layers._shared.sparse_choice import is_worth_it
from daleml.layers.dynamics.over_other import OverOther
from daleml.layers.init.matrix_spectra import factor_from, measured_radius
from daleml.populations import Populations

_OF_SYNAPSES = (
    "layer_mask",
    "fixed",
    "lr_scale",
    "input_strength",
    "input_fixed",
    "input_lr_scale",
)
"""Options that may be a matrix (post, pre), in the order in which units were given."""


@dataclass(frozen=True)
class GivenWiring:
    """The recurrent synapses of a circuit, in the order of its units.

    Attributes:
        populations: The partition of the units.
        order: Unit ``k`` is the given unit ``order[k]``, int64.
        synapses: Those that exist, with signed strengths, and the names of the units, if they
            have any.
        argument: What gave the wiring, for errors.
        n_dropped: How many synapses were left out, since their sender has the other sign.
    """

    populations: Populations
    order: Tensor
    synapses: Synapses
    argument: str
    n_dropped: int = 0

    @property
    def nodes(self) -> tuple[Hashable, ...] | None:
        """The names of the units; None if they have none."""
        return self.synapses.names

    def mask(self, sparse: bool | None) -> Any:
        """Return which synapses exist: as a sparse matrix, where the weight is to be one."""
        n_units = self.populations, self.populations
        if sparse or (sparse is None and is_worth_it(self.synapses.size, n_units)):
            found = self.synapses.csr().astype(bool)
            # A synapse of weight 0 exists.
            found.data[:] = True
            return found
        return self.present()

    def present(self) -> Tensor:
        """Return which synapses exist, as a matrix ``(post, pre)``."""
        return torch.from_numpy(self.synapses.present())

    def weights(self) -> Tensor:
        """Return the signed strengths as a matrix ``(post, pre)``, float64."""
        return torch.from_numpy(self.synapses.dense())

    def in_unit_order(
        self, options: Mapping[str, Any], n_inputs: int
    ) -> dict[str, Any]:
        """Return options of a circuit, those with a value per unit in the order of the units."""
        ordered = dict(options)
        if "tau_ms" in options:
            ordered["tau_ms"] = self._per_unit("tau_ms", options["tau_ms"])
        # Dynamics of ours have parameters of units, by population or by node; others are as given.
        dynamics = options.get("dynamics")
        if isinstance(dynamics, OverOther):
            ordered["dynamics"] = dynamics.with_values(self._per_unit)
        if "input_mask" in options:
            ordered["input_mask"] = self._rows(
                "input_mask", options["input_mask"], n_inputs
            )
        for name, given in options.items():
            if name in _OF_SYNAPSES:
                ordered[name] = self._synapses(given, name.startswith("input_"))
        return ordered

    def _synapses(self, given: Any, of_input: bool) -> Any:
        """Return a matrix with a number per synapse in the order of the units."""
        # Blocks know no order; what has a wrong shape is refused by the circuit.
        n_units = len(self.order)
        shape: tuple[int, ...] = tuple(getattr(given, "shape", ()))
        if len(shape) != 2 or shape[0] != n_units:
            return given
        if is_sparse(given):
            rows = given.tocsr()[self.order.numpy()]
            return rows if of_input else rows[:, self.order.numpy()]
        rows = torch.as_tensor(given)[self.order]
        if of_input or shape[1] != n_units:
            return rows
        return rows[:, self.order]

    def _per_unit(self, name: str, given: Any) -> Any:
        if self._goes_by_population(given):
            return given
        if self._by_node(given):
            return node_options.per_unit(name, given, self._nodes(), self._listed())
        return node_options.reordered(name, given, self.order)

    def _by_node(self, given: Any) -> bool:
        """Whether values go by node, and not by the order of what has no names."""
        named = self.argument == "graph" and self.nodes is not None
        return named or is_mapping(given)

    def _rows(self, name: str, given: Any, n_inputs: int) -> Any:
        if self._by_node(given):
            listed = self._listed()
            return node_options.rows(name, given, n_inputs, self._nodes(), listed)
        return node_options.reordered(name, given, self.order)

    def _goes_by_population(self, given: Any) -> bool:
        """Whether an option is a mapping by population, and names no node."""
        if not isinstance(given, Mapping):
            return False
        nodes = set(self._nodes())
        if any(key in nodes for key in given):
            return False
        # Units without names can be meant by their population only.
        return self.nodes is None or any(map(self._is_population, given))

    def _is_population(self, key: Any) -> bool:
        try:
            self.populations.matching(key)
        except (TypeError, ValueError):
            return False
        return True

    def _nodes(self) -> Sequence[Hashable]:
        return self.order.tolist() if self.nodes is None else self.nodes

    def _listed(self) -> Sequence[Hashable]:
        """Return the units in the order in which they were given."""
        back = torch.argsort(self.order).tolist()
        nodes = self._nodes()
        return [nodes[unit] for unit in back]

    def replacing(self, options: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return a context in which a circuit is built whose strengths are then replaced."""
        # Of layers that follow each other, each input is drawn to suit the layer below as drawn.
        if options.get("num_layers", 1) != 1:
            return nullcontext()
        return strengths_to_come()

    @torch.no_grad()
    def write_into(self, circuit: Any, radius: float | None) -> None:
        """Set every recurrent weight of a circuit to the strengths given.

        Args:
            circuit: A column-EI circuit of these populations.
            radius: The spectral radius to scale them to; None to leave them as they are.
        """
        for name, parameter in circuit.named_parameters():
            # What was given says nothing of the input's weights.
            if not name.startswith("weight_hh") or parameter.is_meta:
                continue
            weights = self._weights_of(circuit, name)
            if radius is not None:
                pattern = _sparse_weights.pattern(circuit, name)
                matrix = weights if pattern is None else pattern.csr(weights)
                found = measured_radius(matrix)
                # A wiring without a loop has no radius.
                weights *= factor_from(found, weights, radius) if found else 1.0
            with acting_parameters.rewritten(circuit, name) as written:
                written.copy_(weights)
            # Strengths that were given are no draw: where they are fixed, they stay.
            facts.settle_as_given(circuit, name)
            if not parameter.isfinite().all():
                raise ValueError(
                    f"`{self.argument}` must have weights in the range of"
                    f" {parameter.dtype}; got some beyond it."
                )

    def _weights_of(self, circuit: Any, name: str) -> Tensor:
        """Return the strengths of the synapses that a circuit has, 0 for those it has not."""
        pattern = _sparse_weights.pattern(circuit, name)
        if pattern is not None:
            return synapse_options.of_sparse(self.synapses.csr(), pattern)
        weights = self.weights()
        present = getattr(circuit, f"{name}_present", None)
        return weights if present is None else weights * present.cpu()


def require_left_out(options: Mapping[str, Any], what: str) -> None:
    """Raise if an option is given that the wiring says itself."""
    for name in ("hidden_size", "mask", "strength"):
        given = options.get(name)
        if given is None:
            continue
        # A matrix would fill the sentence.
        got = type(given).__name__ if hasattr(given, "shape") else repr(given)
        raise TypeError(
            f"`{name}` must be left out, since the {what} says it; got {got}."
        )


def of_graph(
    graph: Any,
    *,
    drop_minority: bool,
    weight: str | None,
    population: Any,
    **how_read: Any,
) -> GivenWiring:
    """Read the wiring of a signed graph; see ``EIRNN.from_graph``."""
    given = reading.opened(graph, weight, **how_read)
    try:
        whole = read_graph(given, weight, node_types.asked(population))
    except ValueError:
        # Signs are asked for first: strengths alone would make no circuit.
        one_sign_each(read_graph(given, None), drop_minority)
        raise
    edges, unit_signs = one_sign_each(whole, drop_minority)
    signs_listed = unit_signs.tolist()
    sends = np.bincount(whole.pre, minlength=len(whole.nodes)) > 0
    silent = set(np.flatnonzero((whole.node_sign == 0) & ~sends).tolist())
    # A sparse matrix has an order of units, and no names for them.
    nameless = is_sparse(graph)
    if nameless:
        population = node_types.in_order(population, len(edges.nodes))
    cell_types = node_types.cell_types(
        edges.attributes, edges.nodes, signs_listed, population, silent
    )
    signs_listed = node_types.with_silent(signs_listed, cell_types, silent)
    populations, order = Populations.from_signs(signs_listed, cell_types)
    # An edge's sign is that of its sender, so magnitudes are all that it adds.
    weights = edges.weight * unit_signs[edges.pre]
    n_units = len(edges.nodes)
    names = None if nameless else edges.nodes
    synapses = of_pairs(edges.post, edges.pre, weights, (n_units, n_units), names)
    n_dropped = len(whole.pre) - len(edges.pre)
    moved = synapses.reordered(order.numpy())
    return GivenWiring(populations, order, moved, "graph", n_dropped)


def undone(values: Tensor, order: Tensor | None, dim: int | Sequence[int]) -> Tensor:
    """Put units back in the order in which they were given; see ``EIRNN.in_given_order``."""
    found = require.tensor("values", values)
    if order is None:
        return found
    # The inverse of a permutation is what sorts it.
    back = torch.argsort(order).to(found.device)
    for one in [dim] if isinstance(dim, int) else dim:
        if not -found.ndim <= one < found.ndim or found.shape[one] != len(order):
            raise ValueError(
                f"`values` must have {len(order)} units along dimension {one}; got shape"
                f" {tuple(found.shape)}."
            )
        found = found.index_select(one, back)
    return found


def shown_order(nodes: tuple[Hashable, ...] | None, order: Tensor) -> str:
    """Show which given unit each unit is: a few of them, and a digest of all."""
    which = order.tolist() if nodes is None else list(nodes)
    digest = hashlib.sha256(repr(which).encode()).hexdigest()[:8]
    few = ", ".join(map(str, which[:3]))
    return f"{few}... ({digest})" if len(which) > 3 else few
