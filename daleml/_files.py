"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def folder(argument: str, path: Path) -> Path:
    """Make a folder where it is missing, and make sure that it can be written to.

    Raises:
        ValueError: If ``path`` is a file, or cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(
            f"`{argument}` must be a folder that can be written to; got `{path}`: {error.strerror}."
        ) from None
    return path


def require_room(argument: str, path: Path) -> None:
    """Make sure that a folder could be made and written to, making nothing.

    Raises:
        ValueError: If ``path`` is a file, or what is there of it cannot be written to.
    """
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    folder(argument, there)


def require_writable(*paths: Path) -> None:
    """Make sure that none of several files is a folder, before the first of them is written."""
    for path in paths:
        if path.is_dir():
            raise ValueError(f"`{path}` must be a file to write; it is a folder.")


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a temporary file in ``path``'s folder, then move it to ``path`` in one step."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        fill(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # what an ordinary `open` would have given
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of bytes, whole or not at all."""
    write(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; NaN and infinities become null, as JSON has none."""
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
