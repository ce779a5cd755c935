"""Checkpoints of a training run: safetensors for tensors, JSON for the rest, and no pickle.

A checkpoint is a folder. ``checkpoint.json`` names the two tensor files that belong to it, with their SHA-256, and is
replaced last: a run killed at any moment leaves the previous checkpoint or the new one, never a mixture.
``model-<epoch>.safetensors`` is the plain state dict of the model.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from daleml import _files

_INDEX = "checkpoint.json"
_FORMAT = 1
_TENSOR = "tensor"


class CheckpointError(ValueError):
    """Raised when a checkpoint cannot be read, or does not belong to this run."""


@dataclass
class Run:
    """What a training run must get back to go on as if it had not stopped."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None = None
    generators: list[torch.Generator] = field(default_factory=list)


def save(folder: Path, run: Run, epoch: int, rows: list[dict[str, Any]]) -> None:
    """Write a checkpoint, and drop the tensor files of earlier ones."""
    _files.folder("checkpoint", folder)
    tensors: dict[str, Tensor] = {}
    optimizer = _take_tensors(run.optimizer.state_dict(), tensors, "optimizer")
    scheduler = _take_tensors(run.scheduler.state_dict(), tensors, "scheduler") if run.scheduler else None
    files = {
        f"model-{epoch}.safetensors": run.model.state_dict(),
        f"optimizer-{epoch}.safetensors": tensors | _random_tensors(run.generators),
    }
    for name, content in files.items():
        _write_tensors(folder / name, content)
    content = {
        "epoch": epoch,
        "files": {name: _sha256(folder / name) for name in files},
        "classes": _classes(run),
        "optimizer": optimizer,
        "scheduler": scheduler,
        "python_random": random.getstate(),
        "history": rows,
    }
    try:
        written = json.dumps(content, default=_plain)
    except TypeError as error:
        raise CheckpointError(
            f"the optimiser's or scheduler's state must be tensors and plain values; {error}."
        ) from None
    index = {"format": _FORMAT, "sha256": _digest(written), "content": json.loads(written)}
    _files.write_text(folder / _INDEX, json.dumps(index) + "\n")
    _drop(folder, keep=files)


def load(folder: Path, run: Run) -> tuple[int, list[dict[str, Any]]] | None:
    """Put a run back where its checkpoint left it.

    Returns:
        The epoch it had finished and its history; or None if the folder holds no checkpoint.

    Raises:
        CheckpointError: If the checkpoint is damaged, or of another model or optimiser.
    """
    path = folder / _INDEX
    if not path.exists():
        return None
    content = _read_index(path)
    model, tensors = (_read_tensors(folder / name, digest) for name, digest in content["files"].items())
    if content["classes"] != _classes(run):
        saved, given = (", ".join(filter(None, classes)) for classes in (content["classes"], _classes(run)))
        raise CheckpointError(f"`{folder}` must be of the same optimiser and scheduler; it is of {saved}, not {given}.")
    optimizer = _put_tensors(content["optimizer"], tensors)
    optimizer["state"] = {int(parameter): state for parameter, state in optimizer["state"].items()}
    optimizer["param_groups"] = [_tuples(group) for group in optimizer["param_groups"]]
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    try:
        run.model.load_state_dict(model)
        run.optimizer.load_state_dict(optimizer)
    except (RuntimeError, ValueError) as error:
        run.model.load_state_dict(before)  # torch may have read a part already
        raise CheckpointError(f"`{folder}` does not belong to this model and optimiser: {error}") from None
    if run.scheduler:
        run.scheduler.load_state_dict(_put_tensors(content["scheduler"], tensors))
    _restore_random(tensors, content["python_random"], run.generators)
    return int(content["epoch"]), list(content["history"])


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] != _FORMAT:
            raise CheckpointError(f"`{path}` must be of format {_FORMAT}; got {index['format']}.")
        if index["sha256"] != _digest(json.dumps(index["content"])):
            raise CheckpointError(f"`{path}` is damaged: its SHA-256 is not the one it names.")
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"`{path}` is damaged: {type(error).__name__} {error}.") from None
    content: dict[str, Any] = index["content"]
    return content


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _classes(run: Run) -> list[str | None]:
    return [
        None if part is None else f"{type(part).__module__}.{type(part).__qualname__}"
        for part in (run.optimizer, run.scheduler)
    ]


# -- tensors -----------------------------------------------------------------------------------------------------------


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    # Copies, since the format has no tied tensors: they are written twice and read back into one.
    others = [name for name, value in tensors.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(
            f"the model's state must be tensors; `{others[0]}` is {type(tensors[others[0]]).__name__}."
        )
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    _files.write(path, lambda temporary: save_file(contiguous, temporary))


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise CheckpointError(f"`{path}` must be there, its checkpoint names it; it is not.")
    if _sha256(path) != digest:
        raise CheckpointError(f"`{path}` is damaged: its SHA-256 is not the one its checkpoint names.")
    try:
        # Copies in memory of torch's own: where numbers lie decides the order in which a dot product adds them up.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise CheckpointError(f"`{path}` is damaged: {error}.") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _drop(folder: Path, keep: Iterable[str]) -> None:
    for pattern in ("model-*.safetensors", "optimizer-*.safetensors", ".*.safetensors", f".{_INDEX}.*"):
        for old in folder.glob(pattern):
            if old.name not in keep:
                old.unlink(missing_ok=True)


# -- nested state ---------------------------------------------------------------------------------------------


def _take_tensors(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """Move the tensors of a nested state into ``tensors``, leaving their names; keys become strings, as in JSON."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {_TENSOR: path}
    if isinstance(value, dict):
        return {str(key): _take_tensors(item, tensors, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_take_tensors(item, tensors, f"{path}.{i}") for i, item in enumerate(value)]
    return value


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Undo :func:`_take_tensors`."""
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _put_tensors(item, tensors) for key, item in value.items()}
    return [_put_tensors(item, tensors) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"got {type(value).__name__}")


def _tuples(group: dict[str, Any]) -> dict[str, Any]:
    """Undo JSON's one kind of sequence: of a group's values only ``params`` is a list."""
    return {key: tuple(value) if isinstance(value, list) and key != "params" else value for key, value in group.items()}


# -- randomness --------------------------------------------------------------------------------------------------------


def _random_tensors(generators: list[torch.Generator]) -> dict[str, Tensor]:
    states = {"random.torch": torch.get_rng_state()}
    states |= {f"random.cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    states |= {f"random.generator.{i}": generator.get_state() for i, generator in enumerate(generators)}
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  (saved for code that still uses it)
    states["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    states["random.numpy.rest"] = torch.tensor([position, has_gauss, gauss], dtype=torch.float64)
    return states


def _restore_random(states: dict[str, Tensor], python_random: Any, generators: list[torch.Generator]) -> None:
    torch.set_rng_state(states["random.torch"])
    for i in range(torch.cuda.device_count()):
        if f"random.cuda.{i}" in states:
            torch.cuda.set_rng_state(states[f"random.cuda.{i}"], i)
    for i, generator in enumerate(generators):
        if f"random.generator.{i}" in states:
            generator.set_state(states[f"random.generator.{i}"])
    position, has_gauss, gauss = states["random.numpy.rest"].tolist()
    keys = states["random.numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), gauss))  # noqa: NPY002
    version, internal, gauss_next = python_random
    random.setstate((version, tuple(internal), gauss_next))
