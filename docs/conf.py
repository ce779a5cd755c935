"""How Sphinx builds the pages: ``make docs``. Warnings are errors, and no network is needed."""

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import daleml  # noqa: E402
from tests.docstrings import HOMES  # noqa: E402

project = "daleml"
author = "The daleml developers"
copyright = "the daleml developers"
version = release = daleml.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = f"daleml {version}"
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape"]
napoleon_use_ivar = True  # else the fields of a named tuple are described twice
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Constants and methods of torch that our classes inherit are documented by torch.
autodoc_default_options = {"members": True, "show-inheritance": True}


def write_api_pages(app: Any) -> None:
    """Write a page per public module, from the names that it lists."""
    folder = HERE / "api"
    pages = []
    homes: dict[int, str] = {}
    for home in HOMES:
        if importlib.util.find_spec(home) is None:
            continue
        module = importlib.import_module(home)
        write_if_changed(folder / f"{home}.rst", page_of(module, homes))
        pages.append(home)
    entries = "\n".join(f"   {home}" for home in pages)
    index = f"{INDEX}\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n"
    write_if_changed(folder / "index.rst", index)


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
        if inspect.isclass(thing):
            kind = "autoexception" if issubclass(thing, BaseException) else "autoclass"
        else:
            kind = "autofunction" if inspect.isfunction(thing) else "autodata"
        if is_code:
            homes[id(thing)] = title
        lines += [f".. {kind}:: {title}.{name}", ""]
    if elsewhere:
        lines += ["Described on another page:", "", *elsewhere, ""]
    return "\n".join(lines)


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


def write_if_changed(path: Path, text: str) -> None:
    """Write a page, unless it is there as it should be: Sphinx reads again what is newer."""
    # A fresh clone has no folder of API pages: git keeps no empty ones.
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Any) -> None:
    """Have the pages written before any is read."""
    app.connect("builder-inited", write_api_pages)
