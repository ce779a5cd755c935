"""Checkpoints of a training run: safetensors for tensors, typed JSON for the rest, and no pickle.

A checkpoint is a folder. ``checkpoint.json`` names the two tensor files that belong to it, with
their SHA-256, and is replaced last: a run killed at any moment leaves the previous checkpoint
or the new one, never a mixture. ``model-<epoch>.safetensors`` is the plain state dict of the
model. Files of others in the folder are left alone.

A checkpoint is judged as a whole before anything is changed: a run whose checkpoint is refused
is as it was. Formats of earlier versions are read.
"""

from __future__ import annotations

import os
import re
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daleml._saving import (
    callback_states,
    old_formats,
    random_states,
    restore,
    run_matching,
    run_settings,
)
from daleml._saving import checkpoint_folder as files
from daleml._saving.checkpoint_error import CheckpointError
from daleml._saving.decoding import Decoder
from daleml._saving.encoding import Encoder
from daleml._saving.saved_run import Run, Saved, encode_states
from daleml._saving.single_writer import checkpoint_writer
from daleml._saving.typed_json import StateError
from daleml._support import atomic_files

__all__ = ["CheckpointError", "Run", "load", "opened", "save"]

_LONGEST = 600
"""What is wrong with a checkpoint is told in at most this many characters."""
# What reading damaged JSON, or tensors of other shapes, may raise.
_DAMAGE = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)


@contextmanager
def opened(folder: Path, run: Run) -> Iterator[None]:
    """Be the only writer of a folder, which is made if it is missing.

    Args:
        folder: The folder of the checkpoint.
        run: The run that is to be saved there; how it is set is noted.

    Returns:
        A context manager: the folder is the run's until it is left.

    Raises:
        CheckpointError: If another run writes there, or the run holds what no checkpoint can keep.
        ValueError: If the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> run = Run(model, torch.optim.SGD(model.parameters(), 0.1))
        >>> with tempfile.TemporaryDirectory() as folder, opened(Path(folder), run):
        ...     print(load(Path(folder), run))
        None
    """
    run.given = _describe(run)
    finished = (folder / files.INDEX).exists()
    if not finished:
        atomic_files.folder("checkpoint", folder)
    # A finished run in a folder that cannot be written to may still be read.
    if finished and not os.access(folder, os.W_OK):
        yield
        return
    with checkpoint_writer(folder):
        yield


def save(folder: Path, run: Run, epoch: int, rows: list[dict[str, Any]]) -> None:
    """Write a checkpoint, and drop the files of this run's earlier ones.

    Args:
        folder: The folder, made if it is missing.
        run: The run as it is now.
        epoch: How many epochs it has finished.
        rows: Its history, a row per epoch and one before the first.

    Raises:
        CheckpointError: If a part of the state cannot be kept, or written. The checkpoint
            before it stays.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> run = Run(model, torch.optim.SGD(model.parameters(), 0.1))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name)
        ...     save(folder, run, 0, [{"epoch": 0, "loss": 1.5}])
        ...     sorted(path.name for path in folder.iterdir())
        ['checkpoint.json', 'model-0.safetensors', 'optimizer-0.safetensors']
    """
    atomic_files.folder("checkpoint", folder)
    # Before its first checkpoint, a run is named in the index before a file is written: so a kill
    # leaves no file that is nobody's. A UUID draws from no generator of the run.
    if not run.name:
        run.name = uuid.uuid4().hex
        files.write_index(folder, _begun(run.name))
    model, tensors, content = _encode(run, epoch, rows)
    tensors |= random_states.read_tensors(run.generators)
    written = [
        files.write_tensors(folder, "model", epoch, model, run.name),
        files.write_tensors(folder, "optimizer", epoch, tensors, run.name),
    ]
    content["files"] = {name: files.sha256(folder / name) for name in written}
    files.write_index(folder, content)
    files.drop_old(folder, keep=written, named=run.files, run=run.name)
    run.files = tuple(written)


