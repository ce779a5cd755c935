"""The wiring of a column-EI circuit whose weights are sparse: one number for each synapse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from daleml import _sparse_weights
from daleml.layers._recurrent.column_ei_wiring import (
    ColumnEI,
    most_factor,
    starting_radius,
)
from daleml.layers._recurrent.strengths_to_come import are_to_come
from daleml.layers._recurrent.wiring import Path, PathDrawing
from daleml.layers._shared import acting_parameters, sparse_draws
from daleml.layers._shared.acting_parameters import acting
from daleml.layers._shared.sparse_product import StepMatrix
from daleml.layers._shared.step_weights import step_weight
from daleml.layers.init import sparse_spectra
from daleml.layers.init.matrix_spectra import factor_from


class SparseColumnEI(ColumnEI):
    """As :class:`ColumnEI`; a path that has a pattern holds a number for each synapse only."""

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register ``weight_<path>``, and where its synapses lie."""
        if path.pattern is None:
            super().register(module, path, factory)
            return
        name = f"weight_{path.name}"
        values = nn.Parameter(torch.empty(path.pattern.size, **factory))
        module.register_parameter(name, values)
        _sparse_weights.register(module, name, path.pattern, values.device)

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: PathDrawing
    ) -> None:
        """Draw a path as :class:`ColumnEI` does, by its synapses."""
        name = f"weight_{path.name}"
        pattern = _sparse_weights.pattern(module, name)
        if pattern is None:
            super().draw(module, path, bias, how)
            return
        bias = None if path.from_state else bias
        pre_signs = path.pre.signs(device="cpu")
        strength = path.strength, path.pattern or pattern
        sparse_draws.draw_(
            module, name, pattern, pre_signs, strength, bias, how._asdict()
        )
        weight = acting(module, name).detach()
        if weight.is_meta or (path.from_state and are_to_come()):
            return
        if path.structured and path.strength is None:
            balanced = sparse_spectra.row_balance(pattern.cpu_csr(weight))
            self._multiply_(module, name, balanced)
            weight = acting(module, name).detach()
        found = (
            sparse_spectra.radius(pattern.cpu_csr(weight)) if path.from_state else 0.0
        )
        if found:
            factor = factor_from(found, weight, starting_radius(module))
            if path.strength is None:
                density = pattern.size / (pattern.shape[0] * pattern.shape[1])
                factor = min(factor, most_factor(module, density))
            self._multiply_(module, name, factor)

    def balance_(
        self, module: nn.Module, name: str, balance: Callable[[Tensor], Tensor]
    ) -> bool:
        """Multiply the weight by factors of it as it acts."""
        full = f"weight_{name}"
        pattern = _sparse_weights.pattern(module, full)
        if pattern is None:
            return super().balance_(module, name, balance)
        acting_parameters.require_scalable(module, full)
        weight = pattern.cpu_csr(acting(module, full).detach())
        self._multiply_(module, full, balance(weight))
        return True

    def step_matrix(self, module: nn.Module, name: str) -> StepMatrix:
        """Compose the weight as a step multiplies by it."""
        return step_weight(module, f"weight_{name}")
