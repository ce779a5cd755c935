"""A table: columns by name, and the options that say how it is written.

The cells of a column are text until they are asked for as numbers or as names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.safe_text import printable, quoted
from daleml.reading.cell_values import MISSING, find_code, is_named, to_numbers
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.number_styles import LARGEST_EXACT, Hints, NotNumbersError
from daleml.reading.totals import rows_below

_SEPARATORS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "\\t": "\t",
    "pipe": "|",
    "space": " ",
    "whitespace": " ",
}

# Decimal commas are looked for in this number of cells of each column.
_LOOKED_AT = 1000


@dataclass(frozen=True)
class TableOptions:
    r"""How a table is written. What is None is found out from the table, and said in a note.

    Args:
        separator: What stands between two cells: one character, or comma, semicolon, tab, pipe
            or space by name. A space stands for any number of blanks.
        decimal: The decimal mark, ``"."`` or ``","``.
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
            point nor a comma, or both are the same.

    Example:
        >>> TableOptions(separator="tab", missing=("-9999",)).separator
        '\t'
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
                names = ", ".join(filter(str.isalpha, _SEPARATORS))
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
            cells = tuple(filter(None, map(str.strip, self.missing)))
            object.__setattr__(self, "missing", cells)


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes:
        path: The file.
        columns: Cells by name: text, or float64 where the file itself has numbers with decimals.
        options: What the user said of the file.
        on_note: The callback that takes notes.
        labels: Names of the rows, if they have any.
        separator: What stands between cells; None where they are typed.
        named: Whether the file names its columns.
    """

    path: Path
    columns: dict[str, NDArray[Any]]
    options: TableOptions
    on_note: OnNote
    labels: NDArray[Any] | None = None
    separator: str | None = None
    named: bool = True
    _read: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    _comma: list[bool] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return max(map(len, self.columns.values()), default=0)

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.columns)

    def place(self, name: str) -> str:
        """Return where a column is, for a sentence."""
        return f"column {quoted(name)} of `{printable(self.path)}`"

    def numeric(self) -> list[str]:
        """Return the names of the columns all of whose cells are numbers, or missing."""
        return list(filter(self.are_numbers, self.columns))

    def are_numbers(self, name: str) -> bool:
        """Return whether all cells of a column are numbers or missing, and some are numbers."""
        values = self._read.get(name)
        if values is None:
            try:
                values, _ = self._parsed(name)
            except ValueError:
                return False
        return not bool(np.isnan(values).all())

    def numbers(
        self,
        name: str,
        *,
        censor_below: float | None = None,
        signed: bool = False,
        codes: bool = True,
    ) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where a cell has no value.

        What had to be decided for it is said the first time.

        Args:
            name: The column's.
            censor_below: The bound below which magnitudes are known only to be no larger.
            signed: Whether negative values are known to mean something.
            codes: Whether to refuse a number that looks like a code for "no value".

        Raises:
            ValueError: If a cell is no number, or a number looks like a code.
        """
        if name not in self._read or censor_below is not None:
            self._read[name], notes = self._parsed(name, censor_below)
            for note in notes:
                self.on_note(note)
        values = self._read[name].copy()
        if codes:
            self.refuse_codes(self.place(name), values, signed=signed)
        return values

    def notes_of_codes(self) -> list[str]:
        """Return a sentence for each column in which a number looks like a code for "no value"."""
        found = []
        for name in self.numeric():
            try:
                self.numbers(name)
            except ValueError as error:
                found.append(str(error))
        return found

    def refuse_codes(
        self, where: str, values: NDArray[np.float64], *, signed: bool
    ) -> None:
        """Raise if a number looks like a code for "no value", and the user did not say what is.

        Raises:
            ValueError: If so.
        """
        if self.options.missing is not None:
            return
        found = find_code(values, signed=signed)
        if found is not None:
            value, n = found
            raise ReadingError(
                f"{where} must hold sizes; got {value:g} in {n:,} of"
                f" {np.count_nonzero(~np.isnan(values)):,} cells, unlike all the others, as"
                f" a code for a missing value is: pass `--missing {value:.15g}` to leave it"
                " out, or `--missing ''` if it was measured."
            )

    def text(self, name: str) -> NDArray[Any]:
        """Return the text of a column's cells.

        Raises:
            ValueError: If they are floating-point numbers so large that they were rounded.
        """
        cells = self.columns[name]
        if cells.dtype != np.float64:
            return cells
        if np.any(np.abs(cells[np.isfinite(cells)]) >= LARGEST_EXACT):
            raise ReadingError(
                f"{self.place(name)} must hold whole ids; it holds floating-point numbers,"
                " which have rounded them; save them as text or as integers."
            )
        texts = np.array([f"{value:.17g}" for value in cells], dtype=object)
        texts[np.isnan(cells)] = ""
        return texts

    def is_labelled_square(self) -> bool:
        """Return whether rows and columns have the same names, in the same order.

        The matrix of a connectome is such a table.
        """
        names = self.names()
        if self.labels is not None:
            return len(names) > 1 and self.labels.tolist() == names
        return len(names) > 2 and self.text(names[0]).tolist() == names[1:]

    def without_totals(self) -> Table:
        """Return the table without last rows that sum up those above, which is said."""
        if self.options.keep_totals:
            return self
        columns = list(self.columns.values())
        if self.labels is not None:
            columns.insert(0, self.labels)
        n, word = rows_below(columns)
        if not n:
            return self
        self._say_of_totals(n, word)
        kept = {name: cells[:-n] for name, cells in self.columns.items()}
        labels = None if self.labels is None else self.labels[:-n]
        return replace(self, columns=kept, labels=labels)

    def _say_of_totals(self, n: int, word: str) -> None:
        name = printable(self.path)
        if n == 1:
            called = f" ({quoted(word)})" if word else ""
            self.on_note(
                f"The last row{called} of `{name}` sums up those above, and was left out;"
                " pass `--keep-totals` if it is data."
            )
        else:
            self.on_note(
                f"The last {n} rows, from {quoted(word)} on, of `{name}` sum up those"
                " above, and were left out; pass `--keep-totals` if they are data."
            )

    def _parsed(
        self, name: str, censor_below: float | None = None
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Return a column as numbers, and what was decided for it."""
        if self.columns[name].dtype == np.float64:
            return self._finite(name), []
        options = self.options
        hints = Hints(
            options.decimal,
            self._has_commas(),
            self.separator,
            options.missing,
            censor_below,
        )
        try:
            found = to_numbers(self.columns[name], name, hints)
        except NotNumbersError as error:
            raise ReadingError(f"{self.place(name)} {error}.") from None
        return found.values, found.notes

    def _finite(self, name: str) -> NDArray[np.float64]:
        """Return a column that the file itself has as numbers."""
        values: NDArray[np.float64] = self.columns[name].copy()
        if self.options.missing:
            for i, value in enumerate(values.tolist()):
                if is_named(repr(value), self.options.missing):
                    values[i] = np.nan
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            first = int(infinite[0])
            raise ReadingError(
                f"{self.place(name)} must hold finite numbers; got {values[first]} in row"
                f" {first + 1}."
            )
        return values

    def _has_commas(self) -> bool:
        """Return whether some column cannot be read without decimal commas."""
        # A comma between cells is no decimal mark, and typed cells have none.
        if self.separator in (",", None):
            return False
        if not self._comma:
            self._comma.append(any(map(self._is_of_commas, self.columns)))
        return self._comma[0]

    def _is_of_commas(self, name: str) -> bool:
        cells = self.columns[name]
        if cells.dtype == np.float64:
            return False
        kept = [cell for cell in cells[:_LOOKED_AT].tolist() if cell not in MISSING]
        if "," not in "".join(kept):
            return False
        try:
            notes = to_numbers(kept, name, Hints(separator="\t")).notes
        except NotNumbersError:
            return False
        return "decimal commas" in " ".join(notes)
