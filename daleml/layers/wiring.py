r"""How a circuit's synapses are stored and composed: column EI, or a Dale's ANN.

A recurrent layer has two *paths*, from its input (``ih``) and from its own state (``hh``). A wiring knows which
parameters make up a path, what their signs are, how they are drawn, and what they amount to.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daleml import signs
from daleml.layers import functional, init, recurrence, redraw
from daleml.layers.recurrence import Sweep
from daleml.populations import Populations

SPECTRAL_RADIUS = 1.5
"""Of a column-EI circuit at initialisation, as in Li et al. 2023."""
SPECTRAL_RADIUS_ONE_SIGN = 0.9
"""Of a circuit of one sign, which nothing balances: activity should fade."""
PYTORCH_VARIANCE = 1 / 3
"""Of a DANN's effective recurrent weight at initialisation, times its size: that of ``nn.RNN``."""


class Path(NamedTuple):
    """From where to where, as the circuit says it."""

    name: str  # ih_l0, hh_l0, ..., or ih and hh in a cell
    pre: Populations
    post: int
    present: Tensor | None
    drawn: bool = False  # whether `present` was drawn at random, so that a checkpoint may bring another draw

    @property
    def from_state(self) -> bool:
        """Whether it is recurrent."""
        return self.name.startswith("hh")

    @property
    def kind(self) -> str:
        """``ih`` or ``hh``, for roles."""
        return self.name[:2]


class Drawing(NamedTuple):
    """How a path is drawn: the mean of what comes in, the distribution of magnitudes, and the source of randomness."""

    input_mean: float
    draw: init.Draw
    generator: torch.Generator | None


class Wiring:
    """What a circuit asks of its wiring."""

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Give the module the path's parameters, empty."""
        raise NotImplementedError

    def register_shared(self, module: nn.Module, suffix: str, size: int, factory: dict[str, Any]) -> None:
        """Give the module what both paths of a layer share: nothing, unless it says otherwise."""

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix the signs of the path's parameters."""
        raise NotImplementedError

    def draw(self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing) -> None:
        """Initialise the path, and, of an input path, the bias that centres it."""
        raise NotImplementedError

    def draw_shared(self, module: nn.Module, suffix: str) -> None:
        """Initialise what both paths share."""

    def weight(self, module: nn.Module, name: str) -> Tensor:
        """Compose what multiplies the input or the state, ``(post, pre)``."""
        raise NotImplementedError

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply the composed weight by a factor."""
        raise NotImplementedError

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the names of the matrices that make up a path; first the one that local plasticity changes."""
        raise NotImplementedError

    def redraw_(self, module: Any, draw: init.Draw, ratio: float, generator: torch.Generator | None) -> None:
        """Draw all paths anew, by magnitudes whose mean is ``ratio`` times their standard deviation."""
        raise NotImplementedError

    def advance(
        self, module: nn.Module, suffix: str, rows: Tensor, bias: Tensor | None, sweep: Sweep
    ) -> tuple[Tensor, Tensor]:
        """Run one layer over all steps; both weights are composed once."""
        weight_ih, weight_hh = self.weight(module, f"ih{suffix}"), self.weight(module, f"hh{suffix}")
        return recurrence.run(rows, weight_ih, bias, weight_hh, sweep)


