"""From a file to what is fitted: magnitudes, their groups, how often each counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml.analysis import WeightSample, weight_sample, weight_samples
from daleml.reading import Table, TableOptions, holds_rows, is_table, read_table
from daleml.weight_files import columns_of, matrix_of, read_weights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Gathered:
    """What is fitted.

    Attributes:
        name: Of the file and of the column or tensor.
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

    def within(self, low: float | None, high: float | None) -> Gathered:
        """Leave out magnitudes that are said not to be seen, and say how many.

        A table may hold some all the same.
        """
        if isinstance(self.weights, (WeightSample, Mapping)) or (
            low is None and high is None
        ):
            return self
        values = np.asarray(self.weights)
        sizes = np.abs(values)
        outside = (sizes > 0) & (
            (sizes < (low or 0.0)) | (sizes > (np.inf if high is None else high))
        )
        n = int(np.count_nonzero(outside))
        if not n or n == np.count_nonzero(
            sizes > 0
        ):  # where none is left, the fit says so
            return self
        said = " and ".join(
            ([f"below {low:g}"] if low is not None else [])
            + ([f"above {high:g}"] if high is not None else [])
        )
        kept = ~outside
        return replace(
            self,
            weights=values[kept],
            groups=None if self.groups is None else self.groups[kept],
            counts=None if self.counts is None else self.counts[kept],
            clusters=None if self.clusters is None else self.clusters[kept],
            notes=(
                *self.notes,
                (
                    f"{n:,} weights {said} were left out, and the fits are of those that"
                    " could be seen."
                ),
            ),
        )


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
    """Read a file.

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
    numbers = {"--weights-column": weights_column} if weights_column is not None else {}
    labels = {"--by": by} if by is not None else {}
    labels |= {"--within": within} if within is not None else {}
    if connections:
        labels |= dict(zip(("--pre", "--post"), connections, strict=True))
    options = TableOptions() if options is None else options
    notes: list[str] = []
    rows = numbers | labels
    if file.exists() and rows and not holds_rows(file):
        _refuse_rows(rows)
    if not is_table(file) and not (rows and holds_rows(file)):
        name, weights = read_weights(file, column, say=notes.append)
        if isinstance(weights, Mapping) and not pool:
            weights = _only_sample(name, weight_samples(weights), sign)
        return Gathered(name, f"|{column or 'weight'}|", weights, notes=tuple(notes))
    table = read_table(file, options, notes.append)
    if not is_table(file) and len(table.columns) == 1:
        _refuse_rows(rows)
    if matrix or (column is None and not rows and table.is_labelled_square()):
        return _of_matrix(file, table, column, rows, notes, chosen=matrix)
    if column is None:
        _hint_at_matrix(table)
    label, values, others = columns_of(
        table,
        column,
        numbers,
        labels,
        censor_below=censor_below,
        signed=pool or sign is not None,
    )
    groups, counts = others.get("--by"), others.get("--weights-column")
    notes += _hints_of_logarithms(label, values, decided=pool or sign is not None)
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
        counts,
        by or "",
        True,
        tuple(notes),
        clusters,
        within or "",
    )


def _only_clustered(
    groups: NDArray[Any], clusters: NDArray[Any], within: str
) -> tuple[NDArray[Any], list[str]]:
    """Take the group away from rows of which nobody knows which animal they lie in, and say how many."""
    homeless = (clusters == "") & (groups != "")
    if not homeless.any():
        return groups, []
    n = int(np.count_nonzero(homeless))
    return np.where(homeless, "", groups), [
        f"{n:,} rows have no `{within}`, and were left out."
    ]


def _refuse_rows(options: Mapping[str, str]) -> None:
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
    for option, given in (
        {"--column": column} if column is not None else {}
    ).items() | rows.items():
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
    """Refuse a table of several columns that looks like a matrix, with the option that takes it as one."""
    names = table.names()
    matrix_like = len(names) > 1 and (not table.named or table.labels is not None)
    if matrix_like and len(table.numeric()) == len(names):
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise ValueError(
            "`--column` must name one column, or `--matrix` take all as one matrix of"
            f" weights; got {len(names):,} columns of numbers, {some}."
        )


_LOGARITHM = re.compile(
    r"(log|ln)(10|2|e)?([ _.(-].*|)$|.*[ _.-](log|ln)(10|2)?$", re.IGNORECASE
)
_LARGEST_LOGARITHM = 50  # of sizes in whatever unit, natural ones too


def _hints_of_logarithms(
    label: str, values: NDArray[np.float64], *, decided: bool
) -> list[str]:
    """Say so if numbers look like the logarithms of sizes, which a fit would take for sizes.

    Raises:
        ValueError: If they are of both signs, and nothing says what the signs mean.
    """
    kept = values[np.isfinite(values) & (values != 0)]
    named = _LOGARITHM.match(label) is not None
    negative = int(np.count_nonzero(kept < 0))
    broken = (
        kept.size > 2
        and bool(np.any(kept != np.floor(kept)))
        and np.abs(kept).max() < _LARGEST_LOGARITHM
    )
    if not kept.size or not (named or (negative and broken)) or decided:
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


def gather_reference(text: str, *, pool: bool = False) -> tuple[str, WeightSample]:
    """Read what weights are compared to.

    A data set by its name, or a file, with its column after a colon.

    Returns:
        What it is, and its magnitudes.

    Raises:
        ValueError: If it can be neither.
        OSError: If its file cannot be opened.
    """
    if text in _KNOWN:
        what, load = _KNOWN[text]
        return what, weight_sample(load())
    file, column = Path(text), None
    if not file.exists() and ":" in text:
        before, _, after = text.rpartition(":")
        file, column = Path(before), after
    if not file.exists():
        names = ", ".join(_KNOWN)
        raise FileNotFoundError(
            f"`--compare-to` must be one of {names}, or a file, FILE:COLUMN; got {text!r}."
        )
    found = gather(file, column, pool=pool)
    return found.name, weight_sample(
        found.weights,
        pool=pool and not isinstance(found.weights, WeightSample),
        drop_missing=found.from_table,
    )


def _celegans() -> Any:
    from daleml.datasets import celegans

    return celegans().weights()


def _fly() -> Any:
    from daleml.datasets import fly_visual

    return fly_visual().weights()


def _kasthuri() -> Any:
    from daleml.datasets import kasthuri

    return kasthuri().values("psd_px", axon_type="E")


def _microns() -> Any:
    from daleml.datasets import microns_l23

    return microns_l23().values("spine_vol_um3")


_KNOWN: dict[str, tuple[str, Callable[[], Any]]] = {
    "celegans": ("C. elegans, EM sections", _celegans),
    "fly": ("fly visual system, synapse counts", _fly),
    "kasthuri": ("mouse cortex, excitatory PSD sizes (Kasthuri 2015)", _kasthuri),
    "microns": ("mouse cortex, spine volumes (MICrONS)", _microns),
}


def _per_connection(
    values: NDArray[np.float64],
    pre: NDArray[Any],
    post: NDArray[Any],
    groups: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[Any] | None, tuple[str, ...]]:
    import pandas as pd

    from daleml.datasets import SynapseTable

    rows = pd.DataFrame(
        {
            "pre": pre,
            "post": post,
            "size": values,
            "group": "" if groups is None else groups,
        }
    )
    known = rows[(rows["pre"] != "") & (rows["post"] != "")]

    def added(part: pd.DataFrame) -> pd.DataFrame:
        return (
            SynapseTable("", part, pre="pre", post="post").per_connection("size").table
        )

    parts = {name: added(part) for name, part in known.groupby("group", sort=False)}
    if not parts:
        raise ValueError(
            "`--pre` and `--post` must name both cells of a synapse; got none that has"
            " both."
        )
    summed = np.concatenate([part["size"].to_numpy() for part in parts.values()])
    labels = np.concatenate(
        [np.full(len(part), name, dtype=object) for name, part in parts.items()]
    )
    notes = [f"{len(known):,} synapses were added up over {len(summed):,} connections."]
    if groups is not None:
        notes.append("A connection is of one pair of cells and one group.")
    if len(known) < len(rows):
        notes.append(
            f"{len(rows) - len(known):,} synapses of which a cell is not named were left"
            " out."
        )
    return summed, None if groups is None else labels, tuple(notes)


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
