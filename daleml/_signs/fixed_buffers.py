"""Comparison of the buffers of fixed synapses with what was fixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml import law
from daleml._signs import facts, fixed_synapses
from daleml._support.sharded_tensors import local, local_part


def read(module: nn.Module, own: str) -> law.FixedStrengths | None:
    """Return which synapses of a parameter do not learn, boolean, and their strengths.

    None if all learn, or one of the two buffers is gone.
    """
    which = module._buffers.get(own + law.FIXED)
    strengths = module._buffers.get(own + law.STRENGTHS)
    if which is None or strengths is None:
        return None
    return which.to(torch.bool), strengths


def hold(module: nn.Module, own: str) -> bool:
    """Whether the buffers hold what was fixed, of a parameter that may have nothing fixed.

    Elsewhere than on a CPU, where looking would wait for the device, it is taken for granted.
    """
    kept = facts.record(module, own)
    found = read(module, own)
    if kept is None or kept.fixed is None or found is None:
        return True
    which, strengths = found
    if which.device.type != "cpu":
        return True
    return _agree(kept, which, strengths)


def compare(module: nn.Module, own: str, full: str, weight: Tensor) -> None:
    """Raise unless the buffers hold what was fixed.

    Strengths that were drawn may be others if the weight has them too: so
    DistributedDataParallel leaves all processes but the first.
    """
    kept = facts.record(module, own)
    found = read(module, own)
    if kept is None or kept.fixed is None or found is None:
        return
    which, strengths = found
    if which.is_meta:
        return
    known = kept.fixed.strengths is not None
    if known and _agree(kept, which, strengths):
        return
    mask = kept.mask_tensor()
    asked = kept.fixed.which(mask).to(which.device) != 0
    same_synapses = torch.equal(which, asked)
    if same_synapses and kept.fixed.drawn and not weight.is_meta:
        # Sharded, each process compares what it holds.
        here, held = local(weight.detach()), local_part(strengths, weight)
        moved = law.differing(here, held.to(here)) & local_part(which, weight)
        if not bool(moved.any()):
            facts.adopt_fixed(module, own, kept.fixed.at(strengths, mask))
            return
    if same_synapses and not known:
        raise ValueError(
            f"`{full}` must have its fixed synapses drawn; they are not yet: call the"
            " layer's `reset_parameters`, or load a checkpoint."
        )
    suffix = law.STRENGTHS if same_synapses else law.FIXED
    raise ValueError(
        f"`{full}{suffix}` must hold what was fixed; something wrote into it since: call"
        " `signs.restore_` to put back what was fixed, or `signs.fix` with `replace=True`"
        " to fix something else."
    )


def _agree(kept: facts.Record, which: Tensor, strengths: Tensor) -> bool:
    assert kept.fixed is not None  # who asks has seen it
    mask = kept.mask_tensor()
    if not torch.equal(which.cpu(), kept.fixed.which(mask) != 0):
        return False
    expected = kept.fixed.values(mask)
    return expected is None or fixed_synapses.agree(strengths.detach(), expected)
