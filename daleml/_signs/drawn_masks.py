"""Masks that were drawn at random, and whether another mask may be another draw of the same."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class DrawnBlocks(NamedTuple):
    """By which densities a mask was drawn, block by block.

    Attributes:
        n_post: Number of units of each block of rows.
        n_pre: Number of units of each block of columns.
        densities: Probability of a synapse, a row for each block of rows.
    """

    n_post: tuple[int, ...]
    n_pre: tuple[int, ...]
    densities: tuple[tuple[float, ...], ...]


def is_another_draw(
    present: Tensor, mask: Tensor, *, drawn: bool | DrawnBlocks
) -> bool:
    """Whether a mask may be another draw at the density of one that was drawn.

    The numbers of synapses may differ by 5 standard errors; of a mask drawn block by block,
    those of every block, and what was not left to chance must be the same.
    """
    if drawn is False:
        return False
    present, mask = present.cpu() != 0, mask.cpu() != 0
    if drawn is True:
        return _may_be_one_density(present, mask)
    if mask.ndim > 2:
        # Of a kernel all taps of a pair of channels exist, or none does.
        taps = present.flatten(2)
        if not torch.equal(taps, taps[..., :1].expand_as(taps)):
            return False
        present, mask = taps[..., 0], mask.flatten(2)[..., 0]
    # A convolution in groups has the columns of one group only.
    if mask.shape != (sum(drawn.n_post), sum(drawn.n_pre)):
        return _may_be_one_density(present, mask)
    return _is_draw_of_blocks(present, mask, drawn)


def _is_draw_of_blocks(present: Tensor, mask: Tensor, drawn: DrawnBlocks) -> bool:
    below = 0
    for n_post, densities in zip(drawn.n_post, drawn.densities, strict=True):
        rows = slice(below, below + n_post)
        below += n_post
        left = 0
        for n_pre, density in zip(drawn.n_pre, densities, strict=True):
            columns = slice(left, left + n_pre)
            left += n_pre
            now, then = present[rows, columns], mask[rows, columns]
            # A density of 0 or 1 leaves nothing to chance, autapses aside.
            same = torch.equal(now, then)
            if not same and (density in (0, 1) or not _may_be_one_density(now, then)):
                return False
    return True


def _may_be_one_density(present: Tensor, mask: Tensor) -> bool:
    n = mask.numel()
    n_before, n_now = int(mask.sum()), int(present.sum())
    density = (n_before + n_now) / (2 * n)
    # The standard deviation of the difference of two binomial counts.
    spread = math.sqrt(2 * n * density * (1 - density))
    return abs(n_before - n_now) <= 5 * spread + 1
