"""Checkpoints: the state dict in a file of safetensors or of torch.

Nothing in them is ever executed.
"""

from __future__ import annotations

import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml.reading.opening import ARRAYS, allowance, is_of_system, require_room, suffix
from daleml.reading.table_options import ReadingError, Say, listed, printable, reason

SAFETENSORS = ".safetensors"
INDEX = ".json"

_KNOWN = ("state_dict", "model_state_dict", "model")
"""Under these keys a state dict is looked for first, one inside the other."""

_NO_MODEL = re.compile(
    r"optim|sched|scaler|(^|_)ema|callback|loop|hparam|hyper|config|args|history|rng|random|metric|loss"
)
_WRAPPERS = ("module.", "_orig_mod.")
_DEPTH = 4
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_TRIES = 30


class _Inert(dict[str, Any]):
    """Stands for an object that holds settings, of a class that is not imported.

    It keeps nothing and does nothing.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


_SETTINGS = re.compile(
    r"(argparse\.Namespace|pathlib\.\w+|pathlib\._local\.\w+|omegaconf\..+|.*\.AttributeDict|yacs\.config\.CfgNode"
    r"|easydict\.EasyDict|ml_collections\..+)"
)
"""Classes of settings that stand beside a state dict; none is imported for it."""


def read_state(path: Path, say: Say) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint.

    Args:
        path: A safetensors file, the index of several (``.safetensors.index.json``), or a torch
            file, which is read with ``weights_only=True``.
        say: What takes notes.

    Returns:
        Dense tensors by name; those without an entry are left out.

    Raises:
        ValueError: If the file is damaged or holds something else; the sentence names the keys
            that it found.
        OSError: If it cannot be opened.
    """
    name = printable(path)
    if suffix(path) == SAFETENSORS:
        content: Any = _of_safetensors(path)
    elif suffix(path) == INDEX:
        content = _of_index(path)
    else:
        content = _of_torch(path, say)
    found = _find(content, name, say)
    tensors = {}
    for key, value in found.items():
        dense = _dense(key, value, path)
        if dense.numel():
            tensors[key] = dense
    if not tensors:
        got = "only tensors without entries" if found else _described(content)
        raise ReadingError(f"`{name}` must hold a state dict of tensors; got {got}.")
    return _unwrapped(tensors, name, say)


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ReadingError(
            f"`{printable(path)}` must be a safetensors file; {reason(error)}."
        ) from None
    except Exception as error:  # of torch, of types and sizes it does not know
        if is_of_system(error):
            raise
        raise ReadingError(
            f"`{printable(path)}` must be a safetensors file; {reason(error)}."
        ) from None


def _of_index(path: Path) -> dict[str, Tensor]:
    """Read the files that an index names; they lie beside it."""
    name = printable(path)
    require_room(path, path.stat().st_size, ARRAYS)
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
        found |= {
            key: value
            for key, value in _of_safetensors(beside).items()
            if parts.get(key) == file
        }
    return found


def _of_torch(path: Path, say: Say) -> Any:
    """Load a torch file.

    Classes of settings are stood in for, and every other class is refused by its name.
    """
    name = printable(path)
    _require_stored(path)
    stands = _numpy_types()
    left: set[str] = set()
    for _ in range(_TRIES):
        try:
            # torch's warnings on pickle protocols, of a file that it then refuses
            with (
                warnings.catch_warnings(action="ignore"),
                torch.serialization.safe_globals(stands),
            ):
                content = torch.load(path, map_location="cpu", weights_only=True)
        # whatever the damage happens to trip over; torch's own advice is to unpickle
        except Exception as error:
            if is_of_system(error):
                raise
            unknown = _GLOBAL.search(str(error))
            if unknown and _SETTINGS.fullmatch(unknown[1]) and unknown[1] not in left:
                left.add(unknown[1])
                stands.append((_Inert, unknown[1]))
                continue
            what = (
                f"; it holds a {unknown[1]}, of which nothing was run: save the"
                " `state_dict()` alone"
                if unknown
                else ""
            )
            raise ReadingError(
                f"`{name}` must be a torch state dict of tensors only; it is damaged or"
                f" holds something else{what}."
            ) from None
        if left:
            say(
                f"`{name}` holds settings too ({listed(sorted(left), 5)}), which were left"
                " unread."
            )
        return content
    raise ReadingError(
        f"`{name}` must be a torch state dict of tensors only; it holds too many other"
        " things."
    )


