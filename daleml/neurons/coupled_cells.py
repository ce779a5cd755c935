r"""Steps of coupled Morris-Lecar cells under a constant drive.

:func:`advance` is the readable rule, through which gradients pass. Without gradients,
:func:`advance_without_gradient` computes the same in place, for many networks at once.

.. math:: T_j = \operatorname{logistic}\Big(\frac{V_j + 3\,\text{mV}}{8\,\text{mV}}\Big), \qquad
    I = \text{drive} + 36.75\, W T

A step takes :math:`T` from the middle of itself, by a line through the last two:
:math:`\tfrac32 T_t - \tfrac12 T_{t-1}`. Cells of ``first_order`` take :math:`T_t`, as published.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from daleml._support.compiling import compiled_copy
from daleml.neurons.morris_lecar import MorrisLecar

GAIN = 36.75
"""The current of a synapse of weight 1 from a fully active cell, µA/cm², as published."""
_HALF_MV = -3.0
"""The voltage at which transmission is one half."""
_WIDTH_MV = 8.0
"""The width of the transmission's rise with voltage."""
_CACHED = 200_000
"""The number of cells advanced together, in however many networks, so that they fit the cache."""
_MANY = 30_000
"""The number of cells from which on compiling, which takes seconds, is soon repaid."""


def transmission(v: Tensor) -> Tensor:
    """Return the transmission of cells of voltage ``v``, mV: their graded output, in [0, 1]."""
    return torch.sigmoid((v - _HALF_MV) * (1 / _WIDTH_MV))


@dataclass(frozen=True)
class StepBlock:
    """A number of steps under a constant drive.

    Attributes:
        cell: The constants of the cells.
        dt_ms: Length of a step.
        n: Number of steps.
        counted: Whether to sum the transmission after each step.
    """

    cell: MorrisLecar
    dt_ms: float
    n: int
    counted: bool


class Cells(NamedTuple):
    """States of coupled cells, each (batch, cells).

    Attributes:
        v: Voltage, mV.
        w: Potassium gate.
        middle: Transmission that the next step reads, expected for its middle; at first, that
            of ``v``.
    """

    v: Tensor
    w: Tensor
    middle: Tensor

    @classmethod
    def at(cls, v: Tensor, w: Tensor) -> Cells:
        """Return cells that have made no step yet."""
        return cls(v, w, transmission(v))


def advance(
    cells: Cells,
    drive: Tensor,
    weight: Tensor,
    block: StepBlock,
    compiled: bool | None = None,
) -> tuple[Cells, Tensor]:
    """Advance coupled cells by some steps under a constant drive.

    Args:
        cells: Their states.
        drive: Current from outside the network, µA/cm².
        weight: Weight of the synapses, ``(post, pre)``.
        block: The steps.
        compiled: Whether to compile the step; not under ``torch.func``'s transforms.

    Returns:
        Their states at the end, and the summed transmission, zero where it is not counted.

    Shape:
        The states, ``drive`` and the sum: (batch, cells). ``weight``: (cells, cells).
    """
    v, w, middle = cells
    sums, sent = torch.zeros_like(v), transmission(v)
    # Compiled code cannot be differentiated by `torch.func`.
    step: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    step = functools.partial(_step, block.cell, block.dt_ms)
    if compiled and not torch._C._are_functorch_transforms_active():
        step = _compiled_with_gradient(_StepKind.of(block, v))
        if not v.requires_grad:
            # Otherwise the first step, of a state without gradient, is compiled beside the others.
            v = v.detach().requires_grad_()
    for _ in range(block.n):
        v, w, sent, middle = step(v, w, sent, middle, drive, weight)
        if block.counted:
            sums = sums + sent
    return Cells(v, w, middle), sums


