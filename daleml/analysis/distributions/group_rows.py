"""Rows of values with their groups and clusters, as a comparison of groups reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.sample import WeightSample
from daleml.analysis.weights.sampling import weight_sample
from daleml.analysis.weights.value_chunks import chunks_of

Positions = NDArray[np.intp]
Labels = NDArray[np.object_]


@dataclass(frozen=True)
class Rows:
    """Rows of weights, sorted by group.

    Attributes:
        names: Of all groups, in their order.
        samples: By group, its magnitudes.
        failures: By group without a sample, why.
        connected: By group with a sample, which rows its magnitudes are, in their order.
        pairs: By group, which rows are magnitudes or zeros; of a group that is refused, none.
        sizes: The magnitude of each row.
        counts: How often each row counts.
        clusters: The cluster of each row; None without clusters.
        cluster_kind: What a cluster is, such as "animal".
        n_unlabelled: Number of rows without a group.
    """

    names: tuple[str, ...]
    samples: Mapping[str, WeightSample]
    failures: Mapping[str, str]
    connected: Mapping[str, Positions]
    pairs: Mapping[str, Positions]
    sizes: Array
    counts: Array
    clusters: Labels | None
    cluster_kind: str
    n_unlabelled: int


def read_rows(
    weights: ArrayLike,
    by: ArrayLike,
    within: ArrayLike | None,
    options: Mapping[str, Any],
) -> Rows:
    """Read a sample for each group; what cannot be read is reported, and does not stop the others.

    Args:
        weights: The magnitudes.
        by: The group of each.
        within: The cluster of each; None without clusters.
        options: How each sample is taken, as :class:`SampleOptions` lists it.

    Raises:
        ValueError: If labels are not as many as the weights, or a weight with a group lies in
            no cluster.
    """
    values = _held(weights)
    labels = read_labels("by", by, values.size, "the group")
    clusters = None
    if within is not None:
        clusters = read_labels("within", within, values.size, "the cluster")
    given = _sample_weights(options.get("sample_weights"), values.size)
    if clusters is not None:
        homeless = int(np.count_nonzero((clusters == "") & (labels != "")))
        if homeless:
            raise ValueError(
                "`within` must name the cluster of every weight that has a group; got"
                f" {homeless} without: leave them out first."
            )
    counts = np.ones(values.size)
    if given is not None:
        counts = np.asarray(given, dtype=np.float64)
    sizes = np.full(values.size, np.nan)
    samples: dict[str, WeightSample] = {}
    failures: dict[str, str] = {}
    connected: dict[str, Positions] = {}
    pairs: dict[str, Positions] = {}
    names = tuple(sorted({label for label in labels if label}, key=_natural))
    for name in names:
        rows = np.flatnonzero(labels == name)
        own = values[rows]
        taken = dict(options)
        if given is not None:
            taken["sample_weights"] = given[rows]
        try:
            samples[name] = weight_sample(own, **taken)
            sign: int | None = samples[name].sign
        except ValueError as problem:
            failures[name] = str(problem)
            sign = _one_sign(own, options.get("sign"), pool=options.get("pool", False))
        known = options.get("drop_missing", False) or np.isfinite(own).all()
        if sign is None or not known:
            continue
        sizes[rows] = np.abs(own) if sign == 0 else own * float(sign)
        counted = counts[rows] > 0
        pairs[name] = rows[counted & (sizes[rows] >= 0)]
        if name in samples:
            connected[name] = rows[counted & (sizes[rows] > 0)]
    return Rows(
        names=names,
        samples=samples,
        failures=failures,
        connected=connected,
        pairs=pairs,
        sizes=sizes,
        counts=counts,
        clusters=clusters,
        cluster_kind=str(getattr(within, "name", None) or "cluster"),
        n_unlabelled=int(np.count_nonzero(labels == "")),
    )


def _held(weights: ArrayLike) -> NDArray[Any]:
    """Return all values: each row is held, beside its label."""
    chunks = chunks_of(weights)
    if chunks is not None:
        return np.concatenate(list(chunks))
    return numbers(weights).reshape(-1)


def _sample_weights(given: ArrayLike | None, size: int) -> NDArray[Any] | None:
    """Return how often each row counts, as it was given."""
    if given is None:
        return None
    counts = numbers(given, "sample_weights").reshape(-1)
    if counts.size != size:
        raise ValueError(
            f"`sample_weights` must be as many as the weights, {size}; got {counts.size}."
        )
    return counts


def together(samples: Sequence[WeightSample], *, zeros: bool = True) -> WeightSample:
    """Return the magnitudes of several samples as one, and their zeros after them."""
    n_zero = sum(sample.n_zero for sample in samples) if zeros else 0
    parts = [sample.values() for sample in samples]
    values = np.concatenate([*parts, np.zeros(n_zero)])
    # Either all samples have counts or none has.
    counts = []
    for sample in samples:
        own = sample.counts()
        if own is not None:
            counts.append(own)
    if not counts:
        return weight_sample(values)
    if n_zero:
        of_zeros = sum(sample.zero_weight for sample in samples)
        counts.append(np.full(n_zero, of_zeros / n_zero))
    return weight_sample(values, sample_weights=np.concatenate(counts))


def read_labels(argument: str, given: ArrayLike, size: int, what: str) -> Labels:
    """Read one label per value as text; None, NaN and empty text are no label.

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
    labels = np.full(size, "", dtype=object)
    there = ~pd.isna(array)
    labels[there] = [_name(label) for label in array[there]]
    return labels


def _one_sign(values: NDArray[Any], sign: int | None, *, pool: bool) -> int | None:
    """Return the sign that a group of hardly any weights has; None if it has both."""
    if pool:
        return 0
    if sign is not None:
        return sign
    negative = bool((values < 0).any())
    if not negative:
        return 1
    return None if (values > 0).any() else -1


def _name(label: Any) -> str:
    # A column of integers with gaps comes as floats.
    is_float = isinstance(label, (float, np.floating))
    if is_float and math.isfinite(label) and label == int(label):
        return str(int(label))
    return str(label)


def _natural(name: str) -> tuple[int, float, str]:
    """Return what labels are sorted by: numbers by their size, then words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
