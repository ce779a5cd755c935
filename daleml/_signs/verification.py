"""Comparison of buffers with what was fixed, before anybody acts on them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from daleml import _sparse_weights, law
from daleml._signs import (
    facts,
    fixed_buffers,
    parameter_lookup,
    sparse_verification,
)
from daleml._signs.drawn_masks import is_another_draw
from daleml._signs.facts import Record
from daleml._signs.fixed_synapses import FixedSynapses
from daleml._sparse_weights import Pattern


class Fixed(NamedTuple):
    """One parameter whose signs are fixed, with its facts, verified.

    Attributes:
        name: Full name in the model, ``weight_orig`` if it is pruned.
        module: The module that owns it.
        own: The name that it was fixed by.
        weight: The parameter; or the tensor that a parametrisation computes.
        signs: Its sign buffer.
        present: Which synapses exist, boolean; None if all do.
        fixed: Which synapses do not learn, boolean, and their strengths; None if all do.
        pattern: Where the synapses of a sparse weight lie; None of a matrix.
    """

    name: str
    module: nn.Module
    own: str
    weight: Tensor
    signs: Tensor
    present: Tensor | None
    fixed: law.FixedStrengths | None = None
    pattern: Pattern | None = None


def fixed(
    model: nn.Module, prefix: str = "", *, quickly: bool = False
) -> Iterator[Fixed]:
    """Yield every parameter of a model whose signs are fixed, its buffers compared with the record.

    A module that says nothing, and has a buffer of signs beside a parameter, is believed: a
    traced or an exported copy of a model consists of such modules.

    Args:
        model: Any module.
        prefix: Put before the names.
        quickly: Whether to compare no more than values where torch has counted no change of
            buffers since everything was compared last.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        ValueError: If buffers do not hold what was fixed, or do not fit the parameter.
    """
    for path, module in model.named_modules(prefix=prefix):
        yield from fixed_in(module, path, quickly=quickly)


def fixed_in(module: nn.Module, path: str, *, quickly: bool) -> Iterator[Fixed]:
    """Yield the parameters of one module of a model, as :func:`fixed` does those of all."""
    known = facts.declarations(module)
    for own, declaration in known.items():
        if declaration.signed:
            yield _verified(module, path, own, quickly=quickly)
    # A copy, since a caller may fix signs, and so register buffers, while it iterates.
    for buffer, stored in list(module._buffers.items()):
        own = buffer.removesuffix(law.SUFFIX)
        if own == buffer or own in known or stored is None:
            continue
        found = _believed(module, path, own)
        if found is not None:
            yield found


def _verified(module: nn.Module, path: str, own: str, *, quickly: bool) -> Fixed:
    full = f"{path}.{own}" if path else own
    try:
        actual, weight = parameter_lookup.resolve(module, own)
    except AttributeError:
        raise AttributeError(
            f"`{full}` has its signs fixed and must be a parameter of"
            f" {type(module).__name__}; it is gone: call `signs.release` before it is"
            " deleted or replaced."
        ) from None
    parameter_lookup.require_shape(full, weight)
    sparse_verification.settle(module, own, full, weight)
    stored, present = _buffers(module, own, full)
    stamp = _stamp(module, own, weight)
    unchanged = (
        quickly
        and stamp is not None
        and _stamps.get(module, {}).get(own) == stamp
        and _holds(facts.record(module, own), stored, present)
        and fixed_buffers.hold(module, own)
    )
    if not unchanged:
        _compare(module, own, full, weight, stored, present)
        fixed_buffers.compare(module, own, full, weight)
        _stamps.setdefault(module, {})[own] = stamp
    exists = None if present is None else present.to(torch.bool)
    name = f"{path}.{actual}" if path else actual
    fixed_strengths = fixed_buffers.read(module, own)
    pattern = _sparse_weights.pattern(module, own)
    facts_of_it = stored, exists, fixed_strengths, pattern
    return Fixed(name, module, own, weight, *facts_of_it)


def _buffers(module: nn.Module, own: str, full: str) -> tuple[Tensor, Tensor | None]:
    """Return the buffers of signs and of the mask, or raise if one that was fixed is gone."""
    stored = module._buffers.get(own + law.SUFFIX)
    present = module._buffers.get(own + law.PRESENT)
    kept = facts.record(module, own)
    lost = ""
    if stored is None:
        lost = law.SUFFIX
    elif kept is not None and kept.mask and present is None:
        lost = law.PRESENT
    elif kept is not None and kept.fixed and fixed_buffers.read(module, own) is None:
        lost = law.FIXED
    if stored is None or lost:
        raise ValueError(
            f"`{full}{lost}` must be a buffer; it was fixed and is gone: call"
            " `signs.restore_` to put it back."
        )
    return stored, present


# -- values ----------------------------------------------------------------------------------------


def _compare(
    module: nn.Module,
    own: str,
    full: str,
    weight: Tensor,
    stored: Tensor,
    present: Tensor | None,
) -> None:
    """Raise unless buffers hold what was fixed, and fit the parameter."""
    kept = facts.record(module, own)
    try:
        law.valid_signs(full, stored)
        if present is not None:
            law.valid_present(full, present)
    except ValueError as error:
        if kept is None or stored.is_meta:
            raise
        raise ValueError(
            f"{error} Call `signs.restore_` to put back what was fixed."
        ) from None
    if kept is not None:
        _require_equal(full, law.SUFFIX, stored, kept.sign_tensor())
        mask = kept.mask_tensor()
        drawn_anew = _adopt_draw(module, own, kept, stored, present)
        if present is not None and mask is not None and not drawn_anew:
            _require_equal(full, law.PRESENT, present, mask)
    misshapen = present is not None and present.shape != weight.shape
    if misshapen or not parameter_lookup.fits(weight, stored):
        raise ValueError(
            f"`{full}` must have the shape that its signs were fixed for; got"
            f" {tuple(weight.shape)}, and signs of {stored.numel()} units: call"
            " `signs.release`, then `signs.fix`."
        )
    # A parametrisation keeps signs of its own, which compute the weight.
    sign = law.broadcastable(stored, weight)
    for inner in parameter_lookup.copies(module, own):
        copied = inner._buffers["signs"]
        if copied is None or not torch.equal(copied.to(sign), sign.expand_as(copied)):
            raise ValueError(
                f"`{full}` must be computed by the signs that were fixed; something wrote into"
                " its parametrisation: call `signs.restore_` to put them back."
            )


def _require_equal(full: str, suffix: str, found: Tensor, expected: Tensor) -> None:
    same_shape = found.shape == expected.shape
    if same_shape and torch.equal(found.to("cpu", torch.int8), expected):
        return
    raise ValueError(
        f"`{full}{suffix}` must hold what was fixed; something wrote into it since: call"
        " `signs.restore_` to put back what was fixed, or `signs.fix` with `replace=True`"
        " to fix something else."
    )


def _adopt_draw(
    module: nn.Module, own: str, kept: Record, stored: Tensor, present: Tensor | None
) -> bool:
    """Take another draw of a mask that was drawn at random.

    DistributedDataParallel broadcasts that of the first process to all others.
    """
    mask = kept.mask_tensor()
    if mask is None or present is None or present.shape != mask.shape:
        return False
    # Of other synapses no strengths are known.
    if kept.fixed is not None and not kept.fixed.drawn:
        return False
    if not is_another_draw(present, mask, drawn=kept.drawn):
        return False
    adopted = facts.make_record(
        stored, present, drawn=kept.drawn, fixed=_of_draw(kept, present)
    )
    module.__dict__["_dale_fixed"][own] = adopted
    return True


def _of_draw(kept: Record, present: Tensor) -> FixedSynapses | None:
    """Return what is fixed where other synapses exist, whose strengths are not known yet."""
    if kept.fixed is None:
        return None
    mask = kept.mask_tensor()
    same = mask is not None and torch.equal(mask != 0, present.cpu() != 0)
    return kept.fixed if same else kept.fixed.released()


# -- what torch counts -----------------------------------------------------------------------------

_stamps: weakref.WeakKeyDictionary[nn.Module, dict[str, tuple[Any, ...] | None]] = (
    weakref.WeakKeyDictionary()
)
"""Of each module, its buffers as they were when they were compared last, by :func:`_stamp`."""


def are_counted(buffers: Iterable[Tensor | None]) -> bool:
    """Whether torch counts writes into buffers: not into those made in inference mode."""
    return not any(one is not None and one.is_inference() for one in buffers)


def _stamp(module: nn.Module, own: str, weight: Tensor) -> tuple[Any, ...] | None:
    """Return what tells buffers from others, and from themselves before a write.

    None where torch counts no writes. There are no weak references: torch does not swap a
    tensor that has one.
    """
    buffers = [module._buffers.get(own + suffix) for suffix in law.BUFFERS]
    if not are_counted(buffers):
        return None
    stamp: list[Any] = [weight.shape]
    for buffer in buffers:
        if buffer is not None:
            stamp.append((id(buffer), buffer.data_ptr(), buffer._version))
    return tuple(stamp)


def _holds(kept: Record | None, stored: Tensor, present: Tensor | None) -> bool:
    """Whether buffers that were compared once still hold a record.

    A write through ``.data`` is one that torch does not count. Elsewhere than on a CPU, where
    looking would wait for the device, it is taken for granted that there was none.
    """
    if kept is None or stored.device.type != "cpu":
        return True
    if stored.numpy().tobytes() != kept.signs:
        return False
    if present is None or present.dtype != torch.int8:
        return True
    # Without a sign, -1 is 255, and above 1 as anything else is that no mask may hold.
    mask = present.numpy().view(np.uint8)
    if mask.max(initial=0) > 1:
        return False
    return np.packbits(mask).tobytes() == kept.mask


# -- modules that say nothing ----------------------------------------------------------------------


def _believed(module: nn.Module, path: str, own: str) -> Fixed | None:
    """Return a parameter beside a buffer of signs, of a module that says nothing.

    None if they do not belong together: a stranger's buffer may bear such a name and mean
    something else.
    """
    try:
        actual, weight = parameter_lookup.resolve(module, own)
    except AttributeError:
        return None
    stored = module._buffers[own + law.SUFFIX]
    present = module._buffers.get(own + law.PRESENT)
    if stored is None or stored.is_floating_point() or stored.is_meta:
        return None
    if not parameter_lookup.fits(weight, stored):
        return None
    full = f"{path}.{actual}" if path else actual
    unit_signs = law.valid_signs(full, stored)
    if present is None:
        pattern = _sparse_weights.pattern(module, own)
        return Fixed(full, module, own, weight, unit_signs, None, None, pattern)
    if present.shape != weight.shape:
        return None
    exists = law.valid_present(full, present)
    fixed_strengths = fixed_buffers.read(module, own)
    pattern = _sparse_weights.pattern(module, own)
    facts_of_it = unit_signs, exists, fixed_strengths, pattern
    return Fixed(full, module, own, weight, *facts_of_it)
