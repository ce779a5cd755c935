"""Seeds in one batch beside one after the other: ``Ensemble`` and a loop over its models.

``python -m benchmarks ensembles`` times the cases below on one thread. ``python -m
benchmarks.ensembles`` prints how many times as fast an ensemble is for numbers of models and sizes
of networks, which shows where it stops paying.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import Case, measure
from daleml import Populations
from daleml.experiments import Ensemble
from daleml.layers import EIRNN, DANNLinear, Readout
from daleml.optim import EG, param_groups

LOSS = nn.functional.cross_entropy
Work = tuple[Callable[[], nn.Module], Tensor, Tensor]
"""What builds a model, and a batch for it."""


def dann(n_hidden: int) -> Work:
    """A DANN of one hidden layer, 64 inputs and 10 classes, and a batch of 32."""

    def build() -> nn.Module:
        return nn.Sequential(
            DANNLinear(64, n_hidden), nn.ReLU(), DANNLinear(n_hidden, 10)
        )

    return build, torch.rand(32, 64), torch.randint(0, 10, (32,))


class LastStep(nn.Module):
    """A circuit whose last rates are read, as a module of one's own."""

    def __init__(self, n_units: int) -> None:
        super().__init__()
        populations = Populations.split(n_units)
        self.circuit = EIRNN(8, populations)
        self.read = nn.Linear(n_units, 2)

    def forward(self, x: Tensor) -> Any:
        """Answer a series of inputs."""
        return self.read(self.circuit(x)[0][-1])


def circuit(n_units: int) -> Work:
    """A circuit that reads 8 inputs for 50 steps and answers at the last, and a batch of 32."""
    x, y = torch.rand(50, 32, 8), torch.randint(0, 2, (32,))
    return lambda: LastStep(n_units), x, y


def leaky(n_units: int) -> Work:
    """A leaky, noisy and masked circuit whose answers are read at all of 50 steps."""
    populations = Populations.split(n_units)
    options: dict[str, Any] = {"dt_ms": 20, "tau_ms": 100, "noise": 0.05, "mask": 0.2}

    def build() -> nn.Module:
        return nn.Sequential(EIRNN(8, populations, **options), Readout(populations, 2))

    return build, torch.rand(50, 32, 8), torch.rand(50, 32, 2)


def _loss(y: Tensor) -> Callable[[Any, Any], Tensor]:
    return nn.functional.mse_loss if y.is_floating_point() else LOSS


def together(work: Work, n: int) -> Callable[[], None]:
    """Return a step of an ensemble."""
    build, x, y = work
    loss = _loss(y)
    ensemble = Ensemble(build, seeds=n)
    optimizer = EG(param_groups(ensemble, lr=0.01), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        ensemble.losses(loss, ensemble(x), y).sum().backward()
        optimizer.step()

    return step


def one_by_one(work: Work, n: int) -> Callable[[], None]:
    """Return a step of as many models, one after the other."""
    build, x, y = work
    loss = _loss(y)
    models = [build() for _ in range(n)]
    optimizers = [EG(param_groups(model, lr=0.01), lr=0.01) for model in models]

    def step() -> None:
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    return step


def case(name: str, make: Callable[[], Work], n: int) -> Case:
    """Compare a step of an ensemble with a loop over its models."""

    def setup() -> tuple[Callable[[], object], Callable[[], object]]:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        work = make()
        return together(work, n), one_by_one(work, n)

    return Case(
        f"{n} seeds, {name}",
        "one after the other",
        setup,
        rounds=31,
        clock=time.thread_time,
    )


KINDS: dict[str, tuple[Callable[[int], Work], tuple[int, ...]]] = {
    "DANN 64-{}-10": (dann, (50, 200)),
    "circuit of {}": (circuit, (32, 100)),
    "leaky, noisy, masked circuit of {}": (leaky, (32, 100)),
}
CASES = [
    case(name.format(size), lambda make=make, size=size: make(size), 16)
    for name, (make, sizes) in KINDS.items()
    for size in sizes
]


def crossover() -> None:
    """Print how many times as fast an ensemble is, for numbers of models and sizes."""
    sizes = {dann: (20, 50, 100, 200, 500), circuit: (16, 32, 64, 100, 200)}
    numbers = (2, 4, 8, 16, 32, 64)
    print("| |", " | ".join(f"K={n}" for n in numbers), "|")
    print("|---|" + "---|" * len(numbers))
    for name, (make, _) in list(KINDS.items())[:2]:
        for size in sizes[make]:
            cells = []
            for n in numbers:
                one = case(name, lambda make=make, size=size: make(size), n)
                timing = measure(Case(one.name, one.against, one.setup, 7, one.clock))
                cells.append(f"{1 / timing.ratio:.1f}")
            print(f"| {name.format(size)} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    crossover()
