"""What weights must be for a sample to be taken of them, each rule in one sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.weights.real_numbers import numbers
from daleml.analysis.weights.value_chunks import Source, pieces

# Of more values of each sign nothing is said of noise: the sentence counts them.
_LOOKED_AT = 1 << 20


def refuse_both_signs(source: Source) -> None:
    """Raise if there are values of both signs, and neither was chosen."""
    from daleml.analysis.distributions.recording import noise_hint

    kept: dict[int, list[NDArray[np.float64]]] = {1: [], -1: []}
    found = {1: 0, -1: 0}
    for piece in pieces(source):
        for sign in found:
            of_sign = piece[piece > 0] if sign > 0 else piece[piece < 0]
            # Unsigned numbers have no others, and their negative would be wrong.
            if found[sign] <= _LOOKED_AT:
                kept[sign].append(np.abs(of_sign.astype(np.float64)))
            found[sign] += of_sign.size
    if not all(found.values()):
        return
    more = ""
    if max(found.values()) <= _LOOKED_AT:
        # Noise on small weights has the lesser sign.
        sizes = sorted((np.concatenate(part) for part in kept.values()), key=len)
        hint = noise_hint(sizes[1], sizes[0])
        if hint:
            more = f" The {hint.said}."
    raise ValueError(
        "`weights` must be of one sign unless `sign` or `pool` is given; "
        f"got {found[1]} positive and {found[-1]} negative values.{more}"
    )


def refuse_not_finite(name: str, n_missing: int, n_infinite: int, size: int) -> None:
    """Raise, since some of ``size`` values are NaN or infinite."""
    advice = ""
    # An infinite weight is a fault of the network's, whatever else is missing.
    if not n_infinite:
        advice = ": `drop_missing=True` leaves NaN out, and counts them"
    raise ValueError(
        f"`{name}` must be finite; got {n_missing + n_infinite} NaN or infinite values"
        f" of {size}{advice}."
    )


def read_counts(sample_weights: ArrayLike, size: int) -> NDArray[np.float64]:
    """Return how often each of ``size`` values was seen, checked.

    A file stays on its disk.
    """
    given = numbers(sample_weights, "sample_weights").reshape(-1)
    if given.size != size:
        raise ValueError(
            f"`sample_weights` must be as many as the weights, {size}; got {given.size}."
        )
    is_whole, total = True, 0.0
    for piece in pieces(given):
        wrong = piece[~(np.isfinite(piece) & (piece >= 0))]
        if wrong.size:
            raise ValueError(
                f"`sample_weights` must be finite and at least 0; got {wrong[0]:g}."
            )
        is_whole = is_whole and bool(np.all(piece == np.floor(piece)))
        total += float(piece.sum(dtype=np.float64))
    if not total:
        raise ValueError(f"`sample_weights` must not all be 0; got {given.size} zeros.")
    # Whole counts add up to 1 only if one value was seen once.
    if not is_whole and math.isclose(total, 1.0, rel_tol=1e-6):
        raise ValueError(
            "`sample_weights` must say how often each value was seen; got numbers that add"
            " up to 1, which are frequencies: multiply them by the number of values that"
            " were seen."
        )
    if given.dtype == np.float64 and isinstance(given, np.memmap):
        return given
    return np.array(given, dtype=np.float64)


def refuse_columns(weights: Any) -> None:
    """Refuse a table of several columns.

    Sizes and counts side by side are no sample of one thing.
    """
    if not hasattr(weights, "to_numpy") or len(weights.columns) < 2:
        return
    names = list(map(str, weights.columns))
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise ValueError(
        f"`weights` must be one column of a table unless `pool` is given; got {len(names)}"
        f" columns, {some}: choose one as `table[{names[0]!r}]`, or give `table.to_numpy()`"
        " if they are one matrix of weights."
    )
