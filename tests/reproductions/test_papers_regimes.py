"""The stack of recurrent networks of Liu et al. 2024, beside torch's own; and claims that a fault turns."""

import copy
import functools

import pytest
import torch
from torch import nn

from daleml.analysis import regime
from daleml.reproductions import judge
from daleml.reproductions.papers.regimes_liu2024 import claims, experiments
from daleml.reproductions.papers.regimes_liu2024.networks import initial_matrices
from daleml.reproductions.papers.regimes_liu2024.recurrent_stack import (
    RecurrentStack,
    alignment,
    loss_and_gradients,
    run,
    tangent_kernels,
)
from daleml.reproductions.verdict import FAILS
from daleml.tasks import PerceptualDecision

SETTINGS = experiments.RECURRENT.settings["quick"] | {"units": 10}
TASK = PerceptualDecision(baseline=0.5)


class Plain(nn.Module):
    """One network of a stack, by torch's recurrent layer."""

    def __init__(self, stack, k):
        super().__init__()
        units, n_inputs = stack.inputs.shape[1:]
        self.rnn = nn.RNN(n_inputs, units, nonlinearity="relu", bias=False)
        self.readout = nn.Linear(units, stack.readout.shape[1], bias=False)
        self.double()
        weights = [weight[k] for weight in stack.weights]
        with torch.no_grad():
            for own, given in zip(self.parameters(), weights[1::-1], strict=False):
                own.copy_(given)
            self.readout.weight.copy_(weights[2])

    def forward(self, x):
        return self.readout(self.rnn(x)[0])


@pytest.fixture
def stack():
    matrices = [one.double() for one in initial_matrices(3, SETTINGS).values()]
    generator = torch.Generator().manual_seed(0)
    return RecurrentStack.around(matrices, 3, 3, generator)


def sample(n, seed=1):
    trials = TASK.sample(n, generator=torch.Generator().manual_seed(seed))
    return trials.inputs.double(), trials.targets


def test_losses_and_gradients_are_those_of_torch(stack):
    x, targets = sample(7)
    losses, gradients = loss_and_gradients(stack, x, targets)
    for k in range(len(losses)):
        plain = Plain(stack, k)
        torch.testing.assert_close(run(stack, x)[k], plain.rnn(x)[0])
        loss = nn.functional.cross_entropy(plain(x).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.testing.assert_close(losses[k], loss.detach())
        for gradient, weight in zip(
            gradients,
            (plain.rnn.weight_hh_l0, plain.rnn.weight_ih_l0, plain.readout.weight),
            strict=True,
        ):
            torch.testing.assert_close(gradient[k], weight.grad)


def test_each_network_trains_as_if_it_were_alone_and_is_measured_as_regime_measures(
    stack,
):
    settings = SETTINGS | {"iterations": 20, "batch": 8, "lr": 0.05}
    generator = torch.Generator().manual_seed(2)
    trials = TASK.sample(20 * 8, generator=generator)
    trials.inputs.data = trials.inputs.double()
    first, last = stack, stack.clone()
    experiments._train(last, trials, settings)
    probes, _ = sample(12)
    few = probes[:, :5]
    kernels = alignment(tangent_kernels(first, few), tangent_kernels(last, few))
    activities = alignment(
        experiments._last_activity(first, probes),
        experiments._last_activity(last, probes),
    )
    for k in range(len(kernels)):
        plain = Plain(first, k)
        before = copy.deepcopy(plain.state_dict())
        optimizer = torch.optim.SGD(plain.parameters(), 0.05, momentum=0.9)
        for step in range(20):
            now = slice(8 * step, 8 * step + 8)
            optimizer.zero_grad()
            outputs = plain(trials.inputs[:, now]).flatten(0, 1)
            targets = trials.targets[:, now].flatten()
            nn.functional.cross_entropy(outputs, targets).backward()
            optimizer.step()
        torch.testing.assert_close(last.recurrent[k], plain.rnn.weight_hh_l0.detach())
        kernel = regime(plain, before, plain, few, output=lambda out: out)
        assert float(kernels[k]) == pytest.approx(kernel.kernel_alignment, abs=1e-12)
        assert kernel.kernel_alignment < 1 - 1e-6
        activity = regime(plain, before, plain, probes)
        found = float(activities[k])
        assert found == pytest.approx(activity.representation_alignment, abs=1e-12)


def test_matrices_differ_in_rank_and_agree_in_what_they_are_matched_by():
    found = initial_matrices(0, SETTINGS)
    ranks = {name: int(torch.linalg.matrix_rank(one)) for name, one in found.items()}
    assert ranks == dict.fromkeys(found, 1) | {"full": 10, "stable_full": 10}
    for one, other in (("norm", "full"), ("stable_norm", "stable_full")):
        torch.testing.assert_close(found[one].norm(), found[other].norm())
    top = torch.linalg.svdvals(found["full"])[0]
    torch.testing.assert_close(found["largest"].norm(), top)
    torch.testing.assert_close(found["stable_full"], 0.4 * found["full"])


# -- broken science is found out; see also test_sabotage_eg.py for 5a, 5b and 5c

CLAIMS = {claim.id: claim for claim in claims.PAPER.claims}


def verdict(name, settings, seeds=4):
    run_ = [experiments.run_recurrent(seed, settings) for seed in range(seeds)]
    return judge(CLAIMS[name], run_).verdict


TRAINED_AND_MEASURED = experiments._trained_and_measured


@functools.cache
def measured(seed):
    settings = experiments.RECURRENT.settings["quick"]
    matrices = initial_matrices(seed, settings)
    return TRAINED_AND_MEASURED(matrices, seed, settings)


SWAPS = {
    "5c": {"full": "norm", "norm": "full"},
    "5d": {
        "full": "stable_full", "norm": "stable_norm",
        "stable_full": "full", "stable_norm": "norm",
    },
    "5f": {"full": "largest", "largest": "full"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SWAPS)
def test_swapped_arms_turn_a_claim(name, monkeypatch):
    """Networks learn independently, so that a name is all that has to be swapped."""

    def swapped(matrices, seed, settings):
        found = measured(seed)
        return {arm: found[SWAPS[name].get(arm, arm)] for arm in found}

    monkeypatch.setattr(experiments, "_trained_and_measured", swapped)
    assert verdict(name, SETTINGS, seeds=8) == FAILS


def test_a_network_that_hardly_learns_turns_the_claim_that_losses_are_alike(
    monkeypatch,
):
    few = SETTINGS | {"iterations": 60, "last": 12, "lr": 0.03, "probes": 8}
    few |= {"kernel_probes": 2}
    assert verdict("5e", few) != FAILS
    whole = experiments.loss_and_gradients

    def hardly(*arguments):
        losses, gradients = whole(*arguments)
        for gradient in gradients:
            gradient[1] *= 1e-3
        return losses, gradients

    monkeypatch.setattr(experiments, "loss_and_gradients", hardly)
    assert verdict("5e", few) == FAILS
