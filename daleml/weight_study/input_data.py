"""From a file to what is fitted: magnitudes, their groups, how often each counts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.analysis import WeightSample, weight_samples
from daleml.analysis.weights.value_chunks import pieces
from daleml.reading import (
    Table,
    TableOptions,
    holds_rows,
    is_table,
    matrix_of,
    read_table,
)
from daleml.weight_files import columns_of, read_weights

# Of more values, what lies outside of bounds is looked for by chunks of so many.
_MANY = 1 << 18


@dataclass(frozen=True)
class Gathered:
    """The weights to fit, and what the file says beside them.

    Attributes:
        name: Name of the file and of the column or tensor.
        label: What the magnitudes are, for an axis.
        weights: Values, or a sample already taken.
        groups: The group of each value, an empty name where it has none; None without groups.
        counts: How often each value counts; None if once.
        by: What the groups are groups of.
        from_table: Whether missing values are empty cells, which are counted and left out.
        notes: What was done to the rows, a sentence each.
        clusters: The animal or cell that each value lies in; None if values are taken for
            independent.
        clustered_by: What those are.
        unit: The unit of the magnitudes, such as ``"px"``; nothing where it is not known.
    """

    name: str
    label: str
    weights: Any
    groups: NDArray[Any] | None = None
    counts: NDArray[np.float64] | None = None
    by: str = ""
    from_table: bool = False
    notes: tuple[str, ...] = ()
    clusters: NDArray[Any] | None = None
    clustered_by: str = ""
    unit: str = ""

    @property
    def axis(self) -> str:
        """What the magnitudes are, with their unit: the name of an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def within(self, low: float | None, high: float | None) -> Gathered:
        """Leave out magnitudes that are said not to be seen, and say how many.

        A table may hold some all the same.
        """
        if isinstance(self.weights, (WeightSample, Mapping)):
            return self
        values = np.asarray(self.weights)
        if values.size > _MANY:
            # Most often nothing lies outside, and no copy is needed to know.
            ends = (low or 0.0, math.inf if high is None else high)
            if not _any_outside(values.reshape(-1), *ends):
                return self
        sizes = np.abs(values)
        outside = np.zeros(sizes.shape, dtype=bool)
        bounds = []
        if low is not None:
            outside |= sizes < low
            bounds.append(f"below {low:g}")
        if high is not None:
            outside |= sizes > high
            bounds.append(f"above {high:g}")
        # Zeros are counted apart.
        outside &= sizes > 0
        n = int(np.count_nonzero(outside))
        # Where none is left, the fit says so.
        if not n or n == np.count_nonzero(sizes > 0):
            return self
        note = (
            f"{n:,} weights {' and '.join(bounds)} were left out, and the fits are of those"
            " that could be seen."
        )
        kept = ~outside
        return replace(
            self,
            weights=values[kept],
            groups=_where(self.groups, kept),
            counts=_where(self.counts, kept),
            clusters=_where(self.clusters, kept),
            notes=(*self.notes, note),
        )


def _any_outside(values: NDArray[Any], low: float, high: float) -> bool:
    """Return whether a magnitude that is not zero lies beyond two ends."""
    for piece in pieces(values, _MANY):
        sizes = np.abs(piece)
        if np.any(((sizes < low) & (sizes > 0)) | (sizes > high)):
            return True
    return False


def _where(values: NDArray[Any] | None, kept: NDArray[np.bool_]) -> NDArray[Any] | None:
    return None if values is None else values[kept]


