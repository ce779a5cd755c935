"""Pre-activations before and after: measured on the original, matched in the lawful model, layer by layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from daleml import law
from daleml.convert.synapses import CELLS, RECURRENT, TRANSPOSED, WEIGHTED, Synapses, synapses_of, unit_dim
from daleml.convert.tracing import Example, hooked, undisturbed
from daleml.layers import init

Key = tuple[str, str]  # of a module, of a weight within it


@dataclass(frozen=True)
class Drive:
    """What one weight gave on the example: mean over all, variance over batch, positions and units."""

    mean: float
    variance: float


def redraw_(module: nn.Module, weight: str, draw: init.Draw, generator: torch.Generator | None) -> None:
    """Fill a weight whose signs are fixed so that excitation and inhibition balance in every row, on a unit scale."""
    parameter = cast("Tensor", getattr(module, weight))
    sign = law.broadcastable(cast("Tensor", getattr(module, weight + law.SUFFIX)), parameter).expand_as(parameter)
    post = 1 if isinstance(module, TRANSPOSED) else 0
    others = [dim for dim in range(parameter.ndim) if dim != post]
    n_exc, n_inh = ((sign == s).sum(dim=others, keepdim=True) for s in (1, -1))
    balance = torch.where((n_exc > 0) & (n_inh > 0), n_exc / n_inh.clamp_min(1), torch.ones(()).to(n_exc))
    magnitude = draw(torch.empty_like(parameter), 1.0, generator=generator)
    with torch.no_grad():
        parameter.copy_(magnitude * torch.where(sign > 0, 1.0, -balance).to(parameter))


def measure(model: nn.Module, example: Example) -> dict[Key, Drive]:
    """Run the model in its own mode, and measure what every weight gives, its bias included."""
    drives: dict[Key, Drive] = {}

    def visit(name: str, module: nn.Module, synapses: Synapses, drive: Callable[[], Tensor]) -> None:
        drives[name, synapses.name] = _summary(drive())

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def calibrate_(model: nn.Module, example: Example, targets: Mapping[Key, Drive], redrawn: set[Key]) -> dict[Key, Drive]:
    """Scale the weights that were redrawn, in the order in which they run, so that each gives what the original gave.

    A bias is moved so that each unit's mean is the original's over all units. Where there is none, the mean stays.

    Returns:
        What each weight gives now.
    """
    drives: dict[Key, Drive] = {}

    def visit(name: str, module: nn.Module, synapses: Synapses, drive: Callable[[], Tensor]) -> None:
        key = name, synapses.name
        target = targets.get(key)
        if key in redrawn and target is not None:
            weight = cast("Tensor", getattr(module, synapses.name))
            # Its own drive changes what a recurrent weight reads, so its scale is looked for.
            for _ in range(8 if synapses.reads in ("state", "cells") else 1):
                if synapses.bias is not None:
                    bias = cast("Tensor", getattr(module, synapses.bias))
                    bias += (target.mean - _unit_means(drive())).to(bias)
                variance = _summary(drive()).variance
                if not (variance > 0 and target.variance > 0):
                    break
                scale = math.sqrt(target.variance / variance)
                weight *= scale
                if abs(scale - 1) < 0.02:
                    break
            if synapses.bias is not None:
                bias += (target.mean - _unit_means(drive())).to(bias)
        drives[key] = _summary(drive())

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def _walk(
    model: nn.Module, example: Example, visit: Callable[[str, nn.Module, Synapses, Callable[[], Tensor]], None]
) -> None:
    """Run the example; at each weighted module's first call, before it runs, visit its weights in order.

    A visitor may change the weight: what follows sees the change. ``drive()`` computes what the weight gives now, of
    shape ``(..., units)``.
    """
    names = {module: name for name, module in model.named_modules()}
    visited: set[nn.Module] = set()

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if not isinstance(module, WEIGHTED) or module in visited or not args or not isinstance(args[0], Tensor):
            return
        visited.add(module)
        for synapses, drive in _drives(module, args):
            visit(names[module], module, synapses, drive)

    with hooked(model, before, None):
        model(*example)


def _drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[tuple[Synapses, Callable[[], Tensor]]]:
    if isinstance(module, RECURRENT):
        yield from _recurrent_drives(module, args[0])
    elif isinstance(module, CELLS):
        yield from _cell_drives(module, args)
    else:
        (synapses,) = synapses_of(module)
        forward = type(module).forward  # without the hooks, which brought us here

        def drive() -> Tensor:
            output = cast("Tensor", forward(module, *args))
            return output.movedim(unit_dim(module, output), -1)

        yield synapses, drive


def _cell_drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[tuple[Synapses, Callable[[], Tensor]]]:
    cell = cast("Any", module)
    state = args[1] if len(args) > 1 else None
    state = state[0] if isinstance(state, tuple) else state
    for synapses in synapses_of(module):
        if synapses.reads == "state" and state is None:
            forward = type(module).forward
            output = forward(module, args[0])
            state = output[0] if isinstance(output, tuple) else output  # what it would read a step later
        rates = args[0] if synapses.reads == "input" else cast("Tensor", state)

        yield synapses, functools.partial(_linear_drive, cell, synapses, rates)


def _linear_drive(module: Any, synapses: Synapses, rates: Tensor) -> Tensor:
    bias = getattr(module, synapses.bias) if synapses.bias else None
    return nn.functional.linear(rates, getattr(module, synapses.name), bias)


def _recurrent_drives(module: nn.Module, x: Tensor) -> Iterator[tuple[Synapses, Callable[[], Tensor]]]:
    """Run a stack layer by layer and direction by direction, each as a module of one layer."""
    stack = cast("Any", module)
    x = x if not stack.batch_first or x.ndim < 3 else x.transpose(0, 1)
    n_directions = 2 if stack.bidirectional else 1
    all_synapses = list(synapses_of(module))
    for layer in range(stack.num_layers):
        outputs = []
        for direction in range(n_directions):
            suffix = f"_l{layer}" + "_reverse" * direction
            rates = x.flip(0) if direction else x
            for synapses in (one for one in all_synapses if one.name.endswith(suffix)):
                yield synapses, _one_layer_drive(stack, synapses, suffix, rates)
            output = _one_layer(stack, suffix, rates)(rates)[0]
            outputs.append(output.flip(0) if direction else output)
        x = torch.cat(outputs, dim=-1)


def _one_layer(stack: Any, suffix: str, rates: Tensor) -> nn.Module:
    """Return one layer and direction of a stack, with its weights as they are now."""
    options = {"bias": stack.bias, "device": rates.device, "dtype": rates.dtype}
    if isinstance(stack, nn.RNN):
        options["nonlinearity"] = stack.nonlinearity
    if stack.proj_size:
        options["proj_size"] = stack.proj_size
    single = type(stack)(rates.shape[-1], stack.hidden_size, **options)
    for name, parameter in single.named_parameters():
        parameter.copy_(getattr(stack, name.replace("_l0", suffix)))
    return cast("nn.Module", single)


def _one_layer_drive(stack: Any, synapses: Synapses, suffix: str, rates: Tensor) -> Callable[[], Tensor]:
    def drive() -> Tensor:
        if synapses.reads in ("input", "below"):
            return _linear_drive(stack, synapses, rates)
        if synapses.reads == "cells":  # a projection's drive is the layer's output
            return cast("Tensor", _one_layer(stack, suffix, rates)(rates)[0])
        states = _one_layer(stack, suffix, rates)(rates)[0]
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        return _linear_drive(stack, synapses, before)

    return drive


def _unit_means(drive: Tensor) -> Tensor:
    return drive.reshape(-1, drive.shape[-1]).mean(dim=0)


def _summary(drive: Tensor) -> Drive:
    values = drive.double()
    return Drive(float(values.mean()), float(values.var(correction=0)))
