import json

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations
from daleml.analysis import activity, spectrum
from daleml.analysis.activity import StartVerdict
from daleml.layers import DANNRNN, EIRNN, EIRNNCell
from daleml.layers.dynamics import Adaptation, ShortTermPlasticity
from daleml.tasks import PerceptualDecision

TYPES = Populations.of(exc={"E": 16}, inh={"PV": 2, "SST": 2})


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def inhibited():
    rnn = EIRNN(3, TYPES, generator=seeded())
    nn.init.constant_(rnn.bias_ih_l0, -50.0)
    return rnn


LEAK = {"dt_ms": 10, "tau_ms": 50}
PLASTIC = ShortTermPlasticity(tau_x_ms=200, tau_u_ms=1500, U=0.2)
ADAPTS = Adaptation(tau_ms=200, strength=0.5)
CIRCUITS = {
    "plain": (lambda: EIRNN(3, TYPES), "alive"),
    "leaky, noisy, two layers": (lambda: EIRNN(3, TYPES, 2, noise=1.0, **LEAK), "alive"),
    "plasticity": (lambda: EIRNN(3, TYPES, dynamics=PLASTIC, **LEAK), "alive"),
    "adaptation": (lambda: EIRNN(3, TYPES, dynamics=ADAPTS, **LEAK), "alive"),
    "tanh": (lambda: EIRNN(3, TYPES, nonlinearity="tanh", spectral_radius=2.0), "alive"),
    "DANN": (lambda: DANNRNN(3, 20), "alive"),
    "cell": (lambda: EIRNNCell(3, TYPES, **LEAK), "alive"),
    "nn.RNN": (lambda: nn.RNN(3, 20), "alive"),
    "GRU": (lambda: nn.GRU(3, 20, batch_first=True), "alive"),
    "loud": (lambda: EIRNN(3, Populations(20), spectral_radius=1.5), "explodes"),
    "loud, far from it": (
        lambda: EIRNN(3, Populations(20), spectral_radius=1.02, **LEAK),
        "explodes",
    ),
    "inhibited": (inhibited, "silent"),
    "driven by inhibition": (lambda: EIRNN(Populations(0, 3), TYPES), "silent"),
}  # fmt: skip


@pytest.mark.parametrize("name", CIRCUITS)
def test_the_verdict(name):
    torch.manual_seed(0)
    make, verdict = CIRCUITS[name]
    rnn = make()
    before = {key: value.clone() for key, value in rnn.state_dict().items()}
    drawn = torch.get_rng_state()
    report = activity.at_initialisation(rnn, n_steps=120)
    assert report.verdict == verdict
    assert torch.equal(torch.get_rng_state(), drawn)
    for key, value in rnn.state_dict().items():
        assert torch.equal(value, before[key])
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["verdict"] == verdict
    assert str(report).startswith(verdict)


def test_the_spectrum_is_that_of_the_weights_and_of_a_step():
    rnn = EIRNN(3, TYPES, generator=seeded(), nonlinearity=lambda x: x, **LEAK)
    report = activity.at_initialisation(rnn)
    layer = report.layers[0]
    assert layer.spectral_radius == pytest.approx(spectrum(rnn).spectral_radius, 1e-5)
    # The identity as nonlinearity: a step is 1 - a + a W.
    weight = rnn.weight_hh_l0.detach().double().numpy()
    expected = np.linalg.eigvals(0.8 * np.eye(20) + 0.2 * weight)
    expected = expected[np.argsort(-np.abs(expected))][:10]
    assert np.abs(report.eigenvalues) == pytest.approx(np.abs(expected), rel=1e-6)
    assert report.update_radius == pytest.approx(np.abs(expected[0]), rel=1e-6)


def test_balance_is_by_row_and_by_population():
    rnn = EIRNN(1, Populations(2, 1), autapses=True)
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(
            torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, -2.0]])
        )
    layer = activity.at_initialisation(rnn, n_steps=8).layers[0]
    np.testing.assert_allclose(layer.balance, [0.5, np.nan, 0.0])
    assert layer.balance_by_population() == {"E": 0.5, "I": 0.0}


def test_rates_are_those_of_a_run():
    rnn = EIRNN(3, TYPES, 2, generator=seeded(), batch_first=True, **LEAK).double()
    inputs = torch.rand(4, 40, 3, dtype=torch.float64)
    report = activity.at_initialisation(rnn, inputs)
    rates = rnn(torch.cat([inputs, torch.zeros_like(inputs)], 1))[0].detach()
    assert report.n_sequences == 4
    expected = rates[:, 20:40, :16].mean().item()
    assert report.layers[-1].rates_driven["E"] == pytest.approx(expected)
    expected = rates[:, 60:, 18:].mean().item()
    assert report.layers[-1].rates_quiet["SST"] == pytest.approx(expected)
    silent = (rates[:, 20:40].amax((0, 1)) == 0).double().mean().item()
    assert report.layers[-1].silent_fraction == pytest.approx(silent)
    expected = rates[..., 16:18].mean((0, 2))
    np.testing.assert_allclose(report.mean_rates["PV"], expected)


def test_trials_and_a_generator():
    trials = PerceptualDecision().sample(3)
    rnn = EIRNN(trials.inputs.shape[2], TYPES, batch_first=True)
    report = activity.at_initialisation(rnn, trials)
    assert (report.n_steps, report.n_sequences) == trials.inputs.shape[:2]
    one, two = (
        activity.at_initialisation(rnn, n_steps=9, generator=seeded(3)).mean_rates["E"]
        for _ in range(2)
    )
    assert np.array_equal(one, two)


def test_slips_are_refused():
    rnn = EIRNN(3, TYPES)
    with pytest.raises(ValueError, match="`n_steps` must be at least 8; got 7."):
        activity.at_initialisation(rnn, n_steps=7)
    with pytest.raises(ValueError, match="`inputs` must have 8 steps or more; got 2."):
        activity.at_initialisation(rnn, torch.rand(2, 1, 3))
    with pytest.raises(ValueError, match="`rnn` must have values"):
        activity.at_initialisation(nn.RNN(3, 4, device="meta"))


def by_a_long_run(rnn):
    """Return the verdict of thousands of steps."""
    inputs = torch.randn(3000, 2, 3, generator=seeded(7), dtype=torch.float64)
    inputs = inputs.clamp(min=0)
    with torch.no_grad():
        driven, last = rnn(inputs)
        quiet, _ = rnn(torch.zeros_like(inputs), last)
    rates = torch.cat([driven, quiet]).abs()
    if not rates.isfinite().all() or rates.max() > 1e4:
        return StartVerdict.EXPLODES
    is_silent = driven[1500:].abs().mean() < 1e-3
    return StartVerdict.SILENT if is_silent else StartVerdict.ALIVE


@pytest.mark.slow
def test_the_verdict_is_that_of_a_long_run():
    agree = []
    for seed in range(5):
        for radius in (None, 0.5, 1.0, 1.2, 1.5, 2.5):
            for leak in ({}, {"dt_ms": 20, "tau_ms": 100}):
                for f in ("relu", "softplus", "tanh"):
                    for pops in (TYPES, Populations(20), Populations.split(60)):
                        options = {"spectral_radius": radius, "generator": seeded(seed)}
                        rnn = EIRNN(3, pops, 1, f, **options, **leak).double()
                        found = activity.at_initialisation(rnn).verdict
                        agree.append(found == by_a_long_run(rnn))
    assert np.mean(agree) >= 0.98
