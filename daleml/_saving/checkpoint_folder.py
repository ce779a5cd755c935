"""The files of a checkpoint folder: an index, replaced last, and the tensor files that it names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from daleml._saving.checkpoint_error import CheckpointError
from daleml._support import atomic_files

INDEX = "checkpoint.json"
"""The name of the index."""
FORMAT = 2
"""The format that is written; earlier ones are read."""
KINDS = ("model", "optimizer")
"""The two tensor files, in the order in which an index names them."""
_OWN_NAME = re.compile(r"(model|optimizer)-\d+(\.\d+)?\.safetensors")
_LONGEST = 200
"""What went wrong is told in at most this many characters."""
_MARK = "daleml_checkpoint"
"""The key in a tensor file's header that says which run wrote it, under which name.

So a copy of the file, under another name, is known not to be of the run.
"""


def read_index(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the format and the content of an index.

    Raises:
        CheckpointError: If it is damaged, or of a format that is not known.
    """
    if not path.is_file():
        raise CheckpointError(f"`{path}` must be a file; it is none.")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        number = index["format"]
        if type(number) is not int or not 1 <= number <= FORMAT:
            raise CheckpointError(
                f"`{path}` must be of format {FORMAT} or older; got {number}."
            )
        # The first checkpoints had no digest.
        if number == 1 and "content" not in index and "epoch" in index:
            return number, index
        if index["sha256"] != digest(json.dumps(index["content"])):
            raise CheckpointError(
                f"`{path}` is damaged: its SHA-256 is not the one it names."
            )
        content = index["content"]
        if not isinstance(content, dict):
            raise TypeError(f"its content is {type(content).__name__}, not a mapping")
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError, OSError) as error:
        raise CheckpointError(
            f"`{path}` is damaged: {type(error).__name__} {_short(error)}."
        ) from None
    return number, content


def write_index(folder: Path, content: dict[str, Any]) -> None:
    """Replace the index."""
    # A reader checks the digest by writing what it read, so that is what is kept.
    written = json.dumps(content, allow_nan=False)
    index = {
        "format": FORMAT,
        "sha256": digest(written),
        "content": json.loads(written),
    }
    path = folder / INDEX
    try:
        atomic_files.write_text(path, json.dumps(index, allow_nan=False) + "\n")
    except OSError as error:
        raise _unwritten(path, error) from None


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


# -- tensor files ----------------------------------------------------------------------------------


def write_tensors(
    folder: Path, kind: str, epoch: int, tensors: dict[str, Tensor], run: str
) -> str:
    """Write a tensor file under a name that no stranger's file has, and return the name."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    n = 1
    name = f"{kind}-{epoch}.safetensors"
    while (folder / name).exists() and not is_own(folder / name, run):
        n += 1
        name = f"{kind}-{epoch}.{n}.safetensors"
    # Copies, since the format has no tied tensors: they are written twice and read back into one.
    copies = {}
    for key, tensor in tensors.items():
        copies[key] = tensor.detach().cpu().contiguous().clone()
    mark = {_MARK: f"{run} {name}"}
    try:
        atomic_files.write(
            folder / name, lambda temporary: save_file(copies, temporary, metadata=mark)
        )
    except (OSError, SafetensorError) as error:
        raise _unwritten(folder / name, error) from None
    return name


def read_tensors(path: Path, expected: str) -> dict[str, Tensor]:
    """Return the tensors of a file whose SHA-256 is known.

    Raises:
        CheckpointError: If the file is not there, or another.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise CheckpointError(
            f"`{path}` must be there, its checkpoint names it; it is not."
        )
    if not path.is_file():
        raise CheckpointError(
            f"`{path}` must be a file, its checkpoint names it; it is none."
        )
    try:
        if sha256(path) != expected:
            raise CheckpointError(
                f"`{path}` is damaged: its SHA-256 is not the one its checkpoint names."
            )
        # Copies in memory of torch's own: where numbers lie decides the order in which a dot
        # product adds them up.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"`{path}` is damaged: {_short(error)}.") from None


def named_files(content: dict[str, Any]) -> dict[str, str]:
    """Return the names and SHA-256s of an index's tensor files: the model's, then the optimiser's.

    Raises:
        CheckpointError: If the index names anything else.
    """
    files = content["files"]
    right = isinstance(files, dict) and len(files) == len(KINDS)
    if right:
        for kind, (name, sha) in zip(KINDS, files.items(), strict=True):
            # Only such names: an index that somebody wrote must not lead out of the folder.
            is_name = _OWN_NAME.fullmatch(name) and name.startswith(kind)
            right = right and bool(is_name) and isinstance(sha, str)
    if not right:
        raise ValueError(
            "`files` must name a file of the model and one of the optimiser, with their"
            " SHA-256s"
        )
    return dict(files)


def is_own(path: Path, run: str) -> bool:
    """Return whether a run wrote a file, under the name that it has."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file() or path.is_symlink():
        return False
    try:
        with safe_open(path, framework="pt") as opened:
            return (opened.metadata() or {}).get(_MARK) == f"{run} {path.name}"
    except (SafetensorError, OSError):
        return False


def drop_old(folder: Path, keep: Iterable[str], named: Iterable[str], run: str) -> None:
    """Remove what this run left earlier: files that its last index named, or that bear its mark."""
    kept = set(keep)
    earlier = set(named)
    for path in list(folder.iterdir()):
        # A folder may hold a stranger's files: only what is surely of this run may go.
        if path.name in kept or path.is_dir():
            continue
        if not _OWN_NAME.fullmatch(path.name):
            continue
        if path.name in earlier or is_own(path, run):
            path.unlink(missing_ok=True)


def _unwritten(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"`{path}` could not be written: {_short(error)}; the checkpoint before it is kept."
    )


def _short(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    if len(text) <= _LONGEST:
        return text
    return text[:_LONGEST] + "..."
