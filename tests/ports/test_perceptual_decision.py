"""A perceptual decision with stimuli of variable duration, as scripts after Song et al. train it."""

import numpy as np
import torch
from torch import nn

from daleml import Populations, signs, train
from daleml.analysis.activity import psychometric, signed_choices
from daleml.layers import EIRNN, Blocks, Readout
from daleml.optim import enforce
from daleml.tasks import PerceptualDecision, Uniform


def test_a_circuit_with_long_range_excitation_learns_to_decide():
    torch.manual_seed(0)
    # -- the port ---------------------------------------------------------------------------
    times = {"fixation_ms": 100, "stimulus_ms": Uniform(200, 800), "decision_ms": 200}
    task = PerceptualDecision(**times, coherences=(0.5, 1.0), dt_ms=20, fixate=False)
    pops = Populations.of(exc={"in": 10, "out": 10, "rest": 20}, inh={"I": 10})
    apart = Blocks({"in->out": 0, "out->in": 0}, default=1)
    read = Blocks({"*->in": 1}, default=0)
    leaky = {"dt_ms": 20, "tau_ms": 100, "noise": 0.15}
    rnn = EIRNN(task.n_inputs, pops, mask=apart, input_mask=read, **leaky)
    model = nn.Sequential(rnn, Readout(pops, task.n_outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    enforce(optimizer, model)
    data = task.batches(n_trials=32, n_batches=25)
    history = train(model, data, optimizer, task.loss, clip_norm=1.0, progress=False)
    trials = task.sample(100)
    made = signed_choices(model.eval()(trials.inputs), trials)
    curve = psychometric(made.strengths, made.choices, n_lapses=0, shape="gaussian")
    # ---------------------------------------------------------------------------------------
    assert signs.check(model)
    # An epoch's loss is of its batches, most of which it began with: well below chance, ln 3.
    assert history["loss"].iloc[-1] < 0.9 * np.log(3)
    assert task.score(model(trials.inputs), trials) > 0.7
    assert curve.slope > 0.5
    out, inputs = pops.index("out"), pops.index("in")
    assert not rnn.weight_hh_l0[out][:, inputs].any()
