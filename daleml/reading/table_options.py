"""What the user says about a file where its reader cannot tell, or should not guess."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from daleml._support import safe_text

Say: TypeAlias = Callable[[str], None]
"""What takes a note: one sentence that says what in a file was taken for what."""

_SEPARATORS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "\\t": "\t",
    "pipe": "|",
    "space": " ",
    "whitespace": " ",
}
_OPTION = re.compile(r"`--(?P<off>no-)?(?P<name>[a-z][a-z-]*)(?: (?P<value>[^`]*))?`")
_QUOTES = "'"
_LONGEST = 60  # characters of a cell that a sentence shows


class ReadingError(ValueError):
    """A sentence of the readers' own, which names the file, the rule and what was found."""


@dataclass(frozen=True)
class TableOptions:
    """How a table is written. What is None is found out from the table, and said.

    Args:
        separator: What stands between two cells: one character, or comma, semicolon, tab, pipe
            or space by name. A space stands for any number of blanks.
        decimal: ``"."`` or ``","``.
        header: Whether the first row names the columns.
        labels: Whether the first column names the rows.
        missing: Cells that say "no value", beside empty ones and NA, NaN and the like. An empty
            tuple says that no number is a code for "no value".
        sheet: Of a workbook, the name of the sheet.
        trailing: Whether rows may end in one separator more than the first row does.
        keep_totals: Whether last rows that sum up those above, called Total or Mean, are data
            all the same.

    Raises:
        ValueError: If the separator is no single character, or the decimal mark is neither a
            point nor a comma.
    """

    separator: str | None = None
    decimal: str | None = None
    header: bool | None = None
    labels: bool | None = None
    missing: tuple[str, ...] | None = None
    sheet: str | None = None
    trailing: bool = False
    keep_totals: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None:
            mark = _SEPARATORS.get(self.separator.lower(), self.separator)
            if len(mark) != 1 or mark in '"\r\n':
                names = ", ".join(name for name in _SEPARATORS if name.isalpha())
                raise ReadingError(
                    f"`separator` must be one character, or one of {names}; got"
                    f" {self.separator!r}."
                )
            object.__setattr__(self, "separator", mark)
        if self.decimal not in (None, ".", ","):
            raise ReadingError(f'`decimal` must be "." or ","; got {self.decimal!r}.')
        if self.decimal is not None and self.decimal == self.separator:
            raise ReadingError(
                f"`decimal` must differ from `separator`; got {self.decimal!r} for both."
            )
        if self.missing is not None:
            object.__setattr__(
                self,
                "missing",
                tuple(cell.strip() for cell in self.missing if cell.strip()),
            )


def warn(note: str) -> None:
    """Say a note as a warning: what a reader does where nobody listens."""
    warnings.warn(in_keywords(note), UserWarning, stacklevel=2)


def in_keywords(sentence: str) -> str:
    """Return a sentence that names options of the command line in the words of Python.

    ``header=False``.

    Example:
        >>> in_keywords("pass `--no-header` or `--missing -1`.")
        "pass `header=False` or `missing='-1'`."
    """
    return _OPTION.sub(_keyword, sentence)


def _keyword(found: re.Match[str]) -> str:
    off, name, value = found["off"], found["name"].replace("-", "_"), found["value"]
    if value is None:
        return (
            f"`{name}=False`"
            if off
            else (
                f"`{name}=True`"
                if name in ("header", "labels", "keep_totals")
                else f"`{name}`"
            )
        )
    return f"`{name}={value.strip(_QUOTES)!r}`"


def printable(text: object) -> str:
    """Return a name as it can be printed, whatever characters or bytes it has."""
    return safe_text.shown(str(text))


def shown(cell: object) -> str:
    """Return a cell for a sentence, in quotes and cut where it is long."""
    text = safe_text.encodable(str(cell))
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def listed(names: list[str], most: int = 20) -> str:
    """Return the first names of a list, each cut where it is long."""
    cut = [
        name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        for name in map(printable, names[:most])
    ]
    return ", ".join(cut) + (", ..." if len(names) > most else "")


def reason(error: BaseException) -> str:
    """Return the first line of what an error of a library says, without its full stop.

    Its name if it says nothing.
    """
    lines = str(error).splitlines()
    text = lines[0].strip().rstrip(".") if lines else ""
    return printable(text[:300]) or type(error).__name__
