"""Argument checks: one sentence each, with the argument, the rule and the value."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def integer(name: str, value: object, minimum: int = 0) -> int:
    """Return ``value`` as an int, or raise if it is not an integer of at least ``minimum``."""
    # In Python a bool is an integer, too.
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer; got {value!r}.")
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}; got {value}.")
    return int(value)


def flag(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False, or raise.

    Anything else that merely counts as true or false is more often a slip than meant.
    """
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False; got {value!r}.")
    return value


def number(name: str, value: object) -> float:
    """Return ``value`` as a finite float, or raise."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number; got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite; got {value}.")
    return float(value)


def non_negative(name: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is negative or not finite."""
    result = number(name, value)
    if result < 0:
        raise ValueError(f"`{name}` must be at least 0; got {value}.")
    return result


def positive(name: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is not above 0 or not finite."""
    result = number(name, value)
    if result <= 0:
        raise ValueError(f"`{name}` must be above 0; got {value}.")
    return result


def fraction(name: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is outside [0, 1]."""
    result = number(name, value)
    if not 0 <= result <= 1:
        raise ValueError(f"`{name}` must be a fraction in [0, 1]; got {value}.")
    return result


def tensor(name: str, value: object) -> Tensor:
    """Return ``value``, or raise if it is no tensor."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise TypeError(f"`{name}` must be a tensor; got {type(value).__name__}.")
    return value


def text(name: str, value: object) -> str:
    """Return ``value``, or raise if it is no string."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a string; got {type(value).__name__}.")
    return value


def path(name: str, value: object) -> Path:
    """Return ``value`` as a path, or raise if it is neither a string nor a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(
            f"`{name}` must be the path of a file or folder; got {type(value).__name__}."
        )
    return Path(value)


def generator(name: str, value: object) -> Generator | None:
    """Return ``value``, or raise if it is neither a generator nor None."""
    import torch

    if value is None or isinstance(value, torch.Generator):
        return value
    hint = ""
    # A seed in place of a generator, as numpy takes it.
    if isinstance(value, numbers.Integral):
        hint = ": write `torch.Generator().manual_seed(...)`"
    raise TypeError(
        f"`{name}` must be a torch.Generator; got {type(value).__name__}{hint}."
    )