def _step(
    cell: MorrisLecar,
    dt_ms: float,
    v: Tensor,
    w: Tensor,
    sent: Tensor,
    middle: Tensor,
    drive: Tensor,
    weight: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return voltage, gate, transmission, and what the next step reads, after a step."""
    v, w = cell.step(v, w, drive + GAIN * (middle @ weight.t()), dt_ms)
    now = transmission(v)
    return v, w, now, _middle(cell, sent, now)


def _middle(cell: MorrisLecar, sent: Tensor, now: Tensor) -> Tensor:
    """Return the transmission in the middle of the step that follows ``sent`` and ``now``."""
    return now if cell.first_order else now + (now - sent) / 2


def advance_without_gradient(
    cells: Cells,
    drive: Tensor,
    weight: Tensor,
    block: StepBlock,
    compiled: bool | None,
) -> tuple[Cells, Tensor]:
    """Return what :func:`advance` does, without gradients and faster.

    Under ``vmap`` it advances many networks at once.

    Args:
        cells: The cells' states.
        drive: Current from outside the network, µA/cm².
        weight: Weight of the synapses, ``(post, pre)``.
        block: The steps.
        compiled: Whether to compile the step; None: where many cells will soon repay it.
    """
    found = _InPlace.apply(*cells, drive, weight, block, compiled)  # type: ignore[no-untyped-call]
    v, w, middle, sums = cast("tuple[Tensor, Tensor, Tensor, Tensor]", found)
    return Cells(v, w, middle), sums


class _InPlace(torch.autograd.Function):
    """What :func:`advance` computes, in place and without gradient.

    Many networks are advanced in blocks that fit the cache, each to the end of its steps.
    """

    @staticmethod
    def forward(
        v: Tensor,
        w: Tensor,
        middle: Tensor,
        drive: Tensor,
        weight: Tensor,
        block: StepBlock,
        compiled: bool | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shapes = [x.shape[:-2] for x in (v, w, middle, drive, weight)]
        members = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
        # They are advanced in place, and the caller's states must stay as they are.
        v, w = _one_batch(v, members).clone(), _one_batch(w, members).clone()
        middle = _one_batch(middle, members).clone()
        drive = _one_batch(drive, members).contiguous()
        weight = _one_batch(weight, members)
        sums = torch.zeros_like(v)
        # A block holds whole networks, since the cells of one drive each other.
        n_blocks = min(math.ceil(v.numel() / _CACHED), len(v))
        tensors = (v, w, middle, sums, drive, weight)
        blocks = zip(*(x.tensor_split(n_blocks) for x in tensors), strict=True)
        required = bool(compiled)
        if compiled is None:
            compiled = v.is_cpu and len(v) > 1 and v.numel() >= _MANY
        for *state, sums_i, drive_i, weight_i in blocks:
            if compiled:
                step = _compiled(_StepKind.of(block, state[0]), required)
            else:
                step = functools.partial(_step_, block.cell, block.dt_ms)
            total = sums_i if block.counted else None
            _advance_(step, Cells(*state), total, drive_i, weight_i, block)
        return (
            v.view(*members, *v.shape[1:]),
            w.view(*members, *w.shape[1:]),
            middle.view(*members, *middle.shape[1:]),
            sums.view(*members, *sums.shape[1:]),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: there is no backward."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        """Put the members first, as a dimension of each tensor, at every level of ``vmap``."""
        moved: list[Any] = []
        for x, dim in zip(inputs, in_dims, strict=True):
            if not isinstance(x, Tensor):
                moved.append(x)
            elif dim is None:
                moved.append(x.unsqueeze(0))
            else:
                moved.append(x.movedim(dim, 0))
        return _InPlace.apply(*moved), (0, 0, 0, 0)  # type: ignore[no-untyped-call]


def _one_batch(x: Tensor, members: torch.Size) -> Tensor:
    """Return matrices of all members, (n_members, rows, columns)."""
    return x.expand(*members, *x.shape[-2:]).reshape(-1, *x.shape[-2:])


def _advance_(
    step: Callable[..., None],
    cells: Cells,
    sums: Tensor | None,
    drive: Tensor,
    weight: Tensor,
    block: StepBlock,
) -> None:
    """Advance cells in place."""
    sent, received, across = transmission(cells.v), torch.empty_like(drive), weight.mT
    for _ in range(block.n):
        # The drive is added where the sum is read, which saves a pass over memory.
        torch.bmm(cells.middle, across, out=received)
        step(*cells[:2], sent, cells.middle, sums, drive, received)


def _step_(
    cell: MorrisLecar,
    dt_ms: float,
    v: Tensor,
    w: Tensor,
    sent: Tensor,
    middle: Tensor,
    sums: Tensor | None,
    drive: Tensor,
    received: Tensor,
) -> None:
    """Advance cells by a step, in place."""
    new_v, new_w = cell.step(v, w, drive + GAIN * received, dt_ms)
    now = transmission(new_v)
    v.copy_(new_v)
    w.copy_(new_w)
    middle.copy_(_middle(cell, sent, now))
    sent.copy_(now)
    if sums is not None:
        sums.add_(now)


def _compact_step_(
    cell: MorrisLecar,
    dt_ms: float,
    v: Tensor,
    w: Tensor,
    sent: Tensor,
    middle: Tensor,
    sums: Tensor | None,
    drive: Tensor,
    received: Tensor,
) -> None:
    r"""Do what :func:`_step_` does, by three exponentials and three divisions.

    Compiled, those are what it costs. With :math:`e = \exp((V - V_3) / 2 V_4)`, the odds of an
    open gate are :math:`e^4`, and the hyperbolic cosine is :math:`(e + 1/e) / 2`.
    """
    # Clamped so that e**6 is finite.
    e = torch.exp(((v - cell.v3) * (0.5 / cell.v4)).clamp(max=12))
    odds = (e * e) * (e * e)
    pace = (cell.phi * dt_ms / 2) * (e * e + 1)
    # The semi-implicit step of w, multiplied through by 1 + odds so that one division is left.
    new_w = w + (odds - w * (1 + odds)) * pace / ((1 + odds) * (e + pace / 2))
    # Clamped so that its square is finite in single precision.
    shut = torch.exp(((cell.v1 - v) * (2 / cell.v2)).clamp(max=30))
    closed = 1 + shut  # 1 / m
    k = cell.g_k * new_w
    g = cell.g_ca + (k + cell.g_l) * closed
    towards = cell.g_ca * cell.e_ca + closed * (
        k * cell.e_k + (cell.g_l * cell.e_l + drive + GAIN * received)
    )
    below, above = cell.c * closed + dt_ms / 2 * g, dt_ms * (towards - g * v)
    if not cell.first_order:
        # How fast the gate opens itself; multiplied through by 1 / m once more.
        rise = (cell.g_ca * dt_ms / cell.v2) * (shut * (cell.e_ca - v))
        below, above = below * closed - rise, above * closed
    new_v = v + above / below
    now = transmission(new_v)
    v.copy_(new_v)
    w.copy_(new_w)
    middle.copy_(_middle(cell, sent, now))
    sent.copy_(now)
    if sums is not None:
        sums.add_(now)


class _StepKind(NamedTuple):
    """What a step is compiled for."""

    cell: MorrisLecar
    dt_ms: float
    counted: bool
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, block: StepBlock, like: Tensor) -> _StepKind:
        """Return the kind of a block's steps for states such as ``like``."""
        own = (block.cell, block.dt_ms, block.counted)
        return cls(*own, like.shape, like.dtype, like.device)


@functools.lru_cache(maxsize=64)
def _compiled(kind: _StepKind, required: bool) -> Callable[..., None]:
    """Return the step compiled for states of one shape.

    Where it cannot be compiled, and is not required to be, the plain one is returned.
    """
    # A cell of another class may have a step of its own.
    ours = type(kind.cell).step is MorrisLecar.step
    step = compiled_copy(_compact_step_ if ours else _step_)
    compact = functools.partial(step, kind.cell, kind.dt_ms)

    def zeros() -> Tensor:
        return torch.zeros(kind.shape, dtype=kind.dtype, device=kind.device)

    sums = zeros() if kind.counted else None
    try:
        # Compiled by its first call.
        compact(*(zeros() for _ in range(4)), sums, zeros(), zeros())
    except (RuntimeError, OSError) as error:
        if required:
            raise
        warnings.warn(
            "`compiled` is False for this run: torch cannot compile here"
            f" ({type(error).__name__}).",
            RuntimeWarning,
            stacklevel=2,
        )
        return functools.partial(_step_, kind.cell, kind.dt_ms)
    return compact


@functools.lru_cache(maxsize=64)
def _compiled_with_gradient(
    kind: _StepKind,
) -> Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return the step compiled with its backward pass, for states of one shape."""
    return functools.partial(compiled_copy(_step), kind.cell, kind.dt_ms)
