r"""How a circuit's synapses are stored and composed: column EI, or a Dale's ANN.

A recurrent layer has two *paths*, from its input (``ih``) and from its own state (``hh``). A
wiring knows which parameters make up a path, what their signs are, how they are drawn, and what
they amount to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.layers import acting_parameters, dann_parameters, init
from daleml.layers._recurrent.layer_sweep import Sweep
from daleml.layers._recurrent.shunting_loop import ShuntingPath, run_shunting
from daleml.layers.acting_parameters import acting, rewritten
from daleml.layers.init import redraw
from daleml.populations import Populations

SPECTRAL_RADIUS = 0.95
"""Of a column-EI circuit at initialisation, unless another is asked for.

Below 1 activity fades, whatever the wiring.

At the 1.5 of Li et al. 2023, which ``EIRNN(spectral_radius=1.5)`` gives, about one circuit in
ten runs away.
"""
SPECTRAL_RADIUS_ONE_SIGN = 0.9
"""Of a circuit of one sign, which nothing balances."""
PYTORCH_VARIANCE = 1 / 3
"""Of a DANN's effective recurrent weight at initialisation, times its size: that of ``nn.RNN``."""


class Path(NamedTuple):
    """From where to where, as the circuit says it."""

    name: str  # ih_l0, hh_l0, ..., or ih and hh in a cell
    pre: Populations
    post: int
    present: Tensor | None
    # whether `present` was drawn at random, so that a checkpoint may bring another draw
    drawn: bool = False

    @property
    def from_state(self) -> bool:
        """Whether it is recurrent."""
        return self.name.startswith("hh")

    @property
    def kind(self) -> str:
        """``ih`` or ``hh``, for roles."""
        return self.name[:2]


class Drawing(NamedTuple):
    """How a path is drawn.

    The mean of what comes in, the distribution of magnitudes, and the source of randomness.
    """

    input_mean: float
    draw: init.Draw
    generator: torch.Generator | None


class Wiring:
    """What a circuit asks of its wiring.

    Attributes:
        matrices: The names of the matrices that make up a path, without the path; first the one
            that local plasticity changes.
        composes: Whether the composed weights say all that a path does.
    """

    matrices: ClassVar[tuple[str, ...]]
    composes: bool = True

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Give the module the path's parameters, empty."""
        raise NotImplementedError

    def register_shared(
        self, module: nn.Module, suffix: str, size: int, factory: dict[str, Any]
    ) -> None:
        """Give the module what both paths of a layer share: nothing, unless it says otherwise."""

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix the signs of the path's parameters."""
        raise NotImplementedError

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing
    ) -> None:
        """Initialise the path, and, of an input path, the bias that centres it."""
        raise NotImplementedError

    def draw_shared(self, module: nn.Module, suffix: str) -> None:
        """Initialise what both paths share."""

    def weight(self, module: nn.Module, name: str) -> Tensor:
        """Compose what multiplies the input or the state, before any division, ``(post, pre)``."""
        return acting_parameters.composed(module, self.matrices, name)

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply the composed weight by a factor."""
        raise NotImplementedError

    def balance_(
        self, module: nn.Module, name: str, balance: Callable[[Tensor], Tensor]
    ) -> bool:
        """Multiply a weight that holds both signs by factors of it.

        False if there is none, as in a DANN.
        """
        return False

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the names of the matrices that make up a path.

        First the one that local plasticity changes.
        """
        return tuple(f"{matrix}_{name}" for matrix in self.matrices)

    def redraw_(
        self,
        module: Any,
        draw: init.Draw,
        ratio: float,
        generator: torch.Generator | None,
    ) -> None:
        """Draw all paths anew, by magnitudes whose mean is ``ratio`` times their standard deviation."""
        raise NotImplementedError

    def advance(
        self,
        module: nn.Module,
        suffix: str,
        rows: Tensor,
        bias: Tensor | None,
        sweep: Sweep,
    ) -> tuple[Tensor, Tensor]:
        """Run one layer over all steps, where the composed weights do not say all."""
        raise NotImplementedError


