"""A potential of the user's own: what it overrides takes effect, and its state is saved, loaded and resumed."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from daleml.optim import EG, MirrorDescent
from daleml.potentials import (
    Euclidean,
    HyperbolicEntropy,
    NegativeEntropy,
    PNorm,
    Potential,
)


class Same(NegativeEntropy):
    """Overrides nothing."""


@dataclass(frozen=True)
class Scaled(NegativeEntropy):
    by: float = 0.5

    def step(self, weight, dual_step):
        return super().step(weight, dual_step * self.by)


class Flipping(Euclidean):
    """Steps the other way."""

    def step(self, weight, dual_step):
        return weight + dual_step


class Mapped(Euclidean):
    """Another map to the dual and back, and no step of its own: that of the cube root."""

    def gradient(self, weight):
        return weight**3

    def inverse_gradient(self, dual, signs=1.0):
        return dual.sign() * dual.abs() ** (1 / 3)


class Decaying(NegativeEntropy):
    def decay(self, weight):
        return 2 * weight.sign()


class Rowwise(Euclidean):
    """Looks at the whole tensor: each row's step is made one of mean zero."""

    def step(self, weight, dual_step):
        return weight - (dual_step - dual_step.mean(dim=1, keepdim=True))


class Minimal(Potential):
    """Written from scratch, with a parameter that is no field; it has no closed form of the divergence."""

    def __init__(self, factor):
        self.factor = factor

    def value(self, weight):
        return self.factor * weight.square().sum() / 2

    def gradient(self, weight):
        return self.factor * weight

    def inverse_gradient(self, dual, signs=1.0):
        return dual / self.factor

    def decay(self, weight):
        return self.factor * weight


