"""The wiring of a column-EI circuit: one signed weight per path."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.layers import init
from daleml.layers._recurrent.strengths_to_come import are_to_come
from daleml.layers._recurrent.wiring import Path, PathDrawing, Wiring
from daleml.layers._shared import acting_parameters, synapse_options
from daleml.layers._shared.acting_parameters import acting, rewritten
from daleml.layers.init import redraw
from daleml.layers.init.matrix_spectra import (
    factor_from,
    measured_radius,
    row_balance,
)
from daleml.layers.init.mean_magnitudes import column_means

SPECTRAL_RADIUS = 0.95
"""The spectral radius of a column-EI circuit as it is built, unless another is asked for.

Below 1 activity fades, whatever the wiring. At the 1.5 of Li et al. 2023, which
``EIRNN(spectral_radius=1.5)`` gives, about one circuit in ten runs away.
"""
SPECTRAL_RADIUS_ONE_SIGN = 0.9
"""The spectral radius of a circuit whose units all have one sign, which nothing balances."""

_MOST_FACTOR = 5.0
"""The most that a dense recurrent weight is scaled up by to reach its spectral radius.

Weights as they are drawn need .3 to 3. One of few units whose only loops are weak would need
ten times that, and its paths without a loop would then amplify activity a thousandfold.
"""


def most_factor(circuit: Any, density: float) -> float:
    """Return by how much a recurrent weight is scaled up, at most."""
    # A radius that was asked for is given, whatever it takes.
    if circuit.spectral_radius is not None:
        return float("inf")
    # The radius of a weight as it is drawn falls with the root of its density.
    return float(_MOST_FACTOR / math.sqrt(density))


class ColumnEI(Wiring):
    """One signed weight per path; its columns have the signs of the presynaptic units."""

    matrices = ("weight",)

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register ``weight_<path>``."""
        module.register_parameter(
            f"weight_{path.name}",
            nn.Parameter(torch.empty(path.post, path.pre.size, **factory)),
        )

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix one sign per presynaptic unit."""
        signs.fix(
            module,
            f"weight_{path.name}",
            path.unit_signs(),
            present=path.present,
            fixed=path.fixed,
            role=f"weight_{path.kind}",
            lr_scale=path.learning,
            drawn=path.drawn,
            draws_strengths=True,
            default=True,
        )

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: PathDrawing
    ) -> None:
        """Balance inhibition and excitation; give a recurrent path its spectral radius."""
        name = f"weight_{path.name}"
        bias = None if path.from_state else bias
        unit_signs = acting_parameters.unit_signs(
            module, name, path.pre.signs(device="cpu")
        )
        present = acting_parameters.present(module, name)
        with rewritten(module, name) as weight:
            init.column_ei_(weight, unit_signs, bias, **how._asdict())
            means = column_means(unit_signs, weight)
            synapse_options.grade_(weight, path.strength, present, means)
            # Units with fewer synapses receive less, so less is cancelled.
            graded = present is not None or path.strength is not None
            if bias is not None and graded:
                signed = unit_signs != 0
                bias.mul_(
                    synapse_options.received(
                        weight, path.strength, present, means, signed
                    )
                )
        weight = acting(module, name).detach()
        # What is about to be replaced needs no balance and no radius.
        if weight.is_meta or (path.from_state and are_to_come()):
            return
        # Where units differ in what they receive, the rule balances none of them. Strengths
        # that were asked for say themselves how strong inhibition is.
        if path.structured and path.strength is None:
            self._multiply_(module, name, row_balance(weight))
            weight = acting(module, name).detach()
        # A circuit without a loop has no radius.
        found = measured_radius(weight) if path.from_state else 0.0
        if found:
            factor = factor_from(found, weight, starting_radius(module))
            if path.strength is None:
                density = (
                    1.0
                    if present is None
                    else present.count_nonzero().item() / present.numel()
                )
                factor = min(factor, most_factor(module, density))
            self._multiply_(module, name, factor)

    def weaken_inhibition_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply the negative weights by a factor."""
        with rewritten(module, f"weight_{name}") as weight:
            weight.mul_(torch.where(weight < 0, factor, 1.0))

    def balance_(
        self, module: nn.Module, name: str, balance: Callable[[Tensor], Tensor]
    ) -> bool:
        """Multiply the weight by factors of it as it acts."""
        name = f"weight_{name}"
        acting_parameters.require_scalable(module, name)
        self._multiply_(module, name, balance(acting(module, name).detach()))
        return True

    def redraw_(
        self,
        module: Any,
        draw: init.Draw,
        ratio: float,
        generator: torch.Generator | None,
    ) -> None:
        """Draw all paths anew, with means that keep the variance of column EI."""
        module.reset_parameters(generator, draw=redraw.for_column_ei(draw, ratio))

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Scale the weight."""
        acting_parameters.require_scalable(module, f"weight_{name}")
        self._multiply_(module, f"weight_{name}", factor)

    def _multiply_(self, module: nn.Module, name: str, factors: float | Tensor) -> None:
        """Multiply a weight by one factor, or by one for each synapse."""
        with rewritten(module, name) as weight:
            if isinstance(factors, Tensor):
                factors = factors.to(weight)
            weight.mul_(factors)


def starting_radius(circuit: Any) -> float:
    """Return the spectral radius that a column-EI circuit starts with."""
    if circuit.spectral_radius is not None:
        return float(circuit.spectral_radius)
    units = circuit.populations
    if units.n_exc and units.n_inh:
        return SPECTRAL_RADIUS
    return SPECTRAL_RADIUS_ONE_SIGN
