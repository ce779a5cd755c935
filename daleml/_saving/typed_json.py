"""Nested state as strict JSON that keeps its types, with its tensors apart; and back again, without pickle.

None, booleans, integers below 2**53, finite floats, strings, lists, and dictionaries whose keys are strings are written
as they are. Everything else is an object ``{"type": ..., ...}``. What has no entry in this file is refused by its path.
"""

from __future__ import annotations

import math
import random
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TYPE = "type"
_SAME = "same as"
_FACTORIES = {kind.__name__: kind for kind in (int, float, complex, str, bool, list, dict, set, tuple, bytes)}
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_ARRAY_KINDS = "biufc"  # of numpy's kinds of dtype those that torch has, too


class StateError(ValueError):
    """Raised for a value that has no place in typed JSON, or for JSON that describes no value."""


def name_of(thing: Any) -> str:
    """Return the full name of a class or function."""
    return f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', repr(thing))}"


class Encoder:
    """Turns nested state into JSON and moves its tensors aside.

    Attributes:
        tensors: Every tensor met, by the path at which it was met first.
        functions: Functions and classes met, by path. They are written by name only.
        generators: Random generators met, by path.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.functions: dict[str, Any] = {}
        self.generators: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an id means something only while its object lives

    def encode(self, value: Any, path: str) -> Any:
        """Return JSON for a value.

        Raises:
            StateError: If the value, or a part of it, cannot be kept.
        """
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:  # readers of JSON take longer ones for floats, and Python reads no more than 4300 digits
            return value if abs(value) < 2**53 else _entry("int", hex(value))
        if kind is float:
            return value if math.isfinite(value) else _entry("float", str(value))
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, Enum):
            return _entry("enum", self._plain_value(value, path), of=self._importable(kind, path))
        if kind in _IMMUTABLE:
            return _entry(kind.__name__, _IMMUTABLE[kind](value))
        if kind is tuple:
            return _entry("tuple", self._items(value, path))
        if kind is frozenset:
            return _entry("frozenset", self._items(value, path))
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return _entry("namedtuple", self._items(value, path), of=self._importable(kind, path))
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
        """Encode what can change in place: met a second time, it is the same thing again, not a copy."""
        if id(value) in self._numbers:
            return _entry(_SAME, self._numbers[id(value)])
        kind = type(value)
        if kind not in _MUTABLE:
            raise StateError(
                f"`{path}` must be tensors and plain values, to be kept in a checkpoint; got {_named(kind)}."
            )
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        return _MUTABLE[kind](self, value, path)

    def _items(self, values: Any, path: str) -> list[Any]:
        return [self.encode(item, f"{path}.{i}") for i, item in enumerate(values)]

    def _pairs(self, value: dict[Any, Any], path: str) -> list[list[Any]]:
        return [[self._key(key, path), self.encode(item, f"{path}.{key}")] for key, item in value.items()]

    def _key(self, key: Any, path: str) -> Any:
        if isinstance(key, (Tensor, *_FUNCTIONS)):
            raise StateError(f"`{path}` must have plain keys, to be kept in a checkpoint; got {_named(type(key))}.")
        return self.encode(key, f"{path} (key)")

    def _list(self, value: list[Any], path: str) -> Any:
        return self._items(value, path)

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if TYPE not in value and all(type(key) is str for key in value):
            return {key: self.encode(item, f"{path}.{key}") for key, item in value.items()}
        return _entry("dict", self._pairs(value, path))

    def _ordered(self, value: dict[Any, Any], path: str) -> Any:
        return _entry(type(value).__name__, self._pairs(value, path))

    def _defaultdict(self, value: defaultdict[Any, Any], path: str) -> Any:
        factory = value.default_factory
        name = None if factory is None else getattr(factory, "__name__", repr(factory))
        if name is not None and _FACTORIES.get(name) is not factory:
            raise StateError(f"`{path}` must have a built-in type as its default, to be kept; got {name}.")
        return _entry("defaultdict", self._pairs(value, path), factory=name)

    def _deque(self, value: deque[Any], path: str) -> Any:
        return _entry("deque", self._items(value, path), maxlen=value.maxlen)

    def _set(self, value: set[Any], path: str) -> Any:
        return _entry("set", self._items(value, path))

    def _bytearray(self, value: bytearray, path: str) -> Any:
        return _entry("bytearray", value.hex())

    def _array(self, value: np.ndarray[Any, Any], path: str) -> Any:
        if value.dtype.kind not in _ARRAY_KINDS or value.dtype.itemsize > 16 or not value.dtype.isnative:
            raise StateError(
                f"`{path}` must be of numbers that torch has, to be kept in a checkpoint; got {value.dtype}."
            )
        copy = torch.from_numpy(np.ascontiguousarray(value).reshape(value.shape).copy())
        return _entry("array", self.encode(copy, path))

    def _generator(self, value: Any, path: str) -> Any:
        self.generators[path] = value
        state, kind = read_generator(value), type(value)
        return _entry(f"{kind.__module__}.{kind.__name__}", self.encode(state, path))

    def _tensor(self, value: Tensor, path: str) -> Any:
        if value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise StateError(
                f"`{path}` must be a dense tensor with values, to be kept in a checkpoint; got {_form(value)}."
            )
        if id(value) in self._names:
            name = self._names[id(value)]
        else:
            name = path
            while name in self.tensors:  # a key that holds a dot
                name += "'"
            self._names[id(value)] = name
            self._alive.append(value)
            plain = value.detach()
            self.tensors[name] = torch.view_as_real(plain.resolve_conj()) if plain.is_complex() else plain
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
        if isinstance(item, np.generic) or type(item) not in (bool, int, float, complex, str, bytes):
            raise StateError(
                f"`{path}` must be a number that Python has, to be kept in a checkpoint; got {value.dtype}."
            )
        return _entry("numpy", self.encode(item, path), dtype=str(value.dtype))

    def _plain_value(self, value: Enum, path: str) -> Any:
        return self.encode(value.value, path)

    def _importable(self, kind: type, path: str) -> str:
        name = name_of(kind)
        if _known_class(name) is not kind:
            raise StateError(
                f"`{path}` must be of a class at the top of a module, to be kept in a checkpoint; got {name}."
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


class Decoder:
    """Turns JSON of an :class:`Encoder` back into what it was.

    Args:
        tensors: By the names that the encoder gave them.
        functions: The functions of the run that is to go on, by path: JSON has their names only.
        generators: Its random generators, by path. They are kept, and get their states from :attr:`pending`.

    Attributes:
        pending: Generators and the states they are to have, once everything else is known to be right.
    """

    def __init__(self, tensors: dict[str, Tensor], functions: dict[str, Any], generators: dict[str, Any]) -> None:
        self.pending: list[tuple[Any, Any]] = []
        self._tensors = tensors
        self._functions = functions
        self._generators = generators
        self._made: list[Any] = []
        self._restored: dict[str, Tensor] = {}

    def decode(self, value: Any, path: str) -> Any:
        """Return the value that JSON describes.

        Raises:
            StateError: If it describes none.
        """
        if isinstance(value, list):
            made: list[Any] = []
            self._made.append(made)
            made += self._items(value, path)
            return made
        if not isinstance(value, dict):
            return value
        if TYPE not in value:
            plain: dict[str, Any] = {}
            self._made.append(plain)
            for key, item in value.items():
                plain[key] = self.decode(item, f"{path}.{key}")
            return plain
        try:
            return self._typed(value, path)
        except StateError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, OverflowError) as error:
            raise StateError(f"`{path}` describes no value: {type(error).__name__} {error}") from None

    def _typed(self, entry: dict[str, Any], path: str) -> Any:
        kind, value = entry[TYPE], entry["value"]
        if kind == _SAME:
            if not 0 <= value < len(self._made):
                raise IndexError(value)
            return self._made[value]
        if kind in ("float", "int", "complex", "bytes", "range"):
            return _read_plain(kind, value)
        if kind in ("tuple", "frozenset"):
            return {"tuple": tuple, "frozenset": frozenset}[kind](self._items(value, path))
        if kind == "namedtuple":
            return _class(entry["of"], tuple)._make(self._items(value, path))
        if kind == "enum":
            return _class(entry["of"], Enum)(self.decode(value, path))
        if kind == "numpy":
            return np.dtype(entry["dtype"]).type(self.decode(value, path))
        if kind == "tensor":
            return self._tensor(entry)
        if kind == "function":
            return self._function(value, path)
        if kind.startswith("torch.") and kind != "torch._C.Generator":
            return _torch_value(kind, value)
        return self._mutable(kind, value, entry, path)

    def _mutable(self, kind: str, value: Any, entry: dict[str, Any], path: str) -> Any:
        if kind in ("dict", "OrderedDict", "Counter", "defaultdict"):
            empty: Any = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter, "defaultdict": defaultdict}[
                kind
            ]()
            if kind == "defaultdict" and entry["factory"] is not None:
                empty.default_factory = _FACTORIES[entry["factory"]]
            self._made.append(empty)
            for key, item in value:
                made = self.decode(key, f"{path} (key)")
                empty[made] = self.decode(item, f"{path}.{made}")
            return empty
        if kind in ("deque", "set"):
            group: Any = deque(maxlen=entry["maxlen"]) if kind == "deque" else set()
            self._made.append(group)
            for item in self._items(value, path):
                group.append(item) if kind == "deque" else group.add(item)
            return group
        if kind == "bytearray":
            return self._remember(bytearray.fromhex(value))
        if kind == "array":
            place = len(self._made)
            self._made.append(None)
            self._made[place] = self.decode(value, path).numpy().copy()
            return self._made[place]
        return self._generator(kind, value, path)

    def _remember(self, made: Any) -> Any:
        self._made.append(made)
        return made

    def _items(self, values: list[Any], path: str) -> list[Any]:
        if not isinstance(values, list):
            raise TypeError(f"a list is needed, not {type(values).__name__}")
        return [self.decode(item, f"{path}.{i}") for i, item in enumerate(values)]

    def _tensor(self, entry: dict[str, Any]) -> Tensor:
        name = entry["value"]
        if name in self._restored:
            return self._restored[name]
        tensor = self._tensors[name]
        if entry.get("complex"):
            tensor = torch.view_as_complex(tensor)
        device = torch.device(entry.get("device", "cpu"))
        if device.type == "cuda" and torch.cuda.is_available():
            tensor = tensor.to(device)
        if "parameter" in entry:
            tensor = nn.Parameter(tensor, requires_grad=bool(entry["parameter"]))
        self._restored[name] = tensor
        return tensor

    def _function(self, name: str, path: str) -> Any:
        """Return the function that lies at the same path in the run that goes on: it must have the same name."""
        found = self._functions.get(path)
        if found is None or name_of(found) != name:
            here = "nothing" if found is None else name_of(found)
            raise StateError(f"`{path}` must be {name}, as it was when the checkpoint was written; it is {here}")
        return found

    def _generator(self, kind: str, value: Any, path: str) -> Any:
        place = len(self._made)
        self._made.append(None)
        state = self.decode(value, path)
        found = self._generators.get(path)
        if found is None or f"{type(found).__module__}.{type(found).__name__}" != kind:
            found = _new_generator(kind, state)
        self.pending.append((found, state))
        self._made[place] = found
        return found


def read_generator(generator: Any) -> Any:
    """Return the state of a random generator as plain values and tensors."""
    if isinstance(generator, torch.Generator):
        return {"device": str(generator.device), "state": generator.get_state()}
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate()


def write_generator(generator: Any, state: Any) -> None:
    """Give a random generator the state that :func:`read_generator` returned."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state["state"])
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def _new_generator(kind: str, state: Any) -> Any:
    if kind == "torch._C.Generator":
        return torch.Generator(state["device"])
    if kind == "random.Random":
        return random.Random()
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise ValueError(f"there is no random generator {state['bit_generator']!r}")
    if kind == "numpy.random.mtrand.RandomState":
        return np.random.RandomState()
    if kind == "numpy.random._generator.Generator":
        return np.random.Generator(getattr(np.random, state["bit_generator"])())
    raise ValueError(f"there is no type {kind!r}")


