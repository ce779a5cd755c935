"""The arguments of perturbations, read and checked: which circuit, units, synapses, and when."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from daleml import _sparse_weights, require
from daleml._sparse_weights import Pattern
from daleml.layers._recurrent.cell_interface import Cell
from daleml.layers._recurrent.circuit import Circuit
from daleml.layers._recurrent.perturbing import Window
from daleml.layers._shared import acting_parameters, synapse_options
from daleml.layers.blocks import Blocks
from daleml.populations import Populations

Units: TypeAlias = str | Sequence[str] | Sequence[int] | slice | Tensor
"""Populations by name, area or pattern; or the numbers of units, or a boolean mask of them."""
Synapses: TypeAlias = str | Sequence[str] | Blocks | Tensor
"""Pathways such as "E->PV", or a boolean matrix (post, pre)."""
Pair: TypeAlias = tuple[float, float]
"""The begin of a window, and its end, which is no part of it."""


def circuit(rnn: nn.Module) -> Circuit:
    """Return the one circuit of a model."""
    if not isinstance(rnn, nn.Module):
        raise TypeError(
            f"`rnn` must be a circuit, or a model with one; got {type(rnn).__name__}."
        )
    found = {
        name: module
        for name, module in rnn.named_modules()
        if isinstance(module, Circuit)
    }
    # Wrappers, such as DDP and what compiles, have the circuit among their modules.
    if len(found) == 1:
        return next(iter(found.values()))
    kind = type(rnn).__name__
    if not found:
        raise TypeError(
            "`rnn` must be a circuit of daleml.layers, such as EIRNN, or a model with one;"
            f" got {kind} without any."
        )
    names = ", ".join(repr(name) for name in found)
    raise ValueError(
        f"`rnn` must be one circuit, or a model with one; got {kind} with {len(found)}"
        f" ({names}): give one of them."
    )


def layer(circuit: Circuit, layer: int | None) -> int | None:
    """Read the number of a layer."""
    if layer is None:
        return None
    number = require.integer("layer", layer)
    if number >= len(circuit._suffixes):
        raise ValueError(
            f"`layer` must be below {len(circuit._suffixes)}, the number of layers; got"
            f" {number}."
        )
    # The only layer is every layer, of which `rates` knows as well.
    return number if len(circuit._suffixes) > 1 else None


def window(circuit: Circuit, window_ms: Any, steps: Any) -> Window | None:
    """Read when a perturbation acts."""
    if window_ms is not None and steps is not None:
        raise ValueError(
            "`window_ms` or `steps` must be given, and not both; got"
            f" {window_ms!r} and {steps!r}."
        )
    name, given = ("window_ms", window_ms) if steps is None else ("steps", steps)
    if given is None:
        return None
    if isinstance(circuit, Cell):
        raise ValueError(
            f"`{name}` must be left out for a cell, which has no trial: enter the block for"
            f" the steps that are meant; got {given!r}."
        )
    # An array has two numbers as a list has.
    if hasattr(given, "tolist"):
        given = given.tolist()
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError(f"`{name}` must be a pair (begin, end); got {given!r}.")
    read = require.number if name == "window_ms" else require.integer
    begin, end = (float(read(name, one)) for one in given)
    if not 0 <= begin < end < math.inf:
        raise ValueError(
            f"`{name}` must have 0 <= begin < end; got ({begin:g}, {end:g})."
        )
    window = Window(begin, end, name)
    # What no trial could satisfy is refused at once.
    window.within(2**62, circuit.dt_ms)
    return window


def units(circuit: Circuit, given: Any) -> Tensor:
    """Read which units are meant: their each, without repetition."""
    size = circuit.hidden_size
    if isinstance(given, str):
        return circuit.populations.index(given, argument="population")
    if isinstance(given, (list, tuple)) and given and isinstance(given[0], str):
        named = [circuit.populations.index(one, argument="population") for one in given]
        found: Tensor = torch.unique(torch.cat(named))
        return found
    # What a partition gives for a name.
    if isinstance(given, slice):
        given = range(size)[given]
    each = _read(given)
    # An empty list is read as floating-point numbers, of which there are none.
    if each is not None and not each.numel():
        raise ValueError("`population` must have a unit; got none.")
    if each is None or each.is_floating_point() or each.is_complex():
        raise TypeError(
            "`population` must be a name, the numbers of units, or a boolean mask of them;"
            f" got {_kind(given)}."
        )
    if each.dtype == torch.bool:
        if each.shape != (size,):
            raise ValueError(
                f"`population` must be a mask of the {size} units; got shape"
                f" {tuple(each.shape)}."
            )
        return units(circuit, each.nonzero().flatten())
    each = each.flatten().long()
    # A negative number would count from the end, which is a slip more often than it is meant.
    wrong = each[(each < 0) | (each >= size)]
    if len(wrong):
        raise ValueError(
            f"`population` must have numbers of units from 0 to {size - 1}; got"
            f" {int(wrong[0])}."
        )
    if len(torch.unique(each)) < len(each):
        raise ValueError("`population` must name every unit once; got one twice.")
    return each


def _read(given: Any) -> Tensor | None:
    """Return numbers as a tensor on the CPU; None if they are none."""
    try:
        read = torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        return None
    # Numbers of Python lose nothing in double precision.
    if read.is_floating_point() and not isinstance(given, Tensor):
        return torch.as_tensor(given, dtype=torch.float64, device="cpu")
    return read


def _kind(given: Any) -> str:
    """Return what kind of thing was given, of a tensor its dtype."""
    return str(given.dtype) if isinstance(given, Tensor) else type(given).__name__


def amount(given: Any, n_units: int) -> float | Tensor:
    """Read a current: a number, or one for each of the units."""
    if isinstance(given, (int, float)):
        return require.number("amount", given)
    each = given if isinstance(given, Tensor) else _read(given)
    if each is None or each.dtype == torch.bool or each.is_complex():
        raise TypeError(
            "`amount` must be a number, or one for each of the units; got"
            f" {_kind(given)}."
        )
    if each.ndim and each.shape != (n_units,):
        raise ValueError(
            f"`amount` must be a number or one for each of the {n_units} units; got shape"
            f" {tuple(each.shape)}."
        )
    if not each.is_meta and not bool(each.detach().isfinite().all()):
        raise ValueError("`amount` must be finite; got a number that is not.")
    return each


def pathway(circuit: Circuit, given: Any) -> tuple[Tensor, ...]:
    """Read which synapses of each layer are meant, one of them at least.

    Boolean (post, pre); of a sparse weight a vector, in the order of its synapses.
    """
    patterns = []
    for suffix in circuit._suffixes:
        name = circuit._wiring.parts(f"hh{suffix}")[0]
        patterns.append(_sparse_weights.pattern(circuit, name))
    found = [_synapses(circuit, given, pattern) for pattern in dict.fromkeys(patterns)]
    by_pattern = dict(zip(dict.fromkeys(patterns), found, strict=True))
    if not any(bool(meant.any()) for meant in found):
        what = "a synapse" if patterns[0] is not None else "a pair of units"
        raise ValueError(f"`pathway` must have {what}; got none.")
    return tuple(by_pattern[pattern] for pattern in patterns)


def _synapses(circuit: Circuit, given: Any, pattern: Pattern | None) -> Tensor:
    """Read synapses: a boolean matrix, Blocks, or the names of pathways."""
    size, units = circuit.hidden_size, circuit.populations
    if isinstance(given, Tensor):
        if given.dtype != torch.bool or given.shape != (size, size):
            raise ValueError(
                f"`pathway` must be a boolean matrix ({size}, {size}), as (post, pre), or"
                f" named; got {given.dtype} of shape {tuple(given.shape)}."
            )
        # A copy, since the block is to mean what was given where it began.
        meant: Tensor = given.detach().cpu().clone()
        return meant if pattern is None else pattern.entries(meant)
    if isinstance(given, Blocks):
        return _of_blocks(given, units, pattern)
    names = [given] if isinstance(given, str) else given
    named = isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names)
    if not names or not named:
        raise TypeError(
            "`pathway` must be one such as 'E->I', several of them, Blocks, or a boolean"
            f" matrix; got {given!r}."
        )
    found = []
    for name in names:
        # Blocks would say it of an argument of their own.
        sides = name.split("->")
        if len(sides) != 2 or not all(side.strip() for side in sides):
            raise ValueError(
                "`pathway` must be one such as 'E->I', from the presynaptic to the"
                f" postsynaptic population; got {name!r}."
            )
        found.append(_of_blocks(Blocks({name: 1}), units, pattern))
    return functools.reduce(torch.logical_or, found)


def _of_blocks(given: Blocks, units: Populations, pattern: Pattern | None) -> Tensor:
    """Return the synapses of the pathways that are not 0."""
    if pattern is None:
        return given.matrix(units, units, argument="pathway").bool()
    return synapse_options.of_blocks(given, (units, units), "pathway", pattern) != 0


def lesioned(
    circuit: Circuit,
    suffix: str,
    meant: Tensor,
    fraction: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Return which synapses of a layer are lesioned."""
    name = circuit._wiring.parts(f"hh{suffix}")[0]
    present = acting_parameters.present(circuit, name)
    exist = meant if present is None else meant & present.cpu()
    found = exist.flatten().nonzero().flatten()
    n_lesioned = round(fraction * len(found))
    # A draw of so many is exact, where one synapse at a time would be so on average only.
    device = "cpu" if generator is None else generator.device
    order = torch.randperm(len(found), generator=generator, device=device).cpu()
    lesioned = torch.zeros_like(exist).flatten()
    lesioned[found[order[:n_lesioned]]] = True
    return lesioned.view_as(exist)
