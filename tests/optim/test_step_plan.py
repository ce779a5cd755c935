"""A plan of steps is given up, or takes over, whatever a user changes between two steps.

The same run is taken twice: as the optimisers take it, and by ``daleml.optim.rules`` alone, one
tensor after the other, where no plan gathers anything.
"""

import warnings

import pytest
import torch
from torch import nn

from daleml.optim import EG, EGAdamW, MirrorDescent
from daleml.optim._fast import forms
from daleml.optim._fast.step_plan import StepPlan
from daleml.potentials import NegativeEntropy, PNorm

BUILDS = {
    "EG": lambda groups, **options: EG(groups, **{"lr": 0.1, **options}),
    "EG with momentum": lambda groups, **options: EG(
        groups, **{"lr": 0.1, "momentum": 0.9, "dampening": 0.3, **options}
    ),
    "EGAdamW": lambda groups, **options: EGAdamW(groups, **{"lr": 0.1, **options}),
    "MirrorDescent": lambda groups, **options: MirrorDescent(
        groups, **{"lr": 0.01, "potential": PNorm(3), **options}
    ),
}


@pytest.fixture(params=BUILDS)
def build(request):
    return BUILDS[request.param]


def parameters(*shapes):
    rng = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=rng)) for shape in shapes]


def steps(optimizer, weights, between, n=5):
    """Take steps along gradients of chance, and return what has become of the weights."""
    rng = torch.Generator().manual_seed(1)
    for i in range(n):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=rng)
        optimizer.step()
        between(i, optimizer)
    return [weight.detach().clone() for weight in weights]


def assert_by_the_rules(run):
    """Assert that a run ends where it does without any fast form, by a new plan per step."""
    fast = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "is_gathered", lambda *_: False)
        patch.setattr(forms, "FAST", dict.fromkeys(forms.FAST, forms.Forms()))
        patch.setattr(StepPlan, "holds", lambda *_: False)
        slow = run()
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def nothing(i, optimizer):
    """Change nothing."""


# -- weights that share memory ---------------------------------------------------------------------


def test_tied_weights_each_take_their_step(build):
    def run():
        weights = parameters((4, 4), (4, 4), (3,))
        weights[1].data = weights[0].data
        return steps(build(weights), weights, nothing)

    assert_by_the_rules(run)


def test_weights_that_are_tied_between_steps_each_take_theirs(build):
    def run():
        weights = parameters((4, 4), (4, 4), (3,))

        def tie(i, optimizer):
            if i == 1:
                weights[1].data = weights[0].data

        return steps(build(weights), weights, tie)

    assert_by_the_rules(run)


def test_weights_that_overlap_in_part_each_take_their_step(build):
    def run():
        memory = torch.linspace(0.1, 2.0, 12)
        parts = memory[:6], memory[3:9], memory[9:], memory[:2]
        weights = [nn.Parameter(part) for part in parts]
        return steps(build(weights), weights, nothing)

    assert_by_the_rules(run)


def test_a_weight_given_twice_takes_two_steps(build):
    def run():
        weights = parameters((4, 4), (3,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            optimizer = build([weights[0], weights[0], weights[1]])
        return steps(optimizer, weights, nothing)

    assert_by_the_rules(run)


def test_weights_side_by_side_in_one_memory_are_gathered(build):
    memory = torch.linspace(0.1, 2.0, 12)
    weights = [nn.Parameter(memory[:6]), nn.Parameter(memory[6:])]
    optimizer = build(weights)
    steps(optimizer, weights, nothing, n=1)
    assert len(optimizer._plan.parts) == 1
    assert hasattr(optimizer._plan.parts[0], "segments")


# -- groups ----------------------------------------------------------------------------------------


def test_a_group_that_is_replaced_by_another_is_followed(build):
    def run():
        weights = parameters((3, 2), (4,))

        def replace(i, optimizer):
            optimizer.param_groups = [dict(group) for group in optimizer.param_groups]
            optimizer.param_groups[0]["lr"] *= 1.5

        groups = [{"params": weights[:1]}, {"params": weights[1:]}]
        return steps(build(groups), weights, replace)

    assert_by_the_rules(run)


def test_a_parameter_given_to_the_group_beside_it_takes_its_rate(build):
    def run():
        weights = parameters((3,), (4,), (2, 2))

        def move(i, optimizer):
            if i == 1:
                one, other = optimizer.param_groups
                one["params"].append(other["params"].pop(0))

        groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}]
        return steps(build(groups), weights, move)

    assert_by_the_rules(run)


