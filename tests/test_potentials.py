import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from daleml import potentials
from daleml.potentials import Euclidean, HyperbolicEntropy, NegativeEntropy, PNorm

ALL = [
    Euclidean(), NegativeEntropy(), PNorm(1.1), PNorm(1.5), PNorm(2), PNorm(3), PNorm(10),
    HyperbolicEntropy(1e-6), HyperbolicEntropy(1.0), HyperbolicEntropy(1e3),
]  # fmt: skip
NUMBERS = st.floats(1e-12, 1e6) | st.floats(-1e6, -1e-12)


def each():
    return pytest.mark.parametrize("potential", ALL, ids=str)


def spread(*, signed=True):
    size = torch.logspace(-12, 6, 181, dtype=torch.float64)
    return torch.cat([size, -size]) if signed else size


@each()
def test_the_gradient_inverts(potential):
    weight = spread()
    dual = potential.gradient(weight)
    assert dual.shape == weight.shape
    torch.testing.assert_close(
        potential.inverse_gradient(dual, weight.sign()), weight, rtol=1e-10, atol=0
    )
    torch.testing.assert_close(
        potential.inverse_gradient(dual[:181]), weight[:181], rtol=1e-10, atol=0
    )  # by default, the positive orthant


@each()
def test_gradient_and_decay_are_derivatives_of_the_value(potential):
    weight = torch.tensor(
        [2.0, 0.3, -0.7, -5.0, 1e-3], dtype=torch.float64, requires_grad=True
    )
    (gradient,) = torch.autograd.grad(
        potential.value(weight), weight, create_graph=True
    )
    torch.testing.assert_close(
        potential.gradient(weight), gradient, rtol=1e-9, atol=1e-12
    )
    (curvature,) = torch.autograd.grad(gradient.sum(), weight)
    torch.testing.assert_close(
        potential.decay(weight), weight * curvature, rtol=1e-9, atol=1e-12
    )


@each()
@given(weight=NUMBERS, reference=NUMBERS)
@settings(deadline=None, max_examples=60)
def test_divergences_are_the_definition_non_negative_and_zero_at_equality(
    potential, weight, reference
):
    w, r = (torch.tensor([x], dtype=torch.float64) for x in (weight, reference))
    found = potential.divergence(w, r)
    assert found >= 0
    assert potential.divergence(w, w) == 0
    if isinstance(potential, NegativeEntropy) and weight * reference < 0:
        assert found == math.inf
        return
    parts = (
        potential.value(w),
        potential.value(r),
        (potential.gradient(r) * (w - r)).sum(),
    )
    scale = float(sum(part.abs() for part in parts))
    assert float(found) == pytest.approx(
        float(parts[0] - parts[1] - parts[2]), rel=1e-6, abs=1e-12 * scale + 1e-300
    )


def test_divergences_of_known_name():
    w, r = torch.rand(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    assert Euclidean().divergence(w, r).item() == pytest.approx(
        torch.dist(w, r).item() ** 2 / 2
    )
    kullback_leibler = special.kl_div(w.numpy(), r.numpy()).sum()
    assert NegativeEntropy().divergence(w, r).item() == pytest.approx(
        kullback_leibler, rel=1e-12
    )
    assert NegativeEntropy().divergence(-w, -r).item() == pytest.approx(
        kullback_leibler, rel=1e-12
    )
    zero, one = torch.zeros(1), torch.ones(1)
    assert NegativeEntropy().divergence(zero, one) == 1
    assert NegativeEntropy().divergence(one, zero) == math.inf
    assert NegativeEntropy().divergence(zero, zero) == 0


@each()
def test_a_step_is_a_step_in_the_dual(potential):
    weight = torch.tensor([2.0, 0.3, -0.7, -5.0, 1e-3], dtype=torch.float64)
    dual_step = 0.5 * potential.gradient(weight) + torch.tensor(
        [0.1, -0.2, 0.3, -0.4, 0.0], dtype=torch.float64
    )
    expected = potential.inverse_gradient(
        potential.gradient(weight) - dual_step, weight.sign()
    )
    torch.testing.assert_close(
        potential.step(weight, dual_step), expected, rtol=1e-8, atol=1e-15
    )


@given(weight=NUMBERS, share=st.floats(-3, 3), potential=st.sampled_from(ALL))
@settings(deadline=None)
def test_only_the_negative_entropy_keeps_every_sign(weight, share, potential):
    w = torch.tensor([weight], dtype=torch.float64)
    moved = potential.step(w, share * potential.gradient(w))
    if potential.keeps_signs:
        assert moved.sign() == w.sign()
    elif share > 1.01:  # past the origin of the dual, where the weight is zero
        assert moved.sign() == -w.sign()
    assert potential.keeps_signs == isinstance(potential, NegativeEntropy)


def test_the_hyperbolic_entropy_lies_between_the_other_two():
    weight = torch.tensor([2.0, -0.3, 0.01], dtype=torch.float64)
    step = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64)
    exponentiated = NegativeEntropy().step(weight, step)
    torch.testing.assert_close(
        HyperbolicEntropy(1e-9).step(weight, step), exponentiated, rtol=1e-9, atol=0
    )
    descended = Euclidean().step(weight, step)
    torch.testing.assert_close(
        HyperbolicEntropy(1e6).step(weight, step / 1e6), descended, rtol=1e-9, atol=1e-9
    )


@each()
def test_zero_and_dtypes(potential):
    weight = torch.tensor([0.0, 1.5, -2.0])
    assert potential.value(weight).isfinite()
    assert potential.step(weight, torch.zeros(3)).isfinite().all()
    for found in (
        potential.gradient(weight),
        potential.decay(weight),
        potential.step(weight, weight),
    ):
        assert found.dtype == torch.float32
        assert found.data_ptr() != weight.data_ptr() or found is weight
    assert weight.tolist() == [0.0, 1.5, -2.0]


@each()
def test_plain_data_and_back(potential):
    assert (
        potentials.from_dict(json.loads(json.dumps(potential.to_dict()))) == potential
    )


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda: PNorm(1), ValueError, "`p` must be above 1; got 1."),
        (lambda: PNorm(0.5), ValueError, "`p` must be above 1; got 0.5."),
        (lambda: PNorm(math.inf), ValueError, "`p` must be finite; got inf."),
        (lambda: PNorm("3"), TypeError, "`p` must be a number; got '3'."),
        (lambda: HyperbolicEntropy(0), ValueError, "`beta` must be above 0; got 0."),
        (
            lambda: potentials.from_dict({"name": "Potential"}),
            ValueError,
            "`name` must be one of Euclidean, NegativeEntropy, PNorm, HyperbolicEntropy; got 'Potential'.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build()
    assert str(raised.value) == sentence
