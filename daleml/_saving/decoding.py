"""Decoding of typed JSON into nested state."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from daleml._saving.generators import new_generator
from daleml._saving.typed_json import (
    FACTORIES,
    SAME,
    TYPE,
    StateError,
    known_class,
    name_of,
)


class Decoder:
    """Turns JSON of an :class:`Encoder` back into what it was.

    Args:
        tensors: Tensors, by the names that the encoder gave them.
        functions: The functions of the run that is to go on, by path: JSON has their names only.
        generators: The run's random generators and nested schedulers, by path. They are kept, and
            get their states from :attr:`pending`.

    Attributes:
        pending: Generators and the states they are to have, once everything else is known to be
            right.
    """

    def __init__(
        self,
        tensors: dict[str, Tensor],
        functions: dict[str, Any],
        generators: dict[str, Any],
    ) -> None:
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
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            RuntimeError,
            OverflowError,
        ) as error:
            raise StateError(
                f"`{path}` describes no value: {type(error).__name__} {error}"
            ) from None

    def unused(self) -> list[str]:
        """Return the names of the tensors that no JSON decoded so far has named."""
        return [name for name in self._tensors if name not in self._restored]

    def _typed(self, entry: dict[str, Any], path: str) -> Any:
        kind, value = entry[TYPE], entry["value"]
        if kind == SAME:
            # Python would take -1 for the last one.
            if not 0 <= value < len(self._made):
                raise IndexError(value)
            return self._made[value]
        if kind in ("float", "int", "complex", "bytes", "range"):
            return _read_plain(kind, value)
        if kind == "tuple":
            return tuple(self._items(value, path))
        if kind == "frozenset":
            return frozenset(self._items(value, path))
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
        """Return what can change in place.

        It is remembered before its contents are decoded, which may hold it again.
        """
        if kind in _MAPPINGS:
            empty = _MAPPINGS[kind]()
            if kind == "defaultdict" and entry["factory"] is not None:
                empty.default_factory = FACTORIES[entry["factory"]]
            self._made.append(empty)
            for key, item in value:
                made = self.decode(key, f"{path} (key)")
                empty[made] = self.decode(item, f"{path}.{made}")
            return empty
        if kind in ("deque", "set"):
            if kind == "deque":
                queue: deque[Any] = deque(maxlen=entry["maxlen"])
                self._made.append(queue)
                queue.extend(self._items(value, path))
                return queue
            group: set[Any] = set()
            self._made.append(group)
            group.update(self._items(value, path))
            return group
        if kind == "scheduler":
            return self._scheduler(entry["of"], value, path)
        if kind == "bytearray":
            return self._remember(bytearray.fromhex(value))
        if kind == "array":
            # Its place is taken first, as the encoder counted it before its contents.
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
        # A checkpoint of a GPU can be read where there is none.
        device = torch.device(entry.get("device", "cpu"))
        if device.type == "cuda" and torch.cuda.is_available():
            tensor = tensor.to(device)
        if "parameter" in entry:
            tensor = nn.Parameter(tensor, requires_grad=bool(entry["parameter"]))
        self._restored[name] = tensor
        return tensor

    def _function(self, name: str, path: str) -> Any:
        """Return the function at the same path of the run that goes on, if it has the same name."""
        found = self._functions.get(path)
        if found is None or name_of(found) != name:
            here = "nothing" if found is None else name_of(found)
            raise StateError(
                f"`{path}` must be {name}, as it was when the checkpoint was written; it is"
                f" {here}"
            )
        return found

    def _scheduler(self, name: str, value: Any, path: str) -> Any:
        found = self._generators.get(path)
        if not isinstance(found, LRScheduler) or name_of(type(found)) != name:
            raise StateError(
                f"`{path}` must be a {name}, as it was when the checkpoint was written"
            )
        self._made.append(found)
        state = self.decode(value, path)
        if not isinstance(state, dict):
            raise TypeError(f"its state is {type(state).__name__}")
        self.pending.append((found, state))
        return found

    def _generator(self, kind: str, value: Any, path: str) -> Any:
        place = len(self._made)
        self._made.append(None)
        state = self.decode(value, path)
        found = self._generators.get(path)
        # The run's own, so that whoever else holds it draws on from there.
        if found is None or f"{type(found).__module__}.{type(found).__name__}" != kind:
            found = new_generator(kind, state)
        self.pending.append((found, state))
        self._made[place] = found
        return found


_MAPPINGS: dict[str, Callable[[], Any]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": Counter,
    "defaultdict": defaultdict,
}


def _read_plain(kind: str, value: Any) -> Any:
    if kind == "float":
        return float(value)
    if kind == "int":
        return int(value, 16)
    if kind == "complex":
        return complex(float(value[0]), float(value[1]))
    if kind == "bytes":
        return bytes.fromhex(value)
    return range(*value)


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
    """Return a class that this program has imported already: no file may import anything."""
    found = known_class(name)
    if found is None or not issubclass(found, base):
        raise ValueError(f"there is no {base.__name__} {name!r} in this program")
    return found
