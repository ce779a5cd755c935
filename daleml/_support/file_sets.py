"""The last step of writing a set of files: all of them take their places, or none does.

A set is staged in a folder of its own inside the folder it is for, ``.daleml-set-...``, so that
both lie on one file system, whether the folder is a mount point, a link or somebody's working
directory. The staged folder holds

``new/``         the files, under the names they will have
``old/``         second links to those that they replace
``set.json``     written last: which files take their places, and which of the earlier set go

Until ``set.json`` is there, the set counts for nothing and can be deleted. From then on it is
completed, whatever happens: by :func:`complete`, which only renames; if that is killed, by
whoever writes into the folder next. If a rename is refused, the links in ``old/`` bring the
earlier files back.

This file uses the standard library only, and is run as a program, in a session of its own: a
signal that ends the command, KILL too, does not end the few renames half-way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PREFIX = ".daleml-set-"
"""Names of staged folders begin so."""
RECORD = "set.json"
"""The file of a staged folder without which it counts for nothing."""
NEW = "new"
OLD = "old"


def complete(staged: Path) -> None:
    """Put a staged set into its place, and remove what it was staged in.

    Raises:
        OSError: If a file cannot take its place; those of before are all there then.
    """
    folder = staged.parent
    record: dict[str, Any] = json.loads((staged / RECORD).read_text(encoding="utf-8"))
    # Of a set whose exchange was killed half-way, the other files are in place already.
    names = [name for name in record["put"] if (staged / NEW / name).exists()]
    gone = [name for name in record["remove"] if (folder / name).exists()]
    try:
        for name in (*names, *gone):
            _keep(folder / name, staged / OLD / name)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / NEW / name, folder / name)
        for name in gone:
            (folder / name).unlink()
    except OSError:
        _bring_back(folder, staged, record["put"])
        raise
    # Without its record it is only something to delete, whatever happens while that is done.
    (staged / RECORD).unlink()
    shutil.rmtree(staged, ignore_errors=True)


def in_a_process_of_its_own(staged: Path, lock: int | None = None) -> list[Any] | None:
    """Run :func:`complete` in another process, and wait for it.

    Args:
        staged: The staged set.
        lock: An open file to hand on: its lock is held until the last rename, even if this
            process is killed.

    Returns:
        Nothing, ``[]``, if all went well; the arguments of the OSError if not; None if there
        can be no other process.
    """
    # -I and -S: neither the user's environment nor site-packages, which take time to find.
    program = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    program.append(os.path.abspath(staged))
    handed_on = () if lock is None or os.name == "nt" else (lock,)
    try:
        process = subprocess.Popen(
            program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=handed_on,
        )
    except (OSError, ValueError):
        return None
    try:
        output, _ = process.communicate()
    except BaseException:
        # A signal came: the renames go on, and are waited for.
        process.communicate()
        raise
    if process.returncode == 0:
        return []
    try:
        problem: list[Any] = json.loads(output)
    except ValueError:
        # It did not run, as where there is no interpreter.
        return None
    return problem


def _keep(path: Path, old: Path) -> None:
    """Keep a file that is about to be replaced: by a second link, or by a copy of it."""
    if old.exists() or not path.exists():
        return
    old.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, old)
    except OSError:
        shutil.copy2(path, old)


def _bring_back(folder: Path, staged: Path, put: list[str]) -> None:
    """Undo an exchange that was refused half-way."""
    for name in put:
        # It had not been reached.
        if (staged / NEW / name).exists():
            continue
        if (staged / OLD / name).exists():
            os.replace(staged / OLD / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    for kept in sorted((staged / OLD).rglob("*")):
        place = folder / kept.relative_to(staged / OLD)
        if kept.is_file() and not place.exists():
            os.replace(kept, place)
    (staged / RECORD).unlink()


def main() -> int:
    """Complete the set named on the command line; print what went wrong."""
    try:
        complete(Path(sys.argv[1]))
    except OSError as error:
        where = str(error.filename2 or error.filename or "")
        print(json.dumps([error.errno, error.strerror, where]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
