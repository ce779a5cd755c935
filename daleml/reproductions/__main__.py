"""Write the claims into a checkout's README and docs: ``python -m daleml.reproductions claims.json``, from its root."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from daleml.reproductions.tables import by_claim, by_paper, update


def main(found: Path, root: Path) -> None:
    """Keep ``claims.json`` and the figures beside it under ``docs``, and write both tables from it."""
    kept = root / "docs" / "claims.json"
    content = json.loads(found.read_text(encoding="utf-8"))
    if found.resolve() != kept.resolve():
        shutil.copyfile(found, kept)
        (root / "docs" / "figures").mkdir(exist_ok=True)
        for sweep in content["sweeps"]:
            name = f"{sweep['name']}.png"
            shutil.copyfile(found.parent / "figures" / name, root / "docs" / "figures" / name)
    update(root / "README.md", by_paper(content))
    update(root / "docs" / "claims.md", by_claim(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path.cwd())
