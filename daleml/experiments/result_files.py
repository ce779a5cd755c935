"""Results as files, each written by the worker that ran it, until the journal has them.

A worker may outlive the process that waits for it, as a job of SLURM does and a task of a Dask
cluster. So it writes each result into the folder of the study, whole or not at all, and whoever
starts the study again finds it. Beside it lies the lock of the run, held while it is computed:
nobody else runs what is being run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daleml._support import atomic_files, locks
from daleml.experiments.journal_entry import Entry, RunKey, key_text

NAME = ".daleml-runs"
"""The folder of results that are not in the journal yet, inside the folder of the study."""


@dataclass(frozen=True)
class ResultFiles:
    """The results of a study that are not in its journal yet.

    Attributes:
        folder: The folder of the study.
        inode: Its number on its disk: another machine that does not share the disk has no such
            folder, or one of another number.
        journal: The name of the journal.
        read: Bytes of the journal that had been read when the study was started.
    """

    folder: Path
    inode: int
    journal: str
    read: int

    @classmethod
    def of(cls, journal: Path) -> ResultFiles:
        """Return those that belong to a journal, which has just been read."""
        folder = journal.parent.resolve()
        size = journal.stat().st_size if journal.exists() else 0
        return cls(folder, folder.stat().st_ino, journal.name, size)

    def is_here(self) -> bool:
        """Whether this process sees the folder of the study."""
        try:
            return self.folder.stat().st_ino == self.inode
        except OSError:
            return False

    @contextlib.contextmanager
    def hold(self, key: RunKey) -> Iterator[locks.Hold]:
        """Be the only one who computes a run, if nobody else does.

        Args:
            key: The key of the run.
        """
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                (self.folder / NAME).mkdir(exist_ok=True)
                # The study may end, and remove the folder, between the two calls.
                with contextlib.suppress(FileNotFoundError):
                    held = stack.enter_context(locks.hold(self._path(key, ".lock")))
                    break
            else:
                held = locks.Hold(True, "")
            yield held

    def write(self, entry: Entry) -> None:
        """Write a result, on disk before this returns."""
        path = self._path(entry.key, ".line")
        path.parent.mkdir(exist_ok=True)
        atomic_files.write_bytes(path, entry.line())

    def find(self, key: RunKey) -> Entry | None:
        """Return the result of a run that has ended since the study was started, or before.

        Args:
            key: The key of the run.
        """
        # In this order: whoever puts it into the journal removes the file afterwards.
        return self.waiting(key) or self._in_journal(key)

    def waiting(self, key: RunKey) -> Entry | None:
        """Return the result of a run if it waits to be put into the journal."""
        return _read(self._path(key, ".line"))

    def all_waiting(self) -> Iterator[Entry]:
        """Yield all results that wait to be put into the journal."""
        for path in sorted((self.folder / NAME).glob("*.line")):
            entry = _read(path)
            if entry is not None:
                yield entry

    def forget(self, key: RunKey) -> None:
        """Remove a result that the journal has now."""
        self._path(key, ".line").unlink(missing_ok=True)

    def close(self) -> None:
        """Remove what killed processes left, and the folder if nobody needs it."""
        place = self.folder / NAME
        for path in place.glob("*.lock"):
            # One that is held belongs to a job that runs still.
            with contextlib.suppress(OSError), locks.hold(path):
                pass
        if place.is_dir():
            atomic_files.clean(place)
            with contextlib.suppress(OSError):
                place.rmdir()

    def _path(self, key: RunKey, ending: str) -> Path:
        # Names of experiments are the user's, and may be no names of files.
        digest = hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()
        return self.folder / NAME / f"{digest[:20]}{ending}"

    def _in_journal(self, key: RunKey) -> Entry | None:
        """Return the last line of a run that was added after the journal had been read."""
        wanted, found = key_text(key), None
        with contextlib.suppress(OSError), (self.folder / self.journal).open("rb") as f:
            f.seek(self.read)
            for line in f:
                if wanted not in line:
                    continue
                entry = Entry.read(line)
                if entry is not None and entry.key == key and not entry.problem:
                    found = entry
        return found


def _read(path: Path) -> Entry | None:
    try:
        return Entry.read(path.read_bytes())
    except OSError:
        return None
