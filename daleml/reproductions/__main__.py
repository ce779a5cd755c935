"""Write the claims into a checkout's README and docs.

``python -m daleml.reproductions claims.json``, from its root.

With ``--merge``, claims of some papers only take the place of those that are there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from daleml._support import atomic_files
from daleml.reproductions.tables import by_claim, by_paper, merge, update


def main(found: Path, root: Path, *, merged: bool = False) -> None:
    """Keep ``claims.json`` and the figures beside it under ``docs``, and write both tables from it."""
    kept = root / "docs" / "claims.json"
    content = json.loads(found.read_text(encoding="utf-8"))
    if found.resolve() != kept.resolve():
        if merged:
            newer, content = content, json.loads(kept.read_text(encoding="utf-8"))
            content = merge(content, newer)
        content.pop("files", None)  # digests of a set that is not copied whole
        atomic_files.write_json(kept, content)
        (root / "docs" / "figures").mkdir(exist_ok=True)
        for sweep in content["sweeps"]:
            name = f"{sweep['name']}.png"
            if not (found.parent / "figures" / name).exists():
                continue  # of the earlier run, which is merged
            shutil.copyfile(
                found.parent / "figures" / name, root / "docs" / "figures" / name
            )
    update(root / "README.md", by_paper(content))
    update(root / "docs" / "claims.md", by_claim(content))


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--merge"]
    main(Path(given[0]), Path.cwd(), merged="--merge" in sys.argv)
