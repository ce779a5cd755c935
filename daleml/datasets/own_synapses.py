"""Synapses from a table of the user's own, in whatever file it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from daleml import reading, require
from daleml._support.shared_options import completed, described_options, lists_options
from daleml.datasets.synapse_table import SynapseTable


class SynapseFileOptions(TypedDict, total=False):
    """What may be said of a table of synapses and of its file.

    :class:`SynapseTable` and :class:`daleml.reading.TableOptions` describe the options.
    """

    pre: str | None
    post: str | None
    units: Mapping[str, str] | None
    thresholds: Mapping[str, float] | None
    separator: str | None
    decimal: str | None
    header: bool | None
    labels: bool | None
    missing: Sequence[str | float] | None
    sheet: str | None
    name: str | None
    source: str
    licence: str
    citation: str
    keep_totals: bool


_DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys(SynapseFileOptions.__annotations__),
    "source": "",
    "licence": "",
    "citation": "",
    "keep_totals": False,
}
_OPTIONS = described_options(
    SynapseFileOptions, _DEFAULTS, (SynapseTable, reading.TableOptions)
)


@lists_options(SynapseFileOptions, _OPTIONS)
def read_synapses(
    path: str | Path, **options: Unpack[SynapseFileOptions]
) -> SynapseTable:
    r"""Read a table of synapses of yours, one per row.

    What the file leaves open is found out, and said in a warning: a separator other than its
    ending says, decimal commas, a unit in the cells, a header of numbers, names of rows. The
    table is called as its file, unless a ``name`` is given.

    Args:
        path: A table of text, ``.csv``, ``.tsv`` or ``.txt``, compressed or not (``.csv.gz``);
            a workbook (``.xlsx``), Parquet or Feather file, for which the extra ``files`` is
            needed; or a file of arrays of one length (``.npz``, ``.mat``, ``.h5``).
        **options: What is known of the table and of its file.

    Returns:
        A :class:`SynapseTable` of all rows. Blanks around the names of columns are taken off; a
        cell that is empty, or says NA or NaN, has no value. Ids are exact: whole numbers are
        int64, or Int64 where one is missing, and what begins with 0 or is longer is text.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the library that it needs is not installed.
        ValueError: If it is no such table, or has no column of a name given.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "mine.csv"
        ...     _ = path.write_text("axon, area\n1, 0.2\n2, NA\n")
        ...     synapses = read_synapses(path, units={"area": "um2"})
        >>> print(synapses)
        mine.csv: 2 synapses; area (um2, n = 1)
    """
    given = completed(read_synapses, _OPTIONS, options)
    # The reader names files and options of the command line; here they are arguments.
    file = require.path("path", path)
    if not reading.holds_rows(file):
        kinds = reading.plain_endings((*reading.TABLES, *reading.ARRAYS))
        raise ValueError(
            f"`path` must end in one of {kinds}, or .csv.gz and the like; got"
            f" {reading.printable(file.name)}."
        )
    if not file.exists():
        raise FileNotFoundError(
            f"`path` must be a file of synapses; got {reading.printable(file)}."
        )
    table_options = _table_options(given)
    ends = (given["pre"], given["post"])
    try:
        found = reading.read_table(file, table_options, reading.warn)
        for end in ends:
            if end in found.columns:
                # Raises if they were rounded, or one of them looks like a code for no cell.
                reading.to_names(found, end, ids=True)
        rows = reading.to_frame(found, ids=ends)
    except ValueError as error:
        raise ValueError(_in_python(str(error), file)) from None
    for note in found.notes_of_codes():
        reading.warn(note)
    return SynapseTable(
        name=file.name if given["name"] is None else given["name"],
        table=rows,
        source=given["source"],
        licence=given["licence"],
        citation=given["citation"],
        units=dict(given["units"] or {}),
        pre=given["pre"],
        post=given["post"],
        thresholds=dict(given["thresholds"] or {}),
    )


def _table_options(given: Mapping[str, Any]) -> reading.TableOptions:
    missing = given["missing"]
    if missing is not None:
        missing = tuple(map(str, missing))
    return reading.TableOptions(
        separator=given["separator"],
        decimal=given["decimal"],
        header=given["header"],
        labels=given["labels"],
        missing=missing,
        sheet=given["sheet"],
        # Spreadsheets end rows in separators: here nobody could pass an option for that.
        trailing=True,
        keep_totals=given["keep_totals"],
    )


def _in_python(sentence: str, file: Path) -> str:
    """Return a reader's sentence in the words of Python, about ``path``."""
    sentence = reading.in_keywords(sentence)
    name = reading.printable(file)
    of_reader = f"`{name}` must be a table; "
    if not sentence.startswith(of_reader):
        return sentence
    what = sentence.removeprefix(of_reader)
    return f"`path` must be a table; got {reading.printable(file.name)}: {what}"
