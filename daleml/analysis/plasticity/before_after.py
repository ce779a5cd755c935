"""The same synapses before and after learning, from anything weight-like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from daleml import law
from daleml.analysis.weights.stored_matrices import weight_matrices

Weights: TypeAlias = "Tensor | ArrayLike | nn.Module | Mapping[str, Any]"

FEWEST = 20
"""Weights, fewer than which say nothing."""


class Pair(NamedTuple):
    """The weights of the same synapses, before and after.

    Attributes:
        names: Of the parameters pooled; empty for arrays.
        before: Shape ``(n,)``, double precision.
        after: The same.
        n_absent: Number of synapses left out: masked, pruned, or zero both times.
        eps: The relative precision the weights came in.
    """

    names: tuple[str, ...]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    n_absent: int
    eps: float


def read_pair(
    before: Weights, after: Weights, parameters: Sequence[str] | None = None
) -> Pair:
    """Return the weights of the synapses that exist, or raise in one sentence.

    Args:
        before: A tensor, an array, a module or a state dict.
        after: The same, of the same shapes and names.
        parameters: Names of the parameters of a model to pool; default: all with two dimensions
            or more.
    """
    are_models = {
        isinstance(weights, (nn.Module, Mapping)) for weights in (before, after)
    }
    if len(are_models) > 1:
        kinds = " and ".join(type(weights).__name__ for weights in (before, after))
        raise TypeError(
            "`before` and `after` must both be models or state dicts, or neither; got"
            f" {kinds}."
        )
    if True in are_models:
        rows, n_masked = _pair_models(before, after, parameters)
    elif parameters is None:
        rows, n_masked = {"": (_real("before", before), _real("after", after))}, 0
    else:
        raise ValueError(
            "`parameters` must be left out unless `before` and `after` are models; got"
            " arrays."
        )
    for name, (one, other) in rows.items():
        if one.shape != other.shape:
            of = f" of {name}" if name else ""
            raise ValueError(
                f"`after` must have the shape{of} of `before`, {one.shape}; got"
                f" {other.shape}."
            )
    eps = max(
        float(np.finfo(row.dtype).eps) if row.dtype.kind == "f" else 0.0
        for pair in rows.values()
        for row in pair
    )
    old, new = (
        np.concatenate([pair[i].ravel() for pair in rows.values()]).astype(np.float64)
        for i in range(2)
    )
    for name, weights in (("before", old), ("after", new)):
        n_bad = int(np.count_nonzero(~np.isfinite(weights)))
        if n_bad:
            raise ValueError(
                f"`{name}` must be finite; got {n_bad} NaN or infinite values of"
                f" {weights.size}."
            )
        if weights.size and not weights.any():
            raise ValueError(
                f"`{name}` must hold a weight other than zero; got {weights.size} zeros."
            )
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
    return Pair(tuple(name for name in rows if name), old, new, n_absent, eps)


_Rows: TypeAlias = dict[str, tuple[NDArray[Any], NDArray[Any]]]


def _pair_models(
    before: Any, after: Any, parameters: Sequence[str] | None
) -> tuple[_Rows, int]:
    """Return the synapses of each parameter that exist both before and after, and how many do not."""
    states = [_state("before", before), _state("after", after)]
    facts = {
        key: value
        for state in states
        for key, value in state.items()
        if key.endswith((law.SUFFIX, law.PRESENT))
    }
    # A plain model's checkpoint has no signs and no mask in it: those of the other are its own.
    first, second = (
        {one.name: one for one in weight_matrices(facts | state)} for state in states
    )
    if first.keys() != second.keys():
        odd = ", ".join(sorted(first.keys() ^ second.keys()))
        raise ValueError(
            f"`after` must hold the weights of `before`, by the same names; got {odd} in"
            " one of them only."
        )
    chosen = (
        list(first)
        if parameters is None
        else [parameters]
        if isinstance(parameters, str)
        else list(parameters)
    )
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
        masks = [one.present for one in (old, new) if one.present is not None]
        if masks and old.values.shape == new.values.shape:
            exists = np.logical_and.reduce(masks)
            n_masked += int(np.count_nonzero(~exists))
            rows[name] = old.values[exists], new.values[exists]
        else:
            rows[name] = old.values, new.values
    return rows, n_masked


def _state(argument: str, weights: nn.Module | Mapping[str, Any]) -> dict[str, Any]:
    state = dict(weights.state_dict() if isinstance(weights, nn.Module) else weights)
    for name, value in state.items():
        if (
            isinstance(value, (Tensor, np.ndarray))
            and torch.as_tensor(value).is_complex()
        ):
            raise TypeError(
                f"`{argument}` must be real numbers; got {value.dtype!s} values in {name}."
            )
    return state


def _real(argument: str, weights: Any) -> NDArray[Any]:
    if isinstance(weights, Tensor):
        weights = weights.detach().cpu()
        weights = (
            weights.float() if weights.dtype == torch.bfloat16 else weights
        ).numpy()
    array = np.asarray(weights)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{argument}` must be real numbers; got {array.dtype} values.")
    return array
