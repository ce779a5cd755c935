"""Signs of the synapses of units that have none, drawn for each synapse."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def with_signs_drawn(signs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return signs of single synapses, drawn + or - alike where they are 0.

    Args:
        signs: One sign for each synapse: +1, -1, or 0 for one whose unit has none.
        generator: Source of randomness; default: torch's global one. It is used only where a
            sign is 0.
    """
    free = signs == 0
    if signs.is_meta or not bool(free.any()):
        return signs
    where = signs.device if generator is None else generator.device
    coins = torch.randint(2, signs.shape, generator=generator, device=where)
    return torch.where(free, (2 * coins - 1).to(signs), signs)