def load(folder: Path, run: Run) -> tuple[int, list[dict[str, Any]]] | None:
    """Put a run back where its checkpoint left it.

    Args:
        folder: The folder of the checkpoint.
        run: A run with the same model and optimiser, whatever they have learnt.

    Returns:
        The epoch it had finished and its history; or None if the folder holds no checkpoint.

    Raises:
        CheckpointError: If the checkpoint is damaged, or of another model or optimiser. Nothing
            is changed then.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import torch
        >>> model = torch.nn.Linear(2, 1)
        >>> run = Run(model, torch.optim.SGD(model.parameters(), 0.1))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     save(Path(name), run, 0, [{"epoch": 0, "loss": 1.5}])
        ...     _ = model.weight.data.zero_()
        ...     load(Path(name), run)
        (0, [{'epoch': 0, 'loss': 1.5}])
        >>> bool(model.weight.any())
        True
    """
    path = folder / files.INDEX
    if not path.exists():
        return None
    number, content = files.read_index(path)
    if content == _begun(str(content.get("run"))):
        run.name = content["run"]
        return None
    try:
        named = files.named_files(content)
        model, tensors = (
            files.read_tensors(folder / name, digest) for name, digest in named.items()
        )
        saved = _read(number, content, model, tensors, run)
    except CheckpointError:
        raise
    except _DAMAGE as error:
        raise CheckpointError(
            f"`{path}` is damaged: {type(error).__name__} {_line(error)}."
        ) from None
    _require_classes(saved, run, folder)
    try:
        run_matching.require_match(saved, run)
        callback_states.require_match(saved.loop)
        restore.apply(saved, run)
    # A part that refuses its state may raise anything.
    except Exception as error:
        raise CheckpointError(
            f"`{folder}` does not belong to this model and optimiser: {_line(error)}"
        ) from None
    restore.tell_what_is_lost(saved, run)
    run.files = tuple(named)
    run.name = saved.name or uuid.uuid4().hex
    _tell_other_settings(saved, run)
    return saved.epoch, saved.history


def _begun(name: str) -> dict[str, Any]:
    """Return the content of an index before anything is saved."""
    return {"run": name, "begun": True}


# -- writing ---------------------------------------------------------------------------------------


def _describe(run: Run) -> dict[str, Any]:
    """Return how a run is set, and raise if its state could not be kept, before it trains."""
    try:
        _refuse_whole_numbers(run)
        encode_states(run, Encoder())
        callback_states.encode(run, Encoder())
        return run_settings.describe(run)
    except StateError as error:
        raise CheckpointError(str(error)) from None


