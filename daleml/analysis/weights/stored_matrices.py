"""Weight matrices as they are stored: the parameters of a model, with what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import law
from daleml._sparse_weights import Pattern, pattern_of_state
from daleml._support.sharded_tensors import gathered, is_sharded, reshard, whole
from daleml.analysis.weights import pathways
from daleml.analysis.weights.pathways import By
from daleml.analysis.weights.real_numbers import numbers


class WeightMatrix(NamedTuple):
    """One parameter of a model, with what is known of its synapses.

    Attributes:
        name: The parameter's.
        values: Its weights; where signs are fixed, ``(others, pre)``.
        signs: One per presynaptic unit; None if not fixed.
        present: Which synapses exist, of the shape of ``values``; None if all do.
        pattern: Where the synapses of a sparse weight lie, whose values and signs are vectors, one
            number for each synapse; None of a matrix.
    """

    name: str
    values: NDArray[Any]
    signs: NDArray[Any] | None
    present: NDArray[np.bool_] | None
    pattern: Pattern | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix, of a sparse weight too."""
        return self.values.shape if self.pattern is None else self.pattern.shape

    def synapses(self, sign: int | None = None) -> NDArray[Any]:
        """Return the weights of the synapses that exist, in one row.

        Args:
            sign: Only those of presynaptic units of this sign, +1 or -1, where signs are fixed,
                and those of units without one. Default: all.
        """
        values, present = self.values, self.present
        if sign is not None and self.signs is not None:
            chosen = (self.signs == sign) | (self.signs == 0)
            values = values[..., chosen]
            if present is not None:
                present = present[..., chosen]
        return values.ravel() if present is None else values[present]


def weight_matrices(
    weights: nn.Module | Mapping[str, Any], *, by: By = None
) -> Iterator[WeightMatrix]:
    """Yield the weights of a model, parameter by parameter, or block by block.

    Pruned weights come with their zeros; parameters with fewer than two dimensions are left out.

    Args:
        weights: A module or a state dict.
        by: Whether to divide them, as for :func:`weight_samples`; what no layer names the
            populations of comes whole.

    Raises:
        TypeError: If it is neither, or ``by`` is given for a state dict.
        ValueError: If ``by`` is given and no layer names its populations.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear
        >>> (weight,) = weight_matrices(EILinear(Populations(3, 1), 5))
        >>> weight.name, weight.values.shape, weight.signs
        ('weight', (5, 4), array([ 1,  1,  1, -1], dtype=int8))
    """
    if by is not None:
        yield from _divided(weights, weight_matrices(weights), by)
        return
    if isinstance(weights, nn.Module):
        state = unpruned(_state_of(weights))
    else:
        state = unpruned(require_state(weights))
    for name, value in state.items():
        pattern = None
        if isinstance(value, Tensor) and value.ndim == 1:
            pattern = pattern_of_state(state, name)
        if pattern is not None:
            yield _of_sparse(name, value, state, pattern)
        elif is_matrix(name, value):
            array = numbers(value)
            # Whole numbers are counts and indices, no weights.
            if array.dtype.kind == "f":
                yield _with_facts(name, array, state)


