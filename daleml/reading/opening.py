"""Opening files of a stranger's: what kind they are, and how much memory they may take."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from daleml.reading.table_options import ReadingError, printable, reason

VARIABLE = "DALEML_MAX_BYTES"
"""The environment variable that says how many bytes a file may unpack to, in place of the limits below."""

TEXT = 1 << 25
"""A text may unpack to so many bytes, however small its file.

In memory a table of short cells is 20 times larger.
"""

ARRAYS = 1 << 28
"""Arrays may unpack to so many bytes, however small their file."""

_RATIO = 32
"""A file may unpack to so many times its size, above the limits.

Tables shrink to a tenth, bombs to a thousandth.
"""

_CHUNK = 1 << 20
_COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
_DAMAGE = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
)
_XZ_MEMORY = 1 << 27  # of a dictionary; a header may ask for 4 GB


def suffix(path: Path) -> str:
    """Return the ending of a file, in lower case; where it is compressed, both: ``.csv.gz``."""
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last in _COMPRESSED else last


def require_file(path: Path, known: tuple[str, ...]) -> None:
    """Raise unless there is a file of a known ending.

    Raises:
        FileNotFoundError: If there is nothing of that name.
        ValueError: If it is a folder, a device or a pipe, or its ending is another.
    """
    name = printable(path)
    if not path.exists():
        raise FileNotFoundError(f"`{name}` must be a file; it is not there.")
    if path.is_dir():
        raise ReadingError(f"`{name}` must be a file; it is a folder.")
    if not path.is_file():
        raise ReadingError(f"`{name}` must be a file; it is a device or a pipe.")
    if suffix(path) not in known:
        got = printable(suffix(path)) or "no ending"
        plain = ", ".join(kind for kind in known if kind.count(".") == 1)
        packed = (
            ", or .csv.gz and the like"
            if any(kind.count(".") > 1 for kind in known)
            else ""
        )
        raise ReadingError(f"`{name}` must end in one of {plain}{packed}; got {got!r}.")


def is_of_system(error: Exception) -> bool:
    """Whether an error is of a file that could not be opened, and not of damage.

    That may ask for a seek to nowhere.
    """
    return isinstance(error, OSError) and error.filename is not None


def allowance(path: Path, least: int) -> int:
    """Return how many bytes a file may unpack to: ``least``, or 32 times what it takes on its disk.

    Raises:
        ValueError: If the environment variable that says otherwise is no whole number.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not given.isascii() or not given.isdigit():
            raise ReadingError(
                f"`{VARIABLE}` must be a number of bytes; got {given!r}."
            )
        return int(given)
    found = path.stat()
    blocks = getattr(
        found, "st_blocks", None
    )  # a file with holes is smaller than it says
    size = (
        found.st_size if blocks is None else min(found.st_size, max(blocks * 512, 4096))
    )
    return max(least, _RATIO * size)


def require_room(path: Path, needed: int, least: int) -> None:
    """Raise if a file asks for more bytes of memory than it may.

    Raises:
        ValueError: If so; the sentence names the variable that raises the limit.
    """
    allowed = allowance(path, least)
    if needed > allowed:
        raise too_large(path, allowed, f"{needed:,} bytes")


def too_large(path: Path, allowed: int, got: str = "more") -> ValueError:
    """Return the error of a file that unpacks to too much."""
    return ReadingError(
        f"`{printable(path)}` must unpack to at most {allowed:,} bytes, unless {VARIABLE}"
        f" says more; got {got}."
    )


def read_text_bytes(path: Path) -> bytes:
    """Return the content of a text file, unpacked if its ending says that it is compressed.

    Raises:
        ValueError: If it is damaged, or larger than it may be.
        OSError: If it cannot be opened.
    """
    allowed = allowance(path, TEXT)
    kind = _COMPRESSED.get(path.suffix.lower())
    if kind is None:
        with path.open("rb") as file:
            return _gather(iter(lambda: file.read(_CHUNK), b""), path, allowed)
    return unpack(path, kind, allowed)


def unpack(path: Path, kind: str, allowed: int) -> bytes:
    """Return what a compressed file holds, at most ``allowed`` bytes of it.

    Raises:
        ValueError: If it is damaged, or holds more.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            return _gather(_unpacked(file, kind, path), path, allowed)
        except _DAMAGE as error:
            raise ReadingError(
                f"`{printable(path)}` must be a whole {kind} file; {reason(error)}."
            ) from None


def _gather(chunks: Iterator[bytes], path: Path, allowed: int) -> bytes:
    """Join chunks, and stop before there is too much."""
    parts, total = [], 0
    for chunk in chunks:
        total += len(chunk)
        if total > allowed:
            raise too_large(path, allowed)
        parts.append(chunk)
    return b"".join(parts)


def _unpacked(file: IO[bytes], kind: str, path: Path) -> Iterator[bytes]:
    if kind == "xz":
        yield from _of_xz(file)
    elif kind == "zip":
        yield from _of_zip(file, path)
    else:
        import bz2  # which some builds of Python lack

        with (
            gzip.GzipFile(fileobj=file) if kind == "gzip" else bz2.BZ2File(file)
        ) as content:
            yield from iter(lambda: content.read(_CHUNK), b"")


def _of_xz(file: IO[bytes]) -> Iterator[bytes]:
    import lzma  # which some builds of Python lack

    unpacker = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    try:
        while not unpacker.eof:
            raw = file.read(_CHUNK) if unpacker.needs_input else b""
            if unpacker.needs_input and not raw:
                raise EOFError("it ends too early")
            yield unpacker.decompress(raw, _CHUNK)
    except lzma.LZMAError as error:
        raise EOFError(reason(error)) from None


def _of_zip(file: IO[bytes], path: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            names = (
                ", ".join(printable(member.filename) for member in members[:5])
                or "nothing"
            )
            raise zipfile.BadZipFile(f"it must hold one table, and holds {names}")
        with archive.open(members[0]) as content:
            yield from iter(lambda: content.read(_CHUNK), b"")
