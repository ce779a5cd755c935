"""Pre-activations before and after.

Measured on the original, matched in the lawful model, layer by layer.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn

from daleml import law, modules
from daleml.convert.example_inputs import Example, hooked, undisturbed
from daleml.convert.unit_signs import is_convertible
from daleml.layers import init
from daleml.modules import SynapticWeight

WeightKey: TypeAlias = tuple[str, str]
"""Name of a module, and name of a weight within it."""
Key = WeightKey
"""The name of :data:`WeightKey` in the first edition."""


@dataclass(frozen=True)
class Drive:
    """What one weight gave on the example, its bias included.

    Attributes:
        means: Of each unit, over batch and positions.
        net: What the mean rates alone give each unit, tap by tap, without the bias: (units,
            taps); None where it is not looked at.
        fluctuation: Variance over batch and positions, averaged over units.
        variance: Over batch, positions and units: the fluctuation, and how far the units' means
            lie apart.
    """

    means: Tensor
    net: Tensor | None
    fluctuation: float
    variance: float


class Live(NamedTuple):
    """A weight while the example runs.

    Attributes:
        synapses: Which.
        rates: What it reads, of shape ``(..., units)``; None if it reads states, which its own
            drive changes.
        drive: Computes what the weight gives now, of shape ``(..., units)``.
    """

    synapses: SynapticWeight
    rates: Tensor | None
    drive: Callable[[], Tensor]


def redraw_(
    module: nn.Module, weight: str, draw: init.Draw, generator: torch.Generator | None
) -> None:
    """Fill a weight whose signs are fixed, on a unit scale.

    Excitation and inhibition balance in every unit, tap by tap: so they do too where a kernel
    reaches over the border.
    """
    parameter = cast("Tensor", getattr(module, weight))
    sign = law.broadcastable(
        cast("Tensor", getattr(module, weight + law.SUFFIX)), parameter
    ).expand_as(parameter)
    magnitude = draw(torch.empty_like(parameter), 1.0, generator=generator)
    pre = modules.presynaptic_dim(module, weight, parameter.ndim)
    excitation, inhibition = (
        (magnitude * (sign == s)).sum(pre, keepdim=True) for s in (1, -1)
    )
    balance = torch.where(
        (excitation > 0) & (inhibition > 0), excitation / inhibition, 1.0
    )
    with torch.no_grad():
        parameter.copy_(magnitude * torch.where(sign > 0, 1.0, -balance).to(parameter))


def measure(model: nn.Module, example: Example) -> dict[WeightKey, Drive]:
    """Run the model in its own mode, and measure what every weight gives, its bias included."""
    drives: dict[WeightKey, Drive] = {}

    def visit(name: str, module: nn.Module, live: Live) -> None:
        drives[name, live.synapses.name] = _summary(module, live)

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def calibrate_(
    model: nn.Module,
    example: Example,
    targets: Mapping[WeightKey, Drive],
    redrawn: set[WeightKey],
) -> dict[WeightKey, Drive]:
    """Change the weights that were redrawn, in the order in which they run, so that each gives what the original gave.

    Inhibition balances excitation in every unit as far as it can, so that units answer to what
    changes in their input rather than to how much of it there is; a bias does the rest, and
    each unit's mean is the original's. Then the layer is scaled so that its variance is. Where
    there is no bias, units that balance cannot centre keep another mean.

    Returns:
        What each weight gives now.
    """
    drives: dict[WeightKey, Drive] = {}

    def visit(name: str, module: nn.Module, live: Live) -> None:
        key = name, live.synapses.name
        target = targets.get(key)
        if key in redrawn and target is not None:
            _balance_(module, live, target)
            _match_(module, live, target)
        drives[key] = _summary(module, live)

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def _balance_(module: nn.Module, live: Live, target: Drive) -> None:
    """Give every unit the original's mean by its balance.

    What mean rates give it at each tap is what they gave it.

    Tap by tap, so that it stays balanced where kernels reach over the border, and in images of
    another size. Left alone are taps of one sign only, and what reads rates of mean zero, where
    there is nothing to balance.
    """
    if (
        live.rates is None
        or target.net is None
        or live.rates.mean() < 0.1 * live.rates.square().mean().sqrt()
    ):
        return
    weight = cast("Tensor", getattr(module, live.synapses.name))
    bias = (
        getattr(module, live.synapses.bias).double()
        if live.synapses.bias is not None
        else 0.0
    )
    kept = weight.clone()
    rates = _by_unit(live.rates).mean(0)
    excitation, inhibition = (
        _net(module, kept.clamp_min(0), rates),
        -_net(module, kept.clamp_max(0), rates),
    )
    both = (excitation > 0) & (inhibition > 0)
    wanted, whole = torch.zeros_like(excitation), torch.ones_like(excitation[:, :1])
    for attempt in range(
        5
    ):  # the scale that the layer will have depends on the balance, and the balance on it
        gains = (
            1 + wanted.clamp_min(0) / excitation,
            whole * (excitation - wanted.clamp_max(0)) / inhibition,
        )
        gain_e, gain_i = (
            _per_tap(module, torch.where(both, gain, 1.0).clamp(0.1, 10), kept)
            for gain in gains
        )
        weight.copy_(kept.clamp_max(0) * gain_i)
        inhibited = bias - _summary(module, live).means
        weight.add_(kept.clamp_min(0) * gain_e)
        now = _summary(module, live)
        scale = _scale(target.fluctuation, now.fluctuation, target)
        if scale is None:
            return
        wanted = target.net / scale
        if attempt:  # what borders, and rates that go together, make of the mean
            excess = (now.means - bias) - (target.means - bias) / scale
            whole = (
                whole
                * torch.where(inhibited > 0, 1 + excess / inhibited, 1.0).clamp(0.5, 2)[
                    :, None
                ]
            )


def _match_(module: nn.Module, live: Live, target: Drive) -> None:
    """Scale a weight and move its bias until its drive has the target's variance, and its units the target's means."""
    weight = cast("Tensor", getattr(module, live.synapses.name))
    bias = (
        None
        if live.synapses.bias is None
        else cast("Tensor", getattr(module, live.synapses.bias))
    )
    # A recurrent weight's own drive changes what it reads, so what fits is looked for, in steps
    # that do not overshoot.
    n_steps, step = (40, 0.5) if live.rates is None else (2, 1.0)
    for _ in range(n_steps):
        now = _summary(module, live)
        shift = target.means - now.means
        if bias is not None:
            bias += step * shift.to(bias)
        pair = (
            (target.variance, now.variance)
            if bias is None
            else (target.fluctuation, now.fluctuation)
        )
        scale = _scale(*pair, target) or 1.0
        weight *= scale**step
        centred = bias is None or float(shift.abs().max()) < 0.05 * math.sqrt(
            target.variance
        )
        if abs(scale - 1) < 0.02 and centred:
            break


def _scale(wanted: float, found: float, target: Drive) -> float | None:
    """Return by what to multiply a weight, or None where what varies is nothing but rounding."""
    rounding = 1e-9 * (target.variance + float(target.means.square().mean()))
    return math.sqrt(wanted / found) if min(wanted, found) > rounding else None


def _walk(
    model: nn.Module, example: Example, visit: Callable[[str, nn.Module, Live], None]
) -> None:
    """Run the example; at each weighted module's first call, before it runs, visit its weights in order.

    A visitor may change the weight: what follows sees the change.
    """
    names = {module: name for name, module in model.named_modules()}
    visited: set[nn.Module] = set()

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if (
            not is_convertible(module)
            or module in visited
            or not args
            or not isinstance(args[0], Tensor)
        ):
            return
        visited.add(module)
        for live in _drives(module, args):
            visit(names[module], module, live)

    with hooked(model, before, None):
        model(*example)


def _drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[Live]:
    if modules.is_recurrent(module):
        drives = (
            _recurrent_drives if modules.runs_over_sequences(module) else _cell_drives
        )
        yield from drives(module, args)
        return
    (synapses,) = modules.synaptic_weights(module)
    forward = type(module).forward  # without the hooks, which brought us here

    def drive() -> Tensor:
        output = cast("Tensor", forward(module, *args))
        return output.movedim(modules.unit_dim(module, output), -1)

    # A subclass that runs in a way of its own may put out anything.
    if modules.runs_as_torch(module) or isinstance(forward(module, *args), Tensor):
        yield Live(
            synapses, args[0].movedim(modules.unit_dim(module, args[0]), -1), drive
        )


def _cell_drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[Live]:
    cell = cast("Any", module)
    state = args[1] if len(args) > 1 else None
    state = state[0] if isinstance(state, tuple) else state
    for synapses in modules.synaptic_weights(module):
        if synapses.reads == "state" and state is None:
            forward = type(module).forward
            output = forward(module, args[0])
            state = (
                output[0] if isinstance(output, tuple) else output
            )  # what it would read a step later
        rates = args[0] if synapses.reads == "input" else cast("Tensor", state)

        drive = functools.partial(_linear_drive, cell, synapses, rates)
        yield Live(synapses, rates if synapses.reads == "input" else None, drive)


def _linear_drive(module: Any, synapses: SynapticWeight, rates: Tensor) -> Tensor:
    bias = getattr(module, synapses.bias) if synapses.bias else None
    return nn.functional.linear(rates, getattr(module, synapses.name), bias)


def _recurrent_drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[Live]:
    """Run a stack layer by layer and direction by direction, each as a module of one layer."""
    stack, x = cast("Any", module), args[0]
    x = x if not stack.batch_first or x.ndim < 3 else x.transpose(0, 1)
    n_directions = 2 if stack.bidirectional else 1
    all_synapses = modules.synaptic_weights(module)
    for layer in range(stack.num_layers):
        outputs = []
        for direction in range(n_directions):
            suffix = f"_l{layer}" + "_reverse" * direction
            rates = x.flip(0) if direction else x
            for synapses in (one for one in all_synapses if one.suffix == suffix):
                own = synapses.reads in ("state", "cells")
                yield Live(
                    synapses,
                    None if own else rates,
                    _one_layer_drive(stack, synapses, suffix, rates),
                )
            output = _one_layer(stack, suffix, rates)(rates)[0]
            outputs.append(output.flip(0) if direction else output)
        x = torch.cat(outputs, dim=-1)


def _one_layer(stack: Any, suffix: str, rates: Tensor) -> nn.Module:
    """Return one layer and direction of a stack, with its weights as they are now."""
    options = {"bias": stack.bias, "device": rates.device, "dtype": rates.dtype}
    if hasattr(stack, "nonlinearity"):
        options["nonlinearity"] = stack.nonlinearity
    if stack.proj_size:
        options["proj_size"] = stack.proj_size
    # Of torch's own class: what a subclass takes to be built is not known.
    single = cast("Any", modules.torch_class(stack))(
        rates.shape[-1], stack.hidden_size, **options
    )
    for name, parameter in single.named_parameters():
        parameter.copy_(getattr(stack, name.replace("_l0", suffix)))
    return cast("nn.Module", single)


def _one_layer_drive(
    stack: Any, synapses: SynapticWeight, suffix: str, rates: Tensor
) -> Callable[[], Tensor]:
    def drive() -> Tensor:
        if synapses.reads in ("input", "below"):
            return _linear_drive(stack, synapses, rates)
        if synapses.reads == "cells":  # a projection's drive is the layer's output
            return cast("Tensor", _one_layer(stack, suffix, rates)(rates)[0])
        states = _one_layer(stack, suffix, rates)(rates)[0]
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        return _linear_drive(stack, synapses, before)

    return drive


def _by_unit(values: Tensor) -> Tensor:
    """Return what has units in its last dimension as (batch and positions, units)."""
    return values.reshape(-1, values.shape[-1]).double()


def _summary(module: nn.Module, live: Live) -> Drive:
    values = _by_unit(live.drive())
    net = None
    if live.rates is not None:
        net = _net(
            module,
            cast("Tensor", getattr(module, live.synapses.name)),
            _by_unit(live.rates).mean(0),
        )
    fluctuation = float(values.var(0, correction=0).mean())
    return Drive(values.mean(0), net, fluctuation, float(values.var(correction=0)))


def _net(module: nn.Module, weight: Tensor, rates: Tensor) -> Tensor:
    """Return what one rate a presynaptic unit gives through a weight: (units, taps)."""
    groups = getattr(module, "groups", 1)
    weight = weight.view(groups, -1, *weight.shape[1:])
    if _pre_first(module):
        weight = weight.transpose(1, 2)
    taps = weight.flatten(3) if weight.ndim > 3 else weight[..., None]
    return torch.einsum("goit,gi->got", taps.double(), rates.view(groups, -1)).flatten(
        0, 1
    )


def _pre_first(module: nn.Module) -> bool:
    return modules.synaptic_weights(module)[0].pre_dim == 0


def _per_tap(module: nn.Module, factor: Tensor, weight: Tensor) -> Tensor:
    """Return a factor for every unit and tap as one that multiplies the weight."""
    kernel = weight.shape[2:]
    factor = factor.to(weight)
    if not _pre_first(module):
        return factor.view(weight.shape[0], 1, *kernel)
    groups = cast("Any", module).groups
    factor = factor.view(groups, 1, -1, *kernel)
    return factor.expand(-1, weight.shape[0] // groups, *factor.shape[2:]).flatten(0, 1)
