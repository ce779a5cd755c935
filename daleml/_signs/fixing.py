"""Calls of ``signs.fix`` and ``signs.declare``: checked, and merged with what was fixed earlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replaced
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import _sparse_weights, law, modules
from daleml._signs import facts, fixed_synapses, loading
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._signs.facts import Declaration, Record
from daleml._sparse_weights import Pattern
from daleml.populations import Populations

Signs = Tensor | Sequence[float | None] | Populations
"""One sign for each presynaptic unit; None for one that has none."""


class Given(NamedTuple):
    """What a call of ``signs.fix`` says of the synapses of one parameter.

    Attributes:
        present: Which exist; None if it names no mask.
        fixed: Which do not learn; None if it names none.
        drawn: Whether the mask was drawn at random, or by which densities.
        draws_strengths: Whether the strengths of fixed synapses are to be drawn after the call.
    """

    present: Tensor | None
    fixed: Tensor | None
    drawn: bool | DrawnBlocks
    draws_strengths: bool


def require_module(argument: str, model: object) -> None:
    """Raise if an argument is no module."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`{argument}` must be a module; got {type(model).__name__}.")


def owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the submodule that holds a parameter, and the parameter's name in it."""
    require_module("module", module)
    path, _, own = name.rpartition(".")
    try:
        return module.get_submodule(path), own
    except AttributeError:
        raise AttributeError(
            f"`name` must name a parameter of {type(module).__name__}; got {name!r}."
        ) from None


def declare(
    module: nn.Module,
    name: str,
    role: str | None,
    lr_scale: float | None,
    *,
    signed: bool,
    default: bool,
) -> None:
    """Write the declaration of a parameter.

    What is None, or all of it if ``default``, gives way to an earlier declaration.
    """
    if lr_scale is not None and not lr_scale > 0:
        raise ValueError(f"`lr_scale` must be positive; got {lr_scale}.")
    facts.count_change()
    if "_dale" not in module.__dict__:
        module._dale = {}  # type: ignore[assignment]
        judge = loading.judge_checkpoint
        module.register_load_state_dict_pre_hook(judge)  # type: ignore[no-untyped-call]
    known = facts.declarations(module)
    earlier = known.get(name)
    if earlier is not None and (default or role is None):
        role = earlier.role
    if earlier is not None and (default or lr_scale is None):
        lr_scale = earlier.lr_scale
    scale = 1.0 if lr_scale is None else float(lr_scale)
    known[name] = Declaration(role or name, scale, signed)


def given(
    module: nn.Module,
    name: str,
    weight: Tensor,
    unit_signs: Signs,
    dim: int | None,
    synapses: Given,
) -> facts.Record:
    """Check what was given for a parameter, and return it as a record."""
    if weight.ndim == 0:
        raise ValueError(
            f"`{name}` must have presynaptic units, so at least one dimension; got a single"
            " number."
        )
    if dim is None:
        dim = modules.presynaptic_dim(module, name, weight.ndim)
    if not 0 <= dim < weight.ndim:
        raise ValueError(
            f"`dim` must be between 0 and {weight.ndim - 1} for `{name}`; got {dim}."
        )
    groups = getattr(module, "groups", 1)
    # Only along dimension 1 does a grouped convolution's weight hold one group's inputs; and a
    # stranger's `groups` may be anything.
    if dim != 1 or not isinstance(groups, int):
        groups = 1
    pattern = _sparse_weights.recorded_pattern(module, name)
    if pattern is None:
        pattern = _sparse_weights.pattern(module, name)
    if pattern is None:
        buffer = _sign_buffer(unit_signs, weight, dim, groups, name)
    else:
        buffer = _of_synapses(unit_signs, pattern, name)
    present, fixed = synapses.present, None
    if present is not None:
        _require_mask("present", present, weight, name)
    if synapses.fixed is not None:
        _require_mask("fixed", synapses.fixed, weight, name)
        fixed = fixed_synapses.of(synapses.fixed)
        if synapses.draws_strengths:
            fixed = fixed.released()
    if present is None and fixed is not None:
        # Nothing was said of a mask, so that an earlier one may be kept.
        return Record(tuple(buffer.shape), buffer.numpy().tobytes(), fixed=fixed)
    return facts.make_record(buffer, present, drawn=synapses.drawn, fixed=fixed)


