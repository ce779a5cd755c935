"""Read weights from files: tables, arrays and checkpoints. Nothing is ever unpickled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daleml import law
from daleml.analysis import effective_weights

if TYPE_CHECKING:
    import pandas as pd

_TABLES = {".csv": ",", ".tsv": "\t"}
_STATES = (".safetensors", ".pt", ".pth", ".bin")
_BUFFERS = (law.SUFFIX, law.PRESENT)
_MISSING = ("", "NA")
_NESTED = ("state_dict", "model_state_dict", "model")


def read_weights(path: Path, name: str | None = None) -> tuple[str, Any]:
    """Read one thing to fit: a column of a table, an array, or the weights of a checkpoint.

    Args:
        path: A ``.csv``, ``.tsv``, ``.npy``, ``.npz``, ``.safetensors``, ``.pt``, ``.pth`` or ``.bin`` file.
        name: The column, array or tensor; may be left out where there is only one, or for a whole checkpoint.

    Returns:
        A name for it, and values that the analysis reads; a table's missing cells (empty, or NA) are NaN.

    Raises:
        ValueError: If the file cannot be read as what its name says, or there is no such column.
        OSError: If it cannot be opened.
    """
    _require_file(path)
    if _suffix(path) in _TABLES:
        column = _column(_table(path), name, path)
        return f"{path.stem}-{column.name}", _to_numbers(column, path)
    if _suffix(path) in _STATES:
        state = read_state(path)
        if name is None:
            return path.stem, state
        _choose(name, [key for key in state if not key.endswith(_BUFFERS)], path, "tensor")
        about = [name.removesuffix("_orig") + suffix for suffix in _BUFFERS]
        known = {key: state[key] for key in about if key in state}
        return f"{path.stem}-{name}", {name: state[name], **known} if known else state[name]
    arrays = _arrays(path)
    chosen = _choose(name, list(arrays), path, "array")
    return path.stem if chosen == "" else f"{path.stem}-{chosen}", arrays[chosen]


def is_table(path: Path) -> bool:
    """Return whether a file has columns by name, as far as its ending says."""
    return _suffix(path) in _TABLES


def read_columns(
    path: Path, name: str | None, numbers: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[str, NDArray[np.float64], dict[str, NDArray[Any]]]:
    """Read a column of a table to fit, and others that say of each row how to take it.

    Args:
        path: A ``.csv`` or ``.tsv`` file.
        name: The column to fit; may be left out where there is only one.
        numbers: Columns of numbers, by the option that names them.
        labels: Columns of names, by the option that names them.

    Returns:
        The column's name, its values, and the others by option; missing cells are NaN, or an empty name.

    Raises:
        ValueError: If the file is no table, there is no such column, or it does not hold numbers where it must.
        OSError: If it cannot be opened.
    """
    _require_file(path)
    table = _table(path)
    column = _column(table, name, path)
    found: dict[str, NDArray[Any]] = {}
    for option, other in numbers.items():
        found[option] = _to_numbers(table[_choose(other, list(table.columns), path, "column", option)], path)
    for option, other in labels.items():
        cells = table[_choose(other, list(table.columns), path, "column", option)].fillna("").str.strip()
        found[option] = cells.mask(cells.isin(_MISSING), "").to_numpy(dtype=object)
    return str(column.name), _to_numbers(column, path), found


def read_matrices(path: Path, name: str | None = None) -> dict[str, Any]:
    """Read every matrix of a file, by name; of a checkpoint with a DANN's three matrices, their effective weight too.

    Raises:
        ValueError: If the file cannot be read as what its name says, or holds no matrix.
        OSError: If it cannot be opened.
    """
    _require_file(path)
    if _suffix(path) in _STATES:
        state = read_state(path)
        found: dict[str, Any] = {
            key: value for key, value in state.items() if value.is_floating_point() and value.ndim == 2
        }
        found |= dict(effective_weights(state))
    elif _suffix(path) in _TABLES:
        table = _table(path)
        found = {path.stem: np.column_stack([_to_numbers(table[column], path) for column in table.columns])}
    else:
        found = {key or path.stem: array for key, array in _arrays(path).items() if array.ndim == 2}
    if not found:
        raise ValueError(f"`{path}` must hold a matrix; got none.")
    return found if name is None else {name: found[_choose(name, list(found), path, "matrix")]}


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file with ``weights_only=True``.

    Raises:
        ValueError: If the file is damaged or holds something else.
        OSError: If it cannot be opened.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _require_file(path, _STATES)
    try:
        content: Any
        if _suffix(path) == ".safetensors":
            content = load_file(path)
        else:
            with warnings.catch_warnings(action="ignore"):  # torch's on pickle protocols, of a file it then refuses
                content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except SafetensorError as error:
        raise ValueError(f"`{path}` must be a safetensors file; {error}.") from None
    except Exception:  # whatever the damage happens to trip over; torch's own advice here is to unpickle
        raise ValueError(
            f"`{path}` must be a torch state dict of tensors only; it is damaged or holds something else."
        ) from None
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = (
        {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, dict)
        else {}
    )
    if not tensors:
        raise ValueError(f"`{path}` must hold a state dict of tensors; got {type(content).__name__}.")
    return tensors


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _require_file(path: Path, known: tuple[str, ...] = (*_TABLES, ".npy", ".npz", *_STATES)) -> None:
    if not path.exists():
        raise FileNotFoundError(f"`{path}` must be a file; it is not there.")
    if not path.is_file():
        raise ValueError(f"`{path}` must be a file; it is a folder.")
    if _suffix(path) not in known:
        raise ValueError(f"`{path}` must end in one of {', '.join(known)}; got {path.suffix or 'no ending'!r}.")


def _choose(name: str | None, available: list[str], path: Path, kind: str, option: str = "--column") -> str:
    if not available:
        raise ValueError(f"`{path}` must hold something to read; it is empty.")
    if name is None and len(available) == 1:
        return available[0]
    if name not in available:
        wanted = "be named, there being several" if name is None else f"be in `{path}`, and {name!r} is not"
        shown = ", ".join(available[:20]) + (", ..." if len(available) > 20 else "")
        raise ValueError(f"`{option}` must name one {kind}: it must {wanted}; got {shown} to choose from.")
    return str(name)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        content = np.load(path, allow_pickle=False)
        arrays = {key: content[key] for key in content.files} if _suffix(path) == ".npz" else {"": content}
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each have their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"`{path}` must be a {path.suffix} file of numbers; {reason}") from None
    return arrays


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    def read(header: Literal[0] | None, rows: int | None = None) -> pd.DataFrame:
        separator = _TABLES[_suffix(path)]
        # A warning, made an error: rows longer than the header would lose their end.
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(
                path,
                sep=separator,
                header=header,
                nrows=rows,
                dtype=str,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            )

    try:
        first = [str(cell).strip() for cell in read(header=None, rows=1).iloc[0].fillna("")]
        has_header = not all(_is_number(cell) or cell in _MISSING for cell in first)
        table = (read(header=0) if has_header else read(header=None)).rename(columns=lambda name: str(name).strip())
    except OSError:
        raise
    except pd.errors.ParserWarning:
        raise ValueError(f"`{path}` must be a table; it has rows longer than its first.") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"`{path}` must be a table; {str(error).splitlines()[0]}.") from None
    return table


def _column(table: pd.DataFrame, name: str | None, path: Path) -> pd.Series[str]:
    return table[_choose(name, list(table.columns), path, "column")]


def _to_numbers(column: pd.Series[str], path: Path) -> NDArray[np.float64]:
    import pandas as pd

    text = column.fillna("").str.strip()  # short rows end in missing cells
    missing = text.isin(_MISSING)
    numbers = pd.to_numeric(text.mask(missing), errors="coerce")
    wrong = text[numbers.isna() & ~missing]
    if len(wrong):
        raise ValueError(
            f"column {column.name!r} of `{path}` must hold numbers; got {wrong.iloc[0]!r} in row {wrong.index[0] + 1}"
            + (f", and {len(wrong) - 1} more such values." if len(wrong) > 1 else ".")
        )
    return np.asarray(numbers, dtype=np.float64)


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
