"""Compile an update rule once for each set of tensors it is used on, and say so."""

from __future__ import annotations

import functools
import sys
import time
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def run(rule: Callable[..., None], lists: Sequence[Sequence[Tensor]], options: Mapping[str, Any]) -> None:
    """Call ``rule(*lists, **options)``, compiled as one body.

    Numbers among the options may change from step to step and are handed over as tensors, in double precision like the
    Python floats they stand for; whatever else they are is compiled in. The first call for tensors of other shapes, or
    with other flags, compiles: on standard error it says that it does, and how long it took.
    """
    fixed = {key: value for key, value in options.items() if not _changes(value)}
    numbers = {key: _tensors(value) for key, value in options.items() if _changes(value)}
    signature = tuple(tuple((t.shape, t.stride(), t.dtype, t.device) for t in tensors) for tensors in lists)
    compiled = _compiled(rule, signature, tuple(sorted(fixed.items())), tuple(sorted(numbers)))
    compiled(*lists, **fixed, **numbers)


def _changes(value: object) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(part, (int, float, Tensor)) and not isinstance(part, bool) for part in parts)


def _tensors(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_tensors(part) for part in value)
    return torch.as_tensor(value, dtype=torch.float64).reshape(())


@functools.lru_cache(maxsize=256)
def _compiled(rule: Callable[..., None], signature: Hashable, *options: Hashable) -> Callable[..., None]:
    assert isinstance(rule, types.FunctionType)
    # torch compiles one code object a few times only and then gives up, so each signature has a copy of its own.
    copy = types.FunctionType(
        rule.__code__.replace(), rule.__globals__, rule.__name__, rule.__defaults__, rule.__closure__
    )
    copy.__kwdefaults__ = rule.__kwdefaults__
    compiled = torch.compile(copy, dynamic=False)
    announced = False

    def call(*lists: Sequence[Tensor], **options: Any) -> None:
        nonlocal announced
        if announced:
            compiled(*lists, **options)
            return
        start = time.perf_counter()
        print(f"daleml: compiling {rule.__name__} for {_tensor_count(lists[0])}...", file=sys.stderr, flush=True)
        compiled(*lists, **options)
        print(f"daleml: compiled in {time.perf_counter() - start:.1f} s.", file=sys.stderr, flush=True)
        announced = True

    return call


def _tensor_count(tensors: Sequence[Tensor]) -> str:
    return f"{len(tensors)} tensor{'s' * (len(tensors) != 1)} of {sum(t.numel() for t in tensors):,} weights"
