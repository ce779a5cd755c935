"""Reading of the pages: their terms, their links to names, and the names that have pages."""

import functools
import importlib
import inspect
import re
from pathlib import Path

from tests.docstrings import HOMES, _defined

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"

_OBJECT = re.compile(r"\{py:obj\}`(?:[^`<]*<)?([\w.]+)>?`")
_TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`")


def pages():
    """Return the written pages; those of names are generated, and notebooks are elsewhere."""
    left_out = {DOCS / "api", DOCS / "tutorials"}
    found = [path for path in DOCS.rglob("*.md") if not left_out & set(path.parents)]
    return sorted(found)


def objects(text):
    """Return the dotted names that a page links to."""
    return _OBJECT.findall(text)


def terms_used(text):
    """Return the terms of the glossary that a page links to."""
    return [" ".join(term.split()) for term in _TERM.findall(text)]


@functools.cache
def glossary():
    """Return the definition of every term."""
    found = {}
    heads = []
    for block in re.findall(
        r"```\{glossary\}\n(.*?)```", (DOCS / "glossary.md").read_text(), re.DOTALL
    ):
        for line in block.splitlines():
            if not line.strip():
                heads = []
            elif line.startswith("  "):
                for head in heads:
                    found[head] += line.strip() + " "
            else:
                assert line not in found, f"{line} is defined twice"
                found[line] = ""
                heads.append(line)
    return found


@functools.cache
def named_on_pages():
    """Return what has an entry among the pages of names, and the object behind it."""
    found = {}
    for home in HOMES:
        module = importlib.import_module(home)
        found[home] = module
        for name in getattr(module, "__all__", _defined(module)):
            found[f"{home}.{name}"] = getattr(module, name)
    return found


def resolve(target):
    """Return the object that a link leads to, or None if no page describes it."""
    known = named_on_pages()
    if target in known:
        return known[target]
    owner, _, member = target.rpartition(".")
    if owner in known and inspect.isclass(known[owner]):
        return getattr(known[owner], member, None)
    return None
