"""What numbers may depend on: the machine, the versions, and the state of the source."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from pathlib import Path

_PATIENCE = 10.0  # seconds for git, on a slow disk


def machine() -> dict[str, str]:
    """Return the processor, and versions.

    And the commit, where daleml's own source is one's working copy.
    """
    import numpy as np
    import scipy
    import torch

    import daleml

    return {
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "daleml": daleml.__version__,
        "commit": commit(Path(daleml.__file__)),
    }


def commit(source: Path) -> str:
    """Return the commit that a source file belongs to, with ``-changed`` if the package differs from it.

    Nothing is returned unless git keeps that very file: a package installed inside somebody's
    project, in a virtual environment there, is no part of that project.
    """
    if not _git(source, "ls-files", "--error-unmatch", source.name):
        return ""
    found = _git(source, "rev-parse", "--short", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{found}-changed" if found and changed else found


def _git(source: Path, *words: str) -> str:
    # GIT_DIR and the like would point git at another repository than the one that the file lies in.
    surroundings = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }
    with contextlib.suppress(OSError, subprocess.SubprocessError, UnicodeDecodeError):
        done = subprocess.run(
            ["git", *words],
            cwd=source.parent,
            env=surroundings,
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
        return done.stdout.strip()
    return ""


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
