"""A perceptual decision whose stimulus lasts as long as is drawn, as Song, Yang & Wang 2016 train it.

Their script draws the duration of the stimulus from a truncated exponential and some catch trials,
fills inputs, outputs and a mask of its own for each trial, and counts choices for a psychometric
curve.
"""

import inspect

import pytest
import torch
from torch import nn

from daleml import Populations, signs, tasks, train
from daleml.analysis import activity
from daleml.layers import EIRNN, Readout
from daleml.optim import enforce


def variable_stimulus(n_batches, seed=0):
    """The port: a circuit that learns, and its choices by the strength of the stimulus."""
    torch.manual_seed(seed)
    stimulus = tasks.TruncatedExponential(300, low_ms=80, high_ms=1500)
    task = tasks.PerceptualDecision.song2016(stimulus_ms=stimulus, catch=0.1)
    pops = Populations.split(100, inhibitory=0.2)
    rnn = EIRNN(task.n_inputs, pops, dt_ms=20, tau_ms=100, noise=0.15)
    model = nn.Sequential(rnn, Readout(pops, task.n_outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    enforce(optimizer, model)
    batches = task.batches(20, n_batches, seed)
    train(model, batches, optimizer, task.loss, clip_norm=1, progress=False)
    trials = task.sample(400, torch.Generator().manual_seed(seed))
    return model, trials, activity.signed_choices(model(trials.inputs), trials)


def test_it_is_a_port_of_few_lines():
    lines, _ = inspect.getsourcelines(variable_stimulus)
    assert len(lines) - 2 <= 15


def test_it_is_lawful_and_its_trials_vary():
    model, trials, _ = variable_stimulus(n_batches=2)
    assert signs.check(model)
    assert len(trials.lengths.unique()) > 20
    assert 0 < trials.conditions["catch"].double().mean() < 0.2


@pytest.mark.slow
def test_it_learns_to_choose_by_the_strength_of_the_stimulus():
    model, _, choices = variable_stimulus(n_batches=250)
    curve = activity.psychometric(choices.strengths, choices.choices)
    assert signs.check(model)
    assert curve.slope > 20
    assert abs(curve.bias) < 0.1
