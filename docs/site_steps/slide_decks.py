"""Makes slides of the figures of the tutorials: a deck for each, and one for a session.

A cell of a tutorial whose metadata say ``slide="Heading. One sentence."`` gives a slide: heading,
sentence, and the figure that is saved in the solved notebook, with its text. A deck is one file
without anything beside it. Arrow keys turn its pages, a phone scrolls through them, and each is
one page when it is printed.
"""

import base64
import html
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from site_steps.files import write_if_changed
from site_steps.session import SESSION

_MARKDOWN = MarkdownIt()
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Slide:
    """One slide.

    Attributes:
        heading: A few words.
        text: What is said, Markdown.
        picture: The figure, PNG in base64; empty for a slide without one.
        alt: The figure in words.
        notes: What the tutorial says below the figure, Markdown.
        source: Where the slide comes from.
    """

    heading: str
    text: str
    picture: str = ""
    alt: str = ""
    notes: str = ""
    source: str = ""


def notebooks_of(docs: Path) -> dict[str, dict[str, Any]]:
    """Return the solved notebooks of the tutorials by name, in their order."""
    found = {}
    for path in sorted((docs.parent / "tutorials" / "solutions").glob("*.ipynb")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def slides_of(stem: str, notebook: dict[str, Any]) -> list[Slide]:
    """Return the slides of a tutorial: its title, its figures, and what it claims."""
    cells = notebook["cells"]
    title, promise = title_of(notebook)
    source = f"Tutorial {stem[:2]}"
    slides = [Slide(title, promise, source=source)]
    for position, cell in enumerate(cells):
        said = cell["metadata"].get("slide")
        if not said:
            continue
        heading, text = halves(said)
        picture = picture_of(cell)
        alt = cell["metadata"].get("alt", "")
        if not picture or not alt:
            raise ValueError(
                f"Slide {heading!r} of {stem} needs a figure with `alt`; got none."
            )
        notes = notes_below(cells[position + 1 :])
        slides.append(Slide(heading, text, picture, alt, notes, source))
    claim = claim_of(cells)
    if claim:
        slides.append(Slide("What this showed", claim, source=source))
    return slides


def title_of(notebook: dict[str, Any]) -> tuple[str, str]:
    """Return the title of a tutorial and its first paragraph."""
    first = "".join(notebook["cells"][0]["source"])
    title, _, rest = first.partition("\n")
    return title.lstrip("# "), rest.strip().partition("\n\n")[0]


def halves(said: str) -> tuple[str, str]:
    """Return the heading of a slide, up to its first full stop, and the rest."""
    heading, _, text = said.partition(". ")
    return heading.rstrip("."), text


def picture_of(cell: dict[str, Any]) -> str:
    """Return the last figure that a cell drew, in base64; nothing if it drew none."""
    pictures = [
        "".join(output["data"]["image/png"])
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    return pictures[-1].replace("\n", "") if pictures else ""


def notes_below(cells: list[dict[str, Any]]) -> str:
    """Return what stands below a figure, up to the next heading, without formulas."""
    if not cells or cells[0]["cell_type"] != "markdown":
        return ""
    text = re.split(r"^#", "".join(cells[0]["source"]), flags=re.MULTILINE)[0]
    kept = [part for part in text.strip().split("\n\n") if "$" not in part]
    return "\n\n".join(kept)


def claim_of(cells: list[dict[str, Any]]) -> str:
    """Return the sentence that the claim cell printed."""
    for cell in cells:
        if "claim" in cell["metadata"].get("tags", []):
            printed = [output.get("text", "") for output in cell["outputs"]]
            return "".join("".join(one) for one in printed).strip()
    return ""


def session_slides(decks: dict[str, list[Slide]]) -> list[Slide]:
    """Return the slides of the session of 90 minutes, as the plan names them.

    Raises:
        ValueError: If a tutorial has no slide of that heading.
    """
    slides = []
    for place, heading, text in SESSION:
        if not place:
            slides.append(Slide(heading, text))
            continue
        found = [one for stem in decks if stem.startswith(place) for one in decks[stem]]
        fitting = [one for one in found if one.heading == heading]
        # A tutorial that has not been run yet has no slides.
        if found and not fitting:
            have = ", ".join(repr(one.heading) for one in found)
            raise ValueError(
                f"Tutorial {place} has no slide {heading!r}; its slides are {have}."
            )
        slides += fitting[:1]
    return slides


def deck(title: str, slides: list[Slide]) -> str:
    """Return a deck as a page of HTML that needs no other file."""
    parts = [section(number, one) for number, one in enumerate(slides)]
    page = (_HERE / "deck.html").read_text(encoding="utf-8")
    page = page.replace("{{title}}", html.escape(title))
    return page.replace("{{slides}}", "\n".join(parts))


def section(number: int, slide: Slide) -> str:
    """Return one slide as HTML. The first has the only heading of the first level."""
    level = "h1" if number == 0 else "h2"
    kind = "slide" if slide.picture else "slide words"
    lines = [f'<section class="{kind}" id="slide-{number + 1}">']
    lines.append(f"<{level}>{inline(slide.heading)}</{level}>")
    lines.append(f'<div class="said">{_MARKDOWN.render(plain(slide.text))}</div>')
    if slide.picture:
        lines.append(figure(slide))
    if slide.notes:
        notes = _MARKDOWN.render(plain(slide.notes))
        lines.append(f"<details><summary>Notes</summary>{notes}</details>")
    lines.append(f"<footer><span>{html.escape(slide.source)}</span></footer>")
    return "\n".join([*lines, "</section>"])


def figure(slide: Slide) -> str:
    """Return the figure of a slide, which knows how wide it was drawn."""
    # The width of a PNG stands in its header, behind its signature.
    width = struct.unpack(">I", base64.b64decode(slide.picture)[16:20])[0]
    return (
        f'<div class="figure" tabindex="0" style="--drawn: {width}px">'
        f'<img alt="{html.escape(slide.alt)}" src="data:image/png;base64,{slide.picture}">'
        "</div>"
    )


def plain(text: str) -> str:
    """Return Markdown without links and formulas' signs, of which a deck has no use."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
    return text.replace("$", "")


def inline(text: str) -> str:
    """Return Markdown of one line as HTML."""
    return str(_MARKDOWN.renderInline(plain(text)))


def all_decks(docs: Path) -> dict[str, tuple[str, list[Slide]]]:
    """Return title and slides of every deck, by the name of its file."""
    decks = {}
    for stem, notebook in notebooks_of(docs).items():
        decks[stem] = slides_of(stem, notebook)
    found = {"session": ("Dale's law in 90 minutes", session_slides(decks))}
    for stem, slides in decks.items():
        found[stem] = (f"{stem[:2]} {slides[0].heading}", slides)
    return found


def write_list(app: Any) -> None:
    """Write the list of decks, which the page of slides includes."""
    docs = Path(app.srcdir)
    lines = ["```{raw} html", '<ul class="decks">']
    for name, (title, slides) in all_decks(docs).items():
        link = f'<a href="{name}.html">{inline(title)}</a>'
        lines.append(f"<li>{link}, {len(slides)} slides</li>")
    lines += ["</ul>", "```", ""]
    write_if_changed(docs / "slides" / "_decks.md", "\n".join(lines))


def write_decks(app: Any, error: Exception | None) -> None:
    """Write every deck beside the page of slides, when the pages are written."""
    if error is not None or app.builder.name != "html":
        return
    for name, (title, slides) in all_decks(Path(app.srcdir)).items():
        path = Path(app.outdir) / "slides" / f"{name}.html"
        write_if_changed(path, deck(title, slides))
