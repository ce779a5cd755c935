"""Whatever makes the update rules fast computes the rules: the same trajectories, to rounding.

Each trajectory is run twice, as the optimisers run it and by ``daleml.optim.rules`` alone, one
tensor after the other. Its tensors are small and large, of several layouts and in several
groups, and some have no gradient at some steps.
"""

import contextlib
import copy
import io
import itertools
import pickle

import pytest
import torch
from torch import nn

from daleml.optim import EG, EGAdamW, MirrorDescent, functional, rules
from daleml.optim._fast import forms, step_plan
from daleml.optim.optimizer_base import MasteredOptimizer
from daleml.potentials import Euclidean, HyperbolicEntropy, NegativeEntropy, PNorm
from daleml.training import DivergedError
from tests.catalog import OURS, optimizers

TOLERANCE = {
    torch.float64: 1e-11,
    torch.float32: 1e-4,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}


@pytest.fixture
def by_the_rules():
    """Return what makes a context in which no fast form is used."""

    @contextlib.contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(forms, "is_gathered", lambda *_: False)
            patch.setattr(forms, "FAST", dict.fromkeys(forms.FAST, forms.Forms()))
            yield

    return context


SHAPES = [(3,), (), (5, 4), (0, 2), (2, 3, 2), (7, 6), (130, 131), (9,)]


def weights(dtype):
    """Weights of both signs, small and large, with zeros; one lies transposed."""
    rng = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=rng).to(dtype) for shape in SHAPES]
    made[2] = made[2].t().contiguous().t()
    for one in made:
        if one.ndim == 1:
            one[::5] = 0
    return nn.ParameterList(map(nn.Parameter, made))


def groups(model, lr):
    """Three groups of two rates, and one of torch's own steps; two groups have small tensors alone."""
    return [
        {"params": [model[0], model[1], model[6]], "lr": lr},
        {"params": [model[2], model[3]], "lr": lr / 3},
        {"params": [model[4]], "lr": lr / 3, "weight_decay": 0.05},
        {"params": [model[5], model[7]], "euclidean": True, "lr": lr / 2},
    ]


def give_gradients(model, i, scale=1.0):
    rng = torch.Generator().manual_seed(100 + i)
    for k, weight in enumerate(model):
        grad = scale * torch.randn(weight.shape, generator=rng)
        weight.grad = grad.to(weight.dtype)
        if (i, k) in ((1, 0), (2, 2), (3, 2), (3, 7), (0, 4)):
            weight.grad = None


def run(build, dtype=torch.float64, disturb=None, n_steps=7):
    model = weights(dtype)
    optimizer = build(model)
    for i in range(n_steps):
        if i == 4 and disturb is not None:
            model, optimizer = disturb(model, optimizer) or (model, optimizer)
        for group in optimizer.param_groups:
            group["lr"] *= 0.9
        give_gradients(model, i)
        optimizer.step()
    moments = [
        (name, value)
        for p in model
        for name, value in sorted(optimizer.state.get(p, {}).items())
    ]
    return [p.detach().double() for p in model], moments


