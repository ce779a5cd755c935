"""Atomic writes: of one file, and of a set of files that belong together.

One file is written beside its place and moved into it. A set is staged whole in a folder inside
the one it is for, and exchanged as :mod:`daleml._support.file_sets` says: whoever is killed, and
whatever disk is full, leaves the earlier set or the new one. The set's index, a JSON file,
holds the SHA-256 of every other file, so that anybody can check the set; and files that the
earlier index named and the new one does not are removed, if they are still what was written.

Names of temporaries say whose they are. Those of processes that are no more are removed at the
next write into their folder; nothing else ever is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daleml._support import file_sets, locks, processes, safe_text

_PREFIX = ".unfinished-"
"""Names of temporary files begin so."""
# The machine, whose process numbers mean nothing on another that shares the folder.
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_OWN = re.compile(
    r"\.unfinished-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{16}(\.\w+)?"
)
# What earlier versions left: `tempfile`'s letters, and an ending that daleml writes.
_EARLIER = re.compile(
    r"\.unfinished-[a-z0-9_]{1,8}\.(json|safetensors|png|svg|html|md)"
)
_OF_ANOTHER_MACHINE = 86_400.0
"""After so many seconds a temporary file of another machine, which cannot be asked, is dead."""
_writing: set[Path] = set()
"""The temporary files that this process is writing."""


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
            f"`{argument}` must be a folder that can be written to; got `{path}`:"
            f" {error.strerror}."
        ) from None
    return path


def require_room(argument: str, path: Path) -> None:
    """Make sure that a folder could be made and written to, making nothing.

    Raises:
        ValueError: If ``path`` is a file, or what is there of it cannot be written to.
    """
    for place in (path, *path.absolute().parents):
        if os.path.lexists(place):
            folder(argument, place)
            return


def require_writable(*paths: Path) -> None:
    """Make sure that none of several files is a folder, before the first of them is written."""
    for path in paths:
        if path.is_dir():
            raise ValueError(f"`{path}` must be a file to write; it is a folder.")


# -- one file --------------------------------------------------------------------------------------


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write a temporary file beside ``path``, then move it there in one step.

    Raises:
        OSError: If that cannot be done, as where the disk is full; what was there is there still.
    """
    clean(path.parent)
    name = f"{_PREFIX}{_HOST}-{os.getpid()}-{secrets.token_hex(8)}{path.suffix}"
    temporary = path.parent / name
    _writing.add(temporary)
    try:
        # As an ordinary `open` would make it: the system takes the user's mask off these rights.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        fill(temporary)
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _writing.discard(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file of bytes, whole or not at all."""
    write(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; NaN and infinities become null, as JSON has none."""
    write_text(path, to_json(content))


def to_json(content: Any) -> str:
    """Return strict JSON; NaN and infinities become null.

    Halves of surrogate pairs become escapes that can be read.
    """
    return json.dumps(_strict(content), indent=2, allow_nan=False) + "\n"


def clean(place: Path) -> None:
    """Remove temporary files that daleml named and whose processes are no more."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and _is_left_over(place / entry.name):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_left_over(path: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    own = _OWN.fullmatch(path.name)
    if own is None:
        return _EARLIER.fullmatch(path.name) is not None
    if own["host"] != _HOST:
        return time.time() - path.stat().st_mtime > _OF_ANOTHER_MACHINE
    process = int(own["process"])
    # This process, or a dead one whose number it got, as in every container.
    if process == os.getpid():
        return path not in _writing
    return not processes.is_alive(process)


def _sync(path: Path) -> None:
    # Opened to be written to, since Windows flushes no other.
    with path.open("r+b") as written:
        os.fsync(written.fileno())


# -- a set of files --------------------------------------------------------------------------------


def write_set(
    argument: str,
    place: Path,
    files: Mapping[str, bytes],
    index: str,
    content: Mapping[str, Any],
    *,
    lock: bool = True,
) -> None:
    """Write files that belong together into a folder: all, or none.

    Other files of the folder are left alone.

    Args:
        argument: What the caller calls the folder, for errors.
        place: The folder; made if it is missing.
        files: What to write, by name; a name may have a folder in front, ``figures/a.png``.
        index: Name of the JSON file that describes them.
        content: What it holds; the digests of ``files`` are added as ``files``.
        lock: Whether to take the folder's lock; False where the caller holds it.

    Raises:
        ValueError: If the folder cannot be written to, one of the files is a folder, or another
            process writes there.
        OSError: If the set cannot be written, as where the disk is full; what was there is
            there still.
    """
    made = [each for each in (place, *place.parents) if not os.path.lexists(each)]
    folder(argument, place)
    try:
        require_writable(*(place / name for name in (*files, index)))
        holding: contextlib.AbstractContextManager[int | None]
        holding = contextlib.nullcontext(None)
        if lock:
            holding = locks.only_writer(place, argument)
        with holding as handle:
            recover(place)
            clean(place)
            digests = {}
            for name, data in files.items():
                digests[name] = hashlib.sha256(data).hexdigest()
            described = to_json({**content, "files": digests}).encode()
            outdated = _outdated(place / index, keep=digests)
            staged = _stage(place, {**files, index: described}, outdated)
            _put(staged, handle)
    except OSError as error:
        _unmake(made)
        reason = error.strerror or str(error)
        where = ""
        # A temporary name inside the staged folder would tell nobody anything.
        if error.filename and Path(error.filename).parent == place:
            where = f" (`{error.filename}`)"
        told = OSError(
            f"`{place}` could not be written to, and holds what it held before:"
            f" {reason}{where}."
        )
        told.errno = error.errno
        raise told from None
    except BaseException:
        _unmake(made)
        raise


def recover(place: Path) -> None:
    """Complete the sets whose exchange was killed, and remove what was only staged.

    It is for the holder of the folder's lock.
    """
    for staged in sorted(place.glob(f"{file_sets.PREFIX}*")):
        if staged.is_symlink() or not staged.is_dir():
            continue
        if (staged / file_sets.RECORD).exists():
            # A damaged record counts for nothing.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                file_sets.complete(staged)
        shutil.rmtree(staged, ignore_errors=True)


def _stage(place: Path, files: Mapping[str, bytes], remove: list[str]) -> Path:
    """Write a set into a folder of its own, its record last, and return that folder."""
    staged = Path(tempfile.mkdtemp(prefix=file_sets.PREFIX, dir=place))
    try:
        for name, data in files.items():
            path = staged / file_sets.NEW / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            _sync(path)
        record = staged / f"{file_sets.RECORD}.part"
        record.write_text(
            json.dumps({"put": list(files), "remove": remove}), encoding="utf-8"
        )
        _sync(record)
        record.replace(staged / file_sets.RECORD)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    return staged


def _put(staged: Path, handle: int | None) -> None:
    """Exchange a staged set, in a process that no signal to this one ends."""
    problem = file_sets.in_a_process_of_its_own(staged, handle)
    if problem is None:
        # There can be no other process: the exchange is made in this one.
        file_sets.complete(staged)
    elif problem:
        shutil.rmtree(staged, ignore_errors=True)
        raise OSError(*problem)


def _outdated(index: Path, keep: Mapping[str, str]) -> list[str]:
    """Return the files of an earlier index that are not wanted now and are as it wrote them."""
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["files"]
        pairs = [(str(name), str(digest)) for name, digest in named.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    found = []
    for name, digest in pairs:
        if name in keep or not _is_inside(name):
            continue
        if _digest(index.parent / name) == digest:
            found.append(name)
    return found


def _is_inside(name: str) -> bool:
    """Whether a name stays inside its folder: anybody may have written to the index."""
    path = Path(name)
    if path.is_absolute() or path.drive:
        return False
    return ".." not in path.parts and name not in ("", ".")


def _digest(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _unmake(made: list[Path]) -> None:
    """Remove folders that were made for nothing."""
    for each in made:
        # Somebody may have put something into it.
        with contextlib.suppress(OSError):
            each.rmdir()


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            made[safe_text.encodable(str(key))] = _strict(item)
        return made
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    # numpy's scalars and arrays
    if hasattr(value, "tolist"):
        return _strict(value.tolist())
    if isinstance(value, str):
        return safe_text.encodable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
