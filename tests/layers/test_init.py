import math

import pytest
import torch

from daleml import Populations
from daleml.layers import DANNLinear, init


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("mean", [0.01, 1.0, 30.0])
def test_exponential(mean):
    w = init.exponential_(torch.empty(200_000), mean, generator=seeded())
    assert w.mean().item() == pytest.approx(mean, rel=0.02)
    assert w.std().item() == pytest.approx(mean, rel=0.02)
    assert w.min() > 0


@pytest.mark.parametrize(("ratio", "sigma"), [(1.0, 0.8326), (1.5, 0.6064)])
def test_lognormal(ratio, sigma):
    """The values of sigma are those of the EG paper's code."""
    w = init.lognormal_(
        torch.empty(400_000, dtype=torch.float64), 0.3, ratio, generator=seeded()
    )
    assert w.mean().item() == pytest.approx(0.3, rel=0.01)
    assert (w.mean() / w.std()).item() == pytest.approx(ratio, rel=0.02)
    assert w.log().std().item() == pytest.approx(sigma, rel=0.01)


def test_lognormal_note_gives_the_promised_variance():
    k, gain, fan = 1.5, 2.0, 50
    w = init.lognormal_(
        torch.empty(400_000),
        k * gain / math.sqrt(fan * (1 + k * k)),
        k,
        generator=seeded(),
    )
    assert w.square().mean().item() == pytest.approx(gain**2 / fan, rel=0.02)


def test_column_ei_is_balanced_and_scaled_as_the_paper_says():
    """As in the released code: n_e sigma_e = n_i sigma_i, with sigma_e from n_e + n_e^2 / n_i."""
    pops = Populations(100, 10)
    w = init.column_ei_(torch.empty(5000, 110), pops.signs(), generator=seeded())
    sigma_e = (1 / ((2 * math.pi - 1) / (2 * math.pi) * (100 + 100**2 / 10))) ** 0.5
    assert w[:, pops.exc].mean().item() == pytest.approx(sigma_e, rel=0.01)
    assert w[:, pops.inh].mean().item() == pytest.approx(-10 * sigma_e, rel=0.01)
    assert abs(w.sum(1).mean().item()) < 0.05


@pytest.mark.parametrize(
    ("pops", "sign"), [(Populations(64, 0), 1), (Populations(0, 64), -1)]
)
def test_column_ei_of_one_sign_is_centred_by_its_bias(pops, sign):
    w, b = torch.empty(2000, 64), torch.empty(2000)
    init.column_ei_(w, pops.signs(), b, input_mean=0.3, generator=seeded())
    assert w.mean().item() == pytest.approx(sign / 8, rel=0.02)
    assert (w @ torch.full((64,), 0.3) + b).mean().item() == pytest.approx(0, abs=0.02)


def rectified(n, d):
    return torch.randn(
        n, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ).relu()


def parts(n_in, n_out, n_inh):
    layer = DANNLinear(n_in, n_out, n_inh, shunting=True, dtype=torch.float64)
    return layer, (layer.weight_ex, layer.weight_ix, layer.weight_ei, layer.alpha)


@pytest.mark.parametrize("n_inh", [1, 10])
@pytest.mark.parametrize("draw", [init.exponential_, init.lognormal_])
def test_dann_is_centred_with_he_variance_and_unit_shunt(n_inh, draw):
    layer, weights = parts(500, 500, n_inh)
    init.dann_(*weights, draw=draw, generator=seeded())
    x = rectified(200, 500)
    z = x @ layer.effective_weight().T
    shunt = x @ layer.weight_ix.T @ (layer.weight_ei * layer.alpha.exp()).T
    assert (
        z.mean(1).abs().max() < 1e-5
    )  # inhibition subtracts the mean over units, exactly
    assert z.std().item() == pytest.approx(1, abs=0.03)
    assert shunt.mean().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(
        layer.weight_ei.sum(1), torch.ones(500, dtype=torch.float64)
    )


@pytest.mark.parametrize("numerator", [1 / 3, 1, 2])
def test_dann_numerator_is_the_variance(numerator):
    layer, weights = parts(400, 300, 5)
    init.dann_(*weights, numerator=numerator, generator=seeded())
    assert layer.effective_weight().var().item() * 400 == pytest.approx(
        numerator, rel=0.03
    )


def test_dann_with_few_outputs_has_its_variance():
    for n_out in (2, 3):
        layer, weights = parts(30_000, n_out, 2)
        init.dann_(*weights, generator=seeded())
        assert layer.effective_weight().var(
            unbiased=False
        ).item() * 30_000 == pytest.approx(2, rel=0.05)


def test_dann_rows_of_inhibition_are_flat_dirichlet():
    """Two interneurons: the first share is uniform, whatever distribution the excitatory weights are drawn from."""
    _, weights = parts(5, 20_000, 2)
    init.dann_(*weights, draw=init.lognormal_, generator=seeded())
    share = weights[2][:, 0]
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / 12, rel=0.03)


def test_dann_with_one_output_still_has_its_variance():
    for n_inh in (1, 5):
        layer, weights = parts(20_000, 1, n_inh)
        init.dann_(*weights, generator=seeded())
        assert layer.effective_weight().var().item() * 20_000 == pytest.approx(
            2, rel=0.05
        )


def test_iclr2021_claim_1a():
    """Centred exactly, E[gamma] = 1, and a standard deviation of 0.77 rather than 1."""
    layer, weights = parts(500, 500, 1)
    init.dann_iclr2021_(*weights, generator=seeded())
    x = rectified(400, 500)
    z = x @ layer.effective_weight().T
    shunt = x @ layer.weight_ix.T @ (layer.weight_ei * layer.alpha.exp()).T
    assert z.mean(1).abs().max() < 1e-5
    assert shunt.mean().item() == pytest.approx(1, abs=0.02)
    assert z.std().item() == pytest.approx(0.77, abs=0.03)


def test_iclr2021_with_several_interneurons():
    layer, weights = parts(300, 200, 4)
    init.dann_iclr2021_(*weights, generator=seeded())
    scale = math.sqrt(2 * math.pi / (300 * (2 * math.pi - 1)))
    assert layer.weight_ex.mean().item() == pytest.approx(scale, rel=0.02)
    assert layer.weight_ix.mean().item() == pytest.approx(scale, rel=0.1)
    assert torch.equal(layer.weight_ei, torch.full_like(layer.weight_ei, 0.25))
    assert layer.alpha[0].item() == pytest.approx(
        math.log(math.sqrt((2 * math.pi - 1) / 300))
    )
    init.dann_iclr2021_(*weights, draw=init.lognormal_, generator=seeded())
    assert layer.weight_ix.log().std().item() == pytest.approx(0.8326, rel=0.05)
    init.dann_iclr2021_(*weights, first=True, generator=seeded())
    assert layer.weight_ex.mean().item() == pytest.approx(math.sqrt(1 / 600), rel=0.02)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda w: init.exponential_(w, 0), "`mean` must be above 0; got 0."),
        (lambda w: init.lognormal_(w, -1), "`mean` must be above 0; got -1."),
        (lambda w: init.lognormal_(w, 1, 0), "`ratio` must be above 0; got 0."),
        (
            lambda w: init.dann_(w, w, w, numerator=-2),
            "`numerator` must be above 0; got -2.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError) as raised:
        call(torch.empty(3, 3))
    assert str(raised.value) == sentence
