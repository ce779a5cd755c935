"""Opening a file: its kind by its ending, the memory that it may take, its characters.

A file may be damaged, or made to fill the memory of whoever opens it. So what it unpacks to is
counted while it is unpacked, and what its header declares is checked before memory is taken.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from daleml._support.safe_text import listed, printable, quoted, reason
from daleml.reading.notes import OnNote, ReadingError

_COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
_TEXTS = (".csv", ".tsv", ".tab", ".txt", ".dat")

WORKBOOKS = (".xlsx", ".xlsm")
"""Endings of Excel's workbooks."""

FRAMES = (".parquet", ".pq", ".feather", ".arrow")
"""Endings of files of typed columns."""

TABLES = (
    *(text + packed for text in _TEXTS for packed in ("", *_COMPRESSED)),
    *WORKBOOKS,
    *FRAMES,
)
"""Endings of tables."""

HDF5 = (".h5", ".hdf5")
"""Endings of HDF5 files."""

ARRAYS = (".npy", ".npz", ".mat", *HDF5)
"""Endings of files of arrays."""

SAFETENSORS = ".safetensors"
STATES = (SAFETENSORS, ".pt", ".pth", ".bin", ".ckpt")
"""Endings of checkpoints."""

KINDS = (*TABLES, *ARRAYS, *STATES)
"""Endings of all files that can be read."""

VARIABLE = "DALEML_MAX_BYTES"
"""The environment variable that sets how many bytes any file may unpack to."""

MOST_TEXT = 1 << 25
"""A text may unpack to this number of bytes, however small its file.

In memory a table of short cells is 20 times larger.
"""

MOST_ARRAYS = 1 << 28
"""Arrays may unpack to this number of bytes, however small their file."""

# Above the limits a file may unpack to this multiple of its size. Tables shrink to a tenth,
# bombs to a thousandth.
_RATIO = 32

# The bytes of a block in ``st_blocks``, whatever the file system's own blocks are.
_BLOCK = 512

# A small file may lie in the directory itself, with no block of its own.
_LEAST_ON_DISK = 4096

# The largest dictionary of an xz file: its header may ask for 4 GB.
_XZ_MEMORY = 1 << 27

_CHUNK = 1 << 20
_DAMAGE = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
)

# The longer marks come first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_TEXTS = {
    b"PK\x03\x04": "a zip file or a workbook; name it .xlsx or .csv.zip",
    b"\x1f\x8b": "gzipped; name it .csv.gz",
    b"\x93NUMPY": "an array; name it .npy",
    b"\x89HDF": "an HDF5 file; name it .h5, or .mat",
    b"PAR1": "a Parquet file; name it .parquet",
    b"\xd0\xcf\x11\xe0": "a workbook of the old kind; save it as .xlsx",
    b"MATLAB 5.0 MAT-file": "a MATLAB file; name it .mat",
}
_SAMPLE = 4096

# In UTF-16 more than this fraction of every second byte of Western text is zero.
_MOSTLY_ZERO = 0.8


def suffix(path: Path) -> str:
    """Return the ending of a file, in lower case; where it is compressed, both: ``.csv.gz``."""
    last = path.suffix.lower()
    if last not in _COMPRESSED:
        return last
    return Path(path.stem).suffix.lower() + last


def is_table(path: Path) -> bool:
    """Return whether a file has columns by name, as far as its ending says.

    Args:
        path: The file, which need not be there.

    Example:
        >>> is_table(Path("mine.csv.gz")), is_table(Path("mine.npy"))
        (True, False)
    """
    return suffix(path) in TABLES


def holds_rows(path: Path) -> bool:
    """Return whether rows can be read from a file.

    A table has them, and so have several arrays of one length.
    """
    return suffix(path) in (*TABLES, *ARRAYS)


def plain_endings(endings: Iterable[str]) -> str:
    """Return endings for a sentence, without those of compressed files."""
    return ", ".join(ending for ending in endings if ending.count(".") == 1)


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
        packed = ", or .csv.gz and the like" if ".csv.gz" in known else ""
        raise ReadingError(
            f"`{name}` must end in one of {plain_endings(known)}{packed}; got {got!r}."
        )


def choose(
    name: str | None,
    available: Iterable[str],
    path: Path,
    kind: str,
    option: str = "--column",
) -> str:
    """Return which column, array or tensor of a file is meant: the only one, or the one asked for.

    Args:
        name: The one asked for, or None.
        available: The names of those there are.
        path: The file.
        kind: What one of them is called, for a sentence.
        option: The option that names one.

    Raises:
        ValueError: If there are several to choose from, or none of that name.
    """
    names, where = list(available), printable(path)
    if not names:
        raise ReadingError(f"`{where}` must hold something to read; it is empty.")
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    if names == [""]:
        raise ReadingError(
            f"`{option}` must be left out for `{where}`, whose one {kind} has no name;"
            f" got {quoted(name)}."
        )
    if name is None:
        rule = "be named, there being several"
    else:
        rule = f"be in `{where}`, and {quoted(name)} is not"
    raise ReadingError(
        f"`{option}` must name one {kind}: it must {rule}; got {listed(names)} to choose"
        " from."
    )


