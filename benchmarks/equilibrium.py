"""Equilibrium propagation with the parts of complex states kept apart, beside complex states."""

import torch

from benchmarks.timing import Case
from daleml.learning import EquilibriumPropagation, HolomorphicNetwork

BATCH, N_POINTS = 50, 4


class ComplexStates(HolomorphicNetwork):
    """A network whose step is overridden, and so is called with complex states."""

    def step(self, *args):
        return super().step(*args)


def gradient(hidden):
    """Compare a gradient with the same one from a network that relaxes complex states."""

    def setup():
        x = torch.rand(BATCH, 64, generator=torch.Generator().manual_seed(1))
        y = torch.arange(BATCH) % 10

        def ready(kind):
            network = kind(
                64,
                hidden,
                10,
                step_size=0.5,
                tolerance=1e-4,
                generator=torch.Generator().manual_seed(0),
            )
            rule = EquilibriumPropagation(network, beta=0.4, n_points=N_POINTS)
            return lambda: rule.gradients(x, y)

        return ready(HolomorphicNetwork), ready(ComplexStates)

    return setup


CASES = [
    Case(
        f"EquilibriumPropagation, {N_POINTS} points, hidden {hidden}, batch {BATCH}",
        "complex states",
        gradient(hidden),
    )
    for hidden in ([64, 64], [256, 256])
]
