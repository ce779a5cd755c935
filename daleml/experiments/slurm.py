"""The executor of a SLURM cluster, by submitit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<rest>\d+(?::\d+){0,2})")
_EXAMPLE = "partition=cpu,time=2:00:00,mem=4GB"


def executor(folder: Path, options: Mapping[str, Any]) -> Any:
    """Return an executor whose jobs SLURM runs, with one core each.

    Args:
        folder: Where submitit keeps the files and the logs of its jobs; all machines of the
            cluster must see it.
        options: Options of ``sbatch``, with underscores: ``partition``, ``time``, ``mem``,
            ``gres``, ``account`` and so on, and ``array_parallelism``, the most jobs at once.

    Raises:
        ValueError: If submitit is not installed, this machine is no part of a SLURM cluster, or
            an option is none.
    """
    try:
        import submitit
    except ImportError:
        raise ValueError(
            "`slurm` must be left out unless submitit is installed: pip install"
            " 'daleml[cluster]'."
        ) from None
    try:
        made = submitit.SlurmExecutor(folder=folder)
    except RuntimeError:
        raise ValueError(
            "`slurm` must be given on a machine of a SLURM cluster; there is no `srun` here."
        ) from None
    try:
        made.update_parameters(**{"cpus_per_task": 1, **options})
    except (ValueError, TypeError) as error:
        # submitit lists all its options behind the first line.
        why = str(error).splitlines()[0]
        raise ValueError(
            f"`slurm` must hold options of sbatch that submitit knows ({why})."
        ) from None
    return made


def options_of(text: str) -> dict[str, Any]:
    """Return options that are written ``name=value,name=value``.

    Args:
        text: The options. A ``time`` is minutes, ``hours:minutes:seconds`` or
            ``days-hours:minutes``.

    Raises:
        ValueError: If they are not written so.

    Example:
        >>> options_of("partition=cpu,time=1-12:00,mem=4GB,array-parallelism=50")
        {'partition': 'cpu', 'time': 2160, 'mem': '4GB', 'array_parallelism': 50}
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        value = value.strip()
        if not equals or not name.isidentifier() or not value:
            raise ValueError(
                f"`slurm` must be options of sbatch, such as {_EXAMPLE}; got {part!r}."
            )
        if name in found:
            raise ValueError(
                f"`slurm` must set each option once; it sets {name!r} twice."
            )
        if name == "time":
            found[name] = _minutes(value)
        else:
            found[name] = int(value) if value.isdecimal() else value
    return found


def _minutes(text: str) -> int:
    """Return a time of SLURM in minutes, as submitit wants it."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(
            "`slurm` must have a time in minutes, as hours:minutes:seconds or as"
            f" days-hours:minutes; got {text!r}."
        )
    parts = [int(part) for part in found["rest"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        hours += 24 * int(found["days"])
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        # Two numbers are minutes and seconds, and one is minutes.
        hours, minutes, seconds = 0, parts[0], [*parts, 0][1]
    return 60 * hours + minutes + -(-seconds // 60)
