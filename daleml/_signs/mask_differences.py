"""How the mask of a checkpoint differs from a module's, in numbers and in words."""

from __future__ import annotations

from torch import Tensor


def n_autapses_only(incoming: Tensor, exists: Tensor | None) -> int:
    """Count the weights on the diagonal, if those are all that the module has no synapse for."""
    if exists is None or exists.ndim != 2 or exists.shape[0] != exists.shape[1]:
        return 0
    grown = (incoming != 0) & ~exists
    n_autapses = int(grown.diagonal().sum())
    if n_autapses != int(grown.sum()):
        return 0
    return n_autapses


def difference_of(saved: Tensor, expected: Tensor | None) -> str:
    """Say how a saved mask differs from the module's; nothing if it does not."""
    if expected is None:
        absent = int((saved == 0).sum())
        if not absent:
            return ""
        return f"the checkpoint has {absent} absent synapses, the module none"
    here = expected.to(saved.device) != 0
    there = saved != 0
    more = int((there & ~here).sum())
    fewer = int((here & ~there).sum())
    if not more and not fewer:
        return ""
    return (
        f"of the checkpoint's synapses {more} are absent in the module, and of the module's"
        f" {fewer} in the checkpoint"
    )
