"""The guard of ``optim.enforce`` on small networks, beside projecting anew and beside no guard.

What a guard costs is a matter of small networks: the more weights there are, the less it counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import Case
from daleml import signs
from daleml._signs.projection import Guard
from daleml.layers import DANNLinear
from daleml.optim import enforce

N_CALLS = 20
"""A call is repeated so often per round, since one takes a few microseconds."""


def network() -> nn.Sequential:
    """Return a DANN of 64-100-100-10 units: nine weights whose signs are fixed."""
    sizes = (64, 100, 100, 10)
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [DANNLinear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    """Return a function that makes a call ``N_CALLS`` times."""

    def calls() -> None:
        for _ in range(N_CALLS):
            call()

    return calls


def projections() -> tuple[Callable[[], object], Callable[[], object]]:
    """Compare a guard with the projection that reads every fact anew."""
    guarded, plain = network(), network()
    return repeated(Guard(guarded).project_), repeated(lambda: signs.project_(plain))


def whole_step(*, guarded: bool) -> Callable[[], None]:
    """Return a step of SGD on a batch of 32, forward and backward included."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    if guarded:
        enforce(optimizer, model)
    x, y = torch.rand(32, 64), torch.randint(10, (32,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def whole_steps() -> tuple[Callable[[], object], Callable[[], object]]:
    """Compare steps with a guard and without one."""
    with_guard, without = whole_step(guarded=True), whole_step(guarded=False)
    return repeated(with_guard), repeated(without)


CASES = [
    Case("the guard, DANN 64-100-100-10", "signs.project_", projections, rounds=101),
    Case("SGD step with guard, DANN", "without", whole_steps, rounds=51),
]
