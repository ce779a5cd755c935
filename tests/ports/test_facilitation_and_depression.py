"""A published circuit whose synapses facilitate and depress, trained to remember a direction."""

import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, Readout
from daleml.layers.dynamics import RectifiedLeak, ShortTermPlasticity
from daleml.optim import enforce
from daleml.tasks import DirectionMatch


def test_a_circuit_that_remembers_by_its_synapses():
    torch.manual_seed(0)
    # -- the port ---------------------------------------------------------------------------
    task, pops = DirectionMatch(dt_ms=50), Populations(80, 20)
    synapses = ShortTermPlasticity.alternating(pops, over=RectifiedLeak())
    options = {"dt_ms": 50, "tau_ms": 100, "noise": 0.5, "train_initial_state": True}
    rnn = EIRNN(task.n_inputs, pops, dynamics=synapses, input_noise=0.1, **options)
    readout = Readout(pops, task.n_outputs)
    net = nn.ModuleList([rnn, readout])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    enforce(optimizer, net)
    for _ in range(3):
        trials = task.sample(64)
        rates, state = rnn(trials.inputs)
        loss = task.loss(readout(rates), trials) + 0.02 * rates.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # ---------------------------------------------------------------------------------------
    assert signs.check(net)
    rates, store, use = state.chunk(3, dim=-1)
    assert torch.isfinite(loss)
    assert ((store >= 0) & (store <= 1) & (use >= 0) & (use <= 1)).all()
    even = torch.arange(100) % 2 == 0
    # What facilitates rests at a use of .15 and rises with activity; what depresses at .45.
    assert (use[..., even] >= 0.15).all()
    assert (use[..., ~even] >= 0.45).all()
    assert (store < 1).any()
    assert rates.shape == (1, 64, 100)
