"""Makes the list of pages at the left once for all pages on which it is the same.

Sphinx makes it anew for every page, marks the page in it, and needs a quarter of the whole build
for that. Pages of names and of sources are not in the list: all those of one folder have the same.
"""

from posixpath import dirname
from typing import Any


def share_sidebars(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Give pages that are not in the list the one that the first of their folder was given."""
    is_source = pagename.startswith("_modules/")
    if not is_source and "orphan" not in app.env.metadata.get(pagename, {}):
        return
    made = context["toctree"]
    shared = app.builder.__dict__.setdefault("_shared_sidebars", {})

    def toctree(**options: Any) -> str:
        key = (dirname(pagename), *sorted(options.items()))
        if key not in shared:
            shared[key] = made(**options)
        return str(shared[key])

    context["toctree"] = toctree
