"""The same synapses before and after learning, from anything weight-like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml import law
from daleml.analysis.weights.sample import WeightsLike
from daleml.analysis.weights.stored_matrices import WeightMatrix, weight_matrices

FEWEST = 20
"""Fewer weights than this say nothing of a distribution."""

_Rows: TypeAlias = dict[str, tuple[NDArray[Any], NDArray[Any]]]
"""The weights of each parameter, before and after."""


class Pair(NamedTuple):
    """The weights of the same synapses, before and after.

    Attributes:
        names: Of the parameters pooled; empty for arrays.
        before: Shape ``(n,)``, double precision.
        after: The same.
        n_absent: Number of synapses left out: masked, pruned, or zero both times.
        eps: The relative precision in which the weights came.
    """

    names: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    n_absent: int
    eps: float


def read_pair(
    before: WeightsLike, after: WeightsLike, parameters: Sequence[str] | None = None
) -> Pair:
    """Return the weights of the synapses that exist, or raise in one sentence.

    Args:
        before: A tensor, an array, a module or a state dict.
        after: The same, of the same shapes and names.
        parameters: Names of the parameters of a model to pool; default: all with two dimensions
            or more.

    Raises:
        TypeError: If weights are not real numbers, or a model is given beside an array.
        ValueError: If the shapes or names differ, nothing changed, a weight is NaN or infinite,
            all are zero, or there are too few.
    """
    models = [isinstance(weights, (nn.Module, Mapping)) for weights in (before, after)]
    # An array has no names by which to find the weights of a model.
    if any(models) and not all(models):
        raise TypeError(
            "`before` and `after` must both be models or state dicts, or neither; got"
            f" {type(before).__name__} and {type(after).__name__}."
        )
    if parameters is not None and not any(models):
        raise ValueError(
            "`parameters` must be left out unless `before` and `after` are models; got"
            " arrays."
        )
    if any(models):
        rows, n_masked = _pair_models(before, after, parameters)
    else:
        rows, n_masked = {"": (_real("before", before), _real("after", after))}, 0
    return _joined(rows, n_masked)


def _joined(rows: _Rows, n_masked: int) -> Pair:
    """Return the weights of all parameters in one row, checked."""
    for name, (one, other) in rows.items():
        if one.shape != other.shape:
            of = f" of {name}" if name else ""
            raise ValueError(
                f"`after` must have the shape{of} of `before`, {one.shape}; got"
                f" {other.shape}."
            )
    parts = list(rows.values())
    old = np.concatenate([one.ravel() for one, _ in parts]).astype(np.float64)
    new = np.concatenate([other.ravel() for _, other in parts]).astype(np.float64)
    _require_weights("before", old)
    _require_weights("after", new)
    # What is zero both times may be a synapse that does not exist, whatever says so.
    exists = (old != 0) | (new != 0)
    n_absent = n_masked + int(np.count_nonzero(~exists))
    if not exists.all():
        old, new = old[exists], new[exists]
    if old.size < FEWEST:
        raise ValueError(
            f"`before` must hold at least {FEWEST} weights other than zero; got {old.size}."
        )
    if np.array_equal(old, new):
        raise ValueError(
            f"`after` must differ from `before`; got the same {old.size:,} weights: "
            "a state dict shares memory with its module, copy it before training."
        )
    names = tuple(filter(None, rows))
    # A change is rounding where it is below the coarser of the precisions.
    eps = max(max(_precision(one), _precision(other)) for one, other in parts)
    return Pair(names, old, new, n_absent, eps)


def _require_weights(argument: str, weights: NDArray[np.float64]) -> None:
    """Raise if weights are NaN or infinite, or all of them zero."""
    n_wrong = int(np.count_nonzero(~np.isfinite(weights)))
    if n_wrong:
        raise ValueError(
            f"`{argument}` must be finite; got {n_wrong} NaN or infinite values of"
            f" {weights.size}."
        )
    if weights.size and not weights.any():
        raise ValueError(
            f"`{argument}` must hold a weight other than zero; got {weights.size} zeros."
        )


def _precision(values: NDArray[Any]) -> float:
    """Return the relative precision of an array's type; whole numbers are exact."""
    return float(np.finfo(values.dtype).eps) if values.dtype.kind == "f" else 0.0


def _pair_models(
    before: Any, after: Any, parameters: Sequence[str] | None
) -> tuple[_Rows, int]:
    """Return the synapses of each parameter that exist, and the number of those that do not.

    A synapse exists if it does so both before and after.
    """
    states = [_state("before", before), _state("after", after)]
    # A plain model's checkpoint has no signs and no mask in it: those of the other are its own.
    facts: dict[str, Any] = {}
    for state in states:
        for key, value in state.items():
            if key.endswith(law.BUFFERS):
                facts[key] = value
    first, second = (_by_name(facts | state) for state in states)
    if first.keys() != second.keys():
        odd = ", ".join(sorted(first.keys() ^ second.keys()))
        raise ValueError(
            f"`after` must hold the weights of `before`, by the same names; got {odd} in"
            " one of them only."
        )
    if parameters is None:
        chosen = list(first)
    elif isinstance(parameters, str):
        chosen = [parameters]
    else:
        chosen = list(parameters)
    for name in chosen:
        if name not in first:
            raise ValueError(
                f"`parameters` must be among {', '.join(first)}; got {name!r}."
            )
    if not chosen:
        raise ValueError(
            "`before` must hold a weight of two dimensions or more; got none."
        )
    rows, n_masked = {}, 0
    for name in chosen:
        old, new = first[name], second[name]
        # A synapse that one of the models lacks is left out of both.
        masks = [mask for mask in (old.present, new.present) if mask is not None]
        if masks and old.values.shape == new.values.shape:
            exists = np.logical_and.reduce(masks)
            n_masked += int(np.count_nonzero(~exists))
            rows[name] = old.values[exists], new.values[exists]
        else:
            rows[name] = old.values, new.values
    return rows, n_masked


def _by_name(state: Mapping[str, Any]) -> dict[str, WeightMatrix]:
    return {one.name: one for one in weight_matrices(state)}


def _state(argument: str, weights: nn.Module | Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict, whose weights are no complex numbers."""
    if isinstance(weights, nn.Module):
        weights = weights.state_dict()
    state = dict(weights)
    for name, value in state.items():
        is_array = isinstance(value, (Tensor, np.ndarray))
        if is_array and torch.as_tensor(value).is_complex():
            raise TypeError(
                f"`{argument}` must be real numbers; got {value.dtype!s} values in {name}."
            )
    return state


def _real(argument: str, weights: Any) -> NDArray[Any]:
    """Return real numbers as an array."""
    if isinstance(weights, Tensor):
        weights = weights.detach().cpu()
        # NumPy has no bfloat16.
        if weights.dtype == torch.bfloat16:
            weights = weights.float()
        weights = weights.numpy()
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{argument}` must be real numbers; got {array.dtype} values.")
    return array
