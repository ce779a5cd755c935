r"""Steps of coupled Morris-Lecar cells under one drive.

With gradients, or in place for many networks at once.

.. math:: T_j = \operatorname{logistic}\Big(\frac{V_j + 3\,\text{mV}}{8\,\text{mV}}\Big), \qquad
    I = \text{drive} + 36.75\, W T
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from daleml._support.compiling import compiled_copy
from daleml.neurons.morris_lecar import MorrisLecar

GAIN = 36.75
"""Of the current, µA/cm², as published."""
_HALF_MV, _WIDTH_MV = -3.0, 8.0
_CACHED = 200_000
"""Cells advanced together, in however many networks.

Their states stay in the cache, where all would not.
"""
_MANY = 100_000
"""Cells at once from which on compiling, which takes seconds, is soon repaid."""


def transmission(v: Tensor) -> Tensor:
    """Return how much a cell of voltage ``v``, mV, tells those it synapses on, in [0, 1]."""
    return torch.sigmoid((v - _HALF_MV) * (1 / _WIDTH_MV))


@dataclass(frozen=True)
class StepBlock:
    """A number of steps under one drive.

    Attributes:
        cell: The constants of the cells.
        dt_ms: Length of a step.
        n: Number of steps.
        counted: Whether to sum the activity after each step.
    """

    cell: MorrisLecar
    dt_ms: float
    n: int
    counted: bool


def advance(
    v: Tensor, w: Tensor, drive: Tensor, weight: Tensor, block: StepBlock
) -> tuple[Tensor, Tensor, Tensor]:
    """Advance under one drive.

    Args:
        v: Voltage, mV.
        w: Potassium gate.
        drive: Current from without, µA/cm².
        weight: Of the synapses, ``(post, pre)``.
        block: How far.

    Returns:
        Voltage, gate, and the summed activity; zero where it is not counted.

    Shape:
        ``v``, ``w``, ``drive`` and the results: (batch, cells). ``weight``: (cells, cells).
    """
    sums, sent = torch.zeros_like(v), transmission(v)
    for _ in range(block.n):
        v, w = block.cell.step(v, w, drive + GAIN * (sent @ weight.t()), block.dt_ms)
        sent = transmission(v)
        sums = sums + sent if block.counted else sums
    return v, w, sums


def advance_without_gradient(
    v: Tensor,
    w: Tensor,
    drive: Tensor,
    weight: Tensor,
    block: StepBlock,
    compiled: bool | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`advance` does, without gradients.

    Faster, and under ``vmap`` for many networks at once.
    """
    found = _InPlace.apply(v, w, drive, weight, block, compiled)  # type: ignore[no-untyped-call]
    return cast("tuple[Tensor, Tensor, Tensor]", found)


