"""A stream of random numbers for each model of an ensemble, as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Streams:
    """What models draw from that have no generator of their own: one generator for each.

    Args:
        states: The state in which each begins.
    """

    def __init__(self, states: Sequence[Tensor]) -> None:
        self.generators = []
        for state in states:
            generator = torch.Generator()
            # A copy: torch reads a state from the start of its memory, which a slice has not.
            generator.set_state(state.clone())
            self.generators.append(generator)

    def states(self) -> Tensor:
        """Return all states, (models, bytes)."""
        return torch.stack([one.get_state() for one in self.generators])

    def set_states(self, states: Tensor) -> None:
        """Put all generators where the states say."""
        for generator, state in zip(self.generators, states.cpu(), strict=True):
            generator.set_state(state.clone())

    @contextmanager
    def as_global(self, k: int) -> Iterator[None]:
        """Let torch's global generator be that of a model, and put it back afterwards."""
        before = torch.get_rng_state()
        torch.set_rng_state(self.generators[k].get_state())
        try:
            yield
        finally:
            self.generators[k].set_state(torch.get_rng_state())
            torch.set_rng_state(before)

    def dropped(self, x: Tensor, p: float) -> Tensor:
        """Drop numbers of (models, ...) as each model would by itself."""
        if p == 1:
            return x * 0
        kept = torch.empty(x.shape, dtype=x.dtype, device="cpu")
        for generator, mine in zip(self.generators, kept.unbind(0), strict=True):
            mine.bernoulli_(1 - p, generator=generator)
        return x * kept.div_(1 - p).to(x.device)


def seeded(build: Callable[[int], Any], seed: int) -> tuple[Any, Tensor]:
    """Call a function of a seed with torch's global generator seeded; return what is left of it.

    The global generator is put back.
    """
    before = torch.get_rng_state()
    # Of the CPU's generator alone: `torch.manual_seed` would seed those of all devices.
    torch.default_generator.manual_seed(seed)
    try:
        return build(seed), torch.get_rng_state()
    finally:
        torch.set_rng_state(before)
