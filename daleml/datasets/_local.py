"""Files that do not ship: where the user has them, and whether they are what they should be."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daleml import _checks

if TYPE_CHECKING:
    from pandas import DataFrame

VARIABLE = "DALEML_DATA"
"""The environment variable that names the folder of the user's data sets."""

_SHOWN = 12  # hexadecimal digits of a checksum, in an error


@dataclass(frozen=True)
class LocalFile:
    """A file the user has, or has to get.

    Attributes:
        name: Of the file.
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
            ValueError: If ``path`` is left out where the environment names no folder, or the checksum is another.
        """
        _checks.flag("check", check)
        if path is None and not os.environ.get(VARIABLE):
            raise ValueError(f"{_unset()}: {self.name} is {self.origin}; got None.")
        given = folder(path)
        file = given / self.name if given.is_dir() else given
        if not file.is_file():
            raise FileNotFoundError(f"`path` must be {self.name} or its folder; it is {self.origin}; got {given}.")
        if check:
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if found != self.sha256:
                raise ValueError(
                    f"`path` must be {self.name} of SHA-256 {self.sha256[:_SHOWN]}... unless `check` is False; "
                    f"got {found[:_SHOWN]}... for {file}."
                )
        return file

    def table(self, path: str | Path | None, columns: tuple[str, ...], *, check: bool) -> DataFrame:
        """Read the file as a table that has ``columns``, empty cells missing and nothing else; see :meth:`find`."""
        import pandas as pd

        file = self.find(path, check=check)
        frame = pd.read_csv(file, keep_default_na=False, na_values=[""])
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            rule = f"`path` must be a table with the columns {', '.join(columns)}"
            raise ValueError(f"{rule}; got none called {', '.join(missing)} in {file}.")
        return frame


def folder(path: str | Path | None, name: str = "") -> Path:
    """Return ``path``, or else the folder ``name`` in the one that the environment names.

    Raises:
        ValueError: If the environment names none.
    """
    if path is not None:
        return Path(path)
    if not os.environ.get(VARIABLE):
        raise ValueError(f"{_unset()}; got None.")
    return Path(os.environ[VARIABLE]) / name


def _unset() -> str:
    return f"`path` must be given where the environment variable {VARIABLE} is not set"
