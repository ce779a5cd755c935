"""What an ensemble is made from, checked: seeds, a function that builds, models, their names."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support import seeds

STREAMS = "random_streams"
"""The name in a state dict of what models draw from."""


def seeds_of(given: Any) -> tuple[int, ...]:
    """Return the seeds of models: those given, or as many as are asked for, from 0 on."""
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        found = tuple(require.integer("seeds", seed) for seed in given)
    else:
        found = tuple(range(require.integer("seeds", given, minimum=1)))
    if not found:
        raise ValueError("`seeds` must hold at least one seed; got none.")
    if len(set(found)) < len(found):
        raise ValueError(f"`seeds` must be different; got {list(found)}.")
    return found


def builder_of(make_model: Any) -> Callable[[int], Any]:
    """Return a function of the seed that builds a model."""
    if not callable(make_model) or isinstance(make_model, nn.Module):
        raise TypeError(
            "`make_model` must be a function that builds a model; got"
            f" {type(make_model).__name__}: use `Ensemble.of` for models that are there."
        )
    try:
        parameters = list(inspect.signature(make_model).parameters.values())
    except ValueError:
        parameters = []
    for one in parameters:
        if one.name == "seed" and one.kind is not one.POSITIONAL_ONLY:
            return lambda seed: make_model(seed=seed)
    required = [
        one
        for one in parameters
        if one.default is one.empty
        and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if required:
        return lambda seed: make_model(seed)
    return lambda seed: make_model()


def require_module(model: Any) -> nn.Module:
    """Return a model, or raise if it is none."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"models must be modules; got {type(model).__name__}.")
    return model


def states_of(n: int) -> list[Tensor]:
    """Return the states in which the streams of models begin that were built before.

    They follow from the state of torch's global generator, which is left as it is.
    """
    key = zlib.crc32(torch.get_rng_state().numpy().tobytes())
    return [seeds.generator(key, k).get_state() for k in range(n)]


def names_of(given: Sequence[str] | None, n: int, kind: type) -> list[str]:
    """Return the names of models, which are attributes of an ensemble of this class.

    Raises:
        ValueError: If they are not as many as models, or cannot be names.
    """
    if given is None:
        return [f"model_{k}" for k in range(n)]
    found = [require.text("names", name) for name in given]
    if len(found) != n or len(set(found)) < n:
        raise ValueError(
            f"`names` must be as many as `models`, {n}, and different; got {found}."
        )
    for name in found:
        if "." in name or hasattr(kind, name) or name == STREAMS:
            raise ValueError(
                "`names` must hold no dot, and be no attribute of an ensemble; got"
                f" {name!r}."
            )
    return found


def scales_of(given: Sequence[float] | None, n: int) -> tuple[float, ...] | None:
    """Return the factors on learning rates, one for each model; None if all are 1.

    Raises:
        ValueError: If they are not as many as models, or not positive.
    """
    if given is None:
        return None
    found = tuple(require.positive("lr_scales", one) for one in given)
    if len(found) != n:
        raise ValueError(
            f"`lr_scales` must be as many as `models`, {n}; got {len(found)}."
        )
    return found
