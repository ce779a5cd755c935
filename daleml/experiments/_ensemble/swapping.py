"""Tensors put in the place of a model's own for the time of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from daleml.experiments._ensemble.parameter_stack import Place


@contextmanager
def swapped(
    modules: Mapping[str, nn.Module],
    parameters: Mapping[Place, Any],
    buffers: Mapping[Place, Any],
    forwards: Mapping[str, Callable[..., Any]],
) -> Iterator[None]:
    """Put tensors and forward passes in place of a model's own, and put those back afterwards.

    Args:
        modules: The modules of the model, by path.
        parameters: What stands in for parameters.
        buffers: What stands in for buffers.
        forwards: What runs in place of the ``forward`` of modules, by path.
    """
    before: list[tuple[dict[str, Any], str, Any]] = []
    changed: list[nn.Module] = []
    try:
        for place, value in parameters.items():
            tensors: dict[str, Any] = modules[place.path]._parameters
            before.append((tensors, place.own, tensors[place.own]))
            tensors[place.own] = value
        for place, value in buffers.items():
            tensors = modules[place.path]._buffers
            before.append((tensors, place.own, tensors[place.own]))
            tensors[place.own] = value
        for path, forward in forwards.items():
            module = modules[path]
            # Past `nn.Module.__setattr__`, which would take it for a setting.
            vars(module)["forward"] = forward
            changed.append(module)
        yield
    finally:
        for tensors, name, value in before:
            tensors[name] = value
        for module in changed:
            del vars(module)["forward"]


def buffers_of(modules: Mapping[str, nn.Module], path: str) -> list[Place]:
    """Return where the buffers of a submodule of a model are, and of all within it."""
    found = []
    for inner, module in modules.items():
        if path and inner != path and not inner.startswith(path + "."):
            continue
        for own, buffer in module._buffers.items():
            if buffer is not None:
                found.append(Place(inner, own))
    return found
