"""Calibration: pre-activations are measured on the original and matched in the lawful model."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn

from daleml import law, modules
from daleml._support.devices import drawn_
from daleml.convert.example_inputs import Example, hooked, undisturbed
from daleml.convert.unit_signs import is_convertible
from daleml.layers import init
from daleml.layers.init.drawn_signs import with_signs_drawn
from daleml.modules import SynapticWeight

WeightKey: TypeAlias = tuple[str, str]
"""Name of a module, and name of a weight within it."""
Key = WeightKey
"""The name of :data:`WeightKey` in the first edition."""


@dataclass(frozen=True)
class Drive:
    """What one weight gives its units on the example, its bias included.

    Attributes:
        means: Mean of each unit, over batch and positions.
        net: What the mean rates alone give each unit without the bias, (units, taps), one
            number per tap of a kernel. None for a weight that reads states.
        fluctuation: Variance over batch and positions, averaged over units.
        variance: Variance over batch, positions and units: the fluctuation plus the variance of
            the units' means.
    """

    means: Tensor
    net: Tensor | None
    fluctuation: float
    variance: float


class RunningWeight(NamedTuple):
    """A weight while the example runs.

    Attributes:
        synapses: What the layer says of the weight.
        rates: What it reads, of shape ``(..., units)``; None if it reads states, which its own
            drive changes.
        drive: Computes what the weight gives now, of shape ``(..., units)``.
    """

    synapses: SynapticWeight
    rates: Tensor | None
    drive: Callable[[], Tensor]


Live = RunningWeight
"""The name of :class:`RunningWeight` in the first edition."""


def redraw_(
    module: nn.Module, weight: str, draw: init.Draw, generator: torch.Generator | None
) -> None:
    """Fill a weight whose signs are fixed with magnitudes of mean 1.

    Excitation and inhibition balance in every unit, tap by tap, so that they also do where a
    kernel reaches over the border of an image.

    Args:
        module: The module that has the weight.
        weight: Name of the weight.
        draw: Distribution of the magnitudes.
        generator: Source of randomness; default: torch's global one.
    """
    parameter = cast("Tensor", getattr(module, weight))
    stored = cast("Tensor", getattr(module, weight + law.SUFFIX))
    sign = law.broadcastable(stored, parameter).expand_as(parameter)
    sign = with_signs_drawn(sign, generator)
    magnitude = drawn_(draw, torch.empty_like(parameter), 1.0, generator=generator)
    pre = modules.presynaptic_dim(module, weight, parameter.ndim)
    excitation = (magnitude * (sign == 1)).sum(pre, keepdim=True)
    inhibition = (magnitude * (sign == -1)).sum(pre, keepdim=True)
    # A unit that reads one sign only has nothing to balance.
    both = (excitation > 0) & (inhibition > 0)
    balance = torch.where(both, excitation / inhibition, 1.0)
    with torch.no_grad():
        parameter.copy_(magnitude * torch.where(sign > 0, 1.0, -balance).to(parameter))


def measure(model: nn.Module, example: Example) -> dict[WeightKey, Drive]:
    """Run the model in its own mode, and measure what every weight gives its units."""
    drives: dict[WeightKey, Drive] = {}

    def visit(name: str, module: nn.Module, running: RunningWeight) -> None:
        drives[name, running.synapses.name] = _summary(module, running)

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def calibrate_(
    model: nn.Module,
    example: Example,
    targets: Mapping[WeightKey, Drive],
    redrawn: set[WeightKey],
) -> dict[WeightKey, Drive]:
    """Change the weights that were redrawn until each gives what the original gave.

    They are changed in the order in which they run. Inhibition balances excitation in every unit as
    far as it can, so that units answer to what changes in their input rather than to how much of it
    there is; a bias does the rest, and each unit's mean is the original's. Then the layer is scaled
    until its variance is the original's too. Where there is no bias, units that balance cannot
    centre keep another mean.

    Args:
        model: The model.
        example: The arguments to run it on.
        targets: What each weight of the original gave.
        redrawn: The weights to change.

    Returns:
        What each weight gives now.
    """
    drives: dict[WeightKey, Drive] = {}

    def visit(name: str, module: nn.Module, running: RunningWeight) -> None:
        key = name, running.synapses.name
        target = targets.get(key)
        if key in redrawn and target is not None:
            _balance_(module, running, target)
            _match_(module, running, target)
        drives[key] = _summary(module, running)

    with undisturbed(model):
        _walk(model, example, visit)
    return drives


def _balance_(module: nn.Module, running: RunningWeight, target: Drive) -> None:
    """Change the balance of excitation and inhibition until every unit has the original's mean.

    What the mean rates give a unit at each tap is what they gave it in the original, so that it
    stays balanced where kernels reach over the border, and in images of another size. Left
    alone are taps of one sign only, and weights that read rates of mean zero, where there is
    nothing to balance.
    """
    if running.rates is None or target.net is None:
        return
    # Of rates around zero, nearly nothing is left of either sum, whatever the weights.
    if running.rates.mean() < 0.1 * running.rates.square().mean().sqrt():
        return
    weight = cast("Tensor", getattr(module, running.synapses.name))
    bias: Tensor | float = 0.0
    if running.synapses.bias is not None:
        bias = _in_double(getattr(module, running.synapses.bias))
    kept = weight.clone()
    rates = _by_unit(running.rates).mean(0)
    excitation = _net(module, kept.clamp_min(0), rates)
    inhibition = -_net(module, kept.clamp_max(0), rates)
    both = (excitation > 0) & (inhibition > 0)

    def per_tap(gain: Tensor) -> Tensor:
        return _per_tap(module, torch.where(both, gain, 1.0).clamp(0.1, 10), kept)

    wanted = torch.zeros_like(excitation)
    correction = torch.ones_like(excitation[:, :1])
    # The scale that the layer will have depends on the balance, and the balance on the scale.
    for attempt in range(5):
        gain_e = per_tap(1 + wanted.clamp_min(0) / excitation)
        gain_i = per_tap(correction * (excitation - wanted.clamp_max(0)) / inhibition)
        weight.copy_(kept.clamp_max(0) * gain_i)
        inhibited = bias - _summary(module, running).means
        weight.add_(kept.clamp_min(0) * gain_e)
        now = _summary(module, running)
        scale = _scale(target.fluctuation, now.fluctuation, target)
        if scale is None:
            return
        wanted = target.net / scale
        if attempt:
            # Borders, and rates that vary together, move the mean; inhibition makes up for it.
            excess = (now.means - bias) - (target.means - bias) / scale
            factor = torch.where(inhibited > 0, 1 + excess / inhibited, 1.0)
            correction = correction * factor.clamp(0.5, 2)[:, None]


def _match_(module: nn.Module, running: RunningWeight, target: Drive) -> None:
    """Scale a weight and move its bias until variance and means are the target's."""
    weight = cast("Tensor", getattr(module, running.synapses.name))
    bias = None
    if running.synapses.bias is not None:
        bias = cast("Tensor", getattr(module, running.synapses.bias))
    # A recurrent weight's own drive changes what it reads, so what fits is looked for, in steps
    # that do not overshoot.
    n_steps, step = (40, 0.5) if running.rates is None else (2, 1.0)
    for _ in range(n_steps):
        now = _summary(module, running)
        shift = target.means - now.means
        if bias is None:
            scale = _scale(target.variance, now.variance, target) or 1.0
        else:
            bias += step * shift.to(bias)
            scale = _scale(target.fluctuation, now.fluctuation, target) or 1.0
        weight *= scale**step
        near = 0.05 * math.sqrt(target.variance)
        centred = bias is None or float(shift.abs().max()) < near
        if abs(scale - 1) < 0.02 and centred:
            break


