"""Makes links of names in code type: ``EIRNN`` on any page leads to the page of `EIRNN`."""

import importlib
from collections import Counter
from typing import Any

from docutils import nodes
from sphinx import addnodes

from site_steps.api_pages import names_of
from tests.docstrings import HOMES, public


def public_names() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return where names lead: those that mean one thing anywhere, and those of each module.

    ``fit`` or ``signs`` mean many things, and are links on the pages of their modules only.
    """
    by_module: dict[str, dict[str, str]] = {}
    first: dict[int, str] = {}
    for home, name, thing in public():
        first[id(thing)] = f"{home}.{name}"
    for home in HOMES:
        module = importlib.import_module(home)
        own = by_module.setdefault(home, {})
        for name in names_of(module):
            full = first.get(id(getattr(module, name)))
            if full is not None:
                own[name] = full
    count = Counter(full.rpartition(".")[2] for full in first.values())
    anywhere = {}
    for full in first.values():
        name = full.rpartition(".")[2]
        if count[name] == 1 and (name != name.lower() or "_" in name.strip("_")):
            anywhere[name] = full
        anywhere[full] = full
    return anywhere, by_module


def link_names(app: Any, doctree: nodes.document) -> None:
    """Make links of the public names that a page writes in code type."""
    if not hasattr(app, "_public_names"):
        app._public_names = public_names()
    anywhere, by_module = app._public_names
    page = app.env.docname.removeprefix("api/")
    # The page of a name may use the other names of its module.
    module = page if page in by_module else page.rpartition(".")[0]
    known = {**anywhere, **by_module.get(module, {})}
    for literal in list(doctree.findall(nodes.literal)):
        target = known.get(literal.astext().removesuffix("()"))
        if target is None or target.lower() == page.lower() or is_taken(literal):
            continue
        link = addnodes.pending_xref(
            "",
            refdomain="py",
            reftype="obj",
            reftarget=target,
            refexplicit=True,
            refdoc=app.env.docname,
            refwarn=True,
        )
        literal.replace_self(link)
        link += literal


def is_taken(literal: nodes.literal) -> bool:
    """Return whether something stands in a link already, or where no link belongs."""
    parent: Any = literal.parent
    while parent is not None:
        if isinstance(parent, (nodes.reference, nodes.title, addnodes.pending_xref)):
            return True
        if isinstance(parent, (nodes.term, addnodes.desc_signature)):
            return True
        parent = parent.parent
    return False
