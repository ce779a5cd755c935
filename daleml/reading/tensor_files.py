"""Checkpoints: the state dict in a file of safetensors or of torch.

Nothing in them is ever executed.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import listed, printable, reason
from daleml.reading.array_files import read_arrays
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.opening import (
    MOST_ARRAYS,
    SAFETENSORS,
    STATES,
    is_of_system,
    require_file,
    require_room,
    suffix,
)
from daleml.reading.torch_files import load_torch_file

# torch is imported by the functions below: whoever reads a table does not wait for it.
if TYPE_CHECKING:
    from torch import Tensor

_INDEX = ".json"

# Under these keys a state dict is looked for first, one inside the other.
_KNOWN = ("state_dict", "model_state_dict", "model")

# Under keys like these are tensors that are no weights of a model.
_NO_MODEL = re.compile(
    r"optim|sched|scaler|(^|_)ema|callback|loop|hparam|hyper|config|args|history|rng|random"
    r"|metric|loss"
)

# What ``DataParallel`` and ``torch.compile`` put before the name of every weight.
_WRAPPERS = ("module.", "_orig_mod.")

# State dicts are looked for in dicts that lie in each other to this depth.
_DEPTH = 4


def read_state(path: Path, on_note: OnNote) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint.

    Args:
        path: A safetensors file, the index of several (``.safetensors.index.json``), or a torch
            file, which is read with ``weights_only=True``.
        on_note: The callback that takes notes.

    Returns:
        Dense tensors by name; those without an entry are left out.

    Raises:
        ValueError: If the file is damaged or holds something else; the sentence names the keys
            that it found.
        OSError: If it cannot be opened.
    """
    name = printable(path)
    content: Any
    if suffix(path) == SAFETENSORS:
        content = _of_safetensors(path)
    elif suffix(path) == _INDEX:
        content = _of_index(path)
    else:
        content = load_torch_file(path, on_note)
    found = _find(content, name, on_note)
    tensors = {}
    for key, value in found.items():
        dense = _dense(key, value, path)
        if dense.numel():
            tensors[key] = dense
    if not tensors:
        got = _described(content)
        if found:
            got = "only tensors without entries"
        raise ReadingError(f"`{name}` must hold a state dict of tensors; got {got}.")
    return _unwrapped(tensors, name, on_note)


def read_checkpoint(path: Path, on_note: OnNote) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint; the arrays of a ``.npz`` are one too.

    Raises:
        ValueError: If the file is damaged or holds something else.
        OSError: If it cannot be opened.
    """
    if path.name.lower().endswith(".index.json"):
        require_file(path, (_INDEX,))
        return read_state(path, on_note)
    require_file(path, (*STATES, ".npz"))
    if suffix(path) != ".npz":
        return read_state(path, on_note)
    import torch

    found = read_arrays(path, on_note)
    state = {}
    for key, value in found.items():
        if value.dtype.kind in "fiub" and value.size:
            state[key or path.stem] = torch.from_numpy(_native(value))
    if not state:
        raise ReadingError(
            f"`{printable(path)}` must hold arrays of numbers; got"
            f" {listed(list(found)) or 'none'}."
        )
    return state


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return an array in the byte order of this machine, as torch takes it."""
    return np.array(values, dtype=values.dtype.newbyteorder("="), order="C")


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    # Beside the library's own error, those of torch, of types and sizes that it does not know.
    except Exception as error:
        if is_of_system(error) and not isinstance(error, SafetensorError):
            raise
        raise ReadingError(
            f"`{printable(path)}` must be a safetensors file; {reason(error)}."
        ) from None


def _of_index(path: Path) -> dict[str, Tensor]:
    """Read the files that an index names; they lie beside it."""
    name = printable(path)
    require_room(path, path.stat().st_size, MOST_ARRAYS)
    try:
        parts = json.loads(path.read_bytes())["weight_map"]
        files = sorted({str(file) for file in parts.values()})
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise ReadingError(
            f"`{name}` must be an index of safetensors files, with a `weight_map`; it is"
            " none."
        ) from None
    found: dict[str, Tensor] = {}
    for file in files:
        if Path(file).name != file or not file.endswith(SAFETENSORS):
            raise ReadingError(
                f"`{name}` must name safetensors files beside it; got {printable(file)!r}."
            )
        beside = path.with_name(file)
        if not beside.is_file():
            raise FileNotFoundError(
                f"`{printable(beside)}` must be a file, which `{name}` names; it is not"
                " there."
            )
        for key, value in _of_safetensors(beside).items():
            if parts.get(key) == file:
                found[key] = value
    return found


