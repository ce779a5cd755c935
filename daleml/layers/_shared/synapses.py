"""The synapses of one weight, as options describe them: which exist, how strong, what learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml._signs.drawn_masks import DrawnBlocks
from daleml._sparse_weights import Pattern
from daleml.layers._recurrent.masks import draw_of, is_structured, mask_matrix
from daleml.layers._shared import sparse_choice, synapse_options
from daleml.layers._shared.sparse_masks import sparse_mask
from daleml.layers._shared.synapse_options import Ends


class Synapses(NamedTuple):
    """What is known of the synapses of one weight, each matrix ``(post, pre)``.

    Attributes:
        present: Which exist, boolean; None if all do.
        drawn: Whether they were drawn at random, or by which densities.
        structured: Whether it was said which units are connected, so that rows may differ on
            purpose.
        unsigned: The presynaptic units that have no sign.
        fixed: Which do not learn, boolean; None if all do.
        strength: Relative mean strength of each; None if all are alike.
        learning: Factor on what each learns; None if all are 1.
        pattern: Where those of a sparse weight lie, of which all else is a vector; None of a
            matrix.
    """

    present: Tensor | None = None
    drawn: bool | DrawnBlocks = False
    structured: bool = False
    unsigned: tuple[int, ...] = ()
    fixed: Tensor | None = None
    strength: Tensor | None = None
    learning: Tensor | None = None
    pattern: Pattern | None = None

    def unit_signs(self, signs: Tensor) -> list[float | None]:
        """Return the sign of each presynaptic unit, None for one without."""
        found: list[float | None] = signs.tolist()
        for unit in self.unsigned:
            found[unit] = None
        return found

    def of_kernel(self, groups: int, kernel: tuple[int, ...]) -> Synapses:
        """Return the same of a convolution's weight, whose taps are all alike.

        Args:
            groups: Number of groups of channels, convolved apart.
            kernel: Sizes of the kernel.
        """
        found: dict[str, Any] = {}
        for name in ("present", "fixed", "strength", "learning"):
            matrix = getattr(self, name)
            if matrix is not None:
                found[name] = _by_kernel(matrix, groups, kernel)
        return self._replace(**found)


def of_layer(ends: Ends, options: Mapping[str, Any]) -> Synapses:
    """Read the options of a layer without recurrence.

    Args:
        ends: The postsynaptic and the presynaptic populations.
        options: ``mask``, ``strength``, ``fixed``, ``lr_scale``, ``generator`` and perhaps
            ``input_signed``.

    Raises:
        TypeError: If an option is of the wrong kind.
        ValueError: If an option does not fit the populations.
    """
    mask = options["mask"]
    if hasattr(mask, "adjacency"):
        raise TypeError("`mask` must be a matrix, a density or Blocks; got a graph.")
    generator = options["generator"]
    signed = options.get("input_signed", True)
    sparse, pattern, present = options.get("sparse", False), None, None
    sparse_choice.require_sparse_possible({"sparse": sparse, "mask": mask})
    if sparse_choice.is_chosen(sparse, mask, ends):
        pattern = sparse_mask("mask", mask, ends, autapses=True, generator=generator)
    else:
        present = mask_matrix("mask", mask, ends, autapses=True, generator=generator)
    return Synapses(
        present,
        draw_of(mask, ends),
        is_structured(mask),
        synapse_options.unsigned("input_signed", signed, ends[1]),
        synapse_options.which("fixed", options["fixed"], ends, pattern),
        synapse_options.relative_strengths(
            "strength", options["strength"], ends, pattern
        ),
        synapse_options.factors("lr_scale", options["lr_scale"], ends, pattern),
        pattern,
    )


def _by_kernel(matrix: Tensor, groups: int, kernel: tuple[int, ...]) -> Tensor:
    """Return a number for each tap, ``(out, in / groups, *kernel)``, from one for each pair."""
    n_post, n_pre = matrix.shape
    rows, columns = n_post // groups, n_pre // groups
    inside = []
    for group in range(groups):
        # The outputs of a group read the inputs of that group alone.
        block = matrix[group * rows : (group + 1) * rows]
        inside.append(block[:, group * columns : (group + 1) * columns])
    by_pair = torch.cat(inside).reshape(n_post, columns, *(1,) * len(kernel))
    return by_pair.expand(n_post, columns, *kernel).clone()
