"""Perturbed synapses of a sparse circuit: vectors in the order of its synapses."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from daleml._sparse_weights import Pattern
from daleml.populations import Populations


def of_silent(silent: Tensor, pattern: Pattern | None) -> Tensor:
    """Return the synapses that silent units make: of a matrix all pairs, else a vector."""
    if pattern is None:
        return silent.expand(len(silent), -1)
    return silent.index_select(0, pattern.pre.long().to(silent.device))


def by_population(
    absent: Tensor, pattern: Pattern, populations: Populations, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield postsynaptic units that are cut off alike, and the presynaptic ones they lose.

    Raises:
        ValueError: If some synapses of a pathway are cut and others are not, for which each step
            would need a weight of its own.
    """
    names = populations.names
    of_unit = torch.repeat_interleave(
        torch.tensor(list(populations.sizes.values()), device="cpu")
    )
    post, pre = (of_unit[each.long().cpu()] for each in (pattern.post, pattern.pre))
    # Pathways are numbered row by row, as the entries of a small matrix.
    pathway, n = post * len(names) + pre, len(names)
    n_all = torch.bincount(pathway, minlength=n * n)
    n_cut = torch.bincount(pathway[absent.cpu()], minlength=n * n)
    partly = (n_cut > 0) & (n_cut < n_all)
    if bool(partly.any()):
        target, source = divmod(int(partly.nonzero()[0]), n)
        raise ValueError(
            "`pathway` must be whole pathways for a part of a trial of a sparse circuit; got"
            f" some synapses of {names[source]}->{names[target]}: leave out the window, or"
            " build the circuit with `sparse=False`."
        )
    for target, name in enumerate(names):
        lost = n_cut[target * n : (target + 1) * n] > 0
        if bool(lost.any()):
            targets = torch.zeros(populations.size, dtype=torch.bool, device="cpu")
            targets[populations[name]] = True
            yield targets.to(device), lost[of_unit].to(device)
