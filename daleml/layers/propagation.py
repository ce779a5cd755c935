"""The signs of what pooling or flattening gives, found by running signs through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import modules, require
from daleml._support import type_names
from daleml.populations import Populations


@torch.no_grad()
def populations_after(
    module: nn.Module, populations: Populations | int, size: int | Sequence[int]
) -> Populations:
    """Return the partition of a module's outputs, given that of its input channels.

    For what stands between layers: pooling, flattening, upsampling, dropout, a nonlinearity,
    and sequences of them. Images in which only the excitatory or only the inhibitory channels
    are active are run through the module, and what they reach is looked at. The weights of a
    layer within it do not run: its units have the signs that it says itself, such as a DANN, or
    the module is refused.

    Args:
        module: Run in evaluation mode, which is undone after.
        populations: The input channels: a partition, or an int for as many excitatory ones.
        size: Size of the image, (height, width) or (length,); an int is a length.

    Returns:
        The partition of the output's units: of its channels if it is an image still, else of
        its features. Cell types keep their names where no output mixes two of them, none comes
        before another that it came after, and no layer within has units of its own.

    Raises:
        TypeError: If ``module`` is not a module.
        ValueError: If an output mixes excitatory and inhibitory channels, is reached by none,
            or comes before an excitatory one though it inhibits; or if the module holds a layer
            that does not say the signs of its units.

    Example:
        >>> from torch import nn
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear, populations_after
        >>> between = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        >>> pops = populations_after(between, Populations(24, 8), size=(28, 28))
        >>> pops
        Populations(n_exc=4704, n_inh=1568)
        >>> layer = EILinear(pops, 10)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"`module` must be a module; got {type(module).__name__}.")
    pops = Populations.coerce(populations)
    answering = _layers_within(module, pops)
    sizes = (size,) if isinstance(size, int) else tuple(size)
    shape = tuple(require.integer("size", length, minimum=1) for length in sizes)
    # A module without parameters runs on the CPU, in the default dtype.
    like = next(module.parameters(), torch.empty(0))
    silent = torch.zeros(1, pops.size, *shape, dtype=like.dtype, device=like.device)
    # Dropout would hide channels, and batch normalisation would learn from the images.
    modes = {part: part.training for part in module.modules()}
    module.eval()
    by_type = None
    try:
        reached = []
        for sign, channels in ((1, pops.exc), (-1, pops.inh)):
            reached.append(_reached(module, silent, channels, sign, answering))
        # Without names there is nothing to keep.
        if pops.types is not None and not answering:
            by_type = [_reached(module, silent, pops[name], 1, {}) for name in pops]
    finally:
        for part, training in modes.items():
            part.training = training
    excited, inhibited = reached
    name = type(module).__name__
    if (excited & inhibited).any():
        raise ValueError(
            f"`module` must not mix excitatory and inhibitory channels; got {name}, which"
            " does."
        )
    if not (excited | inhibited).all():
        silent_outputs = int((~(excited | inhibited)).sum())
        raise ValueError(
            f"`module` must pass every unit on; got {name}, {silent_outputs} of whose"
            " outputs none reaches."
        )
    n_exc = int(excited.sum())
    if not excited[:n_exc].all():
        raise ValueError(
            f"`module` must keep excitatory units before inhibitory ones; got {name}, which"
            " does not."
        )
    types = None if by_type is None else _types(pops, torch.stack(by_type))
    return Populations(n_exc, excited.numel() - n_exc, types=types)


def _types(pops: Populations, reached: Tensor) -> type_names.Types | None:
    """Return the cell types of outputs, from which types reach them; None if they are mixed."""
    positions = reached.to(torch.int8).argmax(0)
    if not (reached.sum(0) == 1).all() or (positions.diff() < 0).any():
        return None
    counts = reached.sum(1).tolist()
    return tuple((name, n) for name, n in zip(pops, counts, strict=True) if n)


def _layers_within(module: nn.Module, pops: Populations) -> dict[nn.Module, Tensor]:
    """Return the layers that a module holds, with the signs of their units, or raise."""
    found = {}
    for path, part in module.named_modules():
        if not modules.synaptic_weights(part, path):
            continue
        answers = modules.speaks(part) and not modules.is_recurrent(part)
        unit_signs = modules.output_signs(part, path) if answers else None
        if unit_signs is None:
            name = type(module).__name__
            if pops.n_exc and pops.n_inh:
                raise ValueError(
                    f"`module` must not mix excitatory and inhibitory channels; got {name},"
                    " which does."
                )
            raise ValueError(
                f"`module` must be what stands between layers; got {name}, which is or"
                f" holds a layer, {type(part).__name__}, that does not say which of its"
                " units inhibit."
            )
        found[part] = unit_signs
    return found


def _reached(
    module: nn.Module,
    silent: Tensor,
    channels: slice,
    sign: int,
    answering: dict[nn.Module, Tensor],
) -> Tensor:
    """Return which output units differ when some channels are active, however much."""
    # Both levels, since a rectifier passes one of them only.
    quiet = _run(module, silent, answering, sign, 0.0)
    moved = torch.zeros((), dtype=torch.bool)
    for level in (1.0, -1.0):
        active = silent.clone()
        active[:, channels] = level
        moved = moved | (_run(module, active, answering, sign, level) != quiet)
    if moved.ndim == 1:
        return moved
    return moved.flatten(1).any(dim=1)


def _run(
    module: nn.Module,
    image: Tensor,
    answering: dict[nn.Module, Tensor],
    sign: int,
    level: float,
) -> Tensor:
    """Run the module on one image; layers within it answer with their units of one sign."""

    def answer(layer: nn.Module, args: Any, output: Tensor) -> Tensor:
        shape = [1] * output.ndim
        shape[modules.unit_dim(layer, output)] = -1
        active = (answering[layer] == sign).to(output) * level
        return active.view(shape).expand_as(output).contiguous()

    handles = [layer.register_forward_hook(answer) for layer in answering]
    try:
        output: Tensor = module(image)[0]
    finally:
        for handle in handles:
            handle.remove()
    return output