class _InPlace(torch.autograd.Function):
    """The values of :func:`advance` in place, with no gradient.

    Many networks at once, a cacheful at a time.
    """

    @staticmethod
    def forward(
        v: Tensor,
        w: Tensor,
        drive: Tensor,
        weight: Tensor,
        block: StepBlock,
        compiled: bool | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        members = torch.broadcast_shapes(*(x.shape[:-2] for x in (v, w, drive, weight)))  # type: ignore[no-untyped-call]
        full = (math.prod(members), *v.shape[-2:])
        v, w, drive = (
            x.expand(*members, *x.shape[-2:]).reshape(full).contiguous()
            for x in (v, w, drive)
        )
        weight = weight.expand(*members, *weight.shape[-2:]).reshape(
            full[0], *weight.shape[-2:]
        )
        v, w, sums = v.clone(), w.clone(), torch.zeros_like(v)
        if compiled is None:
            compiled, required = v.is_cpu and full[0] > 1 and v.numel() >= _MANY, False
        else:
            required = compiled
        n_blocks = min(math.ceil(v.numel() / _CACHED), full[0])
        for part in zip(
            *(x.tensor_split(n_blocks) for x in (v, w, sums, drive, weight)),
            strict=True,
        ):
            like, total = part[0], part[2] if block.counted else None
            use = block.cell, block.dt_ms
            if compiled:
                step = _compiled(
                    *use, required, like.shape, like.dtype, like.device, block.counted
                )
            else:
                step = functools.partial(_step_, *use)
            _advance_(step, part[0], part[1], total, part[3], part[4], block.n)
        shape = (*members, *full[1:])
        return v.view(shape), w.view(shape), sums.view(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: there is no backward."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> Any:
        """Put the members first, a dimension of their own in each tensor, and so at every level of ``vmap``."""
        moved: list[Any] = [
            (
                x
                if not isinstance(x, Tensor)
                else x.unsqueeze(0)
                if dim is None
                else x.movedim(dim, 0)
            )
            for x, dim in zip(inputs, in_dims, strict=True)
        ]
        return advance_without_gradient(*moved), (0, 0, 0)


def _advance_(
    step: Callable[..., None],
    v: Tensor,
    w: Tensor,
    sums: Tensor | None,
    drive: Tensor,
    weight: Tensor,
    n: int,
) -> None:
    sent, received, across = transmission(v), torch.empty_like(v), weight.mT
    for _ in range(n):
        torch.bmm(
            sent, across, out=received
        )  # the drive is added where the sum is read: a pass less
        step(v, w, sent, sums, drive, received)


def _step_(
    cell: MorrisLecar,
    dt_ms: float,
    v: Tensor,
    w: Tensor,
    sent: Tensor,
    sums: Tensor | None,
    drive: Tensor,
    received: Tensor,
) -> None:
    new_v, new_w = cell.step(v, w, drive + GAIN * received, dt_ms)
    v.copy_(new_v)
    w.copy_(new_w)
    sent.copy_(transmission(new_v))
    if sums is not None:
        sums.add_(sent)


def _compact_step_(
    cell: MorrisLecar,
    dt_ms: float,
    v: Tensor,
    w: Tensor,
    sent: Tensor,
    sums: Tensor | None,
    drive: Tensor,
    received: Tensor,
) -> None:
    """What :func:`_step_` does, by three exponentials and three divisions.

    Compiled, those are what it costs.
    """
    e = torch.exp(
        ((v - cell.v3) * (0.5 / cell.v4)).clamp(max=12)
    )  # clamped so that e**6 is finite
    odds, pace = (e * e) * (e * e), (cell.phi * dt_ms / 2) * (e * e + 1)
    new_w = w + (odds - w * (1 + odds)) * pace / ((1 + odds) * (e + pace / 2))
    closed = 1 + torch.exp(((cell.v1 - v) * (2 / cell.v2)).clamp(max=50))  # 1 / m
    k = cell.g_k * new_w
    g = cell.g_ca + (k + cell.g_l) * closed
    towards = cell.g_ca * cell.e_ca + closed * (
        k * cell.e_k + (cell.g_l * cell.e_l + drive + GAIN * received)
    )
    new_v = v + dt_ms * (towards - g * v) / (cell.c * closed + dt_ms / 2 * g)
    now = transmission(new_v)
    v.copy_(new_v)
    w.copy_(new_w)
    sent.copy_(now)
    if sums is not None:
        sums.add_(now)


@functools.lru_cache(maxsize=64)
def _compiled(
    cell: MorrisLecar,
    dt_ms: float,
    required: bool,
    shape: torch.Size,
    dtype: torch.dtype,
    device: torch.device,
    counted: bool,
) -> Callable[..., None]:
    """Return the step compiled for states of one shape.

    Where it cannot be, and is not required, the plain one.
    """
    compact = functools.partial(compiled_copy(_compact_step_), cell, dt_ms)
    v, w, sent, drive, received = (
        torch.zeros(shape, dtype=dtype, device=device) for _ in range(5)
    )
    try:
        compact(v, w, sent, torch.zeros_like(v) if counted else None, drive, received)
    except (RuntimeError, OSError) as error:
        if required:
            raise
        warnings.warn(
            "`compiled` is False for this run: torch cannot compile here"
            f" ({type(error).__name__}).",
            RuntimeWarning,
            stacklevel=2,
        )
        return functools.partial(_step_, cell, dt_ms)
    return compact
