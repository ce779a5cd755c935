"""Lawful circuits learn the tasks of experiments by the settings that the documentation names."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from daleml import Populations, signs, tasks, train
from daleml.layers import EIRNN, Readout
from daleml.optim import enforce


class Setting(NamedTuple):
    """A row of the table in ``docs/tasks.md``, and what a score must reach."""

    task: tasks.Task
    lr: float
    n_updates: int
    at_least: float


RULES = ("Go", "Anti", "Ctx DM 1")
SETTINGS = {
    "MultisensoryDecision": Setting(
        tasks.MultisensoryDecision(fixate=False, dt_ms=50), 1e-3, 1000, 0.76
    ),
    "DelayedResponse": Setting(
        tasks.DelayedResponse(fixate=False, dt_ms=50), 1e-3, 500, 0.95
    ),
    "FrequencyComparison": Setting(
        tasks.FrequencyComparison(dt_ms=50), 1e-3, 500, 0.95
    ),
    "DirectionMatch": Setting(tasks.DirectionMatch(dt_ms=50), 1e-3, 1000, 0.9),
    "DirectionSequence": Setting(tasks.DirectionSequence(dt_ms=50), 1e-3, 2000, 0.8),
    "RuleMixture": Setting(tasks.RuleMixture(rules=RULES, dt_ms=50), 3e-3, 3000, 0.7),
}


def learned(setting, seed):
    """Return a circuit that has learned, and its score on 500 new trials."""
    task = setting.task
    torch.manual_seed(seed)
    pops = Populations(80, 20)
    rnn = EIRNN(task.n_inputs, pops, dt_ms=50, tau_ms=100)
    model = nn.Sequential(rnn, Readout(pops, task.n_outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=setting.lr)
    enforce(optimizer, model)
    batches = task.batches(64, setting.n_updates, seed=seed)
    options = {"clip_norm": 1.0, "trackers": {}, "progress": False}
    train(model, batches, optimizer, task.loss, **options)
    # A seed of its own, far from those of the batches.
    trials = task.sample(500, torch.Generator().manual_seed(10_000 + seed))
    with torch.no_grad():
        return model, task.score(model(trials.inputs), trials)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_lawful_circuit_learns(name):
    setting = SETTINGS[name]
    model, score = learned(setting, seed=0)
    assert bool(signs.check(model))
    assert score >= setting.at_least
    assert score > setting.task.chance + 0.25
