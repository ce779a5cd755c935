"""Files that do not ship: finding them where the user has them, and checking what they are."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daleml import reading, require

if TYPE_CHECKING:
    from pandas import DataFrame

VARIABLE = "DALEML_DATA"
"""The environment variable that names the folder of the user's data sets."""

# The number of hexadecimal digits of a checksum that an error shows.
_SHOWN = 12


@dataclass(frozen=True)
class LocalFile:
    """A file the user has, or has to get.

    Attributes:
        name: The name of the file.
        sha256: Its checksum.
        origin: Where to get it, or what it is made of: ends a sentence.
    """

    name: str
    sha256: str
    origin: str

    def find(self, path: str | Path | None, *, check: bool) -> Path:
        """Return where the file is.

        Args:
            path: The file, or its folder; None for the folder that the environment names.
            check: Whether to refuse a file of another checksum.

        Raises:
            FileNotFoundError: If it is not there; the sentence says where to get it.
            ValueError: If ``path`` is left out where the environment names no folder, or the
                checksum is another.
        """
        require.flag("check", check)
        if path is None and not os.environ.get(VARIABLE):
            raise ValueError(f"{_unset()}: {self.name} is {self.origin}; got None.")
        given = folder(path)
        file = given / self.name if given.is_dir() else given
        if not file.is_file():
            raise FileNotFoundError(
                f"`path` must be {self.name} or its folder; it is {self.origin}; got"
                f" {given}."
            )
        if check:
            # Another release has other numbers, and nothing else would say so.
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if found != self.sha256:
                raise ValueError(
                    f"`path` must be {self.name} of SHA-256 {self.sha256[:_SHOWN]}..."
                    f" unless `check` is False; got {found[:_SHOWN]}... for {file}."
                )
        return file

    def table(
        self,
        path: str | Path | None,
        columns: tuple[str, ...],
        *,
        check: bool,
        numbers: tuple[str, ...] = (),
    ) -> DataFrame:
        """Read the file as a table that has ``columns``; see :meth:`find`.

        Args:
            path: As for :meth:`find`.
            columns: The columns that it must have.
            check: As for :meth:`find`.
            numbers: Those of them that must hold numbers: whole ones as int64, others, or with
                gaps, as float64.

        Returns:
            Its rows. Ids stay exact: whole numbers with gaps are pandas' ``Int64``, everything
            else is text.

        Raises:
            ValueError: If the file is no table, a column is missing, or a cell of ``numbers``
                is no number.
        """
        file = self.find(path, check=check)
        try:
            table = reading.read_table(
                file, reading.TableOptions(trailing=True), reading.warn
            )
            missing = [column for column in columns if column not in table.columns]
            if missing:
                rule = f"`path` must be a table with the columns {', '.join(columns)}"
                raise ValueError(
                    f"{rule}; got none called {', '.join(missing)} in {file}."
                )
            frame = reading.to_frame(table)
            for column in numbers:
                values = table.numbers(column, codes=False)
                # Whole numbers stay whole: a float would round those beyond 2^53.
                if frame[column].dtype != "int64":
                    frame[column] = values
        except ValueError as error:
            # The readers' sentences name options of the command line.
            raise ValueError(reading.in_keywords(str(error))) from None
        return frame


def folder(path: str | Path | None, name: str = "", what: str = "") -> Path:
    """Return ``path``, or else the folder ``name`` in the one that the environment names.

    Args:
        path: The folder, if the user gave it.
        name: The name of the folder in the one of the environment.
        what: Which files must be in it, and where to get them: part of the sentence of an error.

    Raises:
        ValueError: If the environment names none.
    """
    if path is not None:
        return require.path("path", path)
    if not os.environ.get(VARIABLE):
        more = f": {what}" if what else ""
        raise ValueError(f"{_unset()}{more}; got None.")
    return Path(os.environ[VARIABLE]) / name


def _unset() -> str:
    return f"`path` must be given where the environment variable {VARIABLE} is not set"
