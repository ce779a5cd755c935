"""Which of several columns, arrays or tensors is meant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from daleml.reading.table_options import ReadingError, listed, printable, shown


def choose(
    name: str | None,
    available: Iterable[str],
    path: Path,
    kind: str,
    option: str = "--column",
) -> str:
    """Return the one name there is, or the one asked for.

    Raises:
        ValueError: If there are several to choose from, or none of that name.
    """
    names, where = list(available), printable(path)
    if not names:
        raise ReadingError(f"`{where}` must hold something to read; it is empty.")
    if name is None and len(names) == 1:
        return names[0]
    if name not in names:
        if names == [""]:
            raise ReadingError(
                f"`{option}` must be left out for `{where}`, whose one {kind} has no name;"
                f" got {shown(name)}."
            )
        wanted = (
            "be named, there being several"
            if name is None
            else f"be in `{where}`, and {shown(name)} is not"
        )
        raise ReadingError(
            f"`{option}` must name one {kind}: it must {wanted}; got {listed(names)} to"
            " choose from."
        )
    return str(name)
