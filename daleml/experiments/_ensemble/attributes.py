"""Whether what models hold beside tensors of their own is the same in all of them.

Parameters and buffers are stacked. All else that the code of a model reads, as a mask that is no
buffer, a function or a table of settings, would be the first model's in every model.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_OF_TORCH = frozenset(vars(nn.Module())) - {"training"}
"""What every module keeps for itself."""
_BY_EQUALITY = (
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    set,
    frozenset,
    range,
    slice,
    torch.dtype,
    torch.device,
)


def of(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what a module holds that is neither a parameter, a buffer nor a module of it."""
    package = type(module).__module__.partition(".")[0]
    for name, value in vars(module).items():
        # What layers of these packages keep for themselves follows from their settings.
        if name in _OF_TORCH or (package in ("daleml", "torch") and name[0] == "_"):
            continue
        # From which no layer of this package draws while it runs, circuits aside.
        if package == "daleml" and isinstance(value, torch.Generator):
            continue
        yield name, value


class Comparison:
    """Compares what two models hold.

    Args:
        first: The modules of the first model, by path.
        other: Those of the other.
    """

    def __init__(
        self, first: Mapping[str, nn.Module], other: Mapping[str, nn.Module]
    ) -> None:
        self._paths = [
            {id(module): path for path, module in modules.items()}
            for modules in (first, other)
        ]
        self._seen: set[tuple[int, int]] = set()

    def alike(self, a: Any, b: Any) -> bool:
        """Whether code that reads ``a`` would do the same with ``b``.

        What cannot be compared is not alike. So are generators, for each goes on by itself.
        """
        if isinstance(a, torch.Generator) or type(a) is not type(b):
            return False
        # An object that holds itself, by whatever way, is compared once.
        if a is b or (id(a), id(b)) in self._seen:
            return True
        self._seen.add((id(a), id(b)))
        try:
            return self._are_alike(a, b)
        except Exception:
            # An `==` of the user's own that gives no truth value, say.
            return False

    def _are_alike(self, a: Any, b: Any) -> bool:
        if isinstance(a, _BY_EQUALITY):
            return bool(a == b)
        if isinstance(a, Tensor):
            return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)
        if isinstance(a, np.ndarray):
            return a.dtype == b.dtype and np.array_equal(a, b)
        if isinstance(a, nn.Module):
            paths = [
                each.get(id(one)) for each, one in zip(self._paths, (a, b), strict=True)
            ]
            if paths[0] is not None or paths[1] is not None:
                return paths[0] == paths[1]
        if isinstance(a, Mapping):
            return a.keys() == b.keys() and all(self.alike(a[key], b[key]) for key in a)
        if isinstance(a, Sequence):
            return len(a) == len(b) and all(map(self.alike, a, b))
        return self._of_code(a, b)

    def _of_code(self, a: Any, b: Any) -> bool:
        """Compare functions, and objects by what they hold."""
        if isinstance(a, types.FunctionType):
            if a.__code__ is not b.__code__ and a.__code__ != b.__code__:
                return False
            parts = ("__defaults__", "__kwdefaults__", "__closure__", "__globals__")
            return all(self.alike(getattr(a, one), getattr(b, one)) for one in parts)
        if isinstance(a, types.CellType):
            return self.alike(a.cell_contents, b.cell_contents)
        if isinstance(a, types.MethodType):
            return a.__func__ is b.__func__ and self.alike(a.__self__, b.__self__)
        if isinstance(a, functools.partial):
            return all(
                self.alike(getattr(a, one), getattr(b, one))
                for one in ("func", "args", "keywords")
            )
        if isinstance(getattr(a, "__dict__", None), dict):
            return self.alike(vars(a), vars(b))
        return bool(a == b)


class Held:
    """What the modules of a user's own hold before a run, to tell what the run has written.

    Args:
        modules: The modules of a model, by path.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = {
            path: module
            for path, module in modules.items()
            if type(module).__module__.partition(".")[0] not in ("daleml", "torch")
        }
        self._before = {
            path: {
                name: (value, _copied(value))
                for name, value in vars(module).items()
                if name not in _OF_TORCH
            }
            for path, module in self._modules.items()
        }

    def written(self) -> str | None:
        """Name an attribute that was written since, and put all of them back."""
        found = None
        for path, module in self._modules.items():
            before, after = self._before[path], vars(module)
            for name in [name for name in after if name not in _OF_TORCH]:
                if name not in before:
                    del after[name]
                elif after[name] is before[name][0] and not _grew(*before[name]):
                    continue
                found = found or f"`{name}` of `{path or 'the model itself'}`"
            for name, (value, copied) in before.items():
                after[name] = value
                if _grew(value, copied):
                    value.clear()
                    value.update(copied) if isinstance(value, dict) else value.extend(
                        copied
                    )
        return found


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict) else None


def _grew(value: Any, copied: Any) -> bool:
    """Whether a list or dict holds other objects than it held."""
    if copied is None:
        return False
    if len(value) != len(copied):
        return True
    pairs = (
        zip(value, copied, strict=True)
        if isinstance(value, list)
        else ((one, copied.get(key)) for key, one in value.items())
    )
    return any(now is not then for now, then in pairs)
