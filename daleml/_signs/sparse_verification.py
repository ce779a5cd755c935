"""Comparison of the buffers that say where synapses lie with what was recorded of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from daleml import _sparse_weights, law
from daleml._signs import facts, parameter_lookup
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._sparse_weights import Pattern


def settle(module: nn.Module, own: str, full: str, weight: Tensor) -> None:
    """Raise unless the buffers of a sparse weight hold what was recorded.

    Another draw of synapses that were drawn at random is taken: DistributedDataParallel
    broadcasts that of the first process to all others.

    Raises:
        ValueError: If the buffers hold something else, or are gone.
    """
    kept = _sparse_weights.recorded(module, own)
    if kept is None:
        return
    buffers = [module._buffers.get(own + suffix) for suffix in _sparse_weights.BUFFERS]
    if any(buffer is None for buffer in buffers):
        raise ValueError(
            f"`{full}` must have the buffers that say where its synapses lie; one is gone:"
            " call `signs.restore_` to put it back."
        )
    post, pre, _ = buffers
    assert post is not None
    assert pre is not None
    if post.device.type != "cpu":
        # Looking would wait for the device.
        return
    known = kept[_sparse_weights.POST], kept[_sparse_weights.PRE]
    if all(
        np.array_equal(buffer.numpy(), recorded)
        for buffer, recorded in zip((post, pre), known, strict=True)
    ):
        return
    if not _adopt_draw(module, own, weight):
        raise ValueError(
            f"`{full}{_sparse_weights.POST}` and `{full}{_sparse_weights.PRE}` must hold"
            " what was fixed; something wrote into them since: call `signs.restore_` to put"
            " back what was fixed."
        )


def _adopt_draw(module: nn.Module, own: str, weight: Tensor) -> bool:
    """Take another draw of synapses that were drawn at random."""
    kept, before = (
        facts.record(module, own),
        _sparse_weights.recorded_pattern(module, own),
    )
    if kept is None or before is None or kept.fixed is not None:
        return False
    if own in facts.learning(module):
        return False
    # Indices that are no matrix were written by accident, and are no draw.
    try:
        now = _sparse_weights.pattern(module, own)
    except ValueError:
        return False
    if now is None or not is_another_draw(now, before, kept.drawn):
        return False
    take(module, own, now, weight, module._buffers[own + law.SUFFIX])
    return True


def take(
    module: nn.Module,
    own: str,
    pattern: Pattern,
    weight: Tensor,
    stored: Tensor | None,
) -> None:
    """Make a pattern a weight's own, with the signs of its senders.

    A unit that sent nothing so far has the sign that it comes with.

    Args:
        module: The module.
        own: The weight's name.
        pattern: Where its synapses lie from now on.
        weight: The weight.
        stored: The signs that come with the pattern, of its synapses.
    """
    kept, before = (
        facts.record(module, own),
        _sparse_weights.recorded_pattern(module, own),
    )
    _sparse_weights.register(module, own, pattern, weight.device)
    if kept is None or before is None:
        return
    of_units = torch.full((pattern.shape[1],), law.UNSIGNED, dtype=torch.int8)
    if stored is not None and stored.numel() == pattern.size:
        of_units[pattern.pre.long().cpu()] = stored.cpu().to(torch.int8)
    of_units[before.pre.long()] = kept.sign_tensor()
    signs = of_units[pattern.pre.long().cpu()]
    # Signs belong to units, so that they follow the synapses to their new places.
    adopted = facts.make_record(signs, None, drawn=kept.drawn)
    facts.keep(module, own, adopted, weight)


def is_another_draw(now: Pattern, before: Pattern, drawn: bool | DrawnBlocks) -> bool:
    """Whether a pattern may be another draw of one that was drawn at random.

    It has as many synapses, and of blocks as many in each; a block that nothing was left to
    chance in has the same.
    """
    if drawn is False or now.shape != before.shape or now.size != before.size:
        return False
    if drawn is True:
        return True
    counts = []
    for each in (now, before):
        rows = _block_of(each.post, drawn.n_post)
        columns = _block_of(each.pre, drawn.n_pre)
        n_blocks = len(drawn.n_post) * len(drawn.n_pre)
        block = rows * len(drawn.n_pre) + columns
        counts.append(torch.bincount(block, minlength=n_blocks))
    return torch.equal(*counts)


def _block_of(units: Tensor, sizes: tuple[int, ...]) -> Tensor:
    which = torch.repeat_interleave(torch.tensor(sizes, device="cpu"))
    return which[units.long().cpu()]


def restore_(module: nn.Module) -> None:
    """Put back where the synapses of every sparse weight of a module lie."""
    for name in list(module.__dict__.get("_dale_sparse", {})):
        pattern = _sparse_weights.recorded_pattern(module, name)
        # Pruned or parametrised, it has another name.
        _, weight = parameter_lookup.resolve(module, name)
        if pattern is not None:
            _sparse_weights.register(module, name, pattern, weight.device)
