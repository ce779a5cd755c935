"""The states of the random generators that a training run draws from."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Where a torch DataLoader, its samplers and a data set of random crops keep their generators.
_SOURCES = (
    "generator",
    "sampler.generator",
    "batch_sampler.sampler.generator",
    "dataset.generator",
)


def generators_of(batches: Any, model: nn.Module) -> list[torch.Generator]:
    """Return the generators of a loader, of its sampler and data set, and of a model's modules."""
    found = [_attribute(batches, path) for path in _SOURCES]
    found += [getattr(module, "generator", None) for module in model.modules()]
    different = {}
    for generator in found:
        if isinstance(generator, torch.Generator):
            different[id(generator)] = generator
    return list(different.values())


def _attribute(source: Any, path: str) -> Any:
    for name in path.split("."):
        source = getattr(source, name, None)
    return source


def read_tensors(generators: Iterable[torch.Generator]) -> dict[str, Tensor]:
    """Return the states of torch's and NumPy's global generators, and of some more."""
    states = {"random.torch": torch.get_rng_state()}
    for i, state in enumerate(torch.cuda.get_rng_state_all()):
        states[f"random.cuda.{i}"] = state
    for i, generator in enumerate(generators):
        states[f"random.generator.{i}"] = generator.get_state()
    # numpy's global generator is saved for code that still draws from it.
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    states["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    states["random.numpy.rest"] = torch.tensor(
        [position, has_gauss, gauss], dtype=torch.float64
    )
    return states


def write(
    states: dict[str, Tensor], python_state: Any, generators: Iterable[torch.Generator]
) -> None:
    """Put all generators where the states say."""
    version, internal, gauss_next = python_state
    random.setstate((version, tuple(internal), gauss_next))
    position, has_gauss, gauss = states["random.numpy.rest"].tolist()
    keys = states["random.numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), gauss))  # noqa: NPY002
    for i, generator in enumerate(generators):
        if f"random.generator.{i}" in states:
            generator.set_state(states[f"random.generator.{i}"])
    for i in range(torch.cuda.device_count()):
        if f"random.cuda.{i}" in states:
            torch.cuda.set_rng_state(states[f"random.cuda.{i}"], i)
    torch.set_rng_state(states["random.torch"])


def is_state(name: str) -> bool:
    """Whether a tensor of this name holds the state of a random generator."""
    return name.startswith("random.")


def count(states: dict[str, Tensor]) -> int:
    """Return how many generators beside the global ones have their states among these."""
    return sum(name.startswith("random.generator.") for name in states)