def gather(
    file: Path,
    column: str | None = None,
    *,
    by: str | None = None,
    within: str | None = None,
    weights_column: str | None = None,
    connections: tuple[str, str] | None = None,
    sign: int | None = None,
    pool: bool = False,
    options: TableOptions | None = None,
    matrix: bool = False,
    censor_below: float | None = None,
) -> Gathered:
    """Read the weights to fit from a file, with their groups, counts and clusters.

    Args:
        file: A table, an array or a checkpoint.
        column: The column or tensor to fit; may be left out where there is only one.
        by: A table's column of groups.
        within: A table's column of the animals or cells that rows lie in.
        weights_column: A table's column that says how often each row counts.
        connections: A table's columns that name the sending and the receiving cell, to add up
            the synapses of a pair.
        sign: +1 or -1 to choose among the populations of a checkpoint.
        pool: Whether to take all weights of a checkpoint together.
        options: How a table is written, where that is not to be found out.
        matrix: Whether to take all the numbers of a table as one matrix of weights.
        censor_below: The bound below which magnitudes are known only to be no larger, as cells
            such as ``<0.01`` are.

    Raises:
        ValueError: If the file cannot be read, or has no such columns.
        OSError: If it cannot be opened.
    """
    options = TableOptions() if options is None else options
    numbers = _given({"--weights-column": weights_column})
    pre, post = connections or (None, None)
    labels = _given({"--by": by, "--within": within, "--pre": pre, "--post": post})
    rows = numbers | labels
    if not _is_read_by_rows(file, rows):
        return _without_rows(file, column, sign=sign, pool=pool)
    notes: list[str] = []
    # Of a file of typed columns, no others are read.
    only = None if column is None or matrix else [column, *rows.values()]
    table = read_table(file, options, notes.append, only)
    # A single array has no other beside it that could say something of its values.
    if not is_table(file) and len(table.columns) == 1:
        _refuse_rows(rows)
    if matrix or (column is None and not rows and table.is_labelled_square()):
        return _of_matrix(file, table, column, rows, notes, chosen=matrix)
    if column is None:
        _hint_at_matrix(table)
    # Whoever chose a sign, or pooled both, has said that signs mean something.
    is_decided = pool or sign is not None
    label, values, others = columns_of(
        table, column, numbers, labels, censor_below=censor_below, signed=is_decided
    )
    notes += _hints_of_logarithms(label, values, decided=is_decided)
    groups = others.get("--by")
    if connections:
        values, groups, said = _per_connection(
            values, others["--pre"], others["--post"], groups
        )
        notes += said
    clusters = others.get("--within")
    if clusters is not None and groups is not None:
        groups, homeless = _only_clustered(groups, clusters, within or "")
        notes += homeless
    return Gathered(
        f"{file.stem}-{label}",
        label,
        values,
        groups,
        others.get("--weights-column"),
        by=by or "",
        from_table=True,
        notes=tuple(notes),
        clusters=clusters,
        clustered_by=within or "",
    )


def _is_read_by_rows(file: Path, rows: Mapping[str, str]) -> bool:
    """Whether a file is a table, or arrays of which some say something of the others."""
    # Several arrays of one length are rows as well.
    has_rows = holds_rows(file)
    if file.exists() and rows and not has_rows:
        _refuse_rows(rows)
    return is_table(file) or bool(rows and has_rows)


def _given(columns: Mapping[str, str | None]) -> dict[str, str]:
    """Return the columns that were named, by their option."""
    return {option: name for option, name in columns.items() if name is not None}


def _without_rows(
    file: Path, column: str | None, *, sign: int | None, pool: bool
) -> Gathered:
    """Read an array or a checkpoint, whose values have no other columns beside them."""
    notes: list[str] = []
    name, weights = read_weights(file, column, say=notes.append)
    # A checkpoint: its parameters are never pooled unless asked.
    if isinstance(weights, Mapping) and not pool:
        weights = _only_sample(name, weight_samples(weights), sign)
    return Gathered(name, f"|{column or 'weight'}|", weights, notes=tuple(notes))


def _only_clustered(
    groups: NDArray[Any], clusters: NDArray[Any], within: str
) -> tuple[NDArray[Any], list[str]]:
    """Take the group away from rows without a cluster, an animal or a cell; say how many."""
    homeless = (clusters == "") & (groups != "")
    n = int(np.count_nonzero(homeless))
    if not n:
        return groups, []
    note = f"{n:,} rows have no `{within}`, and were left out."
    return np.where(homeless, "", groups), [note]


def _refuse_rows(options: Mapping[str, str]) -> None:
    # Where there are several, the first is named.
    for option, given in options.items():
        raise ValueError(
            f"`{option}` must be left out unless the file is a table, .csv or .tsv; got"
            f" {given!r}."
        )


def _of_matrix(
    file: Path,
    table: Table,
    column: str | None,
    rows: Mapping[str, str],
    notes: list[str],
    *,
    chosen: bool,
) -> Gathered:
    """Take all the numbers of a table as one matrix of weights."""
    unused = _given({"--column": column}) | dict(rows)
    for option, given in unused.items():
        raise ValueError(
            f"`{option}` must be left out where `--matrix` is given; got {given!r}."
        )
    values = matrix_of(table)
    height, width = values.shape
    what = "" if chosen else ", its rows and columns having the same names"
    notes.append(
        f"All {values.size:,} numbers were taken as the weights of one matrix, {height:,} x"
        f" {width:,}{what}."
    )
    return Gathered(
        file.stem, "|weight|", values.reshape(-1), from_table=True, notes=tuple(notes)
    )


