"""The written pages of the project, and what is in them: links, examples, commands.

A block of a page runs if its fence says ``python`` or ``pycon``; those of one page share their
names, from top to bottom. A block that cannot run says why, in a comment on the line above it:
``<!-- not run: needs a cluster -->``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^ *(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)
_NOT_RUN = re.compile(r"<!-- not run: (.{8,}?) -->\s*$")


@dataclass(frozen=True)
class Block:
    """What stands between two fences of a page."""

    language: str
    text: str
    line: int
    reason: str  # why it is not run; empty if it is


def pages() -> list[str]:
    """Return every page that somebody wrote, from the root of the project."""
    found = ["README.md", "CONTRIBUTING.md"]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        # What begins with an underscore is written while the site is built.
        if not path.name.startswith("_"):
            found.append(path.relative_to(ROOT).as_posix())
    return found


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = []
    for match in _BLOCK.finditer(text):
        marked = _NOT_RUN.search(text[: match.start()])
        found.append(
            Block(
                language=match["language"],
                text=_without_indent(match["text"], len(match["indent"])),
                line=text.count("\n", 0, match.start()) + 2,
                reason=marked[1] if marked else "",
            )
        )
    return found


def without_blocks(text: str) -> str:
    """Return a page without its fenced blocks, in which brackets are code."""
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    """Return the targets of a page's links and pictures."""
    return re.findall(r"\]\(<?([^)\s>]+)>?\)", without_blocks(text))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as a forge and the site name them."""
    found = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for heading in re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE):
        plain = re.sub(r"\{[\w:]+\}|[`*]", "", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def _without_indent(text: str, width: int) -> str:
    return "".join(line[width:] for line in text.splitlines(keepends=True))