def _read_plain(kind: str, value: Any) -> Any:
    if kind == "float":
        return float(value)
    if kind == "int":
        return int(value, 16)
    if kind == "complex":
        return complex(float(value[0]), float(value[1]))
    return bytes.fromhex(value) if kind == "bytes" else range(*value)


def _torch_value(kind: str, value: Any) -> Any:
    if kind == "torch.dtype":
        dtype = vars(torch)[value]
        if isinstance(dtype, torch.dtype):
            return dtype
    if kind == "torch.device":
        return torch.device(value)
    if kind == "torch.Size":
        return torch.Size(value)
    raise ValueError(f"there is no type {kind!r}")


def _class(name: str, base: type) -> Any:
    """Return a class that this program has imported already: nothing is imported because a file says so."""
    found = _known_class(name)
    if found is None or not issubclass(found, base):
        raise ValueError(f"there is no {base.__name__} {name!r} in this program")
    return found


def _known_class(name: str) -> type | None:
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:n]))
        if found is None:
            continue
        for part in parts[n:]:
            found = vars(found).get(part) if hasattr(found, "__dict__") else None  # no `__getattr__` of a module runs
            if found is None:
                break
        if isinstance(found, type):
            return found
    return None


def _entry(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {TYPE: kind, "value": value, **more}


def _named(kind: type) -> str:
    return kind.__name__ if kind.__module__ in ("builtins", "__main__") else name_of(kind)


def _form(value: Tensor) -> str:
    if value.is_meta:
        return "a meta tensor"
    return "a quantised tensor" if value.is_quantized else f"one of layout {value.layout}"