def learn_by(
    module: nn.Module, name: str, weight: Tensor, factors: Tensor, *, default: bool
) -> None:
    """Keep a factor on what each synapse learns; a default gives way to an earlier one.

    Raises:
        ValueError: If they are not one for each synapse, or negative or not finite.
    """
    if factors.shape != weight.shape:
        raise ValueError(
            f"`lr_scale` must be a number, or have the shape {tuple(weight.shape)} of"
            f" `{name}`; got {tuple(factors.shape)}."
        )
    wrong = factors[~(factors.isfinite() & (factors >= 0))]
    if wrong.numel():
        raise ValueError(
            f"`lr_scale` must be finite and at least 0; got {wrong[0].item():g}."
        )
    if not default or name not in facts.learning(module):
        facts.keep_learning(module, name, factors)


def _require_mask(argument: str, given: object, weight: Tensor, name: str) -> None:
    """Raise unless a mask is boolean and has the parameter's shape."""
    if not isinstance(given, Tensor):
        raise TypeError(
            f"`{argument}` must be a boolean tensor; got {type(given).__name__}."
        )
    if given.dtype != torch.bool:
        raise TypeError(f"`{argument}` must be a boolean tensor; got {given.dtype}.")
    if given.shape != weight.shape:
        raise ValueError(
            f"`{argument}` must have the shape {tuple(weight.shape)} of `{name}`; got"
            f" {tuple(given.shape)}."
        )


def merged(
    module: nn.Module,
    name: str,
    earlier: facts.Record,
    now: facts.Record,
    replace: bool,
) -> facts.Record:
    """Return what is fixed after a second call: what it gives, and what only the first gave."""
    if now.mask is None:
        # It names no mask: that of the first call stays.
        now = replaced(
            now,
            mask_shape=earlier.mask_shape,
            mask=earlier.mask,
            drawn=earlier.drawn,
        )
    if now.fixed is None:
        now = replaced(now, fixed=earlier.fixed)
    if replace:
        _require_replaceable(module, name, earlier, now)
        return now
    if now.shape != earlier.shape or now.signs != earlier.signs:
        raise ValueError(
            f"`signs` must be those that were fixed for `{name}` before; got"
            f" {_difference(module, name, earlier, now)}: give `replace=True` to replace them."
        )
    if earlier.mask is not None and now.mask != earlier.mask:
        raise ValueError(
            f"`present` must be what was fixed for `{name}` before; got another mask: give"
            " `replace=True` to replace it."
        )
    if earlier.fixed is None or now.fixed is None:
        return now
    if now.fixed.asked != earlier.fixed.asked:
        raise ValueError(
            f"`fixed` must be what was fixed for `{name}` before; got other synapses: give"
            " `replace=True` to replace them."
        )
    # Strengths that were fixed before stay.
    return replaced(now, fixed=earlier.fixed)


def with_strengths(
    name: str, kept: Record, earlier: Record | None, weight: Tensor
) -> Record:
    """Return a record whose fixed synapses have strengths: those of before, or the weight's.

    Raises:
        ValueError: If the weight breaks the law where it is to be fixed.
    """
    fixed = kept.fixed
    if fixed is None:
        return kept
    if not any(fixed.asked):
        # None of them is how synapses are freed.
        return replaced(kept, fixed=None)
    if kept.mask is None:
        kept = facts.make_record(kept.sign_tensor(), None, drawn=False, fixed=fixed)
    before = None if earlier is None else earlier.fixed
    # A layer draws them after it has fixed them.
    if fixed.drawn and before is None:
        return kept
    mask = kept.mask_tensor()
    same = earlier is not None and earlier.mask == kept.mask
    if fixed != before or not same:
        fixed = fixed.at(weight, mask)
    strengths = fixed.values(mask)
    if strengths is not None:
        wrong = law.violations(name, strengths, kept.sign_tensor())
        if wrong:
            raise ValueError(
                f"`{name}` must be lawful where it is fixed; got a wrong sign for unit"
                f" {wrong[0].unit}: call `signs.project_` before, or `signs.release`."
            )
    return replaced(kept, fixed=fixed)