class ColumnEI(Wiring):
    """One signed weight a path; its columns have the signs of the presynaptic units."""

    def register(self, module: nn.Module, path: Path, factory: dict[str, Any]) -> None:
        """Register ``weight_<path>``."""
        module.register_parameter(f"weight_{path.name}", nn.Parameter(torch.empty(path.post, path.pre.size, **factory)))

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix one sign a presynaptic unit."""
        role, pre_signs = f"weight_{path.kind}", path.pre.signs(device="cpu")
        name, present = f"weight_{path.name}", path.present
        signs.fix(module, name, pre_signs, present=present, role=role, drawn=path.drawn, default=True)

    def draw(self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing) -> None:
        """Balance inhibition and excitation; give a recurrent path its spectral radius."""
        weight = module.get_parameter(f"weight_{path.name}")
        bias = None if path.from_state else bias
        init.column_ei_(weight, path.pre.signs(device="cpu"), bias, **how._asdict())
        with torch.no_grad():
            if path.present is not None:
                weight.mul_(path.present.to(weight.device))
                if bias is not None:
                    bias.mul_(path.present.double().mean(1).to(bias))
        if path.from_state and not weight.is_meta:
            radius = SPECTRAL_RADIUS if path.pre.n_exc and path.pre.n_inh else SPECTRAL_RADIUS_ONE_SIGN
            if init.has_loop(weight):
                init.spectral_radius_(weight, radius)

    def weight(self, module: nn.Module, name: str) -> Tensor:
        """Return the weight, zero where there is no synapse."""
        return _present(module, f"weight_{name}")

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the name of the only matrix."""
        return (f"weight_{name}",)

    def redraw_(self, module: Any, draw: init.Draw, ratio: float, generator: torch.Generator | None) -> None:
        """Draw all paths anew, with means that keep the variance of column EI."""
        module.reset_parameters(generator, draw=redraw.for_column_ei(draw, ratio))

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Scale the weight."""
        with torch.no_grad():
            module.get_parameter(f"weight_{name}").mul_(factor)


class DANN(Wiring):
    """Three non-negative weights a path, ``Wex - Wei Wix``: interneurons are fed forward, between time steps."""

    def __init__(self, n_inh: int, shunting: bool, eps: float) -> None:
        self.n_inh, self.shunting, self.eps = n_inh, shunting, eps

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
            module.register_parameter(f"{part}_{path.name}", nn.Parameter(torch.empty(shape, **factory)))

    def register_shared(self, module: nn.Module, suffix: str, size: int, factory: dict[str, Any]) -> None:
        """Register the gain that both paths' shunt divides."""
        if self.shunting:
            module.register_parameter(f"gain{suffix}", nn.Parameter(torch.empty(size, **factory)))

    def declare(self, module: nn.Module, path: Path) -> None:
        """Fix the signs of all three, with the corrections of their learning rates."""
        per_output, per_input = 1 / math.sqrt(path.post), 1 / path.pre.size
        inputs, interneurons = (torch.ones(n, device="cpu") for n in (path.pre.size, self.n_inh))
        for part, pre, present, scale in (
            ("weight_ex", inputs, path.present, 1.0),
            ("weight_ix", inputs, None, per_output),
            ("weight_ei", interneurons, None, per_input),
        ):
            role = f"{part}_{path.kind}"
            name, drawn = f"{part}_{path.name}", path.drawn
            signs.fix(module, name, pre, present=present, role=role, lr_scale=scale, drawn=drawn, default=True)
        if self.shunting:
            role = f"alpha_{path.kind}"
            signs.declare(module, f"alpha_{path.name}", role=role, lr_scale=per_output * per_input, default=True)

    def draw(self, module: nn.Module, path: Path, bias: Tensor | None, how: Drawing) -> None:
        """Centre the composed weight, and give it the variance of ``nn.RNN``'s, 1 / (3 units), on both paths."""
        alpha = module.get_parameter(f"alpha_{path.name}") if self.shunting else None
        weight_ex, weight_ix, weight_ei = (
            module.get_parameter(f"{part}_{path.name}") for part in ("weight_ex", "weight_ix", "weight_ei")
        )
        init.dann_(
            weight_ex,
            weight_ix,
            weight_ei,
            alpha,
            numerator=PYTORCH_VARIANCE * path.pre.size / path.post,
            present=path.present,
            draw=how.draw,
            generator=how.generator,
        )
        if alpha is not None:
            with torch.no_grad():
                alpha.sub_(math.log(2))  # two paths divide together

    def draw_shared(self, module: nn.Module, suffix: str) -> None:
        """Set the gain to 1."""
        if self.shunting:
            gain = module.get_parameter(f"gain{suffix}")
            signs.fix(module, f"gain{suffix}", torch.ones(gain.numel(), device="cpu"), role="gain")
            nn.init.ones_(gain)

    def weight(self, module: nn.Module, name: str) -> Tensor:
        """Compose the three, before any division."""
        return functional.dann_effective_weight(*self._parts(module, name))

    def parts(self, name: str) -> tuple[str, ...]:
        """Return the names of the three matrices, the excitatory one first."""
        return tuple(f"{part}_{name}" for part in ("weight_ex", "weight_ix", "weight_ei"))

    def redraw_(self, module: Any, draw: init.Draw, ratio: float, generator: torch.Generator | None) -> None:
        """Draw all paths anew, with means that keep the variance of a DANN, and its mean shunt."""
        module.reset_parameters(generator, draw=redraw.for_dann(draw, ratio))
        redraw.weaken_shunt_(module, ratio)

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Scale excitation and inhibition alike, and leave the shunt as it was."""
        with torch.no_grad():
            module.get_parameter(f"weight_ex_{name}").mul_(factor)
            module.get_parameter(f"weight_ei_{name}").mul_(factor)
            if self.shunting:
                module.get_parameter(f"alpha_{name}").sub_(math.log(factor))

    def advance(
        self, module: nn.Module, suffix: str, rows: Tensor, bias: Tensor | None, sweep: Sweep
    ) -> tuple[Tensor, Tensor]:
        """Run one layer over all steps; a shunt goes through the interneurons at every one of them."""
        if not self.shunting:
            return super().advance(module, suffix, rows, bias, sweep)
        weights_ih, weights_hh = (
            (*self._parts(module, name), getattr(module, f"alpha_{name}")) for name in (f"ih{suffix}", f"hh{suffix}")
        )
        gain = getattr(module, f"gain{suffix}")
        return recurrence.run_shunting(rows, weights_ih, weights_hh, gain, bias, self.eps, sweep)

    def _parts(self, module: nn.Module, name: str) -> tuple[Tensor, Tensor, Tensor]:
        excitation = _present(module, f"weight_ex_{name}")
        return excitation, getattr(module, f"weight_ix_{name}"), getattr(module, f"weight_ei_{name}")


def _present(module: nn.Module, name: str) -> Tensor:
    """Return a weight, zero where there is no synapse, so that what does not exist has no gradient either."""
    weight: Tensor = getattr(module, name)
    present = getattr(module, f"{name}_present", None)
    return weight if present is None else weight * present
