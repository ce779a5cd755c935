"""Files of torch, loaded with ``weights_only=True``: nothing in them is ever executed."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from daleml._support.safe_text import listed, printable
from daleml.reading.notes import OnNote, ReadingError
from daleml.reading.opening import MOST_ARRAYS, is_of_system, require_room

# How torch's error names the class that it refuses.
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")

# A file is loaded at most this number of times, one class of settings more known each time.
_TRIES = 30


class _Inert(dict[str, Any]):
    """Stands for an object that holds settings, of a class that is not imported.

    It keeps nothing and does nothing.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Keep nothing."""


# Classes of settings that stand beside a state dict; none is imported for it.
_SETTINGS = re.compile(
    r"(argparse\.Namespace|pathlib\.\w+|pathlib\._local\.\w+|omegaconf\..+"
    r"|.*\.AttributeDict|yacs\.config\.CfgNode|easydict\.EasyDict|ml_collections\..+)"
)


def load_torch_file(path: Path, on_note: OnNote) -> Any:
    """Load a torch file.

    Classes of settings are stood in for, and every other class is refused by its name.
    """
    import torch

    name = printable(path)
    _require_stored(path)
    stands = _numpy_types()
    left: set[str] = set()
    for _ in range(_TRIES):
        try:
            # torch warns of pickle protocols, in a file that it then refuses.
            with (
                warnings.catch_warnings(action="ignore"),
                torch.serialization.safe_globals(stands),
            ):
                content = torch.load(path, map_location="cpu", weights_only=True)
        # torch raises whatever the damage trips over, and advises to unpickle the file.
        except Exception as error:
            if is_of_system(error):
                raise
            unknown = _GLOBAL.search(str(error))
            if unknown and _SETTINGS.fullmatch(unknown[1]) and unknown[1] not in left:
                left.add(unknown[1])
                stands.append((_Inert, unknown[1]))
                continue
            what = ""
            if unknown:
                what = (
                    f"; it holds a {unknown[1]}, of which nothing was run: save the"
                    " `state_dict()` alone"
                )
            raise ReadingError(
                f"`{name}` must be a torch state dict of tensors only; it is damaged or"
                f" holds something else{what}."
            ) from None
        if left:
            on_note(
                f"`{name}` holds settings too ({listed(sorted(left), 5)}), which were left"
                " unread."
            )
        return content
    raise ReadingError(
        f"`{name}` must be a torch state dict of tensors only; it holds too many other"
        " things."
    )


def _require_stored(path: Path) -> None:
    """Refuse a torch file that unpacks to far more than it is: torch compresses nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(member.file_size for member in archive.infolist())
    # The file is of an older kind, or damaged, which torch says.
    except Exception as error:
        if is_of_system(error):
            raise
        return
    require_room(path, needed, MOST_ARRAYS)


def _numpy_types() -> list[Any]:
    """Return what NumPy's scalars and arrays are pickled by, as NumPy 1 and NumPy 2 name it."""
    core = np._core if hasattr(np, "_core") else np.core
    scalar, rebuild = core.multiarray.scalar, core.multiarray._reconstruct
    kinds = dict.fromkeys(map(type, map(np.dtype, "?bBhHiIlLqQefdSU")))
    found: list[Any] = [np.dtype, np.ndarray, *kinds]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(scalar, f"{module}.scalar"), (rebuild, f"{module}._reconstruct")]
    return found
