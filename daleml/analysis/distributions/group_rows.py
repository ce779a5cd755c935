"""Rows of values with their groups and clusters, as a comparison of groups reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.distributions.families.family import Array
from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import WeightSample
from daleml.analysis.weights.sampling import weight_sample

Places = NDArray[np.intp]
Labels = NDArray[np.object_]


@dataclass(frozen=True)
class Rows:
    """What was given, sorted by group.

    Attributes:
        names: Of all groups, in their order.
        samples: By group, its magnitudes.
        failures: By group without a sample, why.
        connected: By group with a sample, which rows its magnitudes are, in their order.
        pairs: By group, which rows are magnitudes or zeros; of a group that is refused, none.
        sizes: The magnitude of each row.
        counts: How often each row counts.
        weighted: Whether sample weights were given.
        clusters: The cluster of each row; None without clusters.
        what: What a cluster is.
        n_unlabelled: Number of rows without a group.
    """

    names: tuple[str, ...]
    samples: Mapping[str, WeightSample]
    failures: Mapping[str, str]
    connected: Mapping[str, Places]
    pairs: Mapping[str, Places]
    sizes: Array
    counts: Array
    weighted: bool
    clusters: Labels | None
    what: str
    n_unlabelled: int


def read_rows(
    weights: ArrayLike, by: ArrayLike, within: ArrayLike | None, sample_weights: ArrayLike | None, *,
    sign: int | None, pool: bool, drop_missing: bool,
) -> Rows:  # fmt: skip
    """Read a sample for each group; what cannot be read is reported, and does not stop the others.

    Raises:
        ValueError: If labels are not as many as the weights, or a weight with a group lies in
            no cluster.
    """
    values = numbers(weights).reshape(-1)
    labels = read_labels("by", by, values.size, "the group")
    clusters = (
        None
        if within is None
        else read_labels("within", within, values.size, "the cluster")
    )
    counts = (
        None
        if sample_weights is None
        else numbers(sample_weights, "sample_weights").reshape(-1)
    )
    if counts is not None and counts.size != values.size:
        raise ValueError(
            f"`sample_weights` must be as many as the weights, {values.size}; got"
            f" {counts.size}."
        )
    if clusters is not None:
        homeless = int(np.count_nonzero((clusters == "") & (labels != "")))
        if homeless:
            raise ValueError(
                "`within` must name the cluster of every weight that has a group; got"
                f" {homeless} without: leave them out first."
            )
    each = (
        np.ones(values.size) if counts is None else np.asarray(counts, dtype=np.float64)
    )
    sizes = np.full(values.size, np.nan)
    samples: dict[str, WeightSample] = {}
    failures: dict[str, str] = {}
    connected: dict[str, Places] = {}
    pairs: dict[str, Places] = {}
    names = tuple(sorted({label for label in labels if label}, key=_natural))
    for name in names:
        places = np.flatnonzero(labels == name)
        own = values[places]
        try:
            samples[name] = weight_sample(
                own, sign=sign, pool=pool, drop_missing=drop_missing,
                sample_weights=None if counts is None else counts[places],
            )  # fmt: skip
        except ValueError as problem:
            failures[name] = str(problem)
        taken = (
            samples[name].sign if name in samples else _one_sign(own, sign, pool=pool)
        )
        if taken is None or not (drop_missing or np.isfinite(own).all()):
            continue
        sizes[places] = np.abs(own) if taken == 0 else own * float(taken)
        there = each[places] > 0
        pairs[name] = places[there & (sizes[places] >= 0)]
        if name in samples:
            connected[name] = places[there & (sizes[places] > 0)]
    n_unlabelled = int(np.count_nonzero(labels == ""))
    what = str(getattr(within, "name", None) or "cluster")
    return Rows(
        names,
        samples,
        failures,
        connected,
        pairs,
        sizes,
        each,
        counts is not None,
        clusters,
        what,
        n_unlabelled,
    )


def together(samples: Sequence[WeightSample], *, zeros: bool = True) -> WeightSample:
    """Return the magnitudes of several samples as one, and their zeros after them."""
    counts = [sample.counts() for sample in samples]
    weighted = (
        None
        if counts[0] is None
        else np.concatenate([part for part in counts if part is not None])
    )
    n_zero = sum(sample.n_zero for sample in samples) if zeros else 0
    values = np.concatenate(
        [*(sample.values() for sample in samples), np.zeros(n_zero)]
    )
    if weighted is not None and n_zero:
        share = sum(sample.zero_weight for sample in samples) / n_zero
        weighted = np.append(weighted, np.full(n_zero, share))
    return weight_sample(values, sample_weights=weighted)


def read_labels(argument: str, given: ArrayLike, size: int, what: str) -> Labels:
    """Read one label a value as text; none, NaN and empty text are no label.

    Raises:
        ValueError: If they are not as many as the values.
    """
    import pandas as pd

    array = np.asarray(given, dtype=object).reshape(-1)
    if isinstance(given, str):
        raise TypeError(
            f"`{argument}` must hold {what} of each of the {size} weights; got the name"
            f" {given!r}: pass the column itself, as in `table[{given!r}]`."
        )
    if array.size != size:
        raise ValueError(
            f"`{argument}` must name {what} of each of the {size} weights; got {array.size}"
            " names."
        )
    missing = pd.isna(array)
    return np.array(
        [
            "" if gone else _name(label)
            for label, gone in zip(array, missing, strict=True)
        ],
        dtype=object,
    )


def _one_sign(values: NDArray[Any], sign: int | None, *, pool: bool) -> int | None:
    """Return the sign that a group of hardly any weights has; None if it has both."""
    if pool:
        return 0
    if sign is not None:
        return sign
    positive, negative = bool((values > 0).any()), bool((values < 0).any())
    return None if positive and negative else -1 if negative else 1


def _name(label: Any) -> str:
    whole = (
        isinstance(label, (float, np.floating))
        and math.isfinite(label)
        and label == int(label)
    )
    return (
        str(int(label)) if whole else str(label)
    )  # a column of integers with gaps comes as floats


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