def one_step(potential, weight, grad, **options):
    parameter = nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    optimizer = MirrorDescent([parameter], 1.0, potential, **options)
    parameter.grad = torch.tensor(grad, dtype=torch.float64)
    optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize(
    ("potential", "weight", "grad", "expected"),
    [
        (Scaled(), [1.0, -1.0], [1.0, 1.0], [0.6065306597, -1.6487212707]),
        (Scaled(0.25), [1.0], [1.0], [0.7788007831]),
        (Flipping(), [1.0], [0.25], [1.25]),
        (Mapped(), [2.0], [7.0], [1.0]),
        (
            Rowwise(),
            [[1.0, 1.0], [1.0, 2.0]],
            [[1.0, 3.0], [0.0, 2.0]],
            [[2.0, 0.0], [2.0, 1.0]],
        ),
        (Minimal(4.0), [1.0], [2.0], [0.5]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Potential) else "",
)
def test_what_is_overridden_takes_effect(potential, weight, grad, expected):
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(one_step(potential, weight, grad), expected)
    # the second step, with momentum, goes the way of its own too
    parameter = nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    optimizer = MirrorDescent([parameter], 1.0, potential, momentum=0.5)
    parameter.grad = torch.tensor(grad, dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(parameter.detach(), expected)


def test_an_overridden_decay_takes_effect():
    decayed = one_step(Decaying(), [1.0], [0.0], weight_decay=0.5)
    torch.testing.assert_close(
        decayed, one_step(NegativeEntropy(), [1.0], [0.0], weight_decay=1.0)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_the_fast_path_is_the_potentials_own_step(dtype, floor):
    """A subclass that overrides nothing goes the readable way; long steps end at the same limits."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(40, 30, generator=generator).to(dtype)
    start[3] = 0
    ends = []
    for potential in (NegativeEntropy(), Same()):
        weight = nn.Parameter(start.clone())
        group = {"params": [weight], "floor": floor}
        optimizer = MirrorDescent(
            [group], 0.5, potential, momentum=0.9, weight_decay=0.1, nesterov=True
        )
        grads = torch.Generator().manual_seed(1)
        for scale in (1.0, 10.0, 20.0, 1.0):
            weight.grad = scale * torch.randn(start.shape, generator=grads).to(dtype)
            optimizer.step()
        ends.append(weight.detach().double())
    assert (ends[0][3] == 0).all()
    assert ends[0].isfinite().all()
    torch.testing.assert_close(
        ends[1], ends[0], rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0
    )


def test_exponentiated_gradient_follows_a_potential_put_in_its_place():
    class Slow(EG):
        def potential(self, group):
            return Scaled(0.1)

    for foreach in (False, True):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = Slow([weight], 1.0, foreach=foreach)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        torch.testing.assert_close(
            weight.data, torch.tensor([0.9048374180], dtype=torch.float64)
        )


def test_a_step_that_was_not_guarded_leaves_no_headroom_behind():
    weight = nn.Parameter(torch.full((4,), 1e-37))
    optimizer = MirrorDescent([weight], 1.0, Euclidean())
    weight.grad = torch.zeros(4)
    optimizer.step()
    optimizer.param_groups[0]["potential"] = NegativeEntropy()
    weight.grad = torch.full((4,), 50.0)
    optimizer.step()
    assert (weight > 0).all()


def test_only_a_potential_that_leaves_zeros_refuses_them():
    class Reviving(NegativeEntropy):
        def step(self, weight, dual_step):
            return weight - dual_step

    MirrorDescent([nn.Parameter(torch.zeros(2))], 1.0, Reviving())
    with pytest.raises(ValueError, match="must not all be zero"):
        MirrorDescent([nn.Parameter(torch.zeros(2))], 1.0, Scaled())


def test_a_divergence_without_a_closed_form_is_that_of_its_definition():
    weight, reference = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0])
    own, closed = (
        Minimal(1.0).divergence(weight, reference),
        Euclidean().divergence(weight, reference),
    )
    torch.testing.assert_close(own, closed)


# -- saved, loaded, resumed --------------------------------------------------------------------------------------------


def stepped(potential):
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = MirrorDescent([weight], 0.1, potential, momentum=0.9)
    weight.grad = torch.ones(2)
    optimizer.step()
    return weight, optimizer


@pytest.mark.parametrize(
    "potential",
    [Scaled(0.25), Flipping(), Minimal(3.0)],
    ids=lambda one: type(one).__name__,
)
def test_a_potential_of_ones_own_survives_every_way_of_saving(potential, tmp_path):
    weight, optimizer = stepped(potential)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    _, other = stepped(copy.copy(potential))
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    pickled = pickle.loads(pickle.dumps(optimizer))
    for back in (other, pickled, copy.deepcopy(optimizer)):
        kept = back.param_groups[0]["potential"]
        assert type(kept) is type(potential)
        assert vars(kept) == vars(potential)
        assert torch.equal(
            next(iter(back.state.values()))["momentum_buffer"],
            optimizer.state[weight]["momentum_buffer"],
        )


def test_a_run_with_a_potential_of_ones_own_resumes(tmp_path):
    from daleml.training import train

    def run(epochs, folder):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = MirrorDescent(model.parameters(), 0.05, Scaled(0.5), momentum=0.5)
        data = [
            (
                torch.rand(4, 3, generator=torch.Generator().manual_seed(i)),
                torch.zeros(4, 2),
            )
            for i in range(3)
        ]
        train(
            model,
            data,
            optimizer,
            epochs=epochs,
            loss=nn.functional.mse_loss,
            checkpoint=folder,
        )
        return model.weight.detach()

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "parts")
    assert torch.equal(run(4, tmp_path / "parts"), whole)


def test_saved_fields_come_back_and_another_class_is_refused():
    state = stepped(Scaled(0.25))[1].state_dict()
    _, other = stepped(Scaled(0.5))
    other.load_state_dict(state)
    assert other.param_groups[0]["potential"] == Scaled(0.25)
    for wrong in (Flipping(), PNorm(3)):
        _, other = stepped(wrong)
        with pytest.raises(
            ValueError,
            match=r"`potential` must be the one that the state was saved under, Scaled\(by=",
        ):
            other.load_state_dict(state)
    _, other = stepped(Minimal(2.0))
    with pytest.raises(
        ValueError, match=r"Minimal\(factor=3.0\); got Minimal\(factor=2.0\)"
    ):
        other.load_state_dict(stepped(Minimal(3.0))[1].state_dict())


def test_a_class_of_ones_own_by_the_name_of_daleml_s_is_not_taken_for_it():
    own = type("HyperbolicEntropy", (Minimal,), {})
    _, other = stepped(HyperbolicEntropy(1.0))
    with pytest.raises(
        ValueError, match="must be the one that the state was saved under"
    ):
        other.load_state_dict(stepped(own(2.0))[1].state_dict())


def test_potentials_of_daleml_are_still_restored_whatever_the_optimiser_had():
    _, other = stepped(NegativeEntropy())
    other.load_state_dict(stepped(PNorm(3))[1].state_dict())
    assert other.param_groups[0]["potential"] == PNorm(3)
    _, other = stepped(Scaled(0.5))
    other.load_state_dict(stepped(PNorm(3))[1].state_dict())
    assert other.param_groups[0]["potential"] == PNorm(3)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*:DeprecationWarning"
)  # torch's compiler imports its own old parts
@pytest.mark.parametrize(
    "potential", [Scaled(0.25), Mapped(), Minimal(3.0), HyperbolicEntropy(0.5)]
)
def test_compiled_it_takes_effect_too(potential):
    ends = []
    for fused in (False, True):
        weight = nn.Parameter(torch.full((8, 8), 0.5))
        optimizer = MirrorDescent([weight], 0.1, potential, fused=fused)
        for _ in range(3):
            weight.grad = torch.full((8, 8), 0.3)
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[1], ends[0])
