"""Sparse circuits beside dense ones with the same synapses: where each is faster."""

import time

import torch

from benchmarks.timing import Case
from daleml import Populations, _sparse_weights
from daleml.layers import EIRNN
from daleml.optim import EG, param_groups

N_STEPS, N_SEQUENCES, N_INPUTS = 10, 16, 8
SIZES = (256, 512, 1024, 2048)
DENSITIES = (0.01, 0.05, 0.2)


def step(n_units, density):
    """Compare forward, backward and a step of EG."""

    def setup():
        generator = torch.Generator().manual_seed(0)
        pops = Populations.split(n_units)
        options = {"dt_ms": 20, "tau_ms": 100, "spectral_radius": 0.9}
        sparse = EIRNN(
            N_INPUTS, pops, mask=density, sparse=True, generator=generator, **options
        )
        pattern = _sparse_weights.pattern(sparse, "weight_hh_l0")
        present = pattern.dense(torch.ones(pattern.size)).bool()
        dense = EIRNN(N_INPUTS, pops, mask=present, **options)
        return ready(sparse), ready(dense)

    return setup


def ready(circuit):
    """Return what trains a circuit by one step."""
    optimizer = EG(param_groups(circuit, 0.01), 0.01)
    inputs = torch.rand(N_STEPS, N_SEQUENCES, N_INPUTS)

    def call():
        optimizer.zero_grad()
        circuit(inputs)[0].square().mean().backward()
        optimizer.step()

    return call


CASES = [
    Case(
        f"sparse circuit of {n_units} units, {density:.0%} of synapses",
        "the dense circuit, masked",
        step(n_units, density),
        clock=time.process_time,
    )
    for n_units in SIZES
    for density in DENSITIES
]
