"""The provenance of numbers: the machine, the versions, and the state of the source."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from pathlib import Path

# Seconds that git may take: on a slow disk it can take some.
_PATIENCE = 10.0


def machine() -> dict[str, str]:
    """Return the processor, the versions and, of a working copy, the commit of daleml's source.

    Example:
        >>> sorted(machine())
        ['commit', 'daleml', 'numpy', 'processor', 'python', 'scipy', 'torch']
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
    """Return the commit of a source file, with ``-changed`` if the package differs from it.

    Nothing is returned unless git keeps that very file: a package installed inside somebody's
    project, in a virtual environment there, is no part of that project.

    Args:
        source: A file of the package.
    """
    if not _git(source, "ls-files", "--error-unmatch", source.name):
        return ""
    found = _git(source, "rev-parse", "--short", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no", "--", ".")
    if found and changed:
        return f"{found}-changed"
    return found


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
