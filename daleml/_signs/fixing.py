"""What a call of ``signs.fix`` gives, checked, and merged with what an earlier call fixed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import modules
from daleml._signs import facts
from daleml.populations import Populations

Signs = Tensor | Sequence[float] | Populations
"""One sign for each presynaptic unit."""


def given(
    module: nn.Module,
    name: str,
    weight: Tensor,
    signs: Signs,
    dim: int | None,
    present: Tensor | None,
    drawn: bool,
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
    groups = getattr(module, "groups", 1) if dim == 1 else 1
    buffer = _stored(signs, weight, dim, groups if isinstance(groups, int) else 1, name)
    if present is not None:
        if not isinstance(present, Tensor) or present.dtype != torch.bool:
            got = (
                present.dtype if isinstance(present, Tensor) else type(present).__name__
            )
            raise TypeError(f"`present` must be a boolean tensor; got {got}.")
        if present.shape != weight.shape:
            raise ValueError(
                f"`present` must have the shape {tuple(weight.shape)} of `{name}`; got"
                f" {tuple(present.shape)}."
            )
    return facts.make_record(buffer, present, drawn=drawn)


def merged(
    module: nn.Module,
    name: str,
    earlier: facts.Record,
    now: facts.Record,
    replace: bool,
) -> facts.Record:
    """Return what is fixed after a second call.

    What it gives, and what the first gave and it does not name.
    """
    if now.mask is None:
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


def _stored(signs: Signs, weight: Tensor, dim: int, groups: int, name: str) -> Tensor:
    """Shape a vector of signs so that it says by itself where the presynaptic units of ``weight`` are.

    The result has as few dimensions as it needs to broadcast against the weight, or, for a
    grouped convolution, one more than the weight: ``(groups, 1, in / groups, 1, ...)`` against
    the weight split into groups.
    """
    if isinstance(signs, Populations):
        signs = signs.signs(device="cpu")
    try:
        vector = torch.as_tensor(
            signs, device="cpu"
        ).detach()  # even inside `with torch.device("meta")`
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`signs` must be numbers or a partition; got {type(signs).__name__}."
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
    shape = (
        (n_pre, *trailing) if groups == 1 else (groups, 1, n_pre // groups, *trailing)
    )
    # A signed byte, which `.half()` on the module leaves alone.
    return vector.to(torch.int8).reshape(shape)
