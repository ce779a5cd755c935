"""How Sphinx builds the pages: ``make docs``. Warnings are errors, and no network is needed."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from site_steps import (  # noqa: E402
    api_pages,
    gallery_pages,
    links,
    sidebar,
    slide_decks,
    tutorial_pages,
)

import daleml  # noqa: E402

project = "daleml"
author = "The daleml developers"
copyright = "the daleml developers"
version = release = daleml.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["**/_*.md"]  # what other pages include
html_theme = "furo"
html_domain_indices = False  # the list of modules is the first page of names
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_title = f"daleml {version}"
html_show_sourcelink = False
# The lines below each result would be fetched, which a browser forbids for files.
html_show_search_summary = False

myst_enable_extensions = [
    "amsmath",
    "colon_fence",
    "deflist",
    "dollarmath",
    "html_image",
]
nb_execution_mode = "off"  # notebooks are saved with their outputs
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
autodoc_default_options = {"members": True}


def skips_field(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of named tuples, which ``Attributes`` describes."""
    doc = str(getattr(thing, "__doc__", ""))
    return True if doc.startswith("Alias for field number") else None


def setup(app: Any) -> None:
    """Have the pages written before any is read."""
    app.connect("builder-inited", api_pages.write_api_pages)
    app.connect("builder-inited", gallery_pages.write_gallery)
    app.connect("builder-inited", tutorial_pages.write_tutorial_pages)
    app.connect("builder-inited", slide_decks.write_list)
    app.connect("build-finished", slide_decks.write_decks)
    app.connect("doctree-read", links.link_names)
    # Before the theme asks for the list.
    app.connect("html-page-context", sidebar.share_sidebars, priority=400)
    app.connect("autodoc-skip-member", skips_field)
