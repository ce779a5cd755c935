"""Kinds of parameters: which numbers they may be, and what the unit of the weights does to them."""

from __future__ import annotations

import math
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Params: TypeAlias = tuple[float, ...]

# The exponential of a larger number overflows.
_LARGEST_EXPONENT = 700.0


class Kind(Enum):
    """The kind of a parameter: its range, and how it changes with the unit of the weights.

    A likelihood is maximised over free coordinates, which may be any number. Each kind knows
    the map between a parameter and its free coordinate.

    Example:
        >>> Kind.SHAPE.free(1.0), Kind.SHAPE.bound(0.0)
        (0.0, 1.0)
    """

    SCALE = "positive; in the unit of the weights"
    LOCATION = "any number; in the unit of the weights"
    LOG_LOCATION = "any number; a logarithm of weights"
    SHAPE = "positive; free of units"
    REAL = "any number; free of units"
    SHARE = "between 0 and 1; free of units"

    def free(self, value: float) -> float:
        """Return the free coordinate of a parameter of this kind."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return math.log(value)
        if self is Kind.LOCATION:
            # It is straight near zero, and a logarithm far from it.
            return math.asinh(value)
        if self is Kind.SHARE:
            return math.log(value / (1 - value))
        return value

    def bound(self, free: float) -> float:
        """Return the parameter that has the free coordinate ``free``: undo :meth:`free`."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return math.exp(free) if free < _LARGEST_EXPONENT else math.inf
        if self is Kind.LOCATION:
            if abs(free) < _LARGEST_EXPONENT:
                return math.sinh(free)
            return math.copysign(math.inf, free)
        if self is Kind.SHARE:
            return 1 / (1 + math.exp(-free)) if free > -_LARGEST_EXPONENT else 0.0
        return float(free)

    def slope(self, value: float) -> float:
        """Return the derivative of a parameter with respect to its free coordinate."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return value
        if self is Kind.LOCATION:
            return math.hypot(1, value)
        if self is Kind.SHARE:
            return value * (1 - value)
        return 1.0

    def in_unit(self, value: float, unit: float) -> float:
        """Return a parameter of the same weights in another unit, ``unit`` times as small."""
        if self in (Kind.SCALE, Kind.LOCATION):
            return value * unit
        if self is Kind.LOG_LOCATION:
            return value + math.log(unit)
        return value

    @property
    def is_location(self) -> bool:
        """Whether the parameter says where the weights lie, and hardly varies if they do not."""
        return self in (Kind.LOCATION, Kind.LOG_LOCATION)