def _encode(
    run: Run, epoch: int, rows: list[dict[str, Any]]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Return the model's tensors, those of everything else, and the index without its files."""
    import random

    encoder = Encoder()
    model: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in run.model.state_dict().items():
        # safetensors has no complex128, and no sparse tensors.
        if (
            isinstance(value, Tensor)
            and value.layout == torch.strided
            and value.dtype != torch.complex128
        ):
            model[name] = value
        else:
            others[name] = value
    try:
        _refuse_whole_numbers(run)
        content = {
            "run": run.name,
            "epoch": epoch,
            "files": {},
            "classes": run.classes(),
            "parameters": run.parameter_names(),
            **encode_states(run, encoder),
            "model": encoder.encode(others, "model"),
            "python_random": encoder.encode(random.getstate(), "python_random"),
            "history": encoder.encode(rows, "history"),
            callback_states.PART: callback_states.encode(run, encoder),
            "given": run.given,
        }
        _refuse_shared_memory(encoder.tensors, model)
    except StateError as error:
        raise CheckpointError(str(error)) from None
    return model, encoder.tensors, content


def _refuse_whole_numbers(run: Run) -> None:
    """Refuse an optimiser whose own keys look like numbers of parameters, as torch's own do."""
    keys: list[Any] = list(run.optimizer.state)
    for key in keys:
        if isinstance(key, int):
            raise StateError(
                "`optimizer.state` must have no whole numbers as keys, torch's own are;"
                f" got {key}."
            )


def _refuse_shared_memory(tensors: dict[str, Tensor], model: dict[str, Tensor]) -> None:
    """Refuse tensors of the state that overlap in memory: a resumed run would have them apart."""
    every = dict(tensors)
    for name, value in model.items():
        every[f"model.{name}"] = value
    places: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in every.items():
        if tensor.numel():
            start, end = _span(tensor)
            storage = tensor.untyped_storage().data_ptr()
            places.setdefault(storage, []).append((start, end, name))
    for found in places.values():
        for one, other in combinations(found, 2):
            overlap = one[0] < other[1] and other[0] < one[1]
            # Tied weights of the model itself are found by loading it.
            if overlap and one[2] in tensors:
                raise StateError(
                    f"`{one[2]}` must have memory of its own, to be kept in a checkpoint; it"
                    f" shares `{other[2]}`'s."
                )


def _span(tensor: Tensor) -> tuple[int, int]:
    """Return where in memory a tensor begins and ends."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((n - 1) * stride for n, stride in steps)
    start = tensor.data_ptr()
    return start, start + (1 + last) * tensor.element_size()


# -- reading ---------------------------------------------------------------------------------------


def _read(
    number: int,
    content: dict[str, Any],
    model: dict[str, Tensor],
    tensors: dict[str, Tensor],
    run: Run,
) -> Saved:
    if number == 1:
        return old_formats.read(content, model, tensors, run)
    # JSON has the names of functions and generators: this run has the things themselves.
    live = Encoder()
    encode_states(run, live)
    decoder = Decoder(tensors, live.functions, live.generators)
    # In the order in which they were written, by which things that are shared are counted.
    parts = ("optimizer", "scheduler", "model", "python_random", "history")
    optimizer, scheduler, others, python_random, history = (
        decoder.decode(content[part], part) for part in parts
    )
    loop = content.get(callback_states.PART)
    if loop is not None:
        loop = decoder.decode(loop, callback_states.PART)
    if not isinstance(others, dict) or not isinstance(optimizer, dict):
        raise TypeError("its model or optimiser is no mapping")
    lost = [name for name in decoder.unused() if not random_states.is_state(name)]
    if lost:
        raise ValueError(f"nothing says what its tensor {lost[0]!r} is")
    if not isinstance(content["parameters"], list):
        raise TypeError("its parameters have no names")
    return Saved(
        epoch=content["epoch"],
        history=history,
        classes=content["classes"],
        model=model | others,
        optimizer={
            "state": optimizer["state"],
            **optimizer,
            "param_groups": optimizer["param_groups"],
        },
        scheduler=scheduler,
        random=tensors,
        python_random=python_random,
        name=_run_name(content["run"]),
        pending=decoder.pending,
        given=run_settings.read(content["given"]),
        parameters=content["parameters"],
        trees={part: content[part] for part in ("optimizer", "scheduler")},
        loop=loop,
    )


def _run_name(name: Any) -> str:
    # The hexadecimal digits of a UUID, as `save` draws them.
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{32}", name):
        raise TypeError(f"its run is {name!r}")
    return name


def _require_classes(saved: Saved, run: Run, folder: Path) -> None:
    if saved.classes != run.classes():
        there = saved.classes if isinstance(saved.classes, list) else [saved.classes]
        before = ", ".join(str(name) for name in there if name)
        now = ", ".join(name for name in run.classes() if name)
        raise CheckpointError(
            f"`{folder}` must be of the same optimiser and scheduler; it is of {before},"
            f" not {now}."
        )


def _tell_other_settings(saved: Saved, run: Run) -> None:
    """Warn where a run is set otherwise than the one that it resumes, whose settings are kept."""
    if saved.given is not None and run.given is not None:
        told = run_settings.differences(saved.given, run.given)
        if told:
            warnings.warn(f"`checkpoint` {told}.", stacklevel=4)
        run.given = saved.given
    n_saved, n_here = random_states.count(saved.random), len(run.generators)
    if n_saved != n_here:
        warnings.warn(
            f"`checkpoint` has the states of {n_saved} random generators, and this run has"
            f" {n_here}: what they draw will not be what a run that was never stopped"
            " draws.",
            stacklevel=4,
        )


def _line(error: BaseException) -> str:
    """Return an error's text as one line that is not too long."""
    text = " ".join(str(error).split())
    if len(text) <= _LONGEST:
        return text
    return text[:_LONGEST] + "..."