def _find(content: Any, name: str, on_note: OnNote) -> dict[str, Any]:
    """Return the state dict in what a checkpoint holds, wherever it is."""
    inner = content
    for _ in range(_DEPTH):
        nested = _nested(inner)
        if nested is None:
            break
        inner = nested
    own: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    if isinstance(inner, Mapping):
        own = _own_tensors(inner)
        found = dict(_state_dicts(inner))
    if not found and not own:
        raise ReadingError(
            f"`{name}` must hold a state dict of tensors; got {_described(content)}."
        )
    if not found:
        return own
    # Tensors of more than one dimension are weights, not the numbers of a step or an epoch.
    if any(value.ndim > 1 for value in own.values()):
        plural = "s" if len(found) > 1 else ""
        on_note(
            f"`{name}` holds weights beside the state dict{plural}"
            f" {listed(list(found), 8)}."
        )
        return own | _joined(found)
    if len(found) == 1:
        (key, state), *_ = found.items()
        on_note(f"The state dict of `{name}` was found under {printable(key)!r}.")
        return state
    on_note(
        f"`{name}` holds several state dicts, {listed(list(found), 8)}; all were read,"
        " their names before the weights'."
    )
    return _joined(found)


def _nested(content: Any) -> Mapping[Any, Any] | None:
    """Return what stands in a dict under one of the usual names of a state dict, if it is one."""
    if isinstance(content, Mapping):
        for key in _KNOWN:
            inner = content.get(key)
            if isinstance(inner, Mapping) and _holds_tensors(inner):
                return inner
    return None


def _joined(states: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return several state dicts as one, the name of each before those of its weights."""
    joined = {}
    for key, state in states.items():
        for name, value in state.items():
            joined[f"{key}.{name}"] = value
    return joined


def _own_tensors(state: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in state.items() if _is_weight(value)}


def _is_weight(value: Any) -> bool:
    from torch import Tensor

    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub"
    return isinstance(value, Tensor)


def _holds_tensors(state: Any, depth: int = _DEPTH) -> bool:
    if not isinstance(state, Mapping):
        return False
    if _own_tensors(state):
        return True
    return depth > 0 and any(_holds_tensors(one, depth - 1) for one in state.values())


def _state_dicts(
    state: Mapping[Any, Any], path: str = "", depth: int = _DEPTH
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dicts of tensors inside a dict, by the path of their keys.

    An optimiser's are none of a model.
    """
    for key, value in state.items():
        if not isinstance(value, Mapping) or _NO_MODEL.search(str(key).lower()):
            continue
        here = f"{path}.{key}" if path else str(key)
        own = _own_tensors(value)
        if own:
            yield here, own
        elif depth:
            yield from _state_dicts(value, here, depth - 1)


def _described(content: Any) -> str:
    """Return what a checkpoint holds instead: its type, and its keys if it has any."""
    kind = type(content).__name__
    if not isinstance(content, Mapping):
        return kind
    keys = [f"{key} ({type(value).__name__})" for key, value in content.items()]
    return f"{kind} with the keys {listed(keys, 12)}" if keys else f"an empty {kind}"


def _dense(key: str, value: Any, path: Path) -> Tensor:
    """Return a tensor as one that is dense, has data, and takes no more memory than it may."""
    where = f"`{printable(path)}` must hold dense tensors of real numbers"
    import torch

    if isinstance(value, np.ndarray):
        value = torch.from_numpy(_native(value))
    if value.is_meta:
        raise ReadingError(
            f"{where}; got {printable(key)!r}, which has a shape and no data."
        )
    if value.is_nested:
        raise ReadingError(f"{where}; got {printable(key)!r}, which is nested.")
    # A view may repeat one number without end: its data take less than its shape says.
    if value.numel():
        needed = math.prod(value.shape) * value.element_size()
        require_room(path, needed, MOST_ARRAYS)
    try:
        # torch warns that quantised tensors go away one day.
        with warnings.catch_warnings(action="ignore"):
            if value.is_quantized:
                value = value.dequantize()
            if value.layout != torch.strided:
                value = value.to_dense()
    except (RuntimeError, NotImplementedError, ValueError) as error:
        raise ReadingError(
            f"{where}; got {printable(key)!r}: {reason(error)}."
        ) from None
    dense: Tensor = value.detach()
    return dense


def _unwrapped(
    tensors: dict[str, Tensor], name: str, on_note: OnNote
) -> dict[str, Tensor]:
    """Take off what ``DataParallel`` and ``compile`` put before every name."""
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) and len(key) > len(prefix) for key in tensors):
            on_note(
                f"{prefix!r} was taken off all the names in `{name}`: a wrapper puts it"
                " there."
            )
            bare = [key.removeprefix(prefix) for key in tensors]
            tensors = dict(zip(bare, tensors.values(), strict=True))
    return tensors
