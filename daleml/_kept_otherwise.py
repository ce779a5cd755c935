"""Modules that keep their weights otherwise than as parameters, as quantised ones do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from torch import nn


def kept_otherwise(model: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that keep weights otherwise than as parameters, and under which names.

    Quantised modules do, in packed objects of their own.
    """
    for path, module in model.named_modules():
        if module._modules or module._parameters:
            continue
        kept = sorted(set(module.state_dict()) - set(module._buffers))
        if kept:
            yield path, kept


def warn_of_kept_otherwise(model: nn.Module, tool: str) -> None:
    """Warn that a tool leaves alone what keeps its weights otherwise than as parameters."""
    found = [path or "the model itself" for path, _ in kept_otherwise(model)]
    if found:
        warnings.warn(
            f"`{tool}` left alone {', '.join(found)}, where weights are kept otherwise than"
            " as parameters, as in quantised modules.",
            stacklevel=3,
        )
