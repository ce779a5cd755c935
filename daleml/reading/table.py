"""A table: columns by name, whose cells are text until they are asked for as numbers or as names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml.reading import cell_values as _cells
from daleml.reading import missing_values as _codes
from daleml.reading.cell_values import (
    EMPTY,
    MISSING,
    MISSING_LABELS,
    Hints,
    NotNumbersError,
)
from daleml.reading.encodings import decode
from daleml.reading.first_rows import Row, find_separator, first_rows, name_of, split
from daleml.reading.header import Layout, find_layout, said_of_repeats
from daleml.reading.opening import read_text_bytes, suffix
from daleml.reading.preamble import names_in_comment, preamble, without_title
from daleml.reading.summary_rows import is_total, rows_below, sums_up
from daleml.reading.table_options import (
    ReadingError,
    Say,
    TableOptions,
    listed,
    printable,
    reason,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

_USUAL = {".tsv": "\t", ".tab": "\t"}
_TRUTH = {
    "True": True,
    "TRUE": True,
    "true": True,
    "False": False,
    "FALSE": False,
    "false": False,
}
_SHORTEST_ID = 6  # digits, of ids beside which 0 or -1 is none


@dataclass(frozen=True)
class Table:
    """Columns by name.

    Attributes:
        path: The file.
        columns: Cells by name: text, or float64 where the file itself has numbers with decimals.
        options: What the user said of the file.
        labels: Names of the rows, if they have any.
        separator: What stands between cells; None where they are typed.
        named: Whether the file names its columns.
        say: What takes notes.
    """

    path: Path
    columns: dict[str, NDArray[Any]]
    options: TableOptions
    say: Say
    labels: NDArray[Any] | None = None
    separator: str | None = None
    named: bool = True
    _comma: list[bool] = field(default_factory=list, repr=False)
    _kept: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return max((len(cells) for cells in self.columns.values()), default=0)

    def without_totals(self) -> Table:
        """Return the table without last rows that sum up those above, which is said."""
        labels = () if self.labels is None else (self.labels,)
        n, word = (
            (0, "")
            if self.options.keep_totals
            else rows_below([*labels, *self.columns.values()])
        )
        if not n:
            return self
        called = f" ({shown(word)})" if word else ""
        first = (
            f"The last row{called}"
            if n == 1
            else f"The last {n} rows, from {shown(word)} on,"
        )
        verbs = ("sums", "was", "it is") if n == 1 else ("sum", "were", "they are")
        self.say(
            f"{first} of `{printable(self.path)}` {verbs[0]} up those above, and {verbs[1]}"
            f" left out; pass `--keep-totals` if {verbs[2]} data."
        )
        kept = {name: cells[:-n] for name, cells in self.columns.items()}
        return replace(
            self, columns=kept, labels=None if self.labels is None else self.labels[:-n]
        )

    def names(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.columns)

    def numeric(self) -> list[str]:
        """Return the names of the columns all of whose cells are numbers, or missing."""
        return [name for name in self.columns if self._are_numbers(name)]

    def numbers(
        self,
        name: str,
        *,
        censor_below: float | None = None,
        signed: bool = False,
        codes: bool = True,
    ) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where a cell has no value.

        Args:
            name: The column's.
            censor_below: The bound below which magnitudes are known only to be no larger.
            signed: Whether negative values are known to mean something.
            codes: Whether to refuse a number that looks like a code for "no value".

        Raises:
            ValueError: If a cell is no number, or a number looks like a code.
        """
        values = self._numbers(name, censor_below)
        if codes:
            self._refuse_codes(
                f"column {shown(name)} of `{printable(self.path)}`",
                values,
                signed=signed,
            )
        return values.copy()

    def codes(self) -> list[str]:
        """Return a sentence for each column in which a number looks like a code for "no value"."""
        found = []
        for name in self.numeric():
            try:
                self.numbers(name)
            except ValueError as error:
                found.append(str(error))
        return found

    def _numbers(
        self, name: str, censor_below: float | None = None
    ) -> NDArray[np.float64]:
        """Return a column as numbers; what had to be decided for it is said the first time."""
        if name not in self._kept or censor_below is not None:
            self._kept[name], notes = self._read(name, censor_below)
            for note in notes:
                self.say(note)
        return self._kept[name]

    def names_of(self, name: str, *, ids: bool = False) -> NDArray[Any]:
        """Return a column as names, an empty one where a cell has none.

        Args:
            name: The column's.
            ids: Whether they are cells of a connection: 0 or -1 among long ids is nobody's.

        Raises:
            ValueError: If the file holds rounded ids.
        """
        where = f"column {shown(name)} of `{printable(self.path)}`"
        cells = self._text(name)
        rounded = _codes.rounded_ids(cells.tolist())
        if rounded is not None:
            raise ReadingError(
                f"{where} must hold whole ids; got {shown(rounded)}: a program took them"
                " for numbers and rounded them; save them as text or as integers."
            )
        missing = self.options.missing or ()
        gone = {
            cell
            for cell in set(cells.tolist())
            if cell in MISSING_LABELS or _cells.is_named(cell, missing)
        }
        found = np.array(["" if cell in gone else cell for cell in cells], dtype=object)
        if ids and self.options.missing is None:
            self._refuse_nobody(where, found)
        return _without_point(found)

    def frame(self, ids: Iterable[str | None] = ()) -> pd.DataFrame:
        """Return a DataFrame: whole numbers and ids exact, other numbers float64, the rest text.

        Gaps are missing.

        Args:
            ids: Columns that hold names: no float64 whatever they look like.
        """
        import pandas as pd

        named = set(ids)
        return pd.DataFrame(
            {name: self._typed(name, number=name not in named) for name in self.columns}
        )

    def matrix(self) -> NDArray[np.float64]:
        """Return all columns of numbers as a matrix; a first column of names is left out.

        Raises:
            ValueError: If a cell is no number.
        """
        names = self.names()
        if len(names) > 1 and self.labels is None and self._names_rows(names[0]):
            self.say(
                f"The first column, {shown(names[0])}, was taken as names of the rows."
            )
            names = names[1:]
        values = np.column_stack([self.numbers(name, codes=False) for name in names])
        if (
            is_total(names[-1])
            and not self.options.keep_totals
            and sums_up(values[:, -1], values[:, :-1])
        ):
            self.say(
                f"The last column, {shown(names[-1])}, sums up the others, and was left"
                " out; pass `--keep-totals` if it is data."
            )
            values = values[:, :-1]
        self._refuse_codes(
            f"the matrix of `{printable(self.path)}`", values, signed=True
        )
        return values

    def is_labelled_square(self) -> bool:
        """Whether rows and columns have the same names, in the same order.

        A connectome's matrix.
        """
        names = self.names()
        if self.labels is not None:
            return len(names) > 1 and self.labels.tolist() == names
        return len(names) > 2 and self._text(names[0]).tolist() == names[1:]

    def _names_rows(self, name: str) -> bool:
        cells = self._text(name).tolist()
        if not self._are_numbers(name):
            return True
        if cells == self.names()[1:]:
            return True
        whole = _codes.whole(np.array(cells, dtype=object))
        headed = all(other.isdigit() for other in self.names()[1:])
        return (
            whole is not None
            and headed
            and not name.isdigit()
            and len(set(cells)) == len(cells)
        )

    def _read(
        self, name: str, censor_below: float | None = None
    ) -> tuple[NDArray[np.float64], list[str]]:
        cells = self.columns[name]
        if cells.dtype == np.float64:
            values = cells.copy()
            for given in self.options.missing or ():
                values[
                    [_cells.is_named(repr(float(value)), (given,)) for value in values]
                ] = np.nan
            if np.isinf(values).any():
                where = int(np.flatnonzero(np.isinf(values))[0])
                raise ReadingError(
                    f"column {shown(name)} of `{printable(self.path)}` must hold finite"
                    f" numbers; got {values[where]} in row {where + 1}."
                )
            return values, []
        options = self.options
        hints = Hints(
            options.decimal,
            self._has_commas(),
            self.separator,
            options.missing,
            censor_below,
        )
        try:
            found = _cells.to_numbers(self._text(name), name, hints)
        except NotNumbersError as error:
            raise ReadingError(
                f"column {shown(name)} of `{printable(self.path)}` {error}."
            ) from None
        return found.values, found.notes

    def _are_numbers(self, name: str) -> bool:
        try:
            values = self._kept[name] if name in self._kept else self._read(name)[0]
        except ValueError:
            return False
        return bool(np.any(~np.isnan(values)))

    def _has_commas(self) -> bool:
        """Whether some column cannot be read without decimal commas."""
        if not self._comma:
            self._comma.append(
                self.separator not in (",", None)
                and any(map(self._is_of_commas, self.columns))
            )
        return self._comma[0]

    def _is_of_commas(self, name: str) -> bool:
        if self.columns[name].dtype == np.float64:
            return False
        kept = [
            cell for cell in self._text(name)[:1000].tolist() if cell not in MISSING
        ]
        commas = [cell for cell in kept if "," in cell]
        try:
            notes = (
                _cells.to_numbers(kept, name, Hints(separator="\t")).notes
                if commas
                else []
            )
        except NotNumbersError:
            return False
        return any("decimal commas" in note for note in notes)

    def _text(self, name: str) -> NDArray[Any]:
        cells = self.columns[name]
        if cells.dtype != np.float64:
            return cells
        if np.any(np.abs(cells[np.isfinite(cells)]) >= 2**53):
            raise ReadingError(
                f"column {shown(name)} of `{printable(self.path)}` must hold whole ids; it"
                " holds floating-point numbers, which have rounded them; save them as text"
                " or as integers."
            )
        return np.array(
            ["" if np.isnan(value) else f"{value:.17g}" for value in cells],
            dtype=object,
        )

    def _refuse_codes(
        self, where: str, values: NDArray[np.float64], *, signed: bool
    ) -> None:
        found = (
            None
            if self.options.missing is not None
            else _codes.code(values, signed=signed)
        )
        if found is not None:
            value, n = found
            raise ReadingError(
                f"{where} must hold sizes; got {value:g} in {n:,} of"
                f" {np.count_nonzero(~np.isnan(values)):,} cells, unlike all the others, as"
                f" a code for a missing value is: pass `--missing {value:.15g}` to leave it"
                " out, or `--missing ''` if it was measured."
            )

    def _refuse_nobody(self, where: str, cells: NDArray[Any]) -> None:
        found = set(cells.tolist()) - {""}
        nobody = found & {"0", "-1"}
        others = found - nobody
        if (
            nobody
            and others
            and all(cell.isdigit() and len(cell) >= _SHORTEST_ID for cell in others)
        ):
            cell = min(nobody)
            n = int(np.count_nonzero(cells == cell))
            raise ReadingError(
                f"{where} must name cells; got {cell} in {n:,} rows, unlike all the other"
                f" ids, as a code for no cell is: pass `--missing {cell}` to leave it out,"
                " or `--missing ''` if it is a cell."
            )

    def _typed(self, name: str, *, number: bool = True) -> Any:
        import pandas as pd

        cells = self.columns[name]
        if cells.dtype == np.float64:
            return pd.Series(self._numbers(name))
        missing = self.options.missing or ()
        texts = np.array(
            ["" if _cells.is_named(cell, missing) else cell for cell in cells],
            dtype=object,
        )
        whole = _codes.whole(texts)
        if whole is not None:
            return pd.Series(whole, dtype="Int64" if None in whole else "int64")
        kept = set(texts.tolist()) - MISSING_LABELS
        if kept and kept <= set(_TRUTH) and not set(texts.tolist()) & MISSING_LABELS:
            return pd.Series([_TRUTH[cell] for cell in texts])
        if kept and number and not _are_padded(kept):
            try:
                return pd.Series(self._numbers(name))
            except ValueError:
                pass  # then it holds names
        gone = {cell for cell in set(texts.tolist()) if cell in MISSING_LABELS}
        return pd.Series(
            [None if cell in gone else cell for cell in texts],
            dtype="str" if kept else "float64",
        )