class ColumnEI(Wiring):
    """One signed weight a path; its columns have the signs of the presynaptic units."""

    matrices = ("weight",)

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register ``weight_<path>``."""
        module.register_parameter(
            f"weight_{path.name}",
            nn.Parameter(torch.empty(path.post, path.pre.size, **factory)),
        )

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix one sign a presynaptic unit."""
        role, pre_signs = f"weight_{path.kind}", path.pre.signs(device="cpu")
        name, present = f"weight_{path.name}", path.present
        signs.fix(
            module,
            name,
            pre_signs,
            present=present,
            role=role,
            drawn=path.drawn,
            default=True,
        )

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing
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
            if bias is not None and present is not None:
                bias.mul_(present.double().mean(1).to(bias))
        weight = acting(module, name).detach()
        if path.from_state and not weight.is_meta and init.has_loop(weight):
            self.scale_(
                module, path.name, init.radius_factor(weight, starting_radius(module))
            )

    def balance_(
        self, module: nn.Module, name: str, balance: Callable[[Tensor], Tensor]
    ) -> bool:
        """Multiply the weight by factors of it as it acts."""
        factors = balance(acting(module, f"weight_{name}").detach())
        with rewritten(module, f"weight_{name}") as weight:
            weight.mul_(factors.to(weight))
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
        with rewritten(module, f"weight_{name}") as weight:
            weight.mul_(factor)


def starting_radius(circuit: Any) -> float:
    """Return the spectral radius that a column-EI circuit starts with.

    As asked for, or the default of its units.
    """
    asked, units = circuit.spectral_radius, circuit.populations
    if asked is not None:
        return float(asked)
    return SPECTRAL_RADIUS if units.n_exc and units.n_inh else SPECTRAL_RADIUS_ONE_SIGN


class DANN(Wiring):
    """Three non-negative weights a path, ``Wex - Wei Wix``.

    Interneurons are fed forward, between time steps.
    """

    matrices = ("weight_ex", "weight_ix", "weight_ei")

    def __init__(self, n_inh: int, shunting: bool) -> None:
        self.n_inh, self.shunting = n_inh, shunting

    @property
    def composes(self) -> bool:  # type: ignore[override]
        """Whether nothing divides, so that the composed weights say all."""
        return not self.shunting

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register ``weight_ex_<path>``, ``weight_ix_<path>``, ``weight_ei_<path>`` and perhaps ``alpha_<path>``."""
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
        per_output, per_input = 1 / math.sqrt(path.post), 1 / path.pre.size
        inputs, interneurons = (
            torch.ones(n, device="cpu") for n in (path.pre.size, self.n_inh)
        )
        for part, pre, present, scale in (
            ("weight_ex", inputs, path.present, 1.0),
            ("weight_ix", inputs, None, per_output),
            ("weight_ei", interneurons, None, per_input),
        ):
            role = f"{part}_{path.kind}"
            name, drawn = f"{part}_{path.name}", path.drawn
            signs.fix(
                module,
                name,
                pre,
                present=present,
                role=role,
                lr_scale=scale,
                drawn=drawn,
                default=True,
            )
        if self.shunting:
            role = f"alpha_{path.kind}"
            signs.declare(
                module,
                f"alpha_{path.name}",
                role=role,
                lr_scale=per_output * per_input,
                default=True,
            )

    def draw(
        self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing
    ) -> None:
        """Centre the composed weight, and give it the variance of ``nn.RNN``'s, 1 / (3 units), on both paths."""
        present = acting_parameters.present(module, f"weight_ex_{path.name}")
        with ExitStack() as stack:
            ex, ix, ei = (
                stack.enter_context(rewritten(module, part))
                for part in self.parts(path.name)
            )
            alpha = stack.enter_context(
                acting_parameters.rewritten_or_none(module, f"alpha_{path.name}")
            )
            numerator = PYTORCH_VARIANCE * path.pre.size / path.post
            options: dict[str, Any] = {"draw": how.draw, "generator": how.generator}
            init.dann_(
                ex, ix, ei, alpha, numerator=numerator, present=present, **options
            )
            if alpha is not None:
                alpha.sub_(math.log(2))  # two paths divide together

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
        for part in ("weight_ex", "weight_ei"):
            with rewritten(module, f"{part}_{name}") as weight:
                weight.mul_(factor)
        if self.shunting:
            with rewritten(module, f"alpha_{name}") as alpha:
                alpha.sub_(math.log(factor))

    def advance(
        self,
        module: nn.Module,
        suffix: str,
        rows: Tensor,
        bias: Tensor | None,
        sweep: Sweep,
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