def _scale(wanted: float, found: float, target: Drive) -> float | None:
    """Return the factor for a weight, or None where its drive varies by rounding alone."""
    rounding = 1e-9 * (target.variance + float(target.means.square().mean()))
    if min(wanted, found) <= rounding:
        return None
    return math.sqrt(wanted / found)


def _walk(
    model: nn.Module,
    example: Example,
    visit: Callable[[str, nn.Module, RunningWeight], None],
) -> None:
    """Run the example, and visit the weights of each module before its first call.

    A visitor may change the weight: what runs after it sees the change.
    """
    names = {module: name for name, module in model.named_modules()}
    visited: set[nn.Module] = set()

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if not is_convertible(module) or module in visited:
            return
        if not args or not isinstance(args[0], Tensor):
            return
        visited.add(module)
        for running in _drives(module, args):
            visit(names[module], module, running)

    with hooked(model, before, None):
        model(*example)


def _drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[RunningWeight]:
    """Yield the weights of a module that is about to run, in the order in which they act."""
    if modules.runs_over_sequences(module) and modules.is_recurrent(module):
        yield from _recurrent_drives(module, args)
        return
    if modules.is_recurrent(module):
        yield from _cell_drives(module, args)
        return
    (synapses,) = modules.synaptic_weights(module)
    # Without hooks: one of them has called this.
    forward = type(module).forward

    def drive() -> Tensor:
        output = cast("Tensor", forward(module, *args))
        return output.movedim(modules.unit_dim(module, output), -1)

    # A subclass that runs in a way of its own may put out anything.
    if modules.runs_as_torch(module) or isinstance(forward(module, *args), Tensor):
        rates = args[0].movedim(modules.unit_dim(module, args[0]), -1)
        yield RunningWeight(synapses, rates, drive)


def _cell_drives(module: nn.Module, args: tuple[Any, ...]) -> Iterator[RunningWeight]:
    state = args[1] if len(args) > 1 else None
    if isinstance(state, tuple):
        state = state[0]
    for synapses in modules.synaptic_weights(module):
        if synapses.reads == "input":
            drive = functools.partial(_linear_drive, module, synapses, args[0])
            yield RunningWeight(synapses, args[0], drive)
            continue
        if state is None:
            # What the cell would read a step later.
            output = type(module).forward(module, args[0])
            state = output[0] if isinstance(output, tuple) else output
        drive = functools.partial(_linear_drive, module, synapses, state)
        yield RunningWeight(synapses, None, drive)