def _are_padded(cells: set[str]) -> bool:
    """Whether whole numbers are names whose zeros count, such as 007."""
    return all(cell.isdigit() for cell in cells) and any(
        len(cell) > 1 and cell[0] == "0" for cell in cells
    )


def _without_point(cells: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers without ``.0``, which a program wrote that knows no gaps in whole numbers."""
    kept = [cell for cell in set(cells.tolist()) if cell]
    if kept and all(
        cell.endswith(".0") and cell[:-2].lstrip("-").isdigit() for cell in kept
    ):
        return np.array([cell[:-2] for cell in cells], dtype=object)
    return cells


def read_text_table(path: Path, options: TableOptions, say: Say) -> Table:
    """Read a table of text.

    Raises:
        ValueError: If it is none.
        OSError: If it cannot be opened.
    """
    text = decode(read_text_bytes(path), path, say)
    name = printable(path)
    usual = _USUAL.get(suffix(path)[:4], ",")
    start, said = preamble(text)
    rows = first_rows(text, start)
    if not rows:
        raise ReadingError(f"`{name}` must be a table; No columns to parse from file.")
    if options.header is not False:
        rows, start = without_title(rows, start, options.separator or said, say)
    separator = (
        options.separator
        or said
        or find_separator(rows, "," if usual == "," else usual)
    )
    if options.separator is None and separator != usual:
        say(f"`{name}` was read with {name_of(separator)} between its cells.")
    if start and text.startswith("#"):
        say(f"The lines of `{name}` that begin with # were left out.")
    try:
        separator, layout = _layout(rows, separator, options, say, name)
    except ValueError as error:
        raise ReadingError(f"`{name}` must be a table; {error}.") from None
    names = (
        None
        if layout.header or options.header is False
        else names_in_comment(text[:start], separator, layout)
    )
    if names:
        say(
            f"The columns were named {listed(names, 4)}, as the comment above them says."
        )
        layout = replace(layout, names=tuple(names))
    for note in layout.notes:
        say(note)
    body = text[rows[0].end :] if layout.header else text[start:]
    _say_of_short_rows(rows[1:], text, separator, layout.width, name, say)
    columns = _columns(body, separator, layout.width, name)
    given = (
        [cell.text for cell in split(rows[0].text, separator)] if layout.header else []
    )
    by_name = name_columns(layout, given, columns, say, trailing=options.trailing)
    labels = by_name.pop(layout.names[0]) if layout.labels else None
    return Table(path, by_name, options, say, labels, separator, layout.header)


def _layout(
    rows: list[Row], separator: str, options: TableOptions, say: Say, name: str
) -> tuple[str, Layout]:
    cells = [split(row.text, separator) for row in rows]
    if (
        separator == ","
        and options.decimal == ","
        and not any("," in cell.text for row in cells for cell in row)
    ):
        # No comma is quoted, so every comma is a decimal one, and the table is a single column.
        return "\t", find_layout([split(row.text, "\t") for row in rows], options, "\t")
    if (
        separator == ","
        and options.separator is None
        and options.header is not False
        and _are_decimal_commas(cells)
    ):
        say(
            f"The commas of `{name}` were taken as decimal commas: its first row has one"
            " cell."
        )
        return "\t", find_layout([split(row.text, "\t") for row in rows], options, "\t")
    return separator, find_layout(cells, options, separator)


def _are_decimal_commas(cells: list[list[Any]]) -> bool:
    """Whether rows such as ``0,41`` below a header of one cell hold one number each.

    No name of a row comes twice.
    """
    first, body = cells[0], cells[1:]
    if len(first) != 1 or len(body) < 3 or first[0].text.isdigit():
        return False
    if not all(
        len(row) in (1, 2)
        and all(cell.text.isdigit() and not cell.quoted for cell in row)
        for row in body
    ):
        return False
    whole = [row[0].text for row in body if len(row) == 2]
    return len(set(whole)) < len(whole)


def _columns(body: str, separator: str, width: int, name: str) -> list[NDArray[Any]]:
    import pandas as pd

    blank = separator == " "
    try:
        # A warning, made an error: rows longer than the others would lose their end.
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(
                StringIO(body),
                sep=r"\s+" if blank else separator,
                header=None,
                names=range(width),
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            )
    except pd.errors.EmptyDataError:
        table = pd.DataFrame({i: pd.Series(dtype=str) for i in range(width)})
    except pd.errors.ParserWarning:
        raise ReadingError(
            f"`{name}` must be a table; it has rows longer than its first."
        ) from None
    except (ValueError, pd.errors.ParserError) as error:
        raise ReadingError(f"`{name}` must be a table; {reason(error)}.") from None
    return [
        table[i].fillna("").str.strip().to_numpy(dtype=object) for i in range(width)
    ]


def _say_of_short_rows(
    rows: list[Row], text: str, separator: str, width: int, name: str, say: Say
) -> None:
    """Say so where the first rows or the last one, as of a file that was cut off, have fewer cells than the others."""
    last = text.rstrip("\n").rpartition("\n")[2]
    cells = [split(row.text, separator) for row in rows]
    short = sum(
        len(row) < width - 1 or (len(row) < width and bool(row[-1].text))
        for row in cells
    )
    cut = bool(rows) and not last.count('"') % 2 and len(split(last, separator)) < width
    if short or cut:
        which = (
            f"{short:,} of the first rows of `{name}` lack"
            if short > 1
            else f"A row of `{name}` lacks"
        )
        say(f"{which} cells, which were taken as missing: was the file cut off?")


def name_columns(
    layout: Layout,
    given: list[str],
    columns: list[NDArray[Any]],
    say: Say,
    *,
    trailing: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return columns by name.

    Say which got other names, and leave out those without a name and without a value.
    """
    by_name = dict(zip(layout.names, columns, strict=True))
    if not layout.header:
        return by_name
    gap = [""] * (layout.width - len(given))
    padded = gap + given if layout.labels else given + gap
    for note in said_of_repeats(layout.names, padded):
        say(note)
    for i, (name, old) in enumerate(zip(layout.names, padded, strict=False)):
        if old or (layout.labels and i == 0):
            continue
        if set(columns[i].tolist()) <= EMPTY:
            del by_name[name]
            if not trailing:
                say(
                    f"Column {i + 1}, which has neither a name nor a value, was left out."
                )
        else:
            say(f"Column {i + 1}, which has no name, was taken as {shown(name)}.")
    return by_name
