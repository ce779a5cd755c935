"""The interface of a wiring, which stores and composes the synapses of a circuit.

A recurrent layer has two *paths*, from its input (``ih``) and from its own state (``hh``). A
wiring knows which parameters make up a path, what their signs are, how they are drawn, and what
they amount to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from daleml._signs.drawn_masks import DrawnBlocks
from daleml._sparse_weights import Pattern
from daleml.layers import init
from daleml.layers._recurrent.layer_sweep import LayerSweep
from daleml.layers._shared import acting_parameters
from daleml.layers._shared.sparse_product import StepMatrix
from daleml.populations import Populations


class Path(NamedTuple):
    """From where to where, as the circuit says it."""

    name: str
    """``ih_l0``, ``hh_l0``, ..., or ``ih`` and ``hh`` in a cell."""
    pre: Populations
    post: int
    present: Tensor | None
    drawn: bool | DrawnBlocks = False
    """Whether ``present`` was drawn at random, so that a checkpoint may bring another draw."""
    structured: bool = False
    """Whether it was said which units are connected, so that rows may differ on purpose."""
    unsigned: tuple[int, ...] = ()
    """The presynaptic units that have no sign."""
    fixed: Tensor | None = None
    """Which synapses do not learn, boolean; None if all do."""
    wholly_fixed: bool = False
    """Whether nothing of the path learns."""
    strength: Tensor | None = None
    """Relative mean strength of each synapse; None if all are alike."""
    learning: Tensor | None = None
    """Factor on what each synapse learns; None if all are 1."""
    pattern: Pattern | None = None
    """Where the synapses of a sparse weight lie; None of a matrix.

    ``present`` is then None, and what says something of each synapse is a vector.
    """

    def unit_signs(self) -> list[float | None]:
        """Return the sign of each presynaptic unit, None for one without."""
        found: list[float | None] = self.pre.signs(device="cpu").tolist()
        for unit in self.unsigned:
            found[unit] = None
        return found

    @property
    def from_state(self) -> bool:
        """Whether it is recurrent."""
        return self.name.startswith("hh")

    @property
    def kind(self) -> str:
        """``ih`` or ``hh``, for roles."""
        return self.name[:2]


class PathDrawing(NamedTuple):
    """How a path is drawn.

    Attributes:
        input_mean: Mean of what comes in.
        draw: Distribution of the magnitudes, given their mean.
        generator: Source of randomness.
    """

    input_mean: float
    draw: init.Draw
    generator: torch.Generator | None


class Wiring:
    """What a circuit asks of its wiring.

    Attributes:
        matrices: The names of the matrices that make up a path, without the path; first the one
            that local plasticity changes.
        shunting: Whether inhibition also divides, so that composed weights do not say all.
    """

    matrices: ClassVar[tuple[str, ...]]
    shunting: bool = False

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
        self, module: nn.Module, path: Path, bias: Tensor | None, how: PathDrawing
    ) -> None:
        """Initialise the path, and, of an input path, the bias that centres it."""
        raise NotImplementedError

    def draw_shared(self, module: nn.Module, suffix: str) -> None:
        """Initialise what both paths share."""

    def step_matrix(self, module: nn.Module, name: str) -> StepMatrix:
        """Compose what multiplies the input or the state, before any division, ``(post, pre)``."""
        return acting_parameters.composed(module, self.matrices, name)

    def scale_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply the composed weight by a factor."""
        raise NotImplementedError

    def weaken_inhibition_(self, module: nn.Module, name: str, factor: float) -> None:
        """Multiply what inhibits in a path by a factor, and leave what excites."""
        raise NotImplementedError

    def balance_(
        self, module: nn.Module, name: str, balance: Callable[[Tensor], Tensor]
    ) -> bool:
        """Multiply a weight that holds both signs by factors of it; False if there is none."""
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
        """Draw all paths anew; the mean of magnitudes is ``ratio`` times their deviation."""
        raise NotImplementedError

    def advance(
        self,
        module: nn.Module,
        suffix: str,
        rows: Tensor,
        bias: Tensor | None,
        sweep: LayerSweep,
    ) -> tuple[Tensor, Tensor]:
        """Run one layer whose inhibition divides over all steps."""
        raise NotImplementedError
