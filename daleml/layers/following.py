"""Which outputs of a pooling or flattening inhibit, found by running signs through it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from daleml import _checks
from daleml.populations import Populations


@torch.no_grad()
def populations_after(module: nn.Module, populations: Populations | int, size: int | Sequence[int]) -> Populations:
    """Return the partition of a module's outputs, given that of its input channels.

    For what stands between layers: pooling, flattening, upsampling, dropout, a non-linearity, and sequences of them.
    Nothing is known of any class: images in which only the excitatory or only the inhibitory channels are active are
    run through the module, and what they reach is looked at.

    Args:
        module: Run in evaluation mode, which is undone after.
        populations: The input channels: a partition, or an int for as many excitatory ones.
        size: Size of the image, (height, width) or (length,); an int is a length.

    Returns:
        The partition of the output's units: of its channels if it is an image still, else of its features.

    Raises:
        TypeError: If ``module`` is not a module.
        ValueError: If an output mixes excitatory and inhibitory channels, is reached by none, or comes before an
            excitatory one though it inhibits.

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
    sizes = (size,) if isinstance(size, int) else tuple(size)
    shape = tuple(_checks.integer("size", length, minimum=1) for length in sizes)
    like = next(module.parameters(), torch.empty(0))
    silent = torch.zeros(1, pops.size, *shape, dtype=like.dtype, device=like.device)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        reached = [_reached(module, silent, channels) for channels in (pops.exc, pops.inh)]
    finally:
        for part, training in modes.items():
            part.training = training
    excited, inhibited = reached
    name = type(module).__name__
    if (excited & inhibited).any():
        raise ValueError(f"`module` must not mix excitatory and inhibitory channels; got {name}, which does.")
    if not (excited | inhibited).all():
        silent_outputs = int((~(excited | inhibited)).sum())
        raise ValueError(
            f"`module` must pass every unit on; got {name}, {silent_outputs} of whose outputs none reaches."
        )
    n_exc = int(excited.sum())
    if not excited[:n_exc].all():
        raise ValueError(f"`module` must keep excitatory units before inhibitory ones; got {name}, which does not.")
    return Populations(n_exc, excited.numel() - n_exc)


def _reached(module: nn.Module, silent: Tensor, channels: slice) -> Tensor:
    """Return which outputs differ when the channels are active, whatever their sign: one entry a unit."""
    moved = torch.zeros((), dtype=torch.bool)
    for level in (1.0, -1.0):
        active = silent.clone()
        active[:, channels] = level
        output = module(active)[0]
        moved = moved | (output != module(silent)[0])
    return moved.flatten(1).any(dim=1) if moved.ndim > 1 else moved
