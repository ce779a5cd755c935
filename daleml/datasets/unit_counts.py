"""Whole numbers of units in given proportions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daleml import require

if TYPE_CHECKING:
    from pandas import DataFrame


def cells_of(types: DataFrame, names: Sequence[str], source: str) -> dict[str, int]:
    """Return the number of cells of each type.

    Args:
        types: A row per type, with ``type`` and, if it is known, ``count``.
        names: The types, in the order of the answer.
        source: What a sentence calls the table.

    Raises:
        ValueError: If the number is unknown for a type.
    """
    counts: dict[str, float] = dict.fromkeys(names, math.nan)
    if "count" in types.columns:
        counts |= dict(zip(types["type"], types["count"], strict=True))
    unknown = [name for name in names if not counts[name] >= 0]
    if unknown:
        raise ValueError(
            f"`counts` must be given, since {source} does not say how many cells are"
            f" {unknown[0]}; got None: write a number for each of {', '.join(names)}."
        )
    return {name: int(counts[name]) for name in names}


def sizes_of(
    n: int, names: Sequence[str], counts: Mapping[str, float]
) -> dict[str, int]:
    """Divide ``n`` units among cell types in proportion to their numbers of cells.

    Args:
        n: Number of units, at least one for each type.
        names: The types.
        counts: Number of cells of each.

    Returns:
        Number of units of each, in the order of ``names``.

    Raises:
        TypeError: If ``n`` is not an integer, or ``counts`` no mapping.
        ValueError: If ``n`` is below the number of types, or counts name another type, leave
            one out, or are not positive.

    Example:
        >>> sizes_of(10, ["E", "I"], {"I": 1, "E": 4})
        {'E': 8, 'I': 2}
    """
    n = require.integer("n", n, minimum=len(names))
    if not isinstance(counts, Mapping):
        raise TypeError(
            "`counts` must be a mapping of cell types to numbers; got"
            f" {type(counts).__name__}."
        )
    if set(counts) != set(names):
        raise ValueError(
            f"`counts` must have one number for each of {', '.join(names)}; got"
            f" {', '.join(map(str, counts))}."
        )
    cells = [require.positive(f"counts[{name!r}]", counts[name]) for name in names]
    return dict(zip(names, divided(n, cells), strict=True))


def divided(n: int, parts: Sequence[float]) -> list[int]:
    """Divide ``n`` units in proportion to positive numbers, at least one for each.

    Parts that deserve less than one unit get one; the rest is divided among the others by
    largest remainders.

    Args:
        n: Number of units, at least one for each part.
        parts: What the numbers of units are to be proportional to.

    Returns:
        Whole numbers, at least 1, with the sum ``n``.

    Example:
        >>> divided(10, [70.0, 29.0, 1.0])
        [6, 3, 1]
    """
    units = [1] * len(parts)
    open_parts = list(range(len(parts)))
    # Each round may leave too little for another part, which then gets its one unit too.
    while True:
        left = n - (len(parts) - len(open_parts))
        total = math.fsum(parts[i] for i in open_parts)
        exact = {i: left * parts[i] / total for i in open_parts}
        small = [i for i in open_parts if exact[i] < 1]
        if not small:
            break
        open_parts = [i for i in open_parts if i not in small]
        if not open_parts:
            return units
    for i in open_parts:
        units[i] = math.floor(exact[i])
    # Of equal remainders the earlier part gets the unit, so that the answer is one.
    by_remainder = sorted(open_parts, key=lambda i: units[i] - exact[i])
    for i in by_remainder[: n - sum(units)]:
        units[i] += 1
    return units