def _hint_at_matrix(table: Table) -> None:
    """Refuse a table that looks like a matrix, and name the option that takes it as one."""
    names = table.names()
    looks_so = len(names) > 1 and (not table.named or table.labels is not None)
    if looks_so and len(table.numeric()) == len(names):
        some = ", ".join(names[:5])
        if len(names) > 5:
            some += ", ..."
        raise ValueError(
            "`--column` must name one column, or `--matrix` take all as one matrix of"
            f" weights; got {len(names):,} columns of numbers, {some}."
        )


# Such as `log_size`, `ln(w)`, `size log10`; not `logic` or `catalog`.
_LOGARITHM = re.compile(
    r"(log|ln)(10|2|e)?([ _.(-].*|)$|.*[ _.-](log|ln)(10|2)?$", re.IGNORECASE
)
_LARGEST_LOGARITHM = 50
"""Logarithms of sizes are below this, in whatever unit, natural ones too."""


def _hints_of_logarithms(
    label: str, values: NDArray[np.float64], *, decided: bool
) -> list[str]:
    """Say so if numbers look like the logarithms of sizes, which a fit would take for sizes.

    Raises:
        ValueError: If they are of both signs, and nothing says what the signs mean.
    """
    kept = values[np.isfinite(values) & (values != 0)]
    if not kept.size or decided:
        return []
    named = _LOGARITHM.match(label) is not None
    negative = int(np.count_nonzero(kept < 0))
    has_fractions = kept.size > 2 and bool(np.any(kept != np.floor(kept)))
    is_small = np.abs(kept).max() < _LARGEST_LOGARITHM
    if not named and not (negative and has_fractions and is_small):
        return []
    undo = "undo the logarithm before the fit"
    if 0 < negative < kept.size:
        if not named:
            return []
        raise ValueError(
            f"column {label!r} must hold sizes; got {negative:,} negative and"
            f" {kept.size - negative:,} positive numbers, and by its name they are"
            f" logarithms: {undo}; or give `--sign` or `--pool` if they are weights."
        )
    if negative:
        return [
            "All numbers are negative and were fitted by their size; if they are"
            f" logarithms, {undo}."
        ]
    return [
        f"By the name of {label!r} its numbers are logarithms and were fitted as sizes; if"
        f" they are, {undo}."
    ]


def _per_connection(
    values: NDArray[np.float64],
    pre: NDArray[Any],
    post: NDArray[Any],
    groups: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[Any] | None, tuple[str, ...]]:
    """Add up the synapses of each pair of cells; return sizes, groups and what to say of it."""
    import pandas as pd

    from daleml.datasets import SynapseTable

    columns = {"pre": pre, "post": post, "size": values}
    rows = pd.DataFrame(columns).assign(group="" if groups is None else groups)
    known = rows[(rows["pre"] != "") & (rows["post"] != "")]
    sums: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    # Without groups there is one, without a name.
    for name, part in known.groupby("group", sort=False):
        synapses = SynapseTable("", part, pre="pre", post="post")
        sizes = synapses.per_connection("size").table["size"].to_numpy()
        sums.append(sizes)
        labels.append(np.full(len(sizes), name, dtype=object))
    if not sums:
        raise ValueError(
            "`--pre` and `--post` must name both cells of a synapse; got none that has"
            " both."
        )
    summed = np.concatenate(sums)
    notes = [f"{len(known):,} synapses were added up over {len(summed):,} connections."]
    if groups is not None:
        notes.append("A connection is of one pair of cells and one group.")
    if len(known) < len(rows):
        notes.append(
            f"{len(rows) - len(known):,} synapses of which a cell is not named were left"
            " out."
        )
    if groups is None:
        return summed, None, tuple(notes)
    return summed, np.concatenate(labels), tuple(notes)


def _only_sample(
    name: str, samples: dict[str, WeightSample], sign: int | None
) -> WeightSample:
    """Pick the one population of synapses there is; or say how to name one."""
    chosen = {
        key: sample for key, sample in samples.items() if sign in (None, sample.sign)
    }
    if not chosen:
        raise ValueError(
            f"`{name}` must hold a weight with at least 2 values other than zero; got none."
        )
    if len(chosen) > 1:
        raise ValueError(
            "`--column` must name one weight, and `--sign` E or I where it has both,"
            f" unless `--pool` is given; got {', '.join(chosen)} to choose from."
        )
    return next(iter(chosen.values()))
