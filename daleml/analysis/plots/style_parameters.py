"""The parameters of matplotlib that make daleml's style.

They are those of seaborn's style "ticks" in its context "notebook" with fonts of 0.85 of the
usual size, written down: seaborn itself takes as long to import as a small fit takes to run. A
test compares them with seaborn's.
"""

from __future__ import annotations

from typing import Any

_INK = ".15"

_LOOK: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _INK,
    "axes.facecolor": "white",
    "axes.grid": False,
    "axes.labelcolor": _INK,
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": [
        "Arial",
        "DejaVu Sans",
        "Liberation Sans",
        "Bitstream Vera Sans",
        "sans-serif",
    ],
    "grid.color": ".8",
    "grid.linestyle": "-",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "text.color": _INK,
    "xtick.bottom": True,
    "xtick.color": _INK,
    "xtick.direction": "out",
    "xtick.top": False,
    "ytick.color": _INK,
    "ytick.direction": "out",
    "ytick.left": True,
    "ytick.right": False,
}

_SIZES: dict[str, Any] = {
    "axes.labelsize": 10.2,
    "axes.linewidth": 1.25,
    "axes.titlesize": 10.2,
    "font.size": 10.2,
    "grid.linewidth": 1,
    "legend.fontsize": 9.35,
    "legend.title_fontsize": 10.2,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "patch.linewidth": 1,
    "xtick.labelsize": 9.35,
    "xtick.major.size": 6,
    "xtick.major.width": 1.25,
    "xtick.minor.size": 4,
    "xtick.minor.width": 1,
    "ytick.labelsize": 9.35,
    "ytick.major.size": 6,
    "ytick.major.width": 1.25,
    "ytick.minor.size": 4,
    "ytick.minor.width": 1,
}

STYLE = _LOOK | _SIZES
"""The parameters by name, without ``image.cmap``: seaborn's colour maps come with seaborn."""
