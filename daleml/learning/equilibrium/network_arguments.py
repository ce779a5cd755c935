"""Checks of what a network that settles is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from daleml import require


def require_generator(generator: torch.Generator | None) -> None:
    """Raise unless ``generator`` is one, or None."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"`generator` must be a torch.Generator; got {type(generator).__name__}."
        )


def require_dtype(name: str, dtype: torch.dtype) -> None:
    """Raise unless a network can settle in this type."""
    # In half precision, states settle to two digits only.
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"`{name}` must be of torch.float32 or torch.float64; got {dtype}."
        )


def require_input(x: Tensor, in_shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise unless ``x`` is a batch that a network of this shape and type takes."""
    require_dtype("network", dtype)
    if not isinstance(x, Tensor) or x.dtype != dtype:
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"`x` must be a tensor of the network's {dtype}; got {got}.")
    if x.shape[1:] != in_shape or len(x) == 0:
        raise ValueError(
            f"`x` must be a batch of inputs of shape {in_shape}; got shape"
            f" {tuple(x.shape)}."
        )
    # NaN would otherwise be blamed on a relaxation that does not settle.
    if not bool(x.isfinite().all()):
        raise ValueError("`x` must be finite; got NaN or infinity.")


def input_shape(in_shape: int | Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input without samples, or raise if it is none."""
    if isinstance(in_shape, Sequence):
        if len(in_shape) != 3:
            raise ValueError(
                "`in_shape` must be an integer or (channels, height, width); got"
                f" {in_shape!r}."
            )
        lengths = (require.integer("in_shape", one, minimum=1) for one in in_shape)
        return tuple(lengths)
    return (require.integer("in_shape", in_shape, minimum=1),)
