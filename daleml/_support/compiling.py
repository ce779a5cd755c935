"""Compilation of a function for one use of it alone."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch


def compiled_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled copy of a plain function, meant for tensors of one set of shapes.

    torch compiles one code object a few times only and then, without a word, gives up: each use
    has a copy of its own.
    """
    assert isinstance(function, types.FunctionType)
    copy = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    # The constructor takes positional defaults alone.
    copy.__kwdefaults__ = function.__kwdefaults__
    return torch.compile(copy, dynamic=False)
