"""Read weights from files: tables, arrays and checkpoints. Nothing is ever unpickled.

What reads the files themselves is :mod:`daleml.reading`; here is what the commands ask of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml import reading
from daleml.reading import (
    OnNote,
    Table,
    TableOptions,
    choose,
    is_table,
    matrix_of,
    printable,
    require_file,
    suffix,
    to_names,
    warn,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["is_table", "read_columns", "read_matrices", "read_state", "read_weights"]

_DEFAULT = TableOptions()


def read_weights(
    path: Path,
    name: str | None = None,
    *,
    options: TableOptions = _DEFAULT,
    say: OnNote = warn,
) -> tuple[str, Any]:
    r"""Read one thing to fit: a column of a table, an array, or the weights of a checkpoint.

    Args:
        path: A table (``.csv``, ``.tsv``, compressed or not, ``.xlsx``, ``.parquet``,
            ``.feather``), a file of arrays (``.npy``, ``.npz``, ``.mat``, ``.h5``) or a
            checkpoint (``.safetensors``, ``.pt``, ``.pth``, ``.bin``, ``.ckpt``).
        name: The column, array or tensor; may be left out where there is only one, or for a
            whole checkpoint.
        options: How a table is written, where that is not to be found out.
        say: What takes notes, a sentence each, on what was taken for what; default: a warning.

    Returns:
        A name for it, and values that the analysis reads; a table's missing cells are NaN.

    Raises:
        ValueError: If the file cannot be read as what its name says, or there is no such column.
        ModuleNotFoundError: If the library for it is not installed.
        OSError: If it cannot be opened.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "synapses.csv")
        ...     written = file.write_text("size,cell\n0.5,a\n1.5,b\n")
        ...     name, sizes = read_weights(file, "size")
        >>> name, sizes.tolist()
        ('synapses-size', [0.5, 1.5])
    """
    require_file(path, reading.KINDS)
    if is_table(path):
        table = reading.read_table(path, options, say)
        column = choose(name, table.names(), path, "column")
        return f"{path.stem}-{column}", table.numbers(column)
    if suffix(path) in reading.STATES:
        return _weights_of_state(path, name, say)
    chosen, array = reading.read_array(path, name, "array", say)
    _require_numbers(path, chosen, array)
    return path.stem if chosen == "" else f"{path.stem}-{chosen}", array


def _weights_of_state(path: Path, name: str | None, say: OnNote) -> tuple[str, Any]:
    """Read a tensor of a checkpoint with the signs that are saved beside it, or all of it."""
    from daleml import law

    state = reading.read_checkpoint(path, say)
    if name is None:
        return path.stem, state
    facts = law.BUFFERS
    choose(name, [key for key in state if not key.endswith(facts)], path, "tensor")
    # A pruned weight is stored as `weight_orig`; its signs have the name it had before.
    about = [name.removesuffix("_orig") + fact for fact in facts]
    known = {key: state[key] for key in about if key in state}
    taken = {name: state[name], **known} if known else state[name]
    return f"{path.stem}-{name}", taken


def read_columns(
    path: Path,
    name: str | None,
    numbers: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    options: TableOptions = _DEFAULT,
    say: OnNote = warn,
    censor_below: float | None = None,
    signed: bool = False,
) -> tuple[str, NDArray[np.float64], dict[str, NDArray[Any]]]:
    r"""Read a column of a table to fit, and others that say of each row how to take it.

    Args:
        path: A table, or a file of arrays of one length.
        name: The column to fit; may be left out where there is only one.
        numbers: Columns of numbers, by the option that names them.
        labels: Columns of names, by the option that names them; ids are kept as they are written.
        options: How the table is written, where that is not to be found out.
        say: What takes notes on what was taken for what; default: a warning.
        censor_below: The bound below which magnitudes are known only to be no larger: cells
            such as ``<0.01`` are read then.
        signed: Whether negative values are known to mean something.

    Returns:
        The column's name, its values, and the others by option; missing cells are NaN, or an
        empty name.

    Raises:
        ValueError: If the file is no table, there is no such column, or it does not hold
            numbers where it must.
        ModuleNotFoundError: If the library for it is not installed.
        OSError: If it cannot be opened.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "synapses.csv")
        ...     written = file.write_text("size,cell\n0.5,a\n1.5,b\n")
        ...     _, sizes, others = read_columns(file, "size", {}, {"--by": "cell"})
        >>> sizes.tolist(), others["--by"].tolist()
        ([0.5, 1.5], ['a', 'b'])
    """
    # Read once; the columns are taken from what was read.
    table = reading.read_table(path, options, say)
    return columns_of(
        table, name, numbers, labels, censor_below=censor_below, signed=signed
    )


def columns_of(
    table: Table,
    name: str | None,
    numbers: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    censor_below: float | None = None,
    signed: bool = False,
) -> tuple[str, NDArray[np.float64], dict[str, NDArray[Any]]]:
    """Take the columns of a table that was read: see :func:`read_columns`."""
    available = table.names()
    column = choose(name, available, table.path, "column")
    found: dict[str, NDArray[Any]] = {}
    for option, other in numbers.items():
        found[option] = table.numbers(
            choose(other, available, table.path, "column", option)
        )
    for option, other in labels.items():
        chosen = choose(other, available, table.path, "column", option)
        # Cells are often named by numbers, which are no sizes.
        are_ids = option in ("--pre", "--post")
        found[option] = to_names(table, chosen, ids=are_ids)
    values = table.numbers(column, censor_below=censor_below, signed=signed)
    return column, values, found


def read_matrices(
    path: Path,
    name: str | None = None,
    *,
    options: TableOptions = _DEFAULT,
    say: OnNote = warn,
) -> dict[str, Any]:
    """Read every matrix of a file, by name.

    Of a checkpoint with a DANN's three matrices, their effective weight too.

    Args:
        path: A table, a file of arrays or a checkpoint, as :func:`read_weights` takes them.
        name: The name of the matrix to read; default: all.
        options: How a table is written, where that is not to be found out.
        say: What takes notes on what was taken for what; default: a warning.

    Returns:
        Arrays or tensors of two dimensions, by name.

    Raises:
        ValueError: If the file cannot be read as what its name says, or holds no matrix.
        ModuleNotFoundError: If the library for it is not installed.
        OSError: If it cannot be opened.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "weights.npy")
        ...     np.save(file, np.eye(2))
        ...     matrices = read_matrices(file)
        >>> {name: matrix.shape for name, matrix in matrices.items()}
        {'weights': (2, 2)}
    """
    require_file(path, reading.KINDS)
    if suffix(path) in reading.STATES:
        found = _matrices_of_state(reading.read_checkpoint(path, say))
    elif is_table(path):
        found = {path.stem: matrix_of(reading.read_table(path, options, say))}
    elif name is not None:
        chosen, array = reading.read_array(path, name, "matrix", say)
        # An array of another shape is no matrix, which is said below.
        found = {chosen: array} if array.ndim == 2 else {}
    else:
        found = {}
        for key, array in reading.read_arrays(path, say, dimensions=2).items():
            if array.ndim == 2 and array.size:
                # The only array of a `.npy` file has no name.
                found[key or path.stem] = array
    if not found:
        raise ValueError(f"`{printable(path)}` must hold a matrix; got none.")
    for key, value in found.items():
        if isinstance(value, np.ndarray):
            _require_numbers(path, key, value)
    if name is None:
        return found
    return {name: found[choose(name, list(found), path, "matrix")]}


def _matrices_of_state(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the matrices of a checkpoint, as they are stored and as they act."""
    from daleml.analysis import effective_weights

    found: dict[str, Any] = {}
    for name, value in state.items():
        if value.is_floating_point() and value.ndim == 2:
            found[name] = value
    return found | dict(effective_weights(state))


def read_state(path: Path, say: OnNote = warn) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, a torch file or a ``.npz``; unpickle nothing.

    Args:
        path: The checkpoint.
        say: What takes notes on what was taken for what; default: a warning.

    Returns:
        Dense tensors by name.

    Raises:
        ValueError: If the file is damaged or holds something else.
        OSError: If it cannot be opened.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "layer.pt")
        ...     torch.save(torch.nn.Linear(3, 2).state_dict(), file)
        ...     state = read_state(file)
        >>> sorted(state)
        ['bias', 'weight']
    """
    return reading.read_checkpoint(path, say)


def _require_numbers(path: Path, name: str, array: NDArray[Any]) -> None:
    # Floats and integers: a fit knows neither truth values, complex numbers nor text.
    if array.dtype.kind not in "fiu":
        what = f"`{printable(path)}`"
        if name:
            what = f"array {name!r} of {what}"
        raise ValueError(f"{what} must hold real numbers; got {array.dtype}.")
