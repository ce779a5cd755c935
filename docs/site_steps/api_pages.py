"""Writes the pages of every public name, one per module, from what each module lists."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from sphinx.pycode import ModuleAnalyzer

from daleml._support.keyword_names import Keywords
from site_steps.files import write_if_changed
from tests.docstrings import HOMES


def write_api_pages(app: Any) -> None:
    """Write a page per public module, from the names that it lists."""
    folder = Path(app.srcdir) / "api"
    pages = []
    entries = []
    homes: dict[int, str] = {}
    for home in HOMES:
        module = importlib.import_module(home)
        write_if_changed(folder / f"{home}.rst", page_of(module, homes))
        pages.append(f"   {home}")
        entries += [f":doc:`{home}`", *index_entry(module, homes), ""]
    toctree = [".. toctree::", "   :hidden:", "   :maxdepth: 1", "", *pages, ""]
    write_if_changed(folder / "index.rst", "\n".join([INDEX, *entries, *toctree]))


def index_entry(module: Any, homes: dict[int, str]) -> list[str]:
    """Return what the page of all names says of a module: its first line, and its names."""
    title = module.__name__
    first = (inspect.getdoc(module) or "").partition("\n")[0]
    links = []
    for name in sorted(names_of(module), key=str.lower):
        thing = getattr(module, name)
        if not inspect.ismodule(thing):
            home = homes.get(id(thing), title)
            links.append(f":py:obj:`{name} <{home}.{name}>`")
    return [f"   {first}", "", "   " + ", ".join(links)]


INDEX = """\
Every public name
=================

One page per module, in the order in which a model meets them: populations, signs, layers,
optimisers, analysis; then what learns otherwise, and the tools around.
"""


def page_of(module: Any, homes: dict[int, str]) -> str:
    """Return the page of a module: what it says of itself, and then each of its names.

    What an earlier page describes is referred to: one name has one description.
    """
    title = module.__name__
    lines = [
        title,
        "=" * len(title),
        "",
        f".. automodule:: {title}",
        "   :no-members:",
        "",
    ]
    elsewhere = []
    for name in sorted(names_of(module), key=str.lower):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            continue
        is_code = inspect.isclass(thing) or inspect.isfunction(thing)
        if is_code and id(thing) in homes:
            elsewhere.append(f"- :py:obj:`{name} <{homes[id(thing)]}.{name}>`")
            continue
        if is_code:
            homes[id(thing)] = title
            lines += [code_entry(title, name, thing), ""]
        else:
            lines += [*data_entry(title, name, thing), ""]
    if elsewhere:
        lines += ["Described on another page:", "", *elsewhere, ""]
    return "\n".join(lines)


def code_entry(title: str, name: str, thing: Any) -> str:
    """Return the line that describes a class, an error or a function."""
    kind = "autofunction"
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
    return f".. {kind}:: {title}.{name}{given_signature(thing)}"


def given_signature(thing: Any) -> str:
    """Return the signature that Sphinx would miss, without types; else nothing.

    Types stand in the descriptions of the parameters.
    """
    if inspect.isfunction(thing):
        # What takes `**options` lists them in a signature of its own. Sphinx would read the
        # defaults from the source, which has fewer, and fail.
        signature = vars(thing).get("__signature__")
    elif getattr(thing, "_is_protocol", False):
        signature = inspect.Signature()
    elif issubclass(thing, Keywords):
        # Sphinx would show `__new__`, which takes anything in order to help with slips.
        signature = inspect.signature(thing)
    else:
        signature = None
    if signature is None:
        return ""
    bare = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in signature.parameters.values()
    ]
    return str(inspect.Signature(bare))


def data_entry(title: str, name: str, thing: Any) -> list[str]:
    """Return the lines that describe a constant or an alias of a type.

    Its text stands below it where it is defined. Sphinx looks only in the module that lists
    it, and would show the text of ``tuple`` or ``dict`` instead.
    """
    for home, module in sorted(sys.modules.items()):
        if not home.startswith("daleml.") or vars(module).get(name) is not thing:
            continue
        texts = ModuleAnalyzer.for_module(home).find_attr_docs()
        text = texts.get(("", name))
        if text is not None:
            entry = [f".. py:data:: {name}", f"   :module: {title}"]
            if isinstance(thing, (str, float, tuple)):
                entry.append(f"   :value: {thing!r}")
            return [*entry, "", *(f"   {one}".rstrip() for one in text)]
    return [f".. autodata:: {title}.{name}"]


def names_of(module: Any) -> list[str]:
    """Return what a module lists in ``__all__``; without one, what it defines itself."""
    found: list[str] = []
    if hasattr(module, "__all__"):
        return list(module.__all__)
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
        ):
            found.append(name)
    return found
