"""Values as results give and take them: arrays of numbers, and what JSON can hold."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from daleml import require


def to_plain(value: Any) -> Any:
    """Return a value as JSON can hold it: what is not finite is None."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def fields_of(result: Any) -> dict[str, Any]:
    """Return the fields of a frozen result as plain values."""
    return {
        field.name: to_plain(getattr(result, field.name))
        for field in dataclasses.fields(result)
    }


def real_numbers(name: str, values: object, n_dims: int = 1) -> NDArray[np.float64]:
    """Return numbers as an array of float64, or raise if they are none, or of other dimensions.

    Args:
        name: Of the argument.
        values: Numbers, in an array, a tensor or a sequence.
        n_dims: How many dimensions they must have.
    """
    # A tensor may need a gradient, or lie on another device.
    if isinstance(values, Tensor):
        values = tensor_values(values)
    try:
        found = np.asarray(values)
        # Texts of digits would become numbers, and complex numbers lose a part.
        if found.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            f"`{name}` must hold real numbers; got {type(values).__name__}."
        ) from None
    if found.ndim != n_dims:
        raise ValueError(
            f"`{name}` must have {n_dims} dimension{'s' * (n_dims > 1)}; got shape"
            f" {found.shape}."
        )
    return found.astype(np.float64)


def tensor_values(values: Tensor) -> NDArray[Any]:
    """Return what a tensor holds, in a type that NumPy has: it has no bfloat16."""
    found = values.detach().cpu()
    if found.is_floating_point():
        found = found.double()
    return np.asarray(found.numpy())


def same_length(**arrays: NDArray[Any]) -> int:
    """Return the length that arrays share, or raise if they differ, or if it is 0."""
    lengths = {name: len(array) for name, array in arrays.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first]:
            raise ValueError(
                f"`{name}` must have one value for each of `{first}`, {lengths[first]}; got"
                f" {length}."
            )
    if lengths[first] == 0:
        raise ValueError(f"`{first}` must not be empty; got no trial.")
    return lengths[first]


def enough_shuffles(value: object, level: float) -> int:
    """Return a number of shuffles, or raise if no p-value could be as small as a level."""
    number = require.integer("n_shuffles", value, minimum=19)
    # The smallest p-value is that of no shuffle at least as extreme, but for rounding.
    least = math.ceil(1 / level - 1 - 1e-9)
    if number < least:
        raise ValueError(
            f"`n_shuffles` must be at least {least} for p-values of {level:g}; got {number}."
        )
    return number


def open_fraction(name: str, value: object) -> float:
    """Return a fraction inside (0, 1), or raise."""
    number = require.number(name, value)
    if not 0 < number < 1:
        raise ValueError(f"`{name}` must be above 0 and below 1; got {number:g}.")
    return number