def assert_same(build, by_the_rules, dtype=torch.float64, disturb=None):
    ours, our_moments = run(build, dtype, disturb)
    with by_the_rules():
        theirs, their_moments = run(build, dtype, disturb)
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype] / 100}
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **tolerance)
        assert torch.equal(one == 0, other == 0)
    assert [name for name, _ in our_moments] == [name for name, _ in their_moments]
    for (_, one), (_, other) in zip(our_moments, their_moments, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


DESCENTS = [
    {
        "momentum": mu,
        "dampening": d,
        "weight_decay": wd,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    for mu, d, wd, nesterov, maximize in itertools.product(
        (0, 0.9), (0, 0.3), (0, 0.2), (False, True), (False, True)
    )
    if not (nesterov and (mu == 0 or d))
]


@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("options", DESCENTS, ids=str)
def test_eg(options, foreach, by_the_rules):
    assert_same(
        lambda m: EG(groups(m, 0.2), 0.1, foreach=foreach, **options), by_the_rules
    )


@pytest.mark.parametrize("potential", [PNorm(3), HyperbolicEntropy(0.5), Euclidean()])
@pytest.mark.parametrize("options", DESCENTS[::5], ids=str)
def test_mirror_descent(options, potential, by_the_rules):
    assert_same(
        lambda m: MirrorDescent(groups(m, 0.01), 0.1, potential, **options),
        by_the_rules,
    )


@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("lr", [0.1, 3.0])
@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": wd, "amsgrad": amsgrad, "maximize": maximize}
        for wd, amsgrad, maximize in itertools.product(
            (0, 0.5), (False, True), (False, True)
        )
    ],
    ids=str,
)
def test_eg_adamw(options, lr, foreach, by_the_rules):
    assert_same(
        lambda m: EGAdamW(groups(m, lr), 0.1, foreach=foreach, **options), by_the_rules
    )


@optimizers(OURS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_optimiser_in_every_dtype(optimizer, dtype, by_the_rules):
    def build(model):
        built = optimizer.build([model[0], model[1], model[6]], 0.1)
        built.add_param_group({"params": [model[2], model[3]], "lr": 0.02})
        built.add_param_group({"params": [model[5]], "euclidean": True, "lr": 0.01})
        for group in built.param_groups:
            group["lr"] *= 0.1
        return built

    assert_same(build, by_the_rules, dtype)


def through_pickle(model, optimizer):
    return pickle.loads(pickle.dumps((model, optimizer)))


def through_a_file(model, optimizer):
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    optimizer.load_state_dict(torch.load(file, weights_only=True))


def into_another(model, optimizer):
    other = type(optimizer)(groups(model, 9.0), 9.0)
    other.load_state_dict(optimizer.state_dict())
    return model, other


def mask_through_data(model, optimizer):
    for weight in model:
        weight.data.mul_(torch.arange(weight.numel()).view(weight.shape) % 3 != 1)


def write(model, optimizer):
    with torch.no_grad():
        for weight in model:
            weight.neg_().mul_(1e-3)


def new_memory(model, optimizer):
    model[2].data = model[2].data.clone()
    model[0].data = torch.tensor([0.3, -0.2])
    for weight in (model[2], model[0]):
        optimizer.state.pop(weight, None)
    model[0].grad = None


def foreign_state(model, optimizer):
    for state in optimizer.state.values():
        for name, value in state.items():
            if name != "step":
                state[name] = 0.5 * value.clone()


def written_state(model, optimizer):
    for state in optimizer.state.values():
        for name, value in state.items():
            if name != "step":
                value.mul_(0.5)


def no_state(model, optimizer):
    optimizer.state.clear()


def another_group(model, optimizer):
    model.append(nn.Parameter(torch.full((4, 3), 0.3).to(model[0].dtype)))
    optimizer.add_param_group({"params": [model[8]], "lr": 0.05})


def options_apart(model, optimizer):
    optimizer.param_groups[0]["weight_decay"] = 0.3
    optimizer.param_groups[1]["maximize"] = True


def options_together(model, optimizer):
    for group in optimizer.param_groups:
        group.update(weight_decay=0.05, maximize=True)


def another_rule(model, optimizer):
    optimizer.param_groups[1]["euclidean"] = True
    optimizer.param_groups[3]["euclidean"] = False


def written_rate(model, optimizer):
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]))


