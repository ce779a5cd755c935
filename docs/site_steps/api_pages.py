"""Writes the pages of every public name, one per module, from what each module lists."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from sphinx.pycode import ModuleAnalyzer

from daleml._support.keyword_names import Keywords
from site_steps.files import write_if_changed
from site_steps.gallery_pages import names_shown
from tests.docstrings import HOMES, public


def write_api_pages(app: Any) -> None:
    """Write a page per public name, one per module that lists its names, and one of all modules.

    A name that several modules list has its page at the first of them.
    """
    folder = Path(app.srcdir) / "api"
    pages = {}
    homes: dict[int, str] = {}
    entries = []
    for home in HOMES:
        module = importlib.import_module(home)
        for names in pages_of(module, homes):
            pages[f"{home}.{names[0]}"] = own_page(module, names)
            homes.update({id(getattr(module, name)): home for name in names})
        pages[home] = module_page(module, homes)
        entries += [f":doc:`{home}`", f"   {first_line(module)}", ""]
    toctree = [".. toctree::", "   :hidden:", "   :maxdepth: 1", ""]
    toctree += [f"   {home}" for home in HOMES]
    pages["index"] = "\n".join([INDEX, *entries, *toctree, ""])
    for name, text in pages.items():
        write_if_changed(folder / f"{name}.rst", text)
    for old in folder.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()


INDEX = """\
Every public name
=================

One page per name, in the order in which a model meets the modules: populations, signs, layers,
optimisers, analysis; then what learns otherwise, and the tools around. The search on the left
finds a name by its first letters; the :ref:`genindex` lists all, methods too.
"""


def module_page(module: Any, homes: dict[int, str]) -> str:
    """Return the page of a module: what it says of itself, and a table of its names."""
    title = module.__name__
    lines = [title, "=" * len(title), "", f".. automodule:: {title}"]
    lines += ["   :no-members:", ""]
    rows = []
    for name in sorted(names_of(module), key=str.lower):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            continue
        home = homes.get(id(thing), title)
        rows.append(f"   * - :py:obj:`{name} <{home}.{name}>`")
        says = first_line(thing) if is_code(thing) else "a value"
        rows.append(f"     - {says}")
    if rows:
        lines += [".. rubric:: Names", "", ".. list-table::", "   :widths: auto"]
        lines += ["   :class: names", "", *rows, ""]
    constants = [
        "\n".join(data_entry(title, name, getattr(module, name)))
        for name in sorted(names_of(module), key=str.lower)
        if is_constant(getattr(module, name))
    ]
    if constants:
        lines += [".. rubric:: Values", "", *constants, ""]
    return "\n".join(lines)


def pages_of(module: Any, homes: dict[int, str]) -> list[list[str]]:
    """Return the classes and functions that still need a page, by page.

    ``spectrum`` and the ``Spectrum`` that it returns share one: some file systems would take
    their two pages for one.
    """
    together: dict[str, list[str]] = {}
    for name in sorted(names_of(module), key=str.swapcase):
        thing = getattr(module, name)
        if is_code(thing) and id(thing) not in homes:
            together.setdefault(name.lower(), []).append(name)
    return list(together.values())


def own_page(module: Any, names: list[str]) -> str:
    """Return the page of a function or class, or of a function and the class it returns."""
    home = module.__name__
    lines = [
        # The page of its module leads here; a list of all names would bury the other pages.
        ":orphan:",
        "",
        names[0],
        "=" * len(names[0]),
        "",
        f"From :doc:`{home}`.",
    ]
    place = names_shown().get(f"{home}.{names[0]}")
    if place is not None:
        lines.append(f"In the gallery: :ref:`{names[0]} <{place}>`.")
    lines.append("")
    for name in names:
        lines += [*code_entry(home, name, getattr(module, name)), ""]
    return "\n".join(lines)


def is_code(thing: Any) -> bool:
    """Return whether something is a class or a function."""
    return inspect.isclass(thing) or inspect.isfunction(thing)


def is_constant(thing: Any) -> bool:
    """Return whether something public is neither code nor a module."""
    return not is_code(thing) and not inspect.ismodule(thing)


def first_line(thing: Any) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def code_entry(title: str, name: str, thing: Any) -> list[str]:
    """Return the lines that describe a class, an error or a function."""
    kind = "autofunction"
    if inspect.isclass(thing):
        kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
    lines = [f".. {kind}:: {title}.{name}{given_signature(thing)}"]
    if inspect.isclass(thing) and any(is_public(base) for base in thing.__bases__):
        lines.append("   :show-inheritance:")
    return lines


def is_public(base: type) -> bool:
    """Return whether a base class tells a reader something."""
    inside = base.__module__.startswith("daleml")
    return base is not object and (not inside or base.__name__ in PUBLIC_CLASSES)


PUBLIC_CLASSES = {name for _, name, thing in public() if inspect.isclass(thing)}


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
