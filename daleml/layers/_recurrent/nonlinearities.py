"""Nonlinearities, which make rates of states: by name, or functions of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Nonlinearity = Callable[[Tensor], Tensor]

NONLINEARITIES: dict[str, Nonlinearity] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "softplus": softplus,
}
"""The nonlinearities that :func:`fused` knows: what each returns tells its derivative."""


def function(nonlinearity: str | Nonlinearity) -> Nonlinearity:
    """Return a nonlinearity, by its name or given, as a function that leaves the state as it is.

    A user's function may work in place, as ``nn.ReLU(inplace=True)`` does, and a leak needs the
    state afterwards.

    Raises:
        TypeError: From the function, if the nonlinearity gives no tensor of the shape that it
            was given.
    """
    if not callable(nonlinearity):
        return NONLINEARITIES[nonlinearity]
    given = nonlinearity

    def of_copy(state: Tensor) -> Tensor:
        # A copy, since the function may write into what it is given.
        rates = given(state.clone())
        if not isinstance(rates, Tensor) or rates.shape != state.shape:
            got: object = type(rates).__name__
            if isinstance(rates, Tensor):
                got = tuple(rates.shape)
            raise TypeError(
                f"`nonlinearity` must give a rate for each state, {tuple(state.shape)}; got"
                f" {got}."
            )
        return rates

    return of_copy


_KNOWN_FUNCTIONS: dict[Nonlinearity, str] = {
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.tanh: "tanh",
    softplus: "softplus",
}
"""Functions that are known by name: the fused function can then run them."""


def known_nonlinearity(given: Any) -> str | Nonlinearity:
    """Return a nonlinearity by its name where it has one, or raise if it is none."""
    # `nn.ReLU` is callable too, but makes a module and not rates.
    if isinstance(given, type) and issubclass(given, nn.Module):
        name = given.__name__
        raise TypeError(
            f"`nonlinearity` must be a name or a function; got the class {name}: give"
            f" `{name}()`."
        )
    if callable(given):
        own: Nonlinearity = given
        try:
            return _KNOWN_FUNCTIONS.get(own, own)
        except TypeError:
            # A callable of the user's may not be hashable.
            return own
    if not isinstance(given, str):
        raise TypeError(
            f"`nonlinearity` must be a name or a function; got {type(given).__name__}."
        )
    if given not in NONLINEARITIES:
        raise ValueError(
            f"Unknown nonlinearity {given!r}. Select from 'relu', 'tanh' or 'softplus'."
        )
    return given