DISTURBANCES = [
    lambda model, optimizer: copy.deepcopy((model, optimizer)),
    through_pickle,
    through_a_file,
    into_another,
    mask_through_data,
    write,
    lambda model, optimizer: model.double() and None,
    new_memory,
    foreign_state,
    written_state,
    no_state,
    another_group,
    options_apart,
    options_together,
    another_rule,
    written_rate,
]
BUILDS = {
    "EG": lambda m: EG(groups(m, 0.2), 0.1),
    "EG momentum": lambda m: EG(groups(m, 0.1), 0.1, momentum=0.9, weight_decay=0.1),
    "EGAdamW": lambda m: EGAdamW(groups(m, 0.1), 0.1, amsgrad=True),
}


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda one: one.__name__)
def test_whatever_happens_between_steps(name, disturb, by_the_rules):
    assert_same(BUILDS[name], by_the_rules, torch.float32, disturb)


@pytest.mark.parametrize("option", ["momentum", "amsgrad"])
def test_a_moment_switched_on_and_off_between_steps(option, by_the_rules):
    kind, value = {"momentum": (EG, 0.9), "amsgrad": (EGAdamW, True)}[option]

    def turn(model, optimizer):
        for group in optimizer.param_groups[:3]:
            group[option] = value

    assert_same(lambda m: kind(groups(m, 0.1), 0.1), by_the_rules, disturb=turn)

    def turn_off(model, optimizer):
        for group in optimizer.param_groups[:3]:
            group[option] = type(value)(0)

    assert_same(
        lambda m: kind(groups(m, 0.1), 0.1, **{option: value}),
        by_the_rules,
        disturb=turn_off,
    )


def test_more_than_one_vector_full(monkeypatch, by_the_rules):
    monkeypatch.setattr(step_plan, "CAPACITY", 20)
    for build in BUILDS.values():
        assert_same(build, by_the_rules)


def plan_of(optimizer):
    return optimizer._plan


def test_a_plan_is_made_once_for_rates_that_change_and_anew_for_what_it_rests_on():
    model = weights(torch.float32)
    optimizer = EG(groups(model, 0.1), 0.1, momentum=0.9)
    seen = set()
    for i in range(6, 12):
        give_gradients(model, i)
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] *= 0.9
            group["momentum"] -= 0.01
        seen.add(id(plan_of(optimizer)))
    assert len(seen) == 1
    model[0].grad = None
    kept = plan_of(optimizer)
    optimizer.step()
    assert plan_of(optimizer) is not kept


def test_what_is_saved_has_no_memory_but_its_own():
    model = weights(torch.float32)
    optimizer = EGAdamW(groups(model, 0.1), 0.1)
    give_gradients(model, 6)
    optimizer.step()
    for state in optimizer.state_dict()["state"].values():
        for value in state.values():
            assert value.untyped_storage().nbytes() == value.nbytes


@pytest.mark.parametrize("name", BUILDS)
def test_an_error_leaves_small_weights_and_moments_as_they_were(name):
    model = weights(torch.float32)
    optimizer = BUILDS[name](model)
    give_gradients(model, 6)
    optimizer.step()
    small = [weight for weight in model if weight.numel() <= forms.SMALL]
    before = copy.deepcopy([(w.detach(), dict(optimizer.state[w])) for w in small])
    model[2].grad[1, 1] = torch.nan
    with pytest.raises(DivergedError):
        optimizer.step()
    for weight, (value, state) in zip(small, before, strict=True):
        assert torch.equal(weight, value)
        for key, kept in state.items():
            if key != "step":
                assert torch.equal(optimizer.state[weight][key], kept)


@pytest.mark.parametrize(
    "build",
    [
        lambda w: EG([w], 1.0),
        lambda w: EG([w], 1.0, momentum=0.9),
        lambda w: EGAdamW([w], 1.0),
        lambda w: MirrorDescent([w], 1.0, PNorm(3)),
    ],
)
def test_a_rate_that_is_no_number_is_an_error(
    build,
):
    weight = nn.Parameter(torch.tensor([0.0, 1.0, -1.0]))
    optimizer = build(weight)
    optimizer.param_groups[0]["lr"] = torch.nan
    weight.grad = torch.ones(3)
    with pytest.raises(DivergedError):
        optimizer.step()
    assert weight.tolist() == [0.0, 1.0, -1.0]


