"""Fixed synapses of a checkpoint as it is read: taken, refused, or brought to the module's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from daleml import law
from daleml._signs import facts, fixed_synapses, parameter_lookup
from daleml._signs.fixed_synapses import FixedSynapses


class Incoming(NamedTuple):
    """One parameter of a checkpoint, and what was asked for by name.

    Attributes:
        module: The module that reads it.
        name: The parameter's name in it.
        state: The checkpoint, changed in place.
        prefix: Before the names in the checkpoint.
        errors: What is refused, added to.
        adopt: Whether to take the checkpoint's fixed synapses.
        keep: Whether to keep the module's, and to bring the checkpoint's weight to them.
    """

    module: nn.Module
    name: str
    state: dict[str, Any]
    prefix: str
    errors: list[str]
    adopt: bool
    keep: bool

    def saved(self, suffix: str) -> Tensor | None:
        """Return a buffer of the checkpoint; None if it has none that fits."""
        _, weight = parameter_lookup.resolve(self.module, self.name)
        found = self.state.get(self.prefix + self.name + suffix)
        if not isinstance(found, Tensor) or found.shape != weight.shape:
            return None
        return None if found.is_meta else found

    def put(self, suffix: str, values: Tensor | None) -> None:
        """Let torch read a buffer, or none."""
        key = self.prefix + self.name + suffix
        if values is None:
            self.state.pop(key, None)
        else:
            self.state[key] = values

    def weight(self) -> tuple[str, Tensor | None]:
        """Return the key of the checkpoint's weight, and the weight if it fits."""
        actual, own = parameter_lookup.resolve(self.module, self.name)
        key = self.prefix + actual
        found = self.state.get(key)
        if not isinstance(found, Tensor) or found.shape != own.shape or found.is_meta:
            return key, None
        return key, found


def settle(incoming: Incoming, present: Tensor | None) -> FixedSynapses | None:
    """Decide which synapses are fixed after loading, and at which strengths.

    Args:
        incoming: The parameter.
        present: Which synapses exist after loading; None if all do.

    Returns:
        What is fixed then; None if nothing is.
    """
    kept = facts.record(incoming.module, incoming.name)
    own = None if kept is None else kept.fixed
    try:
        which = _which(incoming)
    except ValueError as error:
        incoming.errors.append(str(error))
        return own
    if own is None:
        return _beside_none(incoming, which, present)
    mask = None if present is None or present.is_meta else present.cpu()
    expected = own.which(mask) != 0
    if which is None or incoming.keep:
        return _of_weight(incoming, own, expected, mask)
    if incoming.adopt:
        own = replace(fixed_synapses.of(which), drawn=own.drawn)
        expected = which
    elif not torch.equal(which, expected):
        n_learn, n_fixed = (
            int((which & ~expected).sum()),
            int((expected & ~which).sum()),
        )
        _refuse(
            incoming,
            law.FIXED,
            f"of the checkpoint's fixed synapses {n_learn} learn in the module, and of the"
            f" module's {n_fixed} in the checkpoint",
        )
        return own
    return _of_saved(incoming, own, expected, mask)


def _which(incoming: Incoming) -> Tensor | None:
    """Return which synapses of the checkpoint are fixed, boolean; None if it says nothing."""
    saved = incoming.saved(law.FIXED)
    name = incoming.prefix + incoming.name
    _, weight = parameter_lookup.resolve(incoming.module, incoming.name)
    for suffix in (law.FIXED, law.STRENGTHS):
        found = incoming.state.get(name + suffix)
        # One that says nothing would be passed over in silence.
        if isinstance(found, Tensor) and found.shape != weight.shape:
            raise ValueError(
                f"{name}{suffix}: it must have the shape {tuple(weight.shape)} of"
                f" `{name}`; got {tuple(found.shape)}."
            )
    strengths = incoming.saved(law.STRENGTHS)
    if saved is None and strengths is None:
        return None
    if saved is None or strengths is None:
        lost = law.FIXED if saved is None else law.STRENGTHS
        raise ValueError(
            f"{name}{lost}: it must be there, since the checkpoint has the other buffer of"
            f" the fixed synapses of `{name}`; it is missing."
        )
    return law.valid_present(name, saved, law.FIXED).cpu()