def is_of_system(error: Exception) -> bool:
    """Return whether an error is of a file that could not be opened, and not of damage.

    Damage may ask for a seek to nowhere, which is an ``OSError`` without a file name.
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
    size = found.st_size
    # A file with holes takes less of the disk than its size says; Windows has no blocks.
    blocks = getattr(found, "st_blocks", None)
    if blocks is not None:
        size = min(size, max(blocks * _BLOCK, _LEAST_ON_DISK))
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


def read_text(path: Path, on_note: OnNote) -> str:
    """Return the characters of a text file, unpacked if its ending says that it is compressed.

    Lines end in one line feed, whatever they end in there.

    Raises:
        ValueError: If it is damaged, larger than it may be, or no text.
        OSError: If it cannot be opened.
    """
    allowed = allowance(path, MOST_TEXT)
    kind = _COMPRESSED.get(path.suffix.lower())
    if kind is None:
        with path.open("rb") as file:
            content = _joined(_chunks(file), path, allowed)
    else:
        content = unpack(path, kind, allowed)
    return _decoded(content, printable(path), on_note)


def unpack(path: Path, kind: str, allowed: int) -> bytes:
    """Return what a compressed file holds, at most ``allowed`` bytes of it.

    Raises:
        ValueError: If it is damaged, or holds more.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            return _joined(_unpacked(file, kind), path, allowed)
        except _DAMAGE as error:
            raise ReadingError(
                f"`{printable(path)}` must be a whole {kind} file; {reason(error)}."
            ) from None


def _joined(chunks: Iterator[bytes], path: Path, allowed: int) -> bytes:
    """Join chunks, and stop before there is too much."""
    parts, total = [], 0
    for chunk in chunks:
        total += len(chunk)
        if total > allowed:
            raise too_large(path, allowed)
        parts.append(chunk)
    return b"".join(parts)


def _chunks(file: IO[bytes] | io.BufferedIOBase) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _unpacked(file: io.BufferedReader, kind: str) -> Iterator[bytes]:
    if kind == "xz":
        yield from _of_xz(file)
    elif kind == "zip":
        yield from _of_zip(file)
    elif kind == "gzip":
        with gzip.GzipFile(fileobj=file) as content:
            yield from _chunks(content)
    else:
        # Imported here: some builds of Python lack it, as they may lack lzma below.
        import bz2

        with bz2.BZ2File(file) as content:
            yield from _chunks(content)


def _of_xz(file: io.BufferedReader) -> Iterator[bytes]:
    import lzma

    unpacker = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    try:
        while not unpacker.eof:
            raw = b""
            if unpacker.needs_input:
                raw = file.read(_CHUNK)
                if not raw:
                    raise EOFError("it ends too early")
            yield unpacker.decompress(raw, _CHUNK)
    except lzma.LZMAError as error:
        raise EOFError(reason(error)) from None


def _of_zip(file: io.BufferedReader) -> Iterator[bytes]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) != 1:
            names = [printable(member.filename) for member in members[:5]]
            what = ", ".join(names) or "nothing"
            raise zipfile.BadZipFile(f"it must hold one table, and holds {what}")
        with archive.open(members[0]) as content:
            yield from _chunks(content)


def _decoded(content: bytes, name: str, on_note: OnNote) -> str:
    """Return the characters: UTF-8, UTF-16 or UTF-32, else Windows-1252, which is said."""
    for mark, what in _NO_TEXTS.items():
        if content.startswith(mark):
            raise ReadingError(f"`{name}` must be a table of text; it is {what}.")
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = _western(content, encoding, name, on_note)
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise ReadingError(f"`{name}` must be a table of text; it holds bytes of zero.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(content: bytes) -> str:
    """Return the encoding that a mark at the beginning names, or that bytes of zero tell."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    first, second = content[:_SAMPLE:2], content[1:_SAMPLE:2]
    if second.count(0) > _MOSTLY_ZERO * len(second) and not first.count(0):
        return "utf-16-le"
    if first.count(0) > _MOSTLY_ZERO * len(first) and not second.count(0):
        return "utf-16-be"
    return "utf-8"


def _western(content: bytes, encoding: str, name: str, on_note: OnNote) -> str:
    try:
        if encoding != "utf-8":
            raise UnicodeError
        text = content.decode("cp1252")
    except UnicodeError:
        raise ReadingError(
            f"`{name}` must be a table of text; its characters are no {encoding}."
        ) from None
    on_note(
        f"The letters of `{name}` are not UTF-8 and were read as Latin-1 (Windows-1252)."
    )
    return text