def test_rules_are_functions_of_one_tensor():
    limits = (1e-37, 1e37)
    weight, grad = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0])
    expected = torch.tensor([0.5, -1.5, 0.0]).exp() * weight
    for rule in (rules.eg_, rules.mirror_):
        moved, momentum = weight.clone(), torch.full((3,), 2.0)
        options = rules.Descent(lr=0.25, limits=limits, momentum=0.5)
        rule(moved, grad, [momentum], options)
        assert momentum.tolist() == [2.0, 2.0, 2.0]
        torch.testing.assert_close(
            moved, weight * torch.exp(-0.5 * weight.sign()), rtol=1e-6, atol=0
        )
    assert rules.mirror_rule(NegativeEntropy()) is rules.eg_
    assert rules.mirror_rule(PNorm(3)) is rules.mirror_
    assert expected.shape == weight.shape


def test_functions_of_lists_keep_the_headroom_they_are_given():
    weight, grad = torch.ones(4), torch.full((4,), 0.1)
    headroom = [-torch.inf]
    for _ in range(2):
        functional.mirror_(
            [weight],
            [grad],
            [],
            potential=NegativeEntropy(),
            lr=1.0,
            momentum=0.0,
            dampening=0.0,
            weight_decay=None,
            nesterov=False,
            maximize=False,
            fresh=False,
            limits=(1e-37, 1e38),
            headroom=headroom,
        )
        assert 80 < headroom[0] < 88
    torch.testing.assert_close(weight, torch.full((4,), -0.2).exp())


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("lr", [0.01, 50.0])
def test_a_matrix_of_a_hundred_units(lr, momentum, by_the_rules):
    """Stepped in its own shape: zeros of infinite gradient, steps beyond the limits, a transpose."""

    def trajectory():
        rng = torch.Generator().manual_seed(0)
        weights = [torch.randn(150, 110, generator=rng) for _ in range(4)]
        weights[1] = weights[1].t().contiguous().t()
        weights[2][::3] = 0
        parameters = list(map(nn.Parameter, weights))
        optimizer = EG(parameters, lr, momentum)
        for _ in range(4):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=rng)
            parameters[2].grad[0] = torch.inf
            parameters[3].grad = parameters[3].grad.t().contiguous().t()
            optimizer.step()
        return parameters

    ours = trajectory()
    with by_the_rules():
        theirs = trajectory()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_fits_in_one_vector_is_gathered():
    """Beyond that copying costs more than calling, but for the smallest."""
    few = [torch.empty(10_000) for _ in range(3)]
    assert forms.longest_gathered(few) == forms.SMALL
    assert forms.longest_gathered([*few, torch.empty(10**6)]) == forms.SMALL
    assert forms.longest_gathered([*few, *few]) == forms.TINY


def normalised_sgd_(weight, grad, state, options):
    """A rule that looks at a whole tensor: a step of one length, whatever the gradient."""
    weight.sub_(options * grad / grad.norm())


class NormalisedSGD(MasteredOptimizer):
    """An optimiser of a rule that nothing makes fast."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "fused": False})

    def _check_options(self, options):
        pass

    def _rule(self, group, options):
        return normalised_sgd_

    def _moments(self, group):
        return ()

    def _steps_taken(self, state):
        return 0

    def _options(self, group, dtype, taken):
        return group["lr"]


def test_a_rule_without_fast_forms_runs_as_it_is_on_whole_tensors():
    ones = [nn.Parameter(torch.ones(n, dtype=torch.float64)) for n in (4, 9)]
    optimizer = NormalisedSGD(ones, lr=0.6)
    for parameter in ones:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    # The norm is 2 of the one gradient, and 3 of the other.
    assert torch.allclose(ones[0], torch.tensor(0.7, dtype=torch.float64))
    assert torch.allclose(ones[1], torch.tensor(0.8, dtype=torch.float64))