def _divided(
    model: Any, matrices: Iterator[WeightMatrix], by: By
) -> Iterator[WeightMatrix]:
    """Divide the stored matrices of a model.

    Raises:
        TypeError: If ``model`` is no module, whose layers could name populations.
        ValueError: If ``by`` is no way to divide, or no layer names populations.
    """
    pathways.require_module(model, by)
    known = pathways.known_by_name(model)
    pathways.require_populations(one for _, one in known.values())
    for matrix in matrices:
        module, one = known.get(matrix.name, (None, None))
        # A matrix of torch's own layers belongs to no population.
        pre, post = (None, None) if one is None else (one.pre, one.post)
        n_rows = matrix.shape[0]
        # The taps of a kernel lie side by side, output by output; a group has its own outputs.
        if post is not None and getattr(module, "groups", 1) == 1:
            post = post.repeat(max(n_rows // post.size, 1))
        for block in pathways.blocks(by, pre, post, matrix.shape):
            if matrix.pattern is not None:
                yield _of_block(matrix, matrix.pattern, block)
                continue
            signs, present = matrix.signs, matrix.present
            yield matrix._replace(
                name=f"{matrix.name} {block.label}".rstrip(),
                values=matrix.values[block.post, block.pre],
                signs=None if signs is None else signs[block.pre],
                present=None if present is None else present[block.post, block.pre],
            )


def _of_block(
    matrix: WeightMatrix, pattern: Pattern, block: pathways.Block
) -> WeightMatrix:
    """Return the synapses of a sparse weight within a block, by what they were numbered."""
    inside = np.ones(pattern.size, dtype=bool)
    for ends, part in ((pattern.post, block.post), (pattern.pre, block.pre)):
        begin, end, _ = part.indices(2**31 - 1)
        units = ends.numpy()
        inside &= (units >= begin) & (units < end)
    signs, present = matrix.signs, matrix.present
    which = torch.from_numpy(inside)
    return WeightMatrix(
        f"{matrix.name} {block.label}".rstrip(),
        matrix.values[inside],
        None if signs is None else signs[inside],
        None if present is None else present[inside],
        Pattern(pattern.post[which], pattern.pre[which], pattern.shape),
    )


def _of_sparse(
    name: str, value: Tensor, state: Mapping[str, Any], pattern: Pattern
) -> WeightMatrix:
    """Return a sparse weight, with the sign of each synapse, if the state dict has them."""
    signs, present = law.saved_signs(state, name), law.saved_present(state, name)
    return WeightMatrix(
        name,
        numbers(value),
        None if signs is None else law.as_factors(signs).cpu().numpy(),
        None if present is None else present.cpu().numpy(),
        pattern,
    )


def is_matrix(name: str, value: Any) -> bool:
    """Return whether an entry of a state dict is a matrix, and no fact about one."""
    if name.endswith(law.BUFFERS):
        return False
    return isinstance(value, (Tensor, np.ndarray)) and value.ndim >= 2


def _with_facts(
    name: str, array: NDArray[Any], state: Mapping[str, Any]
) -> WeightMatrix:
    """Return a matrix with its signs and its present synapses, if the state dict has them."""
    if is_sharded(state[name]):
        # Gathered already.
        state = {**state, name: torch.as_tensor(array)}
    signs = law.saved_signs(state, name)
    if signs is None:
        return WeightMatrix(name, array, None, None)
    # Presynaptic units become columns, wherever the module stores them.
    by_unit, unit_signs = law.by_unit(torch.as_tensor(array, device="cpu"), signs.cpu())
    exists = None
    present = law.saved_present(state, name)
    if present is not None:
        exists = law.by_unit(present.cpu(), signs.cpu())[0].numpy().T
    return WeightMatrix(name, by_unit.numpy().T, unit_signs.numpy(), exists)


def unpruned(state: Mapping[str, Any]) -> dict[str, Any]:
    """Compose what ``torch.nn.utils.prune`` took apart.

    ``weight_orig`` times ``weight_mask`` is ``weight``.
    """
    composed = {}
    for name, value in state.items():
        # torch keeps the mask as a buffer beside the original parameter.
        is_mask = f"{name.removesuffix('_mask')}_orig" in state
        if is_mask:
            continue
        plain = name.removesuffix("_orig")
        mask = state.get(f"{plain}_mask")
        if plain != name and mask is not None:
            value = whole(value) * whole(mask)
        composed[plain] = value
    return composed


def parametrized(module: nn.Module) -> list[str]:
    """Return the names of the parameters that ``torch.nn.utils.parametrize`` computes."""
    if not parametrize.is_parametrized(module):
        return []
    return list(cast("nn.ModuleDict", module.parametrizations))


def computed(module: nn.Module, name: str) -> Tensor:
    """Return a parameter that ``torch.nn.utils.parametrize`` computes, whole."""
    with gathered(module.get_submodule(f"parametrizations.{name}")):
        return cast("Tensor", getattr(module, name))


def _state_of(model: nn.Module) -> dict[str, Any]:
    """Return a model's state dict, with what is reparametrised as it is computed."""
    reshard(model)
    state: dict[str, Any] = model.state_dict()
    values: dict[str, Tensor] = {}
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name in parametrized(module):
            values[prefix + name] = computed(module, name).detach()
    if not values:
        return state
    found: dict[str, Any] = {}
    for key, value in state.items():
        # torch saves `weight` as `parametrizations.weight.original`.
        owner, inside, rest = key.partition("parametrizations.")
        name = owner + rest.partition(".")[0] if inside else key
        found[name] = values.get(name, value)
    return found


def require_state(weights: object) -> Mapping[str, Any]:
    """Return a state dict as it is, or raise if it is something else."""
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"`weights` must be a module or a state dict; got {type(weights).__name__}."
        )
    return weights
