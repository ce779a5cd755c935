"""An evolution strategy's one batched run beside its members one after another, for a network of Morris-Lecar cells."""

import torch
from torch import nn

from benchmarks.timing import Case
from daleml.learning import EvidenceIntegration, EvolutionStrategy, MorrisLecarNetwork

N_CELLS, N_TRIALS, POPULATION = 128, 50, 64
N_ROWS = 50
"""Words, the whole phrase: 2,000 steps."""


def equation_by_equation(net, x):
    """Run the network as published code does: every line of the equations an operation, at every step."""
    c, dt = net.cell, net.dt_ms
    v, w = net.initial_state(x.shape[1])
    sent, outputs = torch.sigmoid((v + 3) / 8), []
    for row in x:
        for _ in range(round(net.input_ms / dt)):
            current = 36.75 * (0.1 + row @ net.weight_ih.T + sent @ net.weight_hh.T) + 39.9
            m_inf = 0.5 * (1 + torch.tanh((v - c.v1) / c.v2))
            w_inf = 0.5 * (1 + torch.tanh((v - c.v3) / c.v4))
            tau = 1 / (c.phi * torch.cosh((v - c.v3) / (2 * c.v4)))
            w = (w_inf * dt + (tau - dt / 2) * w) / (tau + dt / 2)
            g = (c.g_ca * m_inf + c.g_k * w + c.g_l) / c.c
            e = (c.g_ca * m_inf * c.e_ca + c.g_k * w * c.e_k + c.g_l * c.e_l) / c.c
            v = (v * (1 - dt * g / 2) + dt * (e + current / c.c)) / (1 + dt * g / 2)
            sent = torch.sigmoid((v + 3) / 8)
            outputs.append(net.readout(sent))
    return torch.stack(outputs[-round(net.read_ms / dt) :]).mean(0)


def estimate(run, *, compiled=None):
    """Compare one estimate of the gradient with as many runs in a loop, each of its own weights."""

    def setup():
        task = EvidenceIntegration()
        trials = task.sample(N_TRIALS, torch.Generator().manual_seed(0))
        x, targets = trials.inputs[-N_ROWS:], trials.targets[-1]
        net = MorrisLecarNetwork(task.n_inputs, N_CELLS, task.n_outputs, compiled=compiled)
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


NAME = f"EvolutionStrategy, {POPULATION} networks of {N_CELLS} Morris-Lecar cells, batch {N_TRIALS}"
CASES = [
    Case(NAME, "loop over members, the published lines", estimate(equation_by_equation), rounds=3),
    Case(NAME, "loop over members, our own step", estimate(lambda net, x: net(x)), rounds=3),
    Case(
        f"{NAME}, not compiled",
        "loop over members, the published lines",
        estimate(equation_by_equation, compiled=False),
        rounds=3,
    ),
]
