"""Results and figures, made into one HTML page that needs nothing else.

No network, no other file.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daleml._support.safe_text import shown

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing

_LONG_CELL = re.compile(
    r"<td>([^<]{24,})</td>"
)  # a sentence or a list, which may wrap; a number may not

_STYLE = """
:root { color-scheme: light; --ink: #1c2530; --soft: #5c6875; --line: #dfe4ea; --wash: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.2rem; color: var(--ink); background: #fff;
       font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p, li { max-width: 46rem; }
.lead { font-size: 1.1rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; padding: 0; margin: 1.4rem 0; }
.facts li { list-style: none; background: var(--wash); border-radius: .5rem; padding: .8rem 1rem; }
.facts b { display: block; font-size: clamp(1.1rem, 4.2vw, 1.5rem); overflow-wrap: anywhere; }
.facts span { color: var(--soft); font-size: .88rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem; }
figure { margin: .6rem 0; max-width: 40rem; }
figure img { width: 100%; height: auto; display: block; }
figure.wide { max-width: none; grid-column: 1 / -1; overflow-x: auto; }
figure.wide img { min-width: 44rem; }
figcaption { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto;
          background: linear-gradient(#fff, #fff) right -2px top / 1.6rem 100% no-repeat local,
                      linear-gradient(to right, transparent, #c8d0d8) right / 1.2rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .9rem; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 14rem; }
th:first-child, td:first-child { text-align: left; white-space: normal; position: sticky; left: 0; background: #fff; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; min-width: 5.5em; }
th:first-child { min-width: 9em; }
code { background: var(--wash); padding: .1rem .3rem; border-radius: .25rem; font-size: .9em; }
footer { margin-top: 3rem; color: var(--soft); font-size: .88rem; border-top: 1px solid var(--line); }
"""


@dataclass(frozen=True)
class Section:
    """A heading, what is said under it, and what is shown."""

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
    tiles = "".join(
        f"<li><b>{_text(value)}</b><span>{_text(name)}</span></li>"
        for value, name in facts
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta'
        ' name="viewport" content="width=device-width,'
        f' initial-scale=1">\n<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n<p'
        f' class="lead">{_text(lead)}</p>\n<ul class="facts">{tiles}</ul>\n'
        + "\n".join(_section(section) for section in sections)
        + f"\n<footer>{_paragraphs(footer)}</footer>\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    tables = "".join(
        f'<div class="scroll">{_table(table)}</div>' for table in section.tables
    )
    figures = "".join(_figure(drawing) for drawing in section.drawings)
    drawn = f'<div class="figures">{figures}</div>' if figures else ""
    return f"<section>\n<h2>{_text(section.heading)}</h2>\n{_paragraphs(section.paragraphs)}{tables}{drawn}\n</section>"


def _table(table: pd.DataFrame) -> str:
    readable = (
        table.astype(object)
        .where(table.notna(), "–")
        .map(_readable)
        .rename(columns=_readable)
    )
    drawn = str(readable.to_html(index=False, border=0, justify="right"))
    return _LONG_CELL.sub(r'<td class="long">\1</td>', drawn)


def _figure(drawing: Drawing) -> str:
    source = base64.b64encode(drawing.png()).decode("ascii")
    caption = _text(drawing.caption)
    alternative = _escaped(drawing.caption, quote=True)
    width, height = drawing.figure.get_size_inches()
    wide = (
        ' class="wide"' if width > 8 and width > 1.8 * height else ""
    )  # panels side by side
    image = f'<img alt="{alternative}" src="data:image/png;base64,{source}">'
    return f"<figure{wide}>{image}<figcaption>{caption}</figcaption></figure>"


def _paragraphs(paragraphs: Sequence[str]) -> str:
    return "".join(f"<p>{_text(paragraph)}</p>\n" for paragraph in paragraphs)


def _text(text: str) -> str:
    pieces = _escaped(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces)
    )


def _escaped(text: str, *, quote: bool = False) -> str:
    """Return text for a page.

    What moves, hides or is no character of HTML is shown as an escape.
    """
    return html.escape(shown(text), quote=quote)


def _readable(value: object) -> object:
    return shown(value) if isinstance(value, str) else value