def test_a_rate_that_becomes_a_tensor_is_read_at_every_step(build):
    def run():
        weights = parameters((3, 2), (4,))

        def write(i, optimizer):
            (group,) = optimizer.param_groups
            if i == 0:
                group["lr"] = torch.tensor(0.1)
            else:
                group["lr"].mul_(1.5)

        return steps(build(weights), weights, write)

    assert_by_the_rules(run)


def test_betas_in_a_list_may_be_written_into():
    def run():
        weights = parameters((3, 2), (4,))

        def write(i, optimizer):
            optimizer.param_groups[0]["betas"][0] = 0.5

        groups = [{"params": weights, "betas": [0.9, 0.999]}]
        return steps(EGAdamW(groups, 0.1), weights, write)

    assert_by_the_rules(run)


def test_a_group_may_hold_tensors_of_its_own(build):
    def run():
        weights = parameters((3, 2), (4,))

        def note(i, optimizer):
            optimizer.param_groups[0]["seen"] = torch.full((3,), float(i))

        return steps(build(weights), weights, note)

    assert_by_the_rules(run)


# -- potentials of yours ---------------------------------------------------------------------------


class Counting(MirrorDescent):
    """Asked for a potential, returns another each time."""

    n_asked = 0

    def potential(self, group):
        assert not group["euclidean"]
        self.n_asked += 1
        return [PNorm(3), NegativeEntropy()][self.n_asked % 2]


def test_a_potential_is_asked_once_for_each_step_of_a_group():
    weights = parameters((3, 2), (4,))
    optimizer = Counting([{"params": weights[:1]}], 0.01)
    optimizer.add_param_group({"params": weights[1:], "euclidean": True})
    before = optimizer.n_asked
    steps(optimizer, weights, nothing)
    assert optimizer.n_asked == before + 5


@pytest.mark.parametrize("cls", [EG, MirrorDescent])
def test_a_potential_put_on_an_optimiser_itself_is_asked(cls):
    (weight,) = parameters((3,))
    optimizer = cls([weight], 0.1)
    asked = []

    def potential(group):
        asked.append(group)
        return PNorm(2)

    optimizer.potential = potential
    start = weight.detach().clone()
    for _ in range(2):
        weight.grad = torch.ones(3)
        optimizer.step()
    torch.testing.assert_close(weight.data, start - 0.2)
    assert len(asked) == 2


# -- tensors without elements ----------------------------------------------------------------------


def test_a_tensor_without_elements_is_no_obstacle(build):
    weights = parameters((0, 3), (2,))
    optimizer = build([{"params": weights[:1]}, {"params": weights[1:]}])
    with pytest.MonkeyPatch.context() as patch:
        # All as large tensors step.
        patch.setattr(forms, "SMALL", -1)
        steps(optimizer, weights, nothing)
    assert weights[1].isfinite().all()


def test_a_tensor_without_elements_does_not_speak_for_its_group():
    empty, zeros = nn.Parameter(torch.empty(0, 3)), nn.Parameter(torch.zeros(2))
    optimizer = MirrorDescent([empty, zeros], 0.1, PNorm(3))
    assert optimizer.stuck().n_weights == 0
    EG([empty], 0.1)
    with pytest.raises(ValueError, match="got 2 weights of zero"):
        EG([empty, zeros], 0.1)
