"""Real numbers, read from arrays, lists and tensors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from daleml._support.torch_values import is_tensor

if TYPE_CHECKING:
    from torch import Tensor


def numbers(values: Any, name: str = "weights") -> NDArray[Any]:
    """Read real numbers into an array, as they are stored: no copy where none is needed.

    Args:
        values: An array, a list, a column of a table, or a tensor.
        name: What they are called, for a sentence.

    Raises:
        TypeError: If they are no numbers.
        ValueError: If they are rows of several lengths.
    """
    if isinstance(values, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be real numbers; got {str(values)!r}: if that is a file, read"
            " it first."
        )
    if is_sparse(values):
        raise TypeError(
            f"`{name}` must be dense here; got a sparse matrix: give the numbers that it"
            " stores, or the matrix as a dense one."
        )
    if is_tensor(values):
        values = _of_tensor(values)
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    try:
        array = np.asarray(values)
    # NumPy's words for it do not name the argument.
    except ValueError:
        raise ValueError(
            f"`{name}` must have rows of one length; got rows of several lengths."
        ) from None
    if array.dtype.kind not in "fiu":
        hint = ""
        # Tables of synapses and connectomes hold columns of numbers.
        if hasattr(values, "table") or hasattr(values, "edges"):
            hint = ", such as one column of the table"
        raise TypeError(
            f"`{name}` must be real numbers{hint}; got {array.dtype} values."
        )
    return array


def is_sparse(values: object) -> bool:
    """Return whether something is a sparse matrix of scipy, or a sparse tensor of torch."""
    if is_tensor(values):
        import torch

        return values.layout != torch.strided
    # Nothing is a matrix of scipy as long as nobody has imported it.
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(values))


def _of_tensor(values: Tensor) -> NDArray[Any]:
    import torch

    from daleml._support.sharded_tensors import whole

    values = whole(values.detach()).cpu()
    is_float8 = values.is_floating_point() and values.dtype.itemsize == 1
    # NumPy has neither of these types.
    if is_float8 or values.dtype == torch.bfloat16:
        values = values.float()
    return values.numpy()
