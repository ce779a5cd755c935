"""Dale's law for a sparse weight: its violations by unit, with the units that synapses reach."""

from __future__ import annotations

import torch
from torch import Tensor

from daleml._law_report import Violation
from daleml._sparse_weights import Pattern

_SHOWN = 3
"""A violation names this many of the units that its synapses reach."""


def by_sender(
    parameter: str,
    pattern: Pattern,
    unit_signs: Tensor,
    broken: Tensor,
    among: Tensor,
    worst: Tensor,
    *,
    absent: bool = False,
    moved: bool = False,
) -> list[Violation]:
    """List the presynaptic units whose synapses break the law.

    Args:
        parameter: What to call the weight.
        pattern: Where its synapses lie.
        unit_signs: The sign of each synapse's sender, 0 without one.
        broken: Which synapses break the law.
        among: Of which synapses these are counted.
        worst: A number for each synapse, and the weight itself: that of the greatest number is
            shown, (2, synapses).
        absent: Whether they do not exist.
        moved: Whether they are fixed, and have another strength.

    Returns:
        A violation for each unit, in their order.
    """
    which = broken.nonzero().flatten().cpu()
    # What is lawful, as nearly everything is, costs nothing beyond this.
    if not len(which):
        return []
    pre, post = pattern.pre.cpu().long(), pattern.post.cpu().long()
    badness, weight = worst.cpu().double()
    # Of each sender the worst synapse comes first; NaN is worse than any number.
    order = torch.argsort(badness[which].nan_to_num(nan=torch.inf), descending=True)
    which = which[order]
    which = which[torch.argsort(pre[which], stable=True)]
    # Stable sorting has left the worst of each sender first.
    units, counts = torch.unique_consecutive(pre[which], return_counts=True)
    sizes = torch.bincount(pre[among.cpu()], minlength=pattern.shape[1])[units]
    first = counts.cumsum(0) - counts
    found = []
    rows = zip(
        units.tolist(), first.tolist(), counts.tolist(), sizes.tolist(), strict=True
    )
    for unit, begin, count, size in rows:
        its_own = which[begin : begin + count]
        found.append(
            Violation(
                parameter,
                unit,
                int(unit_signs[its_own[0]]),
                count,
                size,
                float(weight[its_own[0]]),
                absent=absent,
                moved=moved,
                onto=tuple(post[its_own[:_SHOWN]].tolist()),
            )
        )
    return found
