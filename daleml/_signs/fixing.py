"""Calls of ``signs.fix`` and ``signs.declare``: checked, and merged with what was fixed earlier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import modules
from daleml._signs import facts, loading
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._signs.facts import Declaration
from daleml.populations import Populations

Signs = Tensor | Sequence[float] | Populations
"""One sign for each presynaptic unit."""


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
    present: Tensor | None,
    drawn: bool | DrawnBlocks,
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
    buffer = _sign_buffer(unit_signs, weight, dim, groups, name)
    if present is not None:
        _require_mask(present, weight, name)
    return facts.make_record(buffer, present, drawn=drawn)


def _require_mask(present: object, weight: Tensor, name: str) -> None:
    """Raise unless a mask is boolean and has the parameter's shape."""
    if not isinstance(present, Tensor):
        raise TypeError(
            f"`present` must be a boolean tensor; got {type(present).__name__}."
        )
    if present.dtype != torch.bool:
        raise TypeError(f"`present` must be a boolean tensor; got {present.dtype}.")
    if present.shape != weight.shape:
        raise ValueError(
            f"`present` must have the shape {tuple(weight.shape)} of `{name}`; got"
            f" {tuple(present.shape)}."
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
        now = facts.Record(
            now.shape, now.signs, earlier.mask_shape, earlier.mask, earlier.drawn
        )
    if replace:
        _require_replaceable(module, name, earlier, now)
        return now
    if now.shape != earlier.shape or now.signs != earlier.signs:
        raise ValueError(
            f"`signs` must be those that were fixed for `{name}` before; got"
            f" {_difference(earlier, now)}: give `replace=True` to replace them."
        )
    if earlier.mask is not None and now.mask != earlier.mask:
        raise ValueError(
            f"`present` must be what was fixed for `{name}` before; got another mask: give"
            " `replace=True` to replace it."
        )
    return now


def _difference(earlier: facts.Record, now: facts.Record) -> str:
    before = earlier.sign_tensor().flatten()
    if now.shape != earlier.shape:
        return (
            f"signs of {now.sign_tensor().numel()} units, not of {before.numel()}, or along"
            " another dimension"
        )
    differing = (before != now.sign_tensor().flatten()).nonzero().flatten().tolist()
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


def _sign_buffer(
    unit_signs: Signs, weight: Tensor, dim: int, groups: int, name: str
) -> Tensor:
    """Shape a vector of signs so that it says by itself where presynaptic units lie.

    The result has as few dimensions as it needs to broadcast against the weight, or, for a
    grouped convolution, one more than the weight: ``(groups, 1, in / groups, 1, ...)`` against
    the weight split into groups.
    """
    if isinstance(unit_signs, Populations):
        unit_signs = unit_signs.signs(device="cpu")
    try:
        # On the CPU even inside `with torch.device("meta")`.
        vector = torch.as_tensor(unit_signs, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`signs` must be numbers or a partition; got {type(unit_signs).__name__}."
        ) from None
    n_pre = weight.shape[dim] * groups
    if vector.shape != (n_pre,):
        raise ValueError(
            f"`signs` must hold one sign for each of the {n_pre} presynaptic units of"
            f" `{name}`; got shape {tuple(vector.shape)}."
        )
    wrong = vector[(vector != 1) & (vector != -1)]
    if wrong.numel():
        raise ValueError(f"`signs` must be +1 or -1; got {wrong[0].item()}.")
    trailing = (1,) * (weight.ndim - dim - 1)
    # A signed byte, which `.half()` on the module leaves alone.
    stored = vector.to(torch.int8)
    if groups == 1:
        return stored.reshape(n_pre, *trailing)
    return stored.reshape(groups, 1, n_pre // groups, *trailing)
