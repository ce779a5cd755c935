"""Trials of many durations, trials that are read along the wrong dimension, and batches in several processes."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from daleml import Populations, tasks, train
from daleml.layers import DANNRNN, EIRNN, EILinear
from daleml.optim import EG, param_groups
from daleml.training import Shuffled
from tests.tasks.test_tasks import FakeEnvironment


@dataclass(frozen=True, eq=False, kw_only=True)
class Variable(tasks.RegressionTask):
    """Trials of 5 to 8 steps."""

    input_names, output_names, periods, chance, ideal = ("a",), ("b",), (), 1.0, None

    def _sample(self, n, generator):
        steps = int(torch.randint(5, 9, (1,), generator=generator))
        x = torch.rand(steps, n, 1, generator=generator)
        return tasks.Trials(
            x, x, torch.ones(steps, n, dtype=torch.bool), self.dt_ms, ("a",), ("b",)
        )


def test_trials_of_many_durations_say_where_their_length_is():
    task = Variable()
    trials = task.sample(3)
    assert task.score(trials.targets, trials) == 0
    with pytest.raises(ValueError) as raised:
        _ = task.n_steps
    assert str(raised.value) == (
        "`n_steps` must be read from the trials, `len(trials.inputs)`, where those of a task differ in length; got "
        "Variable without periods."
    )
    with pytest.raises(
        ValueError,
        match="must be one of those that all trials share, of which there are none; got 'a'",
    ):
        task.steps("a")


def test_an_environment_is_seeded_once_a_sample():
    seeds = []

    class Counting(FakeEnvironment):
        def seed(self, seed):
            seeds.append(seed)
            super().seed(seed)

    task = tasks.from_neurogym(Counting())
    seeds.clear()
    first = task.sample(16, torch.Generator().manual_seed(3))
    assert len(seeds) == 1
    again = task.sample(16, torch.Generator().manual_seed(3))
    other = task.sample(16, torch.Generator().manual_seed(4))
    assert torch.equal(first.inputs, again.inputs)
    assert first.inputs.shape != other.inputs.shape or not torch.equal(
        first.inputs, other.inputs
    )


class Network(nn.Module):
    def __init__(self, rnn, transposed=False):
        super().__init__()
        self.rnn, self.readout, self.transposed = rnn, EILinear(10, 3), transposed

    def forward(self, x):
        x = x.transpose(0, 1) if self.transposed else x
        out = self.readout(self.rnn(x)[0])
        return out.transpose(0, 1) if self.transposed else out


BATCH_FIRST = [
    lambda: EIRNN(3, Populations(8, 2), batch_first=True),
    lambda: DANNRNN(3, 10, batch_first=True),
    lambda: nn.GRU(3, 10, batch_first=True),
]


@pytest.mark.parametrize("build", BATCH_FIRST, ids=["EIRNN", "DANNRNN", "GRU"])
@pytest.mark.parametrize(
    "n_trials", [5, 7], ids=["another number of trials", "as many trials as steps"]
)
def test_trials_taken_for_time_steps_are_refused(build, n_trials):
    task = tasks.DelayedMatchToSample(
        dt_ms=100, sample_ms=100, delay_ms=200, test_ms=100, decision_ms=300
    )
    assert task.n_steps == 7
    batches = task.batches(n_trials, 2)

    def run(model):
        return train(
            model,
            batches,
            EG(param_groups(model, 0.01), 0.01),
            task.loss,
            progress=False,
        )

    with pytest.raises(
        ValueError,
        match="got `rnn`, a .* with `batch_first=True`, which would take trials for time",
    ):
        run(Network(build()))
    assert len(run(Network(build(), transposed=True))) == 2
    assert len(run(Network(EIRNN(3, Populations(8, 2))))) == 2
    model = Network(build(), transposed=True)
    run(model)
    assert not model.rnn._forward_pre_hooks


class Stream(IterableDataset):
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return (
            (x, y.inputs if isinstance(y, tasks.Trials) else y)
            for x, y in self.batches(1)
        )


@pytest.mark.parametrize("kind", ["task", "shuffled"])
def test_workers_share_the_batches_of_an_epoch(kind):
    x = torch.arange(10.0)[:, None]
    batches = (
        tasks.PerceptualDecision().batches(2, 5)
        if kind == "task"
        else Shuffled(x, x, 2)
    )
    alone = [x for x, _ in batches(1)]
    shared = [x for x, _ in DataLoader(Stream(batches), batch_size=None, num_workers=2)]
    assert len(shared) == len(alone) == 5
    for one in alone:
        assert sum(torch.equal(one, other) for other in shared) == 1


def test_trials_are_not_shuffled_along_time():
    trials = tasks.PerceptualDecision().sample(4)
    for arguments, name in (
        ((trials, trials.targets), "inputs"),
        ((trials.inputs, trials), "targets"),
    ):
        with pytest.raises(TypeError) as raised:
            Shuffled(*arguments)
        assert str(raised.value) == (
            f"`{name}` must be a tensor of examples; got Trials, along whose first dimension time runs: give"
            " `train` a task's `batches()` instead."
        )
