"""Values of any kind as texts that change where the values do, to notice that a run is another."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

_DEEPEST = 5
_LONGEST = 200


def is_plain(value: Any) -> bool:
    """Whether a value is a number, text, a truth value, None, or a list of these.

    Args:
        value: The value. NaN is none: it is not even itself.
    """
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or type(value) in (bool, int, str)


def text_of(value: Any, depth: int = 0) -> str:
    """Return a text that is the same for equal values, and another one for most others.

    Named functions and classes are known by their names, other objects by their attributes,
    arrays by their numbers.

    Args:
        value: The value.
        depth: How many values this one lies in.

    Example:
        >>> text_of({"b": 1, "a": [2.0, None]})
        "{'a': [2.0, None], 'b': 1}"
    """
    if depth > _DEEPEST:
        return _name(type(value))
    inner = functools.partial(text_of, depth=depth + 1)
    if isinstance(value, (functools.partial, list, tuple, set, frozenset, Mapping)):
        return _of_several(value, inner)
    if inspect.ismethod(value):
        return f"{_name(value)} of {inner(value.__self__)}"
    if inspect.isfunction(value) or hasattr(value, "__qualname__"):
        return _of_function(value, inner)
    if isinstance(value, enum.Enum):
        return f"{_name(type(value))}.{value.name}"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _of_array(value)
    return _of_object(value, inner)


def made_with(function: Any, depth: int = 0) -> str:
    """Return what a function was made with: settings, the object that it belongs to, and so on.

    Args:
        function: A function, or an object that can be called.
        depth: How many values it lies in.

    Returns:
        The values as text; empty if there are none.
    """
    inner = functools.partial(text_of, depth=depth + 1)
    found = []
    while isinstance(function, functools.partial):
        found += [inner(function.args), inner(function.keywords)]
        function = function.func
    if inspect.ismethod(function):
        found.append(inner(function.__self__))
    elif not inspect.isroutine(function) and not inspect.isclass(function):
        found.append(inner(function))
    function = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.isfunction(function):
        found += map(inner, _settings(function))
    return "\n".join(found)


def code_text(code: CodeType) -> str:
    """Return what a function does, as text, where its source is not at hand.

    Args:
        code: Its code.
    """
    parts = [code.co_code.hex(), repr(code.co_names)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(code_text(constant))
        elif isinstance(constant, frozenset):
            # Each process has an order of its own for these.
            parts.append(repr(sorted(map(repr, constant))))
        else:
            parts.append(repr(constant))
    return "\n".join(parts)


def _of_several(value: Any, inner: Callable[[Any], str]) -> str:
    if isinstance(value, functools.partial):
        named = [f"{name}={inner(given)}" for name, given in value.keywords.items()]
        return f"{inner(value.func)}({', '.join([*map(inner, value.args), *named])})"
    if isinstance(value, Mapping):
        items = sorted(f"{inner(key)}: {inner(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(inner, value))}]"
    return f"set({', '.join(sorted(map(inner, value)))})"


def _of_function(value: Any, inner: Callable[[Any], str]) -> str:
    name = _name(value)
    code = getattr(value, "__code__", None)
    if code is None or "<" not in name:
        return name
    # Others have the same name: lambdas of one module, and what one function makes.
    return f"{name} {_digest(code_text(code) + inner(_settings(value)))}"


def _settings(function: Any) -> list[Any]:
    """Return the defaults of a function, and the values that it closes over."""
    found = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    for cell in function.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:
            # What it closes over is not there yet.
            continue
        # A list is, more likely than not, what the function writes to.
        if not isinstance(value, (list, set)):
            found.append(value)
    return found


def _of_array(value: Any) -> str:
    import numpy as np

    try:
        if hasattr(value, "detach"):
            # numpy has no bfloat16, and float64 holds each of its numbers.
            plain = value.detach().cpu()
            is_small = plain.dtype.is_floating_point and plain.dtype.itemsize < 4
            array = (plain.double() if is_small else plain).numpy()
        else:
            array = np.asarray(value)
    except (TypeError, RuntimeError, ValueError, NotImplementedError):
        return _name(type(value))
    content = repr(array.tolist()).encode() if array.dtype.hasobject else b""
    digest = hashlib.sha256(content or np.ascontiguousarray(array).tobytes())
    shape = tuple(value.shape)
    return f"{_name(type(value))}{shape} {value.dtype} {digest.hexdigest()[:12]}"


def _of_object(value: Any, inner: Callable[[Any], str]) -> str:
    kind: Any = type(value)
    if dataclasses.is_dataclass(value):
        fields = {
            each.name: getattr(value, each.name, None)
            for each in dataclasses.fields(value)
        }
        return f"{_name(kind)}({inner(fields)})"
    if kind.__repr__ is object.__repr__:
        own = inner(vars(value)) if hasattr(value, "__dict__") else ""
        return f"{_name(kind)}({own})"
    try:
        shown = repr(value)
    except Exception:
        # Whatever it raises, the value may be given to a run.
        return _name(kind)
    if " at 0x" in shown:
        # Another one in each process.
        return _name(kind)
    return shown if len(shown) <= _LONGEST else f"{_name(kind)} {_digest(shown)}"


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{value.__qualname__}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
