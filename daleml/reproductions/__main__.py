"""Write the tables of a checkout's README and docs: ``python -m daleml.reproductions claims.json``, from its root."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from daleml.reproductions.tables import by_claim, by_paper, update


def main(found: Path, root: Path) -> None:
    """Keep ``claims.json`` under ``docs``, and write both tables from it."""
    kept = root / "docs" / "claims.json"
    if found.resolve() != kept.resolve():
        shutil.copyfile(found, kept)
    content = json.loads(kept.read_text(encoding="utf-8"))
    update(root / "README.md", by_paper(content))
    update(root / "docs" / "claims.md", by_claim(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path.cwd())
