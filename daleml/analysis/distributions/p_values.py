"""The level of every test, and how its p-value is written."""

from __future__ import annotations

import math

LEVEL = 0.05
"""The level of every verdict."""

# A floor that was computed in another order differs by less than this, relatively.
_EQUAL = 1e-9


def floor(n_samples: int) -> float:
    """Return the least p-value that ``n_samples`` bootstrap samples or permutations can give."""
    return 1 / (1 + n_samples)


def at_floor(p: float, n_samples: int) -> bool:
    """Say whether at most one of ``n_samples`` lies as far as the data.

    The true p-value may be far smaller. Samples so few that they can reject nothing have no
    such floor.
    """
    return floor(n_samples) < LEVEL and p <= 2 * floor(n_samples) * (1 + _EQUAL)


def p_text(p: float, n_samples: int | None = None, digits: int = 2) -> str:
    """Write a p-value, with its sign of equality.

    Args:
        p: The value.
        n_samples: Number of bootstrap samples or permutations that it was counted from; None if
            it was not counted.
        digits: Significant digits.

    Example:
        >>> p_text(0.0312), p_text(1 / 101, 100), p_text(1 / 1000, 999)
        ('p = 0.031', 'p < 0.01', 'p < 0.001')
    """
    bare = bare_p(p, n_samples, digits)
    return f"p {bare}" if bare.startswith("<") else f"p = {bare}"


def bare_p(p: float, n_samples: int | None = None, digits: int = 2) -> str:
    """Write a p-value without its name, as the cell of a table has it."""
    if not math.isfinite(p):
        return "–"
    if n_samples is not None and at_floor(p, n_samples):
        return f"< {_rounded_up(p):g}"
    return f"{p:.{digits}g}"


def _rounded_up(p: float) -> float:
    """Return the next number of one digit that is not below ``p``."""
    unit = 10.0 ** math.floor(math.log10(p) + _EQUAL)
    return math.ceil(p / unit - 1e-6) * unit
