"""One batched run of an evolution strategy, beside its members one after another.

The network is of Morris-Lecar cells.
"""

import torch
from torch import nn

from benchmarks.timing import Case
from daleml.learning import EvidenceIntegration, EvolutionStrategy, MorrisLecarNetwork
from tests.reference import morris_lecar as reference

N_CELLS, N_TRIALS, POPULATION = 128, 50, 64
N_ROWS = 50
"""Words, the whole phrase: 2,000 steps."""


def equation_by_equation(net, x):
    """Run the network as published code does.

    Every line of the equations an operation, at every step.
    """
    return reference.network(net, x, net.initial_state(x.shape[1]))


def estimate(run, *, compiled=None):
    """Compare one estimate of the gradient with as many runs in a loop, each of its own weights."""

    def setup():
        task = EvidenceIntegration()
        trials = task.sample(N_TRIALS, torch.Generator().manual_seed(0))
        x, targets = trials.inputs[-N_ROWS:], trials.targets[-1]
        net = MorrisLecarNetwork(
            task.n_inputs, N_CELLS, task.n_outputs, compiled=compiled
        )
        alone = MorrisLecarNetwork(task.n_inputs, N_CELLS, task.n_outputs)
        strategy = EvolutionStrategy(net, population=POPULATION)

        def ours():
            strategy.backward(lambda net: nn.functional.cross_entropy(net(x), targets))

        @torch.no_grad()
        def loop():
            for _ in range(POPULATION):
                for parameter in alone.parameters():
                    parameter += 1e-3 * torch.randn_like(parameter)
                nn.functional.cross_entropy(run(alone, x), targets)

        return ours, loop

    return setup


NAME = (
    f"EvolutionStrategy, {POPULATION} networks of {N_CELLS} Morris-Lecar cells, batch"
    f" {N_TRIALS}"
)
CASES = [
    Case(
        NAME,
        "loop over members, the published lines",
        estimate(equation_by_equation),
        rounds=3,
    ),
    Case(
        NAME,
        "loop over members, our own step",
        estimate(lambda net, x: net(x)),
        rounds=3,
    ),
    Case(
        f"{NAME}, not compiled",
        "loop over members, the published lines",
        estimate(equation_by_equation, compiled=False),
        rounds=3,
    ),
]
