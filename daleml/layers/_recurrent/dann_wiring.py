"""The wiring of a recurrent Dale's ANN: three non-negative weights per path."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any, cast

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.layers import init
from daleml.layers._recurrent.layer_sweep import LayerSweep
from daleml.layers._recurrent.shunting_loop import ShuntingPath, run_shunting
from daleml.layers._recurrent.wiring import Path, PathDrawing, Wiring
from daleml.layers._shared import acting_parameters, dann_parameters
from daleml.layers._shared.acting_parameters import acting, rewritten
from daleml.layers.init import redraw

PYTORCH_VARIANCE = 1 / 3
"""Variance of a DANN's effective weights as they are drawn, times its size, as of ``nn.RNN``."""


class DANN(Wiring):
    """Three non-negative weights per path, ``Wex - Wei Wix``.

    Interneurons are fed forward, between time steps.
    """

    matrices = ("weight_ex", "weight_ix", "weight_ei")

    def __init__(self, n_inh: int, shunting: bool) -> None:
        self.n_inh, self.shunting = n_inh, shunting

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register the three matrices, and with a shunt ``alpha_<path>``."""
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ex": (path.post, path.pre.size),
            "weight_ix": (self.n_inh, path.pre.size),
            "weight_ei": (path.post, self.n_inh),
        }
        if self.shunting:
            shapes["alpha"] = (self.n_inh,)
        for part, shape in shapes.items():
            module.register_parameter(
                f"{part}_{path.name}", nn.Parameter(torch.empty(shape, **factory))
            )

    def register_shared(
        self, module: nn.Module, suffix: str, size: int, factory: dict[str, Any]
    ) -> None:
        """Register the gain that both paths' shunt divides."""
        if self.shunting:
            module.register_parameter(
                f"gain{suffix}", nn.Parameter(torch.empty(size, **factory))
            )

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix the signs of all three, with the corrections of their learning rates."""
        # Inhibitory weights touch every output, so they learn more slowly (Cornford et al. 2021).
        per_output, per_input = 1 / math.sqrt(path.post), 1 / path.pre.size
        inputs = torch.ones(path.pre.size, device="cpu")
        interneurons = torch.ones(self.n_inh, device="cpu")
        for part, pre, present, fixed, scale in (
            ("weight_ex", inputs, path.present, path.fixed, 1.0),
            ("weight_ix", inputs, None, None, per_output),
            ("weight_ei", interneurons, None, None, per_input),
        ):
            name = f"{part}_{path.name}"
            if path.wholly_fixed:
                shape = module.get_parameter(name).shape
                fixed = torch.ones(shape, dtype=torch.bool, device="cpu")
            signs.fix(
                module,
                name,
                pre,
                present=present,
                fixed=fixed,
                role=f"{part}_{path.kind}",
                lr_scale=scale,
                drawn=path.drawn,
                draws_strengths=True,
                default=True,
            )
        if self.shunting:
            signs.declare(
                module,
                f"alpha_{path.name}",
                role=f"alpha_{path.kind}",
                lr_scale=per_output * per_input,
                default=True,
            )

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: PathDrawing
    ) -> None:
        """Centre the composed weight, and give it the variance of ``nn.RNN``'s, 1 / (3 units)."""
        present = acting_parameters.present(module, f"weight_ex_{path.name}")
        with ExitStack() as stack:
            ex, ix, ei = (
                stack.enter_context(rewritten(module, part))
                for part in self.parts(path.name)
            )
            alpha = stack.enter_context(
                acting_parameters.rewritten_or_none(module, f"alpha_{path.name}")
            )
            # `init.dann_` divides by the number of inputs, and the variance asked for is by units.
            numerator = PYTORCH_VARIANCE * path.pre.size / path.post
            options: dict[str, Any] = {"draw": how.draw, "generator": how.generator}
            init.dann_(
                ex, ix, ei, alpha, numerator=numerator, present=present, **options
            )
            if alpha is not None:
                # Two paths divide together.
                alpha.sub_(math.log(2))

    def draw_shared(self, module: nn.Module, suffix: str) -> None:
        """Set the gain to 1."""
        if self.shunting:
            name = f"gain{suffix}"
            units = torch.ones(getattr(module, name).numel(), device="cpu")
            signs.fix(module, name, units, role="gain", default=True)
            with rewritten(module, name) as gain:
                gain.fill_(1)

    def redraw_(
        self,
        module: Any,
        draw: init.Draw,
        ratio: float,
        generator: torch.Generator | None,
    ) -> None:
        """Draw all paths anew, with means that keep the variance of a DANN, and its mean shunt."""
        module.reset_parameters(generator, draw=redraw.for_dann(draw, ratio))
        redraw.weaken_shunt_(module, ratio)

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Scale excitation and inhibition alike, and leave the shunt as it was."""
        # Wex and Wei scale the product once each; Wix would scale inhibition a second time.
        for part in ("weight_ex", "weight_ei"):
            acting_parameters.require_scalable(module, f"{part}_{name}")
        for part in ("weight_ex", "weight_ei"):
            with rewritten(module, f"{part}_{name}") as weight:
                weight.mul_(factor)
        if self.shunting:
            with rewritten(module, f"alpha_{name}") as alpha:
                alpha.sub_(math.log(factor))

    def weaken_inhibition_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply what the interneurons receive by a factor."""
        with rewritten(module, f"weight_ix_{name}") as weight:
            weight.mul_(factor)

    def advance(
        self,
        module: nn.Module,
        suffix: str,
        rows: Tensor,
        bias: Tensor | None,
        sweep: LayerSweep,
    ) -> tuple[Tensor, Tensor]:
        """Run one layer whose inhibition divides: every step goes through the interneurons."""
        dann_parameters.look_once(module, rows)
        weights_ih = self._shunting_path(module, f"ih{suffix}")
        weights_hh = self._shunting_path(module, f"hh{suffix}")
        gain, eps = acting(module, f"gain{suffix}"), float(cast("float", module.eps))
        return run_shunting(rows, weights_ih, weights_hh, gain, bias, eps, sweep)

    def _shunting_path(self, module: nn.Module, name: str) -> ShuntingPath:
        weight_ex, weight_ix, weight_ei = (
            acting(module, part) for part in self.parts(name)
        )
        return weight_ex, weight_ix, weight_ei, acting(module, f"alpha_{name}")
