"""How each family is drawn.

One colour, line style and marker a family, in every plot, so that figures read in grey.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Look(NamedTuple):
    """Of one family."""

    color: str
    linestyle: Any
    marker: str


# Seaborn's colour-blind palette without its palest colours, then others as far from them in
# lightness as could be had.
_LOOKS = {
    "lognormal": Look("#0173b2", "-", "o"),
    "gamma": Look("#de8f05", "--", "s"),
    "weibull": Look("#029e73", "-.", "^"),
    "exponential": Look("#d55e00", ":", "v"),
    "halfnormal": Look("#cc78bc", (0, (5, 1)), "D"),
    "truncatednormal": Look("#a0622d", (0, (3, 1, 1, 1)), "P"),
    "inversegaussian": Look("#222222", (0, (7, 2)), "X"),
    "lomax": Look("#7f7f7f", (0, (1, 1)), "<"),
    "stretchedexponential": Look("#882255", (0, (3, 1, 1, 1, 1, 1)), ">"),
    "generalizedgamma": Look("#8a8a00", (0, (5, 1, 1, 1)), "p"),
    "lognormal2": Look("#08306b", (0, (9, 2, 2, 2)), "h"),
    "lognormal3": Look("#56b4e9", (0, (3, 2)), "*"),
    "powerlaw": Look("#e31a1c", (0, (6, 1, 1, 1)), "H"),
}
_OF_ONES_OWN = Look("#5e3c99", (0, (2, 2)), "d")


def look(family: str) -> Look:
    """Return how a family is drawn; one that daleml does not know has a look too."""
    return _LOOKS.get(family, _OF_ONES_OWN)


def line(family: str, width: float) -> dict[str, Any]:
    """Return the keywords of a family's line."""
    chosen = look(family)
    return {"color": chosen.color, "linestyle": chosen.linestyle, "linewidth": width}
