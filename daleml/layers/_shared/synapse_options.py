"""Options with a number for each synapse, from blocks or a matrix: strengths, factors, facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from daleml import require
from daleml._sparse_weights import Pattern
from daleml._support import synapse_arrays
from daleml.layers.blocks import ARROW, Blocks
from daleml.populations import Populations

Ends = tuple[Populations, Populations]
"""The postsynaptic and the presynaptic populations of a weight."""


def which(
    name: str, given: Any, ends: Ends, pattern: Pattern | None = None
) -> Tensor | None:
    """Return which synapses are meant, boolean, ``(post, pre)``; None if none is.

    Args:
        name: What the option is called.
        given: True for all, None or False for none, blocks of 0 and 1, or a boolean matrix.
        ends: The populations on both sides.
        pattern: Where the synapses of a sparse weight lie, one of which has an entry each.

    Raises:
        TypeError: If it is none of these.
        ValueError: If it has another shape, or other numbers than 0 and 1.
    """
    if given is None or given is False:
        return None
    post, pre = ends
    if given is True:
        shape = (post.size, pre.size) if pattern is None else (pattern.size,)
        return torch.ones(shape, dtype=torch.bool, device="cpu")
    kinds = "True, a boolean matrix or Blocks of 0 and 1"
    values = _values(name, given, ends, kinds, pattern)
    wrong = values[(values != 0) & (values != 1)]
    if wrong.numel():
        raise ValueError(f"`{name}` must hold 0 and 1 only; got {wrong[0].item():g}.")
    found = values != 0
    return found if bool(found.any()) else None


def relative_strengths(
    name: str, given: Any, ends: Ends, pattern: Pattern | None = None
) -> Tensor | None:
    """Return the relative mean strength of each synapse, ``(post, pre)``; None if all are alike.

    Raises:
        TypeError: If it is neither blocks nor a matrix.
        ValueError: If it has another shape, a negative number or one that is not finite, or
            nothing but zeros.
    """
    if given is None:
        return None
    values = _non_negative(name, given, ends, pattern)
    if not bool(values.any()):
        raise ValueError(f"`{name}` must be above 0 somewhere; got zeros only.")
    return values


def factors(
    name: str, given: Any, ends: Ends, pattern: Pattern | None = None
) -> Tensor | None:
    """Return the factor on what each synapse learns, ``(post, pre)``; None if all are 1.

    Raises:
        TypeError: If it is neither blocks nor a matrix.
        ValueError: If it has another shape, a negative number or one that is not finite.
    """
    if given is None:
        return None
    return _non_negative(name, given, ends, pattern)


@torch.no_grad()
def grade_(
    weight: Tensor, strength: Tensor | None, present: Tensor | None, means: Tensor
) -> None:
    """Give drawn weights relative strengths, and keep the mean square of those that exist.

    The rule that draws them makes few inhibitory units as strong together as many excitatory
    ones. That is undone, since a strength is that of a synapse, of either sign.

    Args:
        weight: The weight, changed in place; of a kernel, over all its taps alike.
        strength: Relative mean strength of each synapse, (post, pre) or of the weight's shape;
            None if all are alike.
        present: Which synapses exist, of the weight's shape; None if all do.
        means: The mean magnitude with which each was drawn, to be broadcast to the weight.
    """
    if strength is None or weight.is_meta:
        return
    trailing = (1,) * (weight.ndim - strength.ndim)
    graded = strength.reshape(*strength.shape, *trailing).expand(weight.shape)
    drawn = means.to(graded).expand(weight.shape)
    factors = graded / drawn * (_size(drawn, present) / (_size(graded, present) or 1.0))
    weight.mul_(factors.to(weight))


def _size(values: Tensor, present: Tensor | None) -> float:
    """Return the root of the mean square of values where synapses exist; 0 if none does."""
    existing = values if present is None else values[present.to(values.device)]
    return float(existing.square().mean().sqrt()) if existing.numel() else 0.0


def received(
    like: Tensor,
    strength: Tensor | None,
    present: Tensor | None,
    means: Tensor,
    signed: Tensor,
) -> Tensor:
    """Return which fraction of what all its synapses would give each unit receives.

    Args:
        like: The weight.
        strength: As in :func:`grade_`.
        present: As in :func:`grade_`.
        means: As in :func:`grade_`.
        signed: Which have a sign, to be broadcast to the weight; what the others give adds up to
            nothing on average.
    """
    # On the CPU: not every device has float64.
    where = like.device if like.is_meta else torch.device("cpu")
    given = torch.ones(like.shape, dtype=torch.float64, device=where)
    grade_(given, strength, present, means)
    if present is not None:
        given *= present.to(where)
    counted = signed.to(given.device).expand(like.shape).flatten(1)
    given = given.flatten(1)
    if like.is_meta or bool(counted.all()):
        return given.mean(1).to(like)
    return ((given * counted).sum(1) / counted.sum(1).clamp(min=1)).to(like)


def unsigned(name: str, given: Any, populations: Populations) -> tuple[int, ...]:
    """Return the presynaptic units that have no sign.

    Args:
        name: What the option is called.
        given: Whether all units have one; or a mapping that says it for each population.
        populations: The presynaptic units.

    Raises:
        TypeError: If it is neither, or a mapping says something else than True or False.
        ValueError: If a mapping does not cover each population once.
    """
    if not isinstance(given, Mapping):
        signed = [require.flag(name, given)] * populations.size
    else:
        signed = populations.per_unit(name, given)
        for value in given.values():
            require.flag(name, value)
    return tuple(unit for unit, has_sign in enumerate(signed) if not has_sign)


def _non_negative(
    name: str, given: Any, ends: Ends, pattern: Pattern | None = None
) -> Tensor:
    values = _values(name, given, ends, "Blocks or a matrix of numbers", pattern)
    wrong = values[~(values.isfinite() & (values >= 0))]
    if wrong.numel():
        raise ValueError(
            f"`{name}` must be finite and at least 0; got {wrong[0].item():g}."
        )
    return values


def _values(
    name: str, given: Any, ends: Ends, kinds: str, pattern: Pattern | None = None
) -> Tensor:
    """Return a number for each synapse, ``(post, pre)``, float64, on the CPU.

    Of a sparse weight they are a vector, in the order of its synapses.
    """
    post, pre = ends
    if isinstance(given, Blocks):
        if pattern is not None:
            return of_blocks(given, ends, name, pattern)
        return given.matrix(post, pre, argument=name, dtype=torch.float64)
    if synapse_arrays.is_sparse(given) and given.shape == (post.size, pre.size):
        if pattern is not None:
            return of_sparse(given, pattern)
        given = given.toarray()
    try:
        values = torch.as_tensor(given, device="cpu").detach()
        if values.is_complex() or values.layout != torch.strided:
            raise TypeError
    except (TypeError, ValueError, RuntimeError):
        hint = ": write Blocks({...})" if isinstance(given, Mapping) else ""
        raise TypeError(
            f"`{name}` must be {kinds}; got {type(given).__name__}{hint}."
        ) from None
    if values.ndim == 0:
        raise TypeError(f"`{name}` must be {kinds}; got {given!r}.")
    if values.shape != (post.size, pre.size):
        raise ValueError(
            f"`{name}` must have shape {(post.size, pre.size)}, (post, pre); got"
            f" {tuple(values.shape)}."
        )
    if pattern is not None:
        values = pattern.entries(values)
    return values.to(torch.float64)


def of_blocks(given: Blocks, ends: Ends, name: str, pattern: Pattern) -> Tensor:
    """Return the number that blocks have for the pathway of each synapse."""
    post, pre = ends
    by_pathway = given.by_pathway(post, pre, argument=name)
    table = torch.tensor(
        [[by_pathway[source + ARROW + target] for source in pre] for target in post],
        dtype=torch.float64,
        device="cpu",
    )
    rows, columns = (
        torch.repeat_interleave(torch.tensor(list(each.sizes.values()), device="cpu"))
        for each in ends
    )
    return table[rows[pattern.post.long()], columns[pattern.pre.long()]]


def of_sparse(given: Any, pattern: Pattern) -> Tensor:
    """Return the entries of a matrix of scipy.sparse where synapses are, 0 where it has none."""
    matrix = given.tocsr().astype("float64")
    matrix.sum_duplicates()
    synapses = synapse_arrays.of_sparse(matrix, "post")
    n_pre = pattern.shape[1]
    theirs = torch.from_numpy(synapses.post * n_pre + synapses.pre)
    ours = pattern.post.long() * n_pre + pattern.pre
    found = torch.zeros(pattern.size, dtype=torch.float64, device="cpu")
    if not len(theirs):
        return found
    place = torch.searchsorted(theirs, ours).clamp(max=len(theirs) - 1)
    there = theirs[place] == ours
    found[there] = torch.from_numpy(synapses.weights)[place[there]]
    return found
