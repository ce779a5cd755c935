"""Rates of units in trials, as circuits give them, and the labels of the trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from daleml.analysis.activity.plain_values import tensor_values
from daleml.populations import Populations

Array = NDArray[np.float64]


def as_rates(name: str, values: object, flat: str = "trials, units") -> Array:
    """Return rates as an array, (time, trials, units) or flat, or raise.

    A result that has rates, such as a trajectory, will do.

    Args:
        name: The argument, for the sentence of an error.
        values: The rates.
        flat: What the two dimensions of flat rates are.
    """
    values = getattr(values, "rates", values)
    # The pair that a circuit returns, given whole.
    if isinstance(values, tuple):
        raise TypeError(
            f"`{name}` must be a tensor of rates; got a tuple: a circuit returns rates"
            " first, then the state."
        )
    if isinstance(values, Tensor):
        values = tensor_values(values)
    found = np.asarray(values)
    # Objects and texts are no rates, and complex numbers are none either.
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"`{name}` must be a tensor of real numbers; got {type(values).__name__}."
        )
    if found.ndim not in (2, 3) or 0 in found.shape:
        raise ValueError(
            f"`{name}` must have shape (time, trials, units) or ({flat}), none of them"
            f" 0; got {found.shape}."
        )
    return found.astype(np.float64)


def window_means(name: str, values: object, window: object) -> Array:
    """Return the mean rate of each unit in each trial, over the steps of a window.

    Args:
        name: Of the argument that holds the rates.
        values: Rates, (time, trials, units) or, without a window, (trials, units).
        window: Which steps: a slice, or a boolean for each step and trial; None for all.

    Returns:
        Means, (trials, units).
    """
    found = as_rates(name, values)
    if found.ndim == 2:
        if window is not None:
            raise ValueError(
                f"`window` must be None where `{name}` has no time; got"
                f" {type(window).__name__}."
            )
        return require_finite(name, found)
    if window is None:
        return require_finite(name, found.mean(axis=0))
    if not isinstance(window, slice):
        return require_finite(name, _means_of_steps(found, window))
    n_steps, steps = len(found), found[window]
    # Slices that reach beyond the end are cut in silence by numpy.
    is_beyond = window.stop is not None and window.stop > n_steps
    if len(steps) == 0 or is_beyond:
        raise ValueError(f"`window` must hold steps from 0 to {n_steps}; got {window}.")
    return require_finite(name, steps.mean(axis=0))


def _means_of_steps(rates: Array, window: object) -> Array:
    """Return mean rates over the steps that a boolean of each step and trial has."""
    given = window
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    chosen = np.asarray(given)
    if chosen.dtype != np.bool_ or chosen.shape != rates.shape[:2]:
        raise ValueError(
            f"`window` must be a slice of steps, or a boolean of shape {rates.shape[:2]}; got"
            f" {type(window).__name__} of shape {chosen.shape}."
        )
    counts = chosen.sum(axis=0)
    if not counts.all():
        raise ValueError(
            f"`window` must have a step of each trial; got none of {(counts == 0).sum()}."
        )
    # What is outside of the window may be padding, of any value.
    summed = np.where(chosen[..., None], rates, 0.0).sum(axis=0)
    return np.asarray(summed / counts[:, None])


def require_finite(name: str, values: Array) -> Array:
    """Return values, or raise if one is NaN or infinite."""
    if not np.isfinite(values).all():
        raise ValueError(f"`{name}` must be finite; got NaN or an infinite value.")
    return values


def as_labels(name: str, values: object, n_trials: int) -> NDArray[Any]:
    """Return one label for each trial, numbers or texts, or raise."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    found = np.asarray(values)
    if found.dtype.kind not in "biufUS":
        raise TypeError(
            f"`{name}` must be numbers or texts, one for each trial; got"
            f" {type(values).__name__}."
        )
    if found.shape != (n_trials,):
        raise ValueError(
            f"`{name}` must have one value for each of {n_trials} trials; got shape"
            f" {found.shape}."
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"`{name}` must be finite; got NaN or an infinite value.")
    return found


def population_units(populations: Any, n_units: int) -> Mapping[str, slice]:
    """Return which units belong to each population, or raise if their number differs."""
    if not isinstance(populations, Populations):
        raise TypeError(
            f"`populations` must be Populations; got {type(populations).__name__}."
        )
    total = populations.size
    if total != n_units:
        raise ValueError(
            f"`populations` must have as many units as there are, {n_units}; got {total}."
        )
    return {name: populations[name] for name in populations.names}
