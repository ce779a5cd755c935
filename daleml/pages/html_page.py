"""One HTML page that needs nothing else: no network and no other file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daleml._support.safe_text import shown
from daleml.pages.page_style import STYLE

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing

# A sentence or a list may wrap; a number may not.
_LONG_CELL = re.compile(r"<td>([^<]{24,})</td>")


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: Its heading.
        paragraphs: What is said under it.
        tables: Tables, below what is said.
        drawings: Figures, below the tables.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[pd.DataFrame] = ()
    drawings: Sequence[Drawing] = ()


def page(
    title: str,
    lead: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    footer: Sequence[str] = (),
) -> str:
    """Compose a page. Text is escaped; words between backticks are set as code.

    Args:
        title: The page's heading.
        lead: The sentence a reader takes away.
        facts: Figures to show large, each with what it is.
        sections: In order.
        footer: Paragraphs in small print: how it was made, sources.

    Returns:
        HTML, with style and figures inside.
    """
    tiles = []
    for value, name in facts:
        tiles.append(f"<li><b>{_text(value)}</b><span>{_text(name)}</span></li>")
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # The tab of a browser shows no markup: no words are set as code here.
        f"<title>{_escaped(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{_text(title)}</h1>",
        f'<p class="lead">{_text(lead)}</p>',
        f'<ul class="facts">{"".join(tiles)}</ul>',
    ]
    parts += [_section(section) for section in sections]
    parts += [f"<footer>{_paragraphs(footer)}</footer>", "</body>", "</html>", ""]
    return "\n".join(parts)


def _section(section: Section) -> str:
    parts = [_paragraphs(section.paragraphs)]
    for table in section.tables:
        # A wide table scrolls by itself, so that the page need not on a small screen.
        parts.append(f'<div class="scroll">{_table(table)}</div>')
    if section.drawings:
        figures = "".join(map(_figure, section.drawings))
        parts.append(f'<div class="figures">{figures}</div>')
    heading = f"<h2>{_text(section.heading)}</h2>"
    return f"<section>\n{heading}\n{''.join(parts)}\n</section>"


def _table(table: pd.DataFrame) -> str:
    # Cells of numbers, too, may be empty: a dash says that there is nothing.
    known = table.astype(object).where(table.notna(), "–")
    readable = known.map(_readable).rename(columns=_readable)
    drawn = str(readable.to_html(index=False, border=0, justify="right"))
    # pandas has no way to give one cell a class without all of its styler.
    return _LONG_CELL.sub(r'<td class="long">\1</td>', drawn)


def _figure(drawing: Drawing) -> str:
    # Inside the page: it stays whole when it is sent by mail.
    source = base64.b64encode(drawing.png()).decode("ascii")
    alternative = _escaped(drawing.caption, quote=True)
    image = f'<img alt="{alternative}" src="data:image/png;base64,{source}">'
    width, height = drawing.figure.get_size_inches()
    # Panels side by side take the whole width of the page; on a telephone they scroll.
    are_panels = width > 8 and width > 1.8 * height
    opening = '<figure class="wide">' if are_panels else "<figure>"
    caption = f"<figcaption>{_text(drawing.caption)}</figcaption>"
    return f"{opening}{image}{caption}</figure>"


def _paragraphs(paragraphs: Sequence[str]) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>\n" for paragraph in paragraphs)


def _text(text: str) -> str:
    """Return escaped text, with what stands between backticks set as code."""
    pieces = _escaped(text).split("`")
    # Every second piece lies between two backticks.
    for place in range(1, len(pieces), 2):
        pieces[place] = f"<code>{pieces[place]}</code>"
    return "".join(pieces)


def _escaped(text: str, *, quote: bool = False) -> str:
    """Return text for a page.

    What moves, hides or is no character of HTML is shown as an escape.
    """
    return html.escape(shown(text), quote=quote)


def _readable(value: object) -> object:
    return shown(value) if isinstance(value, str) else value
