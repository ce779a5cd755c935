"""Brings the tutorials into the site: solved, with the solutions collapsed, and a card for each."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from site_steps.files import write_bytes_if_changed, write_if_changed

_SHOWN = {
    "code_prompt_show": "Show the solution",
    "code_prompt_hide": "Hide the solution",
}


def write_tutorial_pages(app: Any) -> None:
    """Write a page per notebook of `tutorials/`, and the cards that lead to them.

    The pages show the solved notebook where there is one; the student's is what one downloads.
    """
    docs = Path(app.srcdir)
    source = docs.parent / "tutorials"
    folder = docs / "tutorials"
    cards = []
    written = set()
    for path in sorted(source.glob("[0-9]*_*.ipynb")):
        solved = source / "solutions" / path.name
        notebook = json.loads((solved if solved.exists() else path).read_text())
        picture = first_picture(notebook)
        if picture is not None:
            write_bytes_if_changed(folder / "_figures" / f"{path.stem}.png", picture)
        cards.append(card_of(path.stem, notebook, picture is not None))
        page = json.dumps(page_of(path.name, notebook), indent=1, ensure_ascii=False)
        write_if_changed(folder / path.name, page + "\n")
        written.add(path.name)
    for old in folder.glob("*.ipynb"):
        if old.name not in written:
            old.unlink()
    grid = [":::::{grid} 1 2 2 2", ":gutter: 3", "", *cards, ":::::", ""]
    write_if_changed(folder / "_cards.md", "\n".join(grid))


def page_of(name: str, notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook as the site shows it: solutions collapsed, pictures with their texts."""
    cells = []
    for cell in notebook["cells"]:
        shown = dict(cell, metadata=dict(cell["metadata"]))
        if cell["cell_type"] == "markdown":
            shown["source"] = links_from_the_site("".join(cell["source"]))
        else:
            shown["metadata"].update(how_it_is_shown(cell["metadata"]))
        cells.append(shown)
    cells.insert(1, download_cell(name))
    # A cell may hold a command, `!daleml check ...`, which is no Python.
    language = {"name": "python", "pygments_lexer": "ipython3"}
    metadata = dict(notebook.get("metadata", {}), language_info=language)
    return dict(notebook, cells=cells, metadata=metadata)


def how_it_is_shown(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what myst-nb reads of a code cell: whether it is collapsed."""
    tags = list(metadata.get("tags", []))
    render = dict(metadata.get("mystnb", {}))
    if "solution" in tags:
        tags.append("hide-cell")
        render.update(_SHOWN)
    return {"tags": tags, "mystnb": render}


def links_from_the_site(text: str) -> str:
    """Return Markdown whose links to pages lead there from `docs/tutorials/`."""
    return re.sub(r"\]\((?:\.\./)+docs/", "](../", text)


def download_cell(name: str) -> dict[str, Any]:
    """Return the cell below the title, by which one gets the notebook without its solutions."""
    text = (
        f"{{download}}`Download the notebook <../../tutorials/{name}>`, without the solutions, "
        "and run it yourself: [how to install](../start/install.md)."
    )
    return {"cell_type": "markdown", "id": "download", "metadata": {}, "source": text}


def card_of(stem: str, notebook: dict[str, Any], has_picture: bool) -> str:
    """Return the card of a tutorial: its first picture, what it is for, and how long it takes."""
    texts = [
        "".join(cell["source"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
    ]
    opening = "\n\n".join(texts[:3])
    title = opening.partition("\n")[0].lstrip("# ")
    number = int(stem.partition("_")[0])
    lines = [f"::::{{grid-item-card}} {number}. {title}", f":link: {stem}"]
    lines += [":link-type: doc", ":class-card: tutorial"]
    if has_picture:
        lines += [
            f":img-top: _figures/{stem}.png",
            f":img-alt: A figure of the tutorial: {title}",
        ]
    lines += ["", *(f"{one}\n" for one in facts_of(opening)), ":::{card-footer}"]
    lines += [f"{{download}}`Download the notebook <../../tutorials/{stem}.ipynb>`"]
    lines += [":::", "::::", ""]
    return "\n".join(lines)


def facts_of(opening: str) -> list[str]:
    """Return what the opening says of its goals and minutes, as paragraphs for a card."""
    facts = []
    for name in ("Goals", "Minutes"):
        found = re.search(rf"\*\*{name}\*\*[ .:|]*(.+)", opening)
        if found is not None:
            facts.append(f"**{name}:** {found[1].strip(' |')}")
    return facts


def first_picture(notebook: dict[str, Any]) -> bytes | None:
    """Return the first figure that a notebook drew."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture is not None:
                return base64.b64decode("".join(picture))
    return None
