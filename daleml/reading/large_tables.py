"""Large tables, read column by column: text, Parquet and Feather, or a table in memory.

``table_files`` looks at every cell as text, which finds out more and takes twenty times the
memory. Tables of millions of rows come from programs, and are written as programs write them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daleml import require
from daleml._support.safe_text import listed, printable, quoted
from daleml.reading.notes import ReadingError
from daleml.reading.opening import FRAMES, TABLES, WORKBOOKS, require_file, suffix
from daleml.reading.workbooks import need

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_KINDS = tuple(ending for ending in TABLES if ending not in WORKBOOKS)
_TABS = (".tsv", ".tab")


def is_table_given(given: object) -> bool:
    """Whether an object is a table, or the name of a file."""
    return isinstance(given, (str, os.PathLike)) or hasattr(given, "iloc")


class LargeTable:
    """Columns of a table, each read when it is asked for.

    Args:
        argument: The argument that holds it, for errors.
        given: A DataFrame, or a file.

    Raises:
        TypeError: If it is neither.
        ValueError: If the file is of no known kind.
        FileNotFoundError: If it is not there.
    """

    def __init__(self, argument: str, given: Any) -> None:
        self.argument = argument
        self.path: Path | None = None
        if not hasattr(given, "iloc"):
            self.path = require.path(argument, given)
            require_file(self.path, _KINDS)
        elif not hasattr(given, "columns"):
            raise TypeError(
                f"`{argument}` must be a table, or a file of one; got a"
                f" {type(given).__name__}."
            )
        self._given = given

    @property
    def called(self) -> str:
        """What an error calls the table."""
        return "the table" if self.path is None else printable(self.path.name)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The columns' names without blanks around them, and as the table has them."""
        names = self._given.columns if self.path is None else self._names(self.path)
        return {str(name).strip(): name for name in names}

    def read(self, wanted: Sequence[str], categories: Sequence[str] = ()) -> DataFrame:
        """Return some columns.

        Args:
            wanted: Their names, of :attr:`columns`.
            categories: Those of them that hold few different texts.

        Raises:
            ValueError: If the file is damaged, or holds no such table.
            ModuleNotFoundError: If pyarrow is needed and not installed.
        """
        have = [self.columns[name] for name in wanted]
        if self.path is None:
            found: DataFrame = self._given[have]
        elif suffix(self.path) in FRAMES:
            found = self._of_frame(self.path, have)
        else:
            found = self._of_text(self.path, have, categories)
        return found.set_axis(list(wanted), axis=1)

    def _names(self, path: Path) -> list[str]:
        if suffix(path) in FRAMES:
            names: list[str] = self._dataset(path).schema.names
            return names
        return list(self._text(path, nrows=0).columns)

    def _dataset(self, path: Path) -> Any:
        try:
            import pyarrow
            import pyarrow.dataset
        except ModuleNotFoundError:
            raise need("pyarrow", path) from None
        kind = "parquet" if suffix(path) in (".parquet", ".pq") else "feather"
        try:
            return pyarrow.dataset.dataset(path, format=kind)
        except pyarrow.ArrowException as error:
            raise self._damaged(path, error) from None

    def _of_frame(self, path: Path, have: list[str]) -> DataFrame:
        import pyarrow

        try:
            table = self._dataset(path).to_table(columns=have)
        except pyarrow.ArrowException as error:
            raise self._damaged(path, error) from None
        for name in have:
            column = table.column(name)
            # pandas would make floats of them, and round those that are ids.
            if column.null_count and pyarrow.types.is_integer(column.type):
                raise ReadingError(
                    f"`{self.argument}` must have a value in every row of {quoted(name)};"
                    f" got none in {column.null_count:,} of {len(column):,} of"
                    f" {self.called}: leave such rows out."
                )
        # Column by column is freed while it is copied.
        frame: DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
        return frame

    def _text(self, path: Path, **how: Any) -> DataFrame:
        import pandas as pd

        separator = "\t" if suffix(path).startswith(_TABS) else ","
        try:
            frame: DataFrame = pd.read_csv(
                path, sep=separator, skipinitialspace=True, **how
            )
        except (ValueError, OSError, EOFError) as error:
            raise self._damaged(path, error) from None
        return frame

    def _of_text(
        self, path: Path, have: list[str], categories: Sequence[str]
    ) -> DataFrame:
        texts = {self.columns[name]: "category" for name in categories}
        return self._text(path, usecols=have, dtype=texts, low_memory=False)[have]

    def _damaged(self, path: Path, error: Exception) -> ReadingError:
        first = str(error).strip().splitlines() or [type(error).__name__]
        return ReadingError(
            f"`{self.argument}` must be a table that can be read; got"
            f" {printable(path.name)}: {first[0].rstrip('.')}."
        )


def column_named(
    table: LargeTable, role: str, names: Sequence[str], given: str | None
) -> str | None:
    """Return the column that plays a role, None if there is none.

    Args:
        table: The table.
        role: What the column holds, for errors.
        names: What such columns are called, in small letters and digits.
        given: Its name, if the user said it.

    Raises:
        ValueError: If there is no column of the name given, or two could be meant.
    """
    if given is not None:
        if str(given) not in table.columns:
            have = listed(list(map(quoted, table.columns)))
            raise ValueError(
                f"`columns` must name columns of {table.called}; got {given!r} for"
                f" {role!r}, beside {have}."
            )
        return str(given)
    found = [name for name in table.columns if plain_name(name) in names]
    if len(found) > 1:
        names_found = listed(list(map(quoted, found)))
        raise ValueError(
            f"`columns` must say which column holds {role!r}; got {names_found} in"
            f" {table.called}: pass `columns={{{role!r}: {found[0]!r}}}`."
        )
    return found[0] if found else None


def plain_name(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(filter(str.isalnum, name)).lower()


def texts(column: Series[Any]) -> Series[Any]:
    """Return a column of texts as categories, without blanks around them."""
    found = column.astype("category").cat
    stripped = [str(name).strip() for name in found.categories]
    if len(set(stripped)) == len(stripped):
        return column.astype("category").cat.rename_categories(stripped)
    return column.astype(str).str.strip().astype("category")
