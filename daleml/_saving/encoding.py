"""Encoding of nested state as typed JSON, with its tensors apart."""

from __future__ import annotations

import math
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from daleml._saving.generators import read_generator
from daleml._saving.typed_json import (
    FACTORIES,
    SAME,
    TYPE,
    StateError,
    known_class,
    name_of,
)

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
"""What is kept by its name alone, and taken from the run that goes on."""
_ARRAY_KINDS = "biufc"
"""numpy's kinds of dtype that torch has, too."""
_SCALARS = (bool, int, float, complex, str, bytes)
"""What numpy's scalars are as plain Python."""
_EXACT_IN_JSON = 2**53
"""Readers of JSON may take integers for floats, which are exact below this."""


class Encoder:
    """Turns nested state into JSON and moves its tensors aside.

    Attributes:
        tensors: Every tensor met, by the path at which it was met first.
        functions: Functions and classes met, by path. They are written by name only.
        generators: Random generators, and schedulers within others, by path.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.functions: dict[str, Any] = {}
        self.generators: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        # An id means something only while its object lives.
        self._alive: list[Any] = []

    def encode(self, value: Any, path: str) -> Any:
        """Return JSON for a value.

        Raises:
            StateError: If the value, or a part of it, cannot be kept.
        """
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            # In hexadecimal, since Python reads no more than 4300 decimal digits.
            is_plain = abs(value) < _EXACT_IN_JSON
            return value if is_plain else _entry("int", hex(value))
        if kind is float:
            # JSON has no NaN and no infinities.
            is_plain = math.isfinite(value)
            return value if is_plain else _entry("float", str(value))
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, Enum):
            inside = self.encode(value.value, path)
            return _entry("enum", inside, of=self._importable(kind, path))
        if kind in _IMMUTABLE:
            return _entry(kind.__name__, _IMMUTABLE[kind](value))
        if kind is tuple:
            return _entry("tuple", self._items(value, path))
        if kind is frozenset:
            return _entry("frozenset", self._items(value, path))
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            items = self._items(value, path)
            return _entry("namedtuple", items, of=self._importable(kind, path))
        if isinstance(value, np.generic):
            return self._numpy_scalar(value, path)
        if isinstance(value, (torch.dtype, torch.device)):
            return _entry(f"torch.{kind.__name__}", str(value).removeprefix("torch."))
        if isinstance(value, torch.Size):
            return _entry("torch.Size", list(value))
        if isinstance(value, _FUNCTIONS):
            self.functions[path] = value
            return _entry("function", name_of(value))
        return self._mutable(value, path)

    def _mutable(self, value: Any, path: str) -> Any:
        """Encode what can change in place: met again, it is the same thing, not a copy."""
        if id(value) in self._numbers:
            return _entry(SAME, self._numbers[id(value)])
        kind = type(value)
        is_scheduler = isinstance(value, LRScheduler)
        if kind not in _MUTABLE and not is_scheduler:
            raise StateError(
                f"`{path}` must be tensors and plain values, to be kept in a checkpoint;"
                f" got {_named(kind)}."
            )
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        if is_scheduler:
            return self._scheduler(value, path)
        return _MUTABLE[kind](self, value, path)

    def _items(self, values: Any, path: str) -> list[Any]:
        return [self.encode(item, f"{path}.{i}") for i, item in enumerate(values)]

    def _pairs(self, value: dict[Any, Any], path: str) -> list[list[Any]]:
        pairs = []
        for key, item in value.items():
            pairs.append([self._key(key, path), self.encode(item, f"{path}.{key}")])
        return pairs

    def _key(self, key: Any, path: str) -> Any:
        if isinstance(key, (Tensor, *_FUNCTIONS)):
            raise StateError(
                f"`{path}` must have plain keys, to be kept in a checkpoint; got"
                f" {_named(type(key))}."
            )
        return self.encode(key, f"{path} (key)")

    def _list(self, value: list[Any], path: str) -> Any:
        return self._items(value, path)

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if TYPE not in value and all(type(key) is str for key in value):
            return {
                key: self.encode(item, f"{path}.{key}") for key, item in value.items()
            }
        return _entry("dict", self._pairs(value, path))

    def _ordered(self, value: dict[Any, Any], path: str) -> Any:
        return _entry(type(value).__name__, self._pairs(value, path))

    def _defaultdict(self, value: defaultdict[Any, Any], path: str) -> Any:
        factory = value.default_factory
        name = None if factory is None else getattr(factory, "__name__", repr(factory))
        if name is not None and FACTORIES.get(name) is not factory:
            raise StateError(
                f"`{path}` must have a built-in type as its default, to be kept; got"
                f" {name}."
            )
        return _entry("defaultdict", self._pairs(value, path), factory=name)

    def _deque(self, value: deque[Any], path: str) -> Any:
        return _entry("deque", self._items(value, path), maxlen=value.maxlen)

    def _set(self, value: set[Any], path: str) -> Any:
        return _entry("set", self._items(value, path))

    def _bytearray(self, value: bytearray, path: str) -> Any:
        return _entry("bytearray", value.hex())

    def _array(self, value: np.ndarray[Any, Any], path: str) -> Any:
        dtype = value.dtype
        # Neither long doubles nor numbers of another machine's byte order.
        is_torchs = dtype.itemsize <= 16 and dtype.isnative
        if dtype.kind not in _ARRAY_KINDS or not is_torchs:
            raise StateError(
                f"`{path}` must be of numbers that torch has, to be kept in a checkpoint;"
                f" got {value.dtype}."
            )
        copy = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape).copy())
        return _entry("array", self.encode(copy, path))

    def _generator(self, value: Any, path: str) -> Any:
        self.generators[path] = value
        state, kind = read_generator(value), type(value)
        return _entry(f"{kind.__module__}.{kind.__name__}", self.encode(state, path))

    def _scheduler(self, value: LRScheduler, path: str) -> Any:
        """Encode the state of a scheduler that another one holds; it itself stays with the run."""
        self.generators[path] = value
        state = self.encode(value.state_dict(), path)
        return _entry("scheduler", state, of=name_of(type(value)))

    def _tensor(self, value: Tensor, path: str) -> Any:
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise StateError(
                f"`{path}` must be a dense tensor with values, to be kept in a checkpoint;"
                f" got {_form(value)}."
            )
        if id(value) in self._names:
            name = self._names[id(value)]
        else:
            name = path
            # Two paths are alike where a key holds a dot.
            while name in self.tensors:
                name += "'"
            self._names[id(value)] = name
            self._alive.append(value)
            plain = value.detach()
            if plain.is_complex():
                # The tensor files of safetensors have no complex numbers.
                plain = torch.view_as_real(plain.resolve_conj())
            self.tensors[name] = plain
        entry = _entry("tensor", name)
        if value.is_complex():
            entry["complex"] = True
        if value.device.type != "cpu":
            entry["device"] = str(value.device)
        if isinstance(value, nn.Parameter):
            entry["parameter"] = value.requires_grad
        return entry

    def _numpy_scalar(self, value: np.generic, path: str) -> Any:
        item = value.item()
        if type(item) not in _SCALARS:
            raise StateError(
                f"`{path}` must be a number that Python has, to be kept in a checkpoint;"
                f" got {value.dtype}."
            )
        return _entry("numpy", self.encode(item, path), dtype=str(value.dtype))

    def _importable(self, kind: type, path: str) -> str:
        name = name_of(kind)
        if known_class(name) is not kind:
            raise StateError(
                f"`{path}` must be of a class at the top of a module, to be kept in a"
                f" checkpoint; got {name}."
            )
        return name


_IMMUTABLE: dict[type, Callable[[Any], Any]] = {
    complex: lambda value: [repr(value.real), repr(value.imag)],
    bytes: lambda value: value.hex(),
    range: lambda value: [value.start, value.stop, value.step],
}
_MUTABLE: dict[type, Callable[[Encoder, Any, str], Any]] = {
    list: Encoder._list,
    dict: Encoder._dict,
    OrderedDict: Encoder._ordered,
    Counter: Encoder._ordered,
    defaultdict: Encoder._defaultdict,
    deque: Encoder._deque,
    set: Encoder._set,
    bytearray: Encoder._bytearray,
    np.ndarray: Encoder._array,
    torch.Generator: Encoder._generator,
    np.random.Generator: Encoder._generator,
    np.random.RandomState: Encoder._generator,
    random.Random: Encoder._generator,
}


def _entry(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {TYPE: kind, "value": value, **more}


def _named(kind: type) -> str:
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__name__
    return name_of(kind)


def _form(value: Tensor) -> str:
    if value.is_meta:
        return "a meta tensor"
    if value.is_quantized:
        return "a quantised tensor"
    return f"one of layout {value.layout}"
