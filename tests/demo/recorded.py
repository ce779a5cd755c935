"""What the demo printed, kept in ``docs/demo.json`` for the README and for whoever compares.

``python -m tests.demo.recorded demo/results.json`` keeps the results of
``daleml demo --recurrent``. The ranges of test error over processors were measured apart, and
stay as they are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from daleml.pages import demo_page, demo_rows_page

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "demo.json"


def cells(results):
    """Return the two tables as the demo prints them, by network and column."""
    tables = {
        "networks": demo_page.summary(results),
        "recurrent": demo_rows_page.summary(results),
    }
    return {
        name: table.set_index("network").to_dict("index")
        for name, table in tables.items()
    }


def kept():
    """Return what was kept."""
    return json.loads(KEPT.read_text(encoding="utf-8"))


def keep(results):
    """Keep the tables of some results, beside the ranges that are kept already."""
    content = kept() if KEPT.exists() else {}
    settings = {name: results["settings"][name] for name in ("epochs", "seeds")}
    content |= {"settings": settings, **cells(results)}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    KEPT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    keep(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
