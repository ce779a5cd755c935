"""Example inputs: guessed from a model's first layer, and run without leaving a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from daleml import modules
from daleml.convert.unit_signs import is_layer

Example: TypeAlias = tuple[Any, ...]
"""The arguments of one call of a model."""


def guess_example(model: nn.Module) -> Example | None:
    """Return an input that the model takes, guessed from its first weight.

    None if none of the guesses works.
    """
    for first in model.modules():
        if is_layer(first) or modules.is_table(first):
            break
    else:
        return None
    like = next(model.parameters(), torch.empty(0))
    for guess in _guesses(first, like):
        # Whatever a guess raises, it is only a wrong guess.
        with contextlib.suppress(Exception), undisturbed(model):
            model(guess)
            return (guess,)
    return None


def _guesses(first: nn.Module, like: Tensor) -> list[Tensor]:
    """Return inputs that a module may take, the most likely first."""
    # A generator of its own: a guess must not consume the user's random numbers.
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cpu").to(like)

    if modules.is_table(first):
        n = int(cast("Any", first).num_embeddings)
        drawn = torch.randint(n, (16, 20), generator=generator, device="cpu")
        return [drawn.to(like.device)]
    n = modules.n_inputs(first)
    n_spatial = modules.n_spatial(first)
    if n_spatial:
        # The usual sizes of CIFAR, Tiny ImageNet, MNIST and ImageNet.
        sides = (32, 64, 128, 28, 224) if n_spatial < 3 else (16, 32)
        return [draw(64, n, *(side,) * n_spatial) for side in sides]
    if modules.is_recurrent(first) and modules.runs_over_sequences(first):
        return [draw(20, 20, n)]
    if modules.is_recurrent(first):
        return [draw(64, n)]
    return [draw(64, n), draw(16, 20, n)]


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back buffers, modes and random state after a model was run without gradients."""
    # Running statistics move in every forward pass in training mode.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])


@contextlib.contextmanager
def hooked(
    model: nn.Module,
    before: Callable[..., Any] | None,
    after: Callable[..., Any] | None,
) -> Iterator[None]:
    """Attach a pair of hooks to every module, and take them off again."""
    handles = []
    for module in model.modules():
        if before is not None:
            handles.append(module.register_forward_pre_hook(before))
        if after is not None:
            handles.append(module.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
