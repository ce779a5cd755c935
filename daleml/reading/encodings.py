"""From the bytes of a text file to its characters."""

from __future__ import annotations

import codecs
from pathlib import Path

from daleml.reading.table_options import ReadingError, Say, printable

_MARKS = (  # the longer first: the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHERS = {
    b"PK\x03\x04": "a zip file or a workbook; name it .xlsx or .csv.zip",
    b"\x1f\x8b": "gzipped; name it .csv.gz",
    b"\x93NUMPY": "an array; name it .npy",
    b"\x89HDF": "an HDF5 file; name it .h5, or .mat",
    b"PAR1": "a Parquet file; name it .parquet",
    b"\xd0\xcf\x11\xe0": "a workbook of the old kind; save it as .xlsx",
    b"MATLAB 5.0 MAT-file": "a MATLAB file; name it .mat",
}
_SAMPLE = 4096
_MOST = 0.8  # of every second byte of Western text in UTF-16 is zero


def decode(content: bytes, path: Path, say: Say) -> str:
    """Return the characters of a table: UTF-8, UTF-16 or UTF-32, else Windows-1252, which is said.

    Raises:
        ValueError: If it is no text.
    """
    name = printable(path)
    for mark, what in _OTHERS.items():
        if content.startswith(mark):
            raise ReadingError(f"`{name}` must be a table of text; it is {what}.")
    encoding = next(
        (encoding for mark, encoding in _MARKS if content.startswith(mark)), None
    )
    encoding = encoding or _unmarked(content[:_SAMPLE])
    try:
        text: str | None = content.decode(encoding)
    except UnicodeDecodeError:
        text = _western(content, name, say) if encoding == "utf-8" else None
    if text is None:
        raise ReadingError(
            f"`{name}` must be a table of text; its characters are no {encoding}."
        )
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise ReadingError(f"`{name}` must be a table of text; it holds bytes of zero.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unmarked(sample: bytes) -> str:
    """Return the encoding of a text that does not begin with a mark.

    UTF-16 is told by its bytes of zero.
    """
    first, second = sample[::2], sample[1::2]
    if second.count(0) > _MOST * len(second) and not first.count(0):
        return "utf-16-le"
    if first.count(0) > _MOST * len(first) and not second.count(0):
        return "utf-16-be"
    return "utf-8"


def _western(content: bytes, name: str, say: Say) -> str | None:
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    say(
        f"The letters of `{name}` are not UTF-8 and were read as Latin-1 (Windows-1252)."
    )
    return text
