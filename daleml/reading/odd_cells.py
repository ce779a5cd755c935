"""Advice on the one word that stands among the numbers of a column."""

from __future__ import annotations

import re
import shlex

_ONE = (
    "[fpnuµμmcdkMG]?(?:m|s|A|V|S|F|g|l|L|M|Hz|mol|[oO]hm|Ω|Da)"
    "|px|pixels?|vx|voxels?|min|h|a\\.?u\\.?|°|%"
)
_TERM = rf"(?:{_ONE})(?:\^?[-⁻]?[1-3¹²³])?"
_UNIT = re.compile(rf"[\[(]?{_TERM}(?:[/·* ]{_TERM})*[\])]?")
"""A unit of what is measured of synapses, such as um2, [nS] or pA/mV."""


def advice_on(cell: str, row: int, n: int, n_all: int) -> str:
    """Return what to do about a word among numbers, the end of a sentence; empty for others.

    Args:
        cell: The word.
        row: The first row that has it, counted from 1.
        n: How many cells have it.
        n_all: How many cells the column has that are not missing.

    Example:
        >>> advice_on("n.d.", 7, 3, 40)
        ': if it is no value, pass `--missing n.d.`'
    """
    what = f"pass `--missing {shlex.quote(cell)}`"
    if row == 1 and n == 1 and n_all > 1 and _UNIT.fullmatch(cell):
        return (
            ": if this row, the first below the names, holds units, delete it, or"
            f" {what} to leave its cell out"
        )
    # A single word is more likely a slip than a code for what is missing.
    if n == 1 or 2 * n > n_all:
        return ""
    return f": if it is no value, {what}"
