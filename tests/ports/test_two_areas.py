"""Two areas by blocks, as Song, Yang & Wang 2016 divide a circuit for a context-dependent task.

Their script builds masks by index arithmetic: a sensory and a motor group of excitatory units, dense
excitation and inhibition within an area, and a fifth of the synapses from one area's excitatory
units to the other area.
"""

import inspect

import torch

from daleml import Populations, signs
from daleml.layers import EIRNN, Blocks, EILinear
from daleml.optim import enforce


def two_areas(n=100, density=0.2, generator=None):
    """The port: the circuit, and a read-out of the motor group's excitatory units."""
    areas = Populations.of(
        exc={"sensory.E": 2 * n // 5, "motor.E": 2 * n // 5},
        inh={"sensory.I": n // 10, "motor.I": n // 10},
    )
    inputs = Populations.of(exc={"motion": 2, "colour": 2, "context": 2})
    within = {"sensory->sensory": 1, "motor->motor": 1}
    between = {"sensory.E->motor": density, "motor.E->sensory": density}
    rnn = EIRNN(
        inputs, areas, mask=Blocks({**within, **between}), input_mask=Blocks({"*->sensory.E": 1}),
        dt_ms=20, tau_ms=100, noise=0.15, generator=generator,
    )  # fmt: skip
    return rnn, EILinear(areas, 2, mask=Blocks({"motor.E->*": 1}), generator=generator)


def test_it_is_a_port_of_few_lines():
    lines, _ = inspect.getsourcelines(two_areas)
    assert len(lines) - 2 <= 15


def test_the_areas_are_those_of_the_script():
    """Index arithmetic, as in the script: sensory and motor E, then sensory and motor I."""
    rnn, readout = two_areas(generator=torch.Generator().manual_seed(0))
    present = rnn.weight_hh_l0_present.bool()
    sensory = torch.cat([torch.arange(40), torch.arange(80, 90)])
    motor = torch.cat([torch.arange(40, 80), torch.arange(90, 100)])
    for area, other in ((sensory, motor), (motor, sensory)):
        within = present[area][:, area] | torch.eye(50, dtype=torch.bool)
        assert within.all()
        exc, inh = other[:40], other[40:]
        assert 0.17 < present[area][:, exc].double().mean() < 0.23
        assert not present[area][:, inh].any()
    assert not present.diagonal().any()
    assert torch.equal((rnn.weight_ih_l0 != 0).any(1), torch.arange(100) < 40)
    assert torch.equal((readout.weight != 0).all(0), (torch.arange(100) // 40) == 1)


def test_it_learns_by_its_pathways():
    rnn, readout = two_areas(50, generator=torch.Generator().manual_seed(0))
    net = torch.nn.ModuleList([rnn, readout])
    present = rnn.weight_hh_l0_present.bool().clone()
    optimizer = torch.optim.Adam(net.parameters(), 0.001)
    x, losses = torch.rand(20, 8, 6, generator=torch.Generator().manual_seed(1)), []
    with enforce(optimizer, net):
        for _ in range(30):
            optimizer.zero_grad()
            loss = (readout(rnn(x)[0])[-1] - 1).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert signs.check(net)
    assert (rnn.weight_hh_l0[~present] == 0).all()