def _beside_none(
    incoming: Incoming, which: Tensor | None, present: Tensor | None
) -> FixedSynapses | None:
    """Read a checkpoint into a module that has nothing fixed."""
    if which is None:
        return None
    n_fixed = int(which.sum())
    if n_fixed and incoming.adopt:
        # Without a mask torch would find the checkpoint's buffers unexpected.
        return _of_saved(incoming, fixed_synapses.of(which), which, None)
    if n_fixed and not incoming.keep:
        _refuse(
            incoming,
            law.FIXED,
            f"the checkpoint has {n_fixed} fixed synapses, the module none",
        )
        return None
    for suffix in (law.FIXED, law.STRENGTHS):
        incoming.put(suffix, None)
    return None


def _of_weight(
    incoming: Incoming, own: FixedSynapses, which: Tensor, mask: Tensor | None
) -> FixedSynapses:
    """Read a checkpoint that says nothing of fixed synapses, or whose own are not wanted."""
    key, weight = incoming.weight()
    strengths = own.values(mask) if _fits(own, which) else None
    takes = (own.drawn and not incoming.keep) or strengths is None
    if weight is not None and takes:
        strengths = weight.detach()
    elif weight is not None and incoming.keep and strengths is not None:
        there = which.to(weight.device)
        incoming.state[key] = torch.where(there, strengths.to(weight), weight)
    return _put(incoming, own, which, strengths, mask)


def _of_saved(
    incoming: Incoming, own: FixedSynapses, which: Tensor, mask: Tensor | None
) -> FixedSynapses:
    """Read a checkpoint whose fixed synapses are those of the module, at its strengths or not."""
    saved = incoming.saved(law.STRENGTHS)
    assert saved is not None  # `_which` has seen it
    strengths = own.values(mask) if _fits(own, which) else None
    key, weight = incoming.weight()
    same = strengths is not None and fixed_synapses.agree(saved, strengths)
    if same and strengths is not None and weight is not None:
        # What went through a cast of lower precision comes back to what was fixed.
        there = which.to(weight.device)
        near = ~law.differing(weight, saved.to(weight)) & there
        incoming.state[key] = torch.where(near, strengths.to(weight), weight)
        return _put(incoming, own, which, strengths, mask)
    if strengths is not None and not own.drawn and not incoming.adopt:
        moved = law.differing(saved, strengths.to(saved)) & which.to(saved.device)
        _refuse(
            incoming,
            law.STRENGTHS,
            f"{int(moved.sum())} fixed synapses have other strengths in the checkpoint than"
            " those fixed on the module",
        )
        return own
    return _put(incoming, own, which, saved, mask)


def _fits(own: FixedSynapses, which: Tensor) -> bool:
    """Whether strengths are known of as many synapses as are fixed."""
    known = own.strengths
    return known is not None and len(known) == 8 * int(which.sum())


def _put(
    incoming: Incoming,
    own: FixedSynapses,
    which: Tensor,
    strengths: Tensor | None,
    mask: Tensor | None,
) -> FixedSynapses:
    """Let torch read the buffers, and return what is fixed then."""
    if strengths is None:
        # There is nothing to tell the strengths: neither here nor there.
        for suffix in (law.FIXED, law.STRENGTHS):
            incoming.put(suffix, incoming.module._buffers.get(incoming.name + suffix))
        return own
    where = strengths.device
    known = torch.where(which.to(where), strengths, torch.zeros_like(strengths))
    if incoming.saved(law.PRESENT) is None:
        # Where something is fixed there is a mask.
        incoming.put(
            law.PRESENT, torch.ones_like(which, dtype=torch.int8, device=where)
        )
    incoming.put(law.FIXED, which.to(where, torch.int8))
    incoming.put(law.STRENGTHS, known)
    return own.at(known, mask)


def _refuse(incoming: Incoming, suffix: str, difference: str) -> None:
    incoming.errors.append(
        f"{incoming.prefix}{incoming.name}{suffix}: {difference}; load inside `with"
        " signs.adopt_masks(model):` to take the checkpoint's synapses, or `with"
        " signs.keep_masks(model):` to keep the module's."
    )