def _linear_drive(module: Any, synapses: SynapticWeight, rates: Tensor) -> Tensor:
    bias = getattr(module, synapses.bias) if synapses.bias else None
    return nn.functional.linear(rates, getattr(module, synapses.name), bias)


def _recurrent_drives(
    module: nn.Module, args: tuple[Any, ...]
) -> Iterator[RunningWeight]:
    """Run a stack layer by layer and direction by direction, each as a module of one layer."""
    stack, x = cast("Any", module), args[0]
    if stack.batch_first and x.ndim == 3:
        x = x.transpose(0, 1)
    n_directions = 2 if stack.bidirectional else 1
    all_synapses = modules.synaptic_weights(module)
    for layer in range(stack.num_layers):
        outputs = []
        for direction in range(n_directions):
            suffix = f"_l{layer}" + "_reverse" * direction
            rates = x.flip(0) if direction else x
            for synapses in all_synapses:
                if synapses.suffix != suffix:
                    continue
                drive = _one_layer_drive(stack, synapses, suffix, rates)
                own = synapses.reads in ("state", "cells")
                yield RunningWeight(synapses, None if own else rates, drive)
            # The next layer reads what this one puts out with the weights as they are now.
            output = _one_layer(stack, suffix, rates)(rates)[0]
            outputs.append(output.flip(0) if direction else output)
        x = torch.cat(outputs, dim=-1)


def _one_layer(stack: Any, suffix: str, rates: Tensor) -> nn.Module:
    """Return one layer and direction of a stack, with its weights as they are now."""
    options = {"bias": stack.bias, "device": rates.device, "dtype": rates.dtype}
    if hasattr(stack, "nonlinearity"):
        options["nonlinearity"] = stack.nonlinearity
    # Only an LSTM knows this option, and others refuse it.
    if stack.proj_size:
        options["proj_size"] = stack.proj_size
    # Of torch's own class, since the arguments of a subclass are not known.
    kind = cast("Any", modules.torch_class(stack))
    single = kind(rates.shape[-1], stack.hidden_size, **options)
    for name, parameter in single.named_parameters():
        parameter.copy_(getattr(stack, name.replace("_l0", suffix)))
    return cast("nn.Module", single)


def _one_layer_drive(
    stack: Any, synapses: SynapticWeight, suffix: str, rates: Tensor
) -> Callable[[], Tensor]:
    """Return what computes the drive of one weight of a stack, with all weights as they are."""

    def drive() -> Tensor:
        if synapses.reads in ("input", "below"):
            return _linear_drive(stack, synapses, rates)
        if synapses.reads == "cells":
            # The drive of a projection is the layer's output.
            return cast("Tensor", _one_layer(stack, suffix, rates)(rates)[0])
        states = _one_layer(stack, suffix, rates)(rates)[0]
        before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
        return _linear_drive(stack, synapses, before)

    return drive


def _by_unit(values: Tensor) -> Tensor:
    """Return rates or drives, (..., units), as (batch and positions, units)."""
    return _in_double(values.reshape(-1, values.shape[-1]))


def _in_double(values: Tensor) -> Tensor:
    """Return values in float64, on the CPU: not every device has it, and all give one result."""
    return values.to("cpu", torch.float64)


def _summary(module: nn.Module, running: RunningWeight) -> Drive:
    """Return what a weight gives now."""
    values = _by_unit(running.drive())
    net = None
    if running.rates is not None:
        weight = cast("Tensor", getattr(module, running.synapses.name))
        net = _net(module, weight, _by_unit(running.rates).mean(0))
    # Population variances: the example is all there is to match.
    fluctuation = float(values.var(0, correction=0).mean())
    return Drive(values.mean(0), net, fluctuation, float(values.var(correction=0)))


def _net(module: nn.Module, weight: Tensor, rates: Tensor) -> Tensor:
    """Return what one rate per presynaptic unit gives through a weight, (units, taps)."""
    # Grouped convolutions are small dense ones side by side.
    groups = getattr(module, "groups", 1)
    weight = weight.view(groups, -1, *weight.shape[1:])
    if _pre_first(module):
        weight = weight.transpose(1, 2)
    taps = weight.flatten(3) if weight.ndim > 3 else weight[..., None]
    net = torch.einsum("goit,gi->got", _in_double(taps), rates.view(groups, -1))
    return net.flatten(0, 1)


def _pre_first(module: nn.Module) -> bool:
    """Whether a weight is stored as (pre, post), as those of transposed convolutions are."""
    return modules.synaptic_weights(module)[0].pre_dim == 0


def _per_tap(module: nn.Module, factor: Tensor, weight: Tensor) -> Tensor:
    """Return factors, (units, taps), in a shape that broadcasts against the weight."""
    kernel = weight.shape[2:]
    factor = factor.to(weight)
    if not _pre_first(module):
        return factor.view(weight.shape[0], 1, *kernel)
    groups = cast("Any", module).groups
    factor = factor.view(groups, 1, -1, *kernel)
    return factor.expand(-1, weight.shape[0] // groups, *factor.shape[2:]).flatten(0, 1)
