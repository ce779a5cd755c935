"""One HTML page that needs nothing else: no network and no other file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daleml._support.safe_text import shown
from daleml.pages.page_style import STYLE
from daleml.pages.page_words import Words, anchor

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing

# A sentence or a list may wrap; a number may not.
_LONG_CELL = re.compile(r"<td>([^<]{24,})</td>")

_PIXELS_PER_INCH = 96
"""Of a browser, whatever its screen has."""

_LEAST_SCALE = 0.7
"""A figure that is shrunk more cannot be read: it scrolls instead."""

_GREATEST_SCALE = 1.3
"""A figure of a telephone's width that is enlarged more has letters larger than its page."""

_PHONE = 350
"""What a page on a telephone has for a figure, in pixels."""

_MANY_SECTIONS = 6
"""A page of so many sections begins with a list of them."""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        heading: Its heading.
        paragraphs: What is said under it.
        tables: Tables, below what is said.
        drawings: Figures, below the tables.
        level: 2 for a part of the page, 3 for a part of the section before.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[pd.DataFrame] = ()
    drawings: Sequence[Drawing] = ()
    level: int = 2


def page(
    title: str,
    lead: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    footer: Sequence[str] = (),
    words: Mapping[str, str] | None = None,
) -> str:
    """Compose a page. Text is escaped; words between backticks are set as code.

    Args:
        title: The page's heading.
        lead: The sentence a reader takes away.
        facts: Figures to show large, each with what it is.
        sections: In order.
        footer: Paragraphs in small print: how it was made, sources.
        words: Words that a reader may not know, each with what it means. The first use of each
            in a paragraph is a link; those that are used are listed at the end.

    Returns:
        HTML, with style and figures inside.
    """
    known = Words(words or {})
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
        f'<p class="lead">{_text(lead, known)}</p>',
        f'<ul class="facts">{"".join(tiles)}</ul>',
    ]
    if len(sections) >= _MANY_SECTIONS:
        parts.append(_contents(sections))
    parts += [_section(section, place, known) for place, section in enumerate(sections)]
    met = known.met()
    if met:
        parts.append(_meanings(met))
    parts += [f"<footer>{_paragraphs(footer)}</footer>", "</body>", "</html>", ""]
    return "\n".join(parts)


def _contents(sections: Sequence[Section]) -> str:
    """Return a list of the sections, closed until somebody opens it."""
    lines = []
    for place, section in enumerate(sections):
        link = f'<a href="#part-{place}">{_text(section.heading)}</a>'
        lines.append(f'<li class="level{section.level}">{link}</li>')
    return (
        f"<details><summary>Contents of this page: {len(sections)} parts</summary>"
        f'<ul class="contents">{"".join(lines)}</ul></details>'
    )


def _meanings(met: Mapping[str, str]) -> str:
    """Return the last section: what the words of this page mean."""
    lines = []
    for name, meaning in met.items():
        term = f'<dt id="{anchor(name)}">{_text(name)}</dt>'
        lines.append(f"<div>{term}<dd>{_text(meaning)}</dd></div>")
    heading = '<h2 id="words">Words on this page</h2>'
    return f"<section>\n{heading}\n<dl>{''.join(lines)}</dl>\n</section>"


def _section(section: Section, place: int, words: Words) -> str:
    parts = [_paragraphs(section.paragraphs, words)]
    for table in section.tables:
        words.note([str(column) for column in table.columns])
        # A wide table scrolls by itself, so that the page need not on a small screen. It takes
        # the keyboard too, and says to those who hear the page which table it is.
        name = _escaped(f"Table: {section.heading}", quote=True)
        opening = f'<div class="scroll" tabindex="0" role="region" aria-label="{name}">'
        parts.append(f"{opening}{_table(table)}</div>")
    if section.drawings:
        figures = "".join(map(_figure, section.drawings))
        parts.append(f'<div class="figures">{figures}</div>')
    level = f"h{section.level}"
    heading = f'<{level} id="part-{place}">{_text(section.heading)}</{level}>'
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
    width, height = drawing.figure.get_size_inches()
    drawn = round(width * _PIXELS_PER_INCH)
    least = round(_LEAST_SCALE * drawn)
    # With a width and a height, the page does not jump while it is opened.
    sizes = f'width="{drawn}" height="{round(height * _PIXELS_PER_INCH)}"'
    limits = f"min-width:{least}px;max-width:{round(_GREATEST_SCALE * drawn)}px"
    image = (
        f'<img alt="{alternative}" {sizes} data-drawn="{drawn}"'
        f' style="{limits}" src="data:image/png;base64,{source}">'
    )
    box = '<div class="scroll">'
    if least > _PHONE:
        box = '<div class="scroll" tabindex="0" role="region" aria-label="Figure">'
    # Panels side by side take the whole width of the page.
    are_panels = width > 8 and width > 1.8 * height
    opening = '<figure class="wide">' if are_panels else "<figure>"
    caption = f"<figcaption>{_text(drawing.caption)}</figcaption>"
    return f"{opening}{box}{image}</div>{caption}</figure>"


def _paragraphs(paragraphs: Sequence[str], words: Words | None = None) -> str:
    return "".join(f"<p>{_text(paragraph, words)}</p>\n" for paragraph in paragraphs)


def _text(text: str, words: Words | None = None) -> str:
    """Return escaped text, with what stands between backticks set as code.

    The first use of a word that has a meaning on this page is a link to it.
    """
    pieces = _escaped(text).split("`")
    for place, piece in enumerate(pieces):
        # Every second piece lies between two backticks.
        if place % 2:
            pieces[place] = f"<code>{piece}</code>"
        elif words:
            pieces[place] = words.linked(piece)
    return "".join(pieces)


def _escaped(text: str, *, quote: bool = False) -> str:
    """Return text for a page.

    What moves, hides or is no character of HTML is shown as an escape.
    """
    return html.escape(shown(text), quote=quote)


def _readable(value: object) -> object:
    return shown(value) if isinstance(value, str) else value
