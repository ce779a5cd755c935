"""Write the claims into the README and the docs of a checkout, from its root.

``python -m daleml.reproductions claims.json``

With ``--merge``, the claims of a run of some papers take the place of those that are there.
``python -m daleml.reproductions --pilot docs/claims.json`` writes only the pilot, by which the
seeds of longer runs are planned; it is written with the claims of a quick run too.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from daleml._support import atomic_files
from daleml.reproductions import pilot
from daleml.reproductions.tables import by_circuit, by_claim, by_paper, merge, update


def main(found: Path, root: Path, *, merged: bool = False) -> None:
    """Keep ``claims.json`` and its figures under ``docs``, and write the tables from it.

    Args:
        found: The ``claims.json`` of a run, its figures beside it.
        root: The checkout.
        merged: Whether the run was of some papers only.
    """
    kept = root / "docs" / "claims.json"
    content = json.loads(found.read_text(encoding="utf-8"))
    if found.resolve() != kept.resolve():
        if merged:
            newer, content = content, json.loads(kept.read_text(encoding="utf-8"))
            content = merge(content, newer)
        # The digests are of a set of files that is not copied whole.
        content.pop("files", None)
        atomic_files.write_json(kept, content)
        (root / "docs" / "figures").mkdir(exist_ok=True)
        for sweep in content["sweeps"]:
            figure = found.parent / "figures" / f"{sweep['name']}.png"
            # The figures of an earlier run that is merged are there already.
            if figure.exists():
                shutil.copyfile(figure, root / "docs" / "figures" / figure.name)
    update(root / "README.md", by_paper(content))
    update(root / "docs" / "claims.md", by_claim(content))
    update(root / "docs" / "published_circuits.md", by_circuit(content))
    if content["budget"] == "quick":
        write_pilot(kept, root)


def write_pilot(found: Path, root: Path) -> None:
    """Write the pilot of the package from the claims of a quick run.

    Args:
        found: The ``claims.json`` of the run.
        root: The checkout.

    Raises:
        ValueError: If the run was not of the quick budget.
    """
    content = json.loads(found.read_text(encoding="utf-8"))
    if content["budget"] != "quick":
        raise ValueError(
            f"`found` must be of the quick budget, the pilot; got {content['budget']!r}."
        )
    path = root / "daleml" / "reproductions" / pilot.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_json(path, pilot.pilot_of(content))


if __name__ == "__main__":
    given = sys.argv[1:]
    merge_asked = "--merge" in given
    if merge_asked:
        given.remove("--merge")
    if "--pilot" in given:
        given.remove("--pilot")
        write_pilot(Path(given[0]), Path.cwd())
    else:
        main(Path(given[0]), Path.cwd(), merged=merge_asked)