def _difference(
    module: nn.Module, name: str, earlier: facts.Record, now: facts.Record
) -> str:
    before = earlier.sign_tensor().flatten()
    if now.shape != earlier.shape:
        return (
            f"signs of {now.sign_tensor().numel()} units, not of {before.numel()}, or along"
            " another dimension"
        )
    differ = before != now.sign_tensor().flatten()
    differing = _sparse_weights.units_of(module, name, differ)
    units = "1 unit" if len(differing) == 1 else f"{len(differing)} units"
    return f"other signs for {units}, the first of them unit {differing[0]}"


def _require_replaceable(
    module: nn.Module, name: str, earlier: facts.Record, now: facts.Record
) -> None:
    """Raise if a parametrisation has its own copy of what would be replaced."""
    if now == earlier or not parametrize.is_parametrized(module, name):
        return
    computed = module.get_submodule(f"parametrizations.{name}")
    if any("signs" in inner._buffers for inner in computed.children()):
        raise ValueError(
            f"`{name}` must not be reparametrised while its signs are replaced; call"
            " `Reparametrization().detach` first."
        )


def _without_sign(unit_signs: Signs) -> list[int]:
    """Return the units for which a sequence says None in place of a sign."""
    if not isinstance(unit_signs, (list, tuple)):
        return []
    return [unit for unit, sign in enumerate(unit_signs) if sign is None]


def _sign_buffer(
    unit_signs: Signs, weight: Tensor, dim: int, groups: int, name: str
) -> Tensor:
    """Shape a vector of signs so that it says by itself where presynaptic units lie.

    The result has as few dimensions as it needs to broadcast against the weight, or, for a
    grouped convolution, one more than the weight: ``(groups, 1, in / groups, 1, ...)`` against
    the weight split into groups.
    """
    n_pre = weight.shape[dim] * groups
    stored = _of_units(unit_signs, n_pre, name)
    trailing = (1,) * (weight.ndim - dim - 1)
    if groups == 1:
        return stored.reshape(n_pre, *trailing)
    return stored.reshape(groups, 1, n_pre // groups, *trailing)


def _of_synapses(unit_signs: Signs, pattern: Pattern, name: str) -> Tensor:
    """Return the sign of each synapse of a sparse weight, which is that of its sender."""
    each = _of_units(unit_signs, pattern.shape[1], name)
    return each.index_select(0, pattern.pre.long().cpu())


def _of_units(unit_signs: Signs, n_pre: int, name: str) -> Tensor:
    """Check the sign of each presynaptic unit, and return them as a vector, int8."""
    if isinstance(unit_signs, Populations):
        unit_signs = unit_signs.signs(device="cpu")
    free = _without_sign(unit_signs)
    if free:
        unit_signs = [1 if sign is None else sign for sign in unit_signs]
    try:
        # On the CPU even inside `with torch.device("meta")`.
        vector = torch.as_tensor(unit_signs, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`signs` must be numbers or a partition; got {type(unit_signs).__name__}."
        ) from None
    if vector.shape != (n_pre,):
        raise ValueError(
            f"`signs` must hold one sign for each of the {n_pre} presynaptic units of"
            f" `{name}`; got shape {tuple(vector.shape)}."
        )
    wrong = vector[(vector != 1) & (vector != -1)]
    if wrong.numel():
        raise ValueError(f"`signs` must be +1 or -1; got {wrong[0].item()}.")
    # A signed byte, which `.half()` on the module leaves alone.
    stored = vector.to(torch.int8).clone()
    stored[free] = law.UNSIGNED
    return stored
