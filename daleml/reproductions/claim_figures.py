"""The figures of the pages of claims: forest plots and sweeps, drawn from what is kept."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daleml._support import atomic_files
from daleml.analysis import plots
from daleml.reproductions.claim_documents import Kept, figure_name
from daleml.reproductions.rejudging import redrawn
from daleml.reproductions.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A telephone shows figures as wide as they are, in inches; letters are sharp with so many dots.
_WIDTH = 3.65
_DPI = 160
_COLOURS = 64

_SHOWN = (
    "label",
    "expected",
    "at_least",
    "at_most",
    "no_effect",
    "owner",
    "by_construction",
)
_MEASURED = ("verdict", "mean", "low", "high")

_DIGEST = re.compile(rb"Description\x00drawn from ([0-9a-f]{64})")


def write_figures(folder: Path, kept: Kept, sweeps: Sequence[Sweep]) -> dict[str, str]:
    """Draw every figure of the pages of claims.

    Args:
        folder: Where the figures are kept.
        kept: What is kept, by budget.
        sweeps: The figures of papers.

    Returns:
        Why figures of papers could not be drawn, by their name and budget.
    """
    folder.mkdir(exist_ok=True)
    stale: dict[str, str] = {}
    for budget, content in kept.items():
        for name, claims in forests_of(content):
            drawing = _forest(name, claims, budget)
            _write(
                folder / figure_name(f"forest-{name}", budget), drawing, digest(claims)
            )
        found, missing = redrawn(content, sweeps)
        stale |= {f"{name} ({budget})": why for name, why in missing.items()}
        for swept in found:
            drawing = plots.sweep(swept, width=_WIDTH)
            path = folder / figure_name(swept.sweep.name, budget)
            _write(path, drawing, digest([swept.to_dict()]))
    return stale


def forests_of(
    content: Mapping[str, Any],
) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield the names of the forest plots of a budget with their claims: all, and by paper.

    Args:
        content: What is kept of the budget.
    """
    claims = content["claims"]
    if any(one["measured"] for one in claims):
        yield "overview", claims
    for paper in dict.fromkeys(one["paper"] for one in claims):
        own = [one for one in claims if one["paper"] == paper]
        if any(one["measured"] for one in own):
            yield paper, own


def digest(drawn: Sequence[Mapping[str, Any]]) -> str:
    """Return a short name of what a figure shows: other numbers make another figure.

    Args:
        drawn: What is kept of the claims or of the sweep that it shows.
    """
    shown = []
    for one in drawn:
        if "measured" not in one:
            shown.append({"name": one["name"], "panels": one["panels"]})
            continue
        rows = []
        for check in one["measured"]:
            rows.append({name: check.get(name) for name in (*_SHOWN, *_MEASURED)})
        # Sentences and notes are on the page, and make no other figure.
        own = {name: one.get(name) for name in ("id", "paper", "owner", "verdict")}
        shown.append(own | {"rows": rows})
    text = json.dumps(shown, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(path: Path) -> str:
    """Return the digest that a figure was drawn with; nothing if it has none.

    Args:
        path: The figure.
    """
    found = _DIGEST.search(path.read_bytes())
    return found[1].decode() if found else ""


def _forest(name: str, claims: Sequence[Mapping[str, Any]], budget: str) -> Figure:
    title = f"{budget} budget"
    if name == "overview":
        return plots.forest_overview(claims, title=title, width=_WIDTH)
    return plots.forest(claims, title=title, width=_WIDTH)


def _write(path: Path, drawing: Figure, drawn_from: str) -> None:
    content = plots.png(drawing, _DPI)
    atomic_files.write_bytes(
        path, with_few_colours(content, f"drawn from {drawn_from}")
    )


def with_few_colours(content: bytes, description: str) -> bytes:
    """Return a PNG with few colours, which takes a third of the bytes, and a description inside.

    Args:
        content: The PNG.
        description: What the file is to keep as its description.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    inside = PngInfo()
    inside.add_text("Description", description)
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        # An octree keeps rare colours too, such as that of a verdict that one claim has.
        tree = Image.Quantize.FASTOCTREE
        few = image.convert("RGB").quantize(_COLOURS, tree, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True, pnginfo=inside)
    return buffer.getvalue()
