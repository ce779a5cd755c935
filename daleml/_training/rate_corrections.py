"""Whether the learning-rate corrections of ``param_groups`` are still there.

Schedulers may erase them unseen.
"""

from __future__ import annotations

import math
import warnings

from torch.optim import Optimizer

_TOLERANCE = 1e-6


class Corrections:
    """Compares the learning rates of groups with the factors that ``param_groups`` gave them, and warns once."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._start: list[float] | None = None
        self._told = False

    def look(self) -> None:
        """Warn if one rate stands in all groups, or if rates no longer change together."""
        groups = [
            group
            for group in self._optimizer.param_groups
            if group.get("lr_scale") is not None
        ]
        scales = [float(group["lr_scale"]) for group in groups]
        rates = [float(group["lr"]) for group in groups]
        if self._told or len(set(scales)) < 2 or min(scales) <= 0:
            return
        units = [rate / scale for rate, scale in zip(rates, scales, strict=True)]
        if self._start is None or len(self._start) != len(units):
            self._start = units
        roles = ", ".join(
            f"{group.get('role', 'a group')} {scale:.3g}"
            for group, scale in zip(groups, scales, strict=True)
        )
        if len(set(rates)) == 1 and rates[0] > 0:
            self._warn(f"one learning rate, {rates[0]:.3g}, in all groups", roles)
        elif not _proportional(units, self._start):
            self._warn("learning rates that no longer change together", roles)

    def _warn(self, what: str, roles: str) -> None:
        self._told = True
        warnings.warn(
            f"`optimizer` has {what}, which erases the corrections of `param_groups`"
            f" ({roles}): give a scheduler a list, as `groups.lrs(max_lr)` makes it, and no"
            " common floor.",
            stacklevel=4,
        )


def _proportional(units: list[float], start: list[float]) -> bool:
    """Return whether all rates have grown or fallen by one factor, as far as they can be compared."""
    factors = [
        now / before for now, before in zip(units, start, strict=True) if before > 0
    ]
    if not factors or max(factors) == 0:
        return True
    return min(factors) > 0 and math.log(max(factors) / min(factors)) < _TOLERANCE