def _require_stored(path: Path) -> None:
    """Refuse a torch file that unpacks to far more than it is: torch itself compresses nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # an older kind, or damaged, which torch says
        if is_of_system(error):
            raise
        return
    require_room(path, needed, ARRAYS)


def _numpy_types() -> list[Any]:
    """Return what NumPy's scalars and arrays are pickled by, under the names of NumPy 1 and of NumPy 2."""
    core = np._core if hasattr(np, "_core") else np.core
    scalar, rebuild = core.multiarray.scalar, core.multiarray._reconstruct
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"}
    found: list[Any] = [
        np.dtype,
        np.ndarray,
        *sorted(kinds, key=lambda kind: kind.__name__),
    ]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(scalar, f"{module}.scalar"), (rebuild, f"{module}._reconstruct")]
    return found


def _find(content: Any, name: str, say: Say) -> dict[str, Any]:
    """Return the state dict in what a checkpoint holds, wherever it is."""
    inner = content
    for _ in range(_DEPTH):
        known = [
            key
            for key in _KNOWN
            if isinstance(inner, Mapping) and _is_nested(inner.get(key))
        ]
        if not known:
            break
        inner = inner[known[0]]
    if not isinstance(inner, Mapping):
        raise ReadingError(
            f"`{name}` must hold a state dict of tensors; got {_described(content)}."
        )
    own = _own_tensors(inner)
    found = dict(_state_dicts(inner))
    if not found and not own:
        raise ReadingError(
            f"`{name}` must hold a state dict of tensors; got {_described(content)}."
        )
    if not found:
        return own
    if any(
        value.ndim > 1 for value in own.values()
    ):  # weights, not the numbers of a step or of an epoch
        say(
            f"`{name}` holds weights beside the state dict{'s' if len(found) > 1 else ''}"
            f" {listed(list(found), 8)}."
        )
        return own | {
            f"{key}.{name}": value
            for key, state in found.items()
            for name, value in state.items()
        }
    if len(found) == 1:
        (key, state), *_ = found.items()
        say(f"The state dict of `{name}` was found under {printable(key)!r}.")
        return state
    say(
        f"`{name}` holds several state dicts, {listed(list(found), 8)}; all were read,"
        " their names before the weights'."
    )
    return {
        f"{key}.{inner_key}": value
        for key, state in found.items()
        for inner_key, value in state.items()
    }


def _own_tensors(state: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in state.items() if _is_weight(value)}


def _is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    )


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) and _holds_tensors(value)


def _holds_tensors(state: Mapping[Any, Any], depth: int = _DEPTH) -> bool:
    if _own_tensors(state):
        return True
    return depth > 0 and any(
        isinstance(v, Mapping) and _holds_tensors(v, depth - 1) for v in state.values()
    )


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
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(
            np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
        )
    if value.is_meta:
        raise ReadingError(
            f"{where}; got {printable(key)!r}, which has a shape and no data."
        )
    if value.is_nested:
        raise ReadingError(f"{where}; got {printable(key)!r}, which is nested.")
    allowed = allowance(path, ARRAYS)
    needed = math.prod(value.shape) * value.element_size() if value.numel() else 0
    if needed > allowed:
        require_room(path, needed, ARRAYS)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch's, that quantised tensors go away one day
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


def _unwrapped(tensors: dict[str, Tensor], name: str, say: Say) -> dict[str, Tensor]:
    """Take off what ``DataParallel`` and ``compile`` put before every name."""
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) and len(key) > len(prefix) for key in tensors):
            say(
                f"{prefix!r} was taken off all the names in `{name}`: a wrapper puts it"
                " there."
            )
            tensors = {
                key.removeprefix(prefix): value for key, value in tensors.items()
            }
    return tensors
