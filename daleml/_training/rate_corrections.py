"""A watch over the corrections of ``param_groups``, which schedulers may erase unseen."""

from __future__ import annotations

import math
import warnings

from torch.optim import Optimizer

_TOLERANCE = 1e-6
"""Rates change together if the logarithms of their factors differ by less than this."""


class Corrections:
    """A comparison of learning rates with the factors of ``param_groups``, which warns once.

    Args:
        optimizer: The optimiser, as it is before training.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._start: list[float] | None = None
        self._told = False

    def look(self) -> None:
        """Warn if one rate stands in all groups, or if rates no longer change together."""
        scales, rates, roles = [], [], []
        for group in self._optimizer.param_groups:
            scale = group.get("lr_scale")
            if scale is not None:
                scales.append(float(scale))
                rates.append(float(group["lr"]))
                roles.append(f"{group.get('role', 'a group')} {scale:.3g}")
        if self._told or len(set(scales)) < 2 or min(scales) <= 0:
            return
        # A scheduler that keeps the corrections changes these by one factor, all alike.
        units = [rate / scale for rate, scale in zip(rates, scales, strict=True)]
        if self._start is None or len(self._start) != len(units):
            self._start = units
        listed = ", ".join(roles)
        # A OneCycleLR of one `max_lr` sets it in every group, as soon as it is made.
        if len(set(rates)) == 1 and rates[0] > 0:
            self._warn(f"one learning rate, {rates[0]:.3g}, in all groups", listed)
        elif not _proportional(units, self._start):
            self._warn("learning rates that no longer change together", listed)

    def _warn(self, what: str, roles: str) -> None:
        self._told = True
        warnings.warn(
            f"`optimizer` has {what}, which erases the corrections of `param_groups`"
            f" ({roles}): give a scheduler a list, as `groups.lrs(max_lr)` makes it, and no"
            " common floor.",
            stacklevel=5,
        )


def _proportional(units: list[float], start: list[float]) -> bool:
    """Whether all rates have grown or fallen by one factor, as far as they can be compared."""
    # From a rate of 0, as at the start of a warm-up, no factor leads anywhere.
    factors = [
        now / before for now, before in zip(units, start, strict=True) if before > 0
    ]
    if not factors or max(factors) == 0:
        return True
    return min(factors) > 0 and math.log(max(factors) / min(factors)) < _TOLERANCE
