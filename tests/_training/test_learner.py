"""A model of several members makes a learner of its own: a loss, a clipping and a row for each."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from daleml._training.learner import Learner
from daleml.training import DivergedError, Shuffled, train

X = torch.rand(24, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3


class OfMembers(Learner):
    def losses(self, outputs, targets):
        return torch.stack([self.loss(out, targets) for out in outputs])

    def clip(self):
        for member in self.model.members:
            nn.utils.clip_grad_norm_(member.parameters(), self.clip_norm)

    def correct(self, outputs, targets):
        return torch.stack(
            [Learner.correct(self, out, targets) for out in outputs.unbind()]
        )

    def rows(self, epoch, results, trackers):
        rows = []
        for i in range(len(self.model.members)):
            row = {"epoch": epoch, "seed": i}
            for name, value in results.items():
                row[name] = float(value if epoch == 0 else value[i])
            rows.append(row)
        return rows


class Members(nn.Module):
    def __init__(self, seeds):
        super().__init__()
        self.members = nn.ModuleList()
        for seed in seeds:
            torch.manual_seed(seed)
            self.members.append(nn.Linear(5, 3))

    def _dale_learner(self, loss, clip_norm):
        return OfMembers(self, loss, clip_norm)

    def forward(self, x):
        return torch.stack([member(x) for member in self.members])


def learn(net, loss=cross_entropy, **options):
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    options = {"epochs": 3, "clip_norm": 0.3, "trackers": {}, **options}
    batches = Shuffled(X, Y, 10)
    return train(net, batches, optimizer, loss, progress=False, **options)


def test_members_learn_as_if_alone(tmp_path):
    together = Members((0, 1))
    history = learn(together)
    for i in range(2):
        alone = Members((i,)).members[0]
        expected = learn(alone)
        for name, value in alone.named_parameters():
            torch.testing.assert_close(
                together.members[i].get_parameter(name), value, atol=1e-6, rtol=0
            )
        mine = history[history.seed == i]
        assert mine.loss[1:].tolist() == pytest.approx(expected.loss[1:].tolist())
        assert mine.accuracy.tolist()[1:] == expected.accuracy.tolist()[1:]
    assert history.epoch.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    learn(Members((0, 1)), epochs=2, checkpoint=tmp_path)
    assert learn(Members((0, 1)), checkpoint=tmp_path).equals(history)


def test_a_member_that_diverges_stops_them_all():
    def loss(outputs, targets):
        spoil = math.nan if outputs[0, 0] > spoiled else 1.0
        return cross_entropy(outputs, targets) * spoil

    net = Members((0, 1))
    with torch.no_grad():
        net.members[1].weight.fill_(7.0)
    spoiled = float(net.members[0](X).detach().max())
    with pytest.raises(DivergedError, match=r"must stay finite; got nan in epoch 1\."):
        learn(net, loss)
    assert (net.members[1].weight == 7).all()
