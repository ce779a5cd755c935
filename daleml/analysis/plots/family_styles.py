"""The colour, the line style and the marker of each family, the same in every plot.

A line style and a marker of their own let figures be read in grey.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class FamilyStyle(NamedTuple):
    """How one family is drawn.

    Attributes:
        color: The colour of its line and its marks.
        linestyle: What matplotlib takes as a line's style.
        marker: What matplotlib takes as a marker.
    """

    color: str
    linestyle: Any
    marker: str


# Seaborn's colour-blind palette without its palest colours, then others as far from them in
# lightness as could be had.
_STYLES = {
    "lognormal": FamilyStyle("#0173b2", "-", "o"),
    "gamma": FamilyStyle("#de8f05", "--", "s"),
    "weibull": FamilyStyle("#029e73", "-.", "^"),
    "exponential": FamilyStyle("#d55e00", ":", "v"),
    "halfnormal": FamilyStyle("#cc78bc", (0, (5, 1)), "D"),
    "truncatednormal": FamilyStyle("#a0622d", (0, (3, 1, 1, 1)), "P"),
    "inversegaussian": FamilyStyle("#222222", (0, (7, 2)), "X"),
    "lomax": FamilyStyle("#7f7f7f", (0, (1, 1)), "<"),
    "stretchedexponential": FamilyStyle("#882255", (0, (3, 1, 1, 1, 1, 1)), ">"),
    "generalizedgamma": FamilyStyle("#8a8a00", (0, (5, 1, 1, 1)), "p"),
    "lognormal2": FamilyStyle("#08306b", (0, (9, 2, 2, 2)), "h"),
    "lognormal3": FamilyStyle("#56b4e9", (0, (3, 2)), "*"),
    "powerlaw": FamilyStyle("#e31a1c", (0, (6, 1, 1, 1)), "H"),
}

# A family that somebody writes for one study.
_OF_OTHERS = FamilyStyle("#5e3c99", (0, (2, 2)), "d")


def style_of(family: str) -> FamilyStyle:
    """Return how a family is drawn; one that daleml does not know has a style too.

    Example:
        >>> style_of("lognormal").marker
        'o'
    """
    return _STYLES.get(family, _OF_OTHERS)


def line_of(family: str, width: float) -> dict[str, Any]:
    """Return the keywords of a family's line."""
    chosen = style_of(family)
    return {"color": chosen.color, "linestyle": chosen.linestyle, "linewidth": width}
