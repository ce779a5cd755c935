"""The choice between a sparse weight and a matrix, by size and density, where it is left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daleml import require
from daleml.layers._recurrent.masks import Ends
from daleml.layers._shared.sparse_masks import n_asked
from daleml.populations import Populations

# By `python -m benchmarks "sparse circuit"`, forward, backward and a step of EG take 0.6 of a
# dense circuit's time at 512 units and a density of 0.1, 0.35 at 1,024 and 0.26 at 2,048; below
# 256 units they take more.
FEWEST_PAIRS = 512**2
"""The fewest pairs of units from which a weight may be made sparse by itself."""
GREATEST_DENSITY = 0.1
"""The density up to which a weight is made sparse by itself."""


def is_chosen(sparse: bool | None, mask: Any, ends: Ends) -> bool:
    """Whether a weight is to be sparse: as asked for, or by its size and density.

    Args:
        sparse: True, False, or None to choose.
        mask: Which of its synapses exist; None for all, which is no sparse weight.
        ends: The postsynaptic and the presynaptic populations.
    """
    if sparse is False or mask is None:
        return False
    return sparse is True or is_worth_it(n_asked(mask, ends), ends)


def is_worth_it(n_synapses: float | None, ends: Ends) -> bool:
    """Whether a sparse weight of so many synapses is faster than a matrix."""
    post, pre = map(Populations.coerce, ends)
    n_pairs = post.size * pre.size
    if n_synapses is None or n_pairs < FEWEST_PAIRS:
        return False
    return n_synapses <= GREATEST_DENSITY * n_pairs


def require_sparse_possible(
    options: Mapping[str, Any], suffixes: Sequence[str] = ()
) -> None:
    """Raise if ``sparse`` is asked for and nothing says which synapses exist.

    Raises:
        TypeError: If ``sparse`` is neither True, False nor None.
        ValueError: If no mask is given.
    """
    sparse = options.get("sparse", False)
    if sparse is not None:
        require.flag("sparse", sparse)
    if sparse is not True:
        return
    if options["mask"] is None:
        raise ValueError(
            "`sparse` must be left out without `mask`, where all synapses exist; got"
            " True: give a mask, such as `mask=0.01`."
        )
    if len(suffixes) > 1 and options["layer_mask"] is None:
        raise ValueError(
            "`layer_mask` must say which synapses lead from layer to layer where `sparse`"
            " is True; got none."
        )
