"""The change of one weight by Oja's rule, from the activities on both sides of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from daleml.learning.oja.oja_rules import ActivityError, Rule, at_least_single
from daleml.learning.oja.plastic_weights import PlasticWeight


class WeightActivity(NamedTuple):
    """A parameter, whatever its names, and the rows of all of them.

    Attributes:
        plastic: The weight, under one of its names.
        coefficient: The coefficient of the rule.
        fixed: The modules in which signs are fixed on it, with the signs.
        pre: What it reads, (rows, pre).
        post: The rates of the units that it drives, (rows, post).
    """

    plastic: PlasticWeight
    coefficient: float
    fixed: list[tuple[nn.Module, Tensor]]
    pre: Tensor
    post: Tensor


def weight_change(activity: WeightActivity, rule: Rule) -> Tensor:
    """Return the coefficient times the rule's change, in single precision at least.

    Raises:
        ActivityError: If an activity is not finite.
        DivergenceError: If the rule must diverge at this activity.
    """
    one, coefficient = activity.plastic, activity.coefficient
    with torch.autocast(one.weight().device.type, enabled=False):
        # Of a DANN, the rule sees the matrix that acts, and changes its excitatory part.
        effective = one.effective()
        effective = effective.to(at_least_single(effective.dtype))
        pre, post = activity.pre.to(effective), activity.post.to(effective)
        for side, rates in (("pre", pre), ("post", post)):
            if not rates.isfinite().all():
                found = "NaN" if rates.isnan().any() else "an infinite value"
                raise ActivityError(
                    f"`{side}` must be finite; got {found} for `{one.name}`."
                )
        rule.refuse_divergence(f"coefficients[{one.name!r}]", coefficient, post)
        # All modules that hold the weight agree on its signs: the first one speaks for all.
        sign = activity.fixed[0][1] if activity.fixed else None
        if sign is not None:
            # A unit without a sign learns as one that excites.
            sign = sign.masked_fill(sign == 0, 1)
        return coefficient * rule.change(effective, pre, post, sign)
