"""The Morris-Lecar cell."""

import pytest
import torch

from daleml import Populations
from daleml.learning import (
    EvidenceIntegration,
    MorrisLecar,
    MorrisLecarNetwork,
    Silencing,
)
from tests.neurons.small_cells import network
from tests.reference import morris_lecar as slow

pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


@pytest.mark.parametrize(
    "cell", [MorrisLecar(), MorrisLecar.type_ii(), MorrisLecar.stiff()], ids=str
)
def test_a_step_is_the_published_one(cell):
    v = torch.linspace(-84, 120, 100, dtype=torch.float64)
    w, current = (
        torch.rand(100, dtype=torch.float64),
        torch.linspace(-50, 150, 100, dtype=torch.float64),
    )
    for ours, theirs in zip(
        cell.step(v, w, current, 0.1), slow.step(cell, v, w, current, 0.1), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_step_converges_to_the_equations():
    """Against scipy, to the order of a scheme that splits its variables."""
    from scipy.integrate import solve_ivp

    cell, current = MorrisLecar(), 60.0

    def derivative(t, y):
        v, w = torch.tensor(y[0]), y[1]
        m, n = (
            torch.sigmoid(2 * (v - a) / b)
            for a, b in ((cell.v1, cell.v2), (cell.v3, cell.v4))
        )
        pace = cell.phi * torch.cosh((v - cell.v3) / (2 * cell.v4))
        currents = (
            cell.g_ca * m * (v - cell.e_ca)
            + cell.g_k * w * (v - cell.e_k)
            + cell.g_l * (v - cell.e_l)
        )
        return [float(current - currents) / cell.c, float(pace * (n - w))]

    true = solve_ivp(
        derivative, (0, 20), [-20.0, 0.014173], rtol=1e-10, atol=1e-10, method="LSODA"
    ).y[0, -1]
    errors = []
    for dt_ms in (0.1, 0.05):
        v, w = torch.tensor([-20.0]).double(), torch.tensor([0.014173]).double()
        for _ in range(round(20 / dt_ms)):
            v, w = cell.step(v, w, current, dt_ms)
        errors.append(abs(v.item() - true))
    assert errors[0] < 1.5  # mV, on a spike's flank
    assert 0.4 < errors[1] / errors[0] < 0.6


def test_the_f_i_curve_is_of_type_i():
    """Silent below 39.5 µA/cm², slow at the onset, 24 Hz at 100, blocked from 115."""
    currents = torch.tensor([20.0, 39.5, 40.0, 60.0, 100.0, 116.0, 130.0])
    rates = MorrisLecar().firing_rate(
        currents, settle_ms=300, duration_ms=1000, dt_ms=0.2
    )
    assert rates[[0, 1, 5, 6]].tolist() == [0, 0, 0, 0]
    assert 0 < rates[2] < 5
    assert 16 <= rates[3] <= 19
    assert 23 <= rates[4] <= 25


def test_a_step_too_coarse_for_its_answer_warns():
    """At 110 µA/cm² the equations fire at 25 Hz, and a step of 0.5 ms falls silent."""
    cell, currents = MorrisLecar(), torch.tensor([60.0, 110.0], dtype=torch.float64)
    sentence = "other rates at 1 of 2 currents; at 110 µA/cm², 26 Hz instead of 0."
    with pytest.warns(UserWarning, match=sentence):
        assert cell.firing_rate(currents, settle_ms=400, dt_ms=0.5)[1] == 0
    assert (
        cell.firing_rate(currents, settle_ms=400, duration_ms=400, dt_ms=0.1)[1] == 25
    )  # and no warning, which would be an error
    assert (
        cell.firing_rate(currents, settle_ms=400, dt_ms=0.5, check_step=False)[1] == 0
    )


def test_the_longest_step_is_where_a_step_overshoots():
    cell = MorrisLecar.stiff()
    longest = cell.longest_step_ms
    assert longest == pytest.approx(2 / 14)

    def off(
        dt_ms,
    ):  # all conductances open: how far from the voltage where it would rest, a step later
        v = torch.tensor(119.0, dtype=torch.float64)
        open_all = MorrisLecar(c=1.0, e_l=-55.0, v1=-1e4, phi=1e-9)
        after, _ = open_all.step(v, torch.ones_like(v), 0.0, dt_ms)
        rest = (4 * 120 - 8 * 84 - 2 * 55) / 14
        return float((after - rest) * (v - rest))

    assert off(0.95 * longest) > 0 > off(1.05 * longest)


def test_a_fast_cell_has_a_shorter_step_by_default():
    fast = Silencing(cell=MorrisLecar(c=0.5))
    assert fast.dt_ms == fast.cell.longest_step_ms < 0.1
    assert Silencing().dt_ms == 0.1


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: MorrisLecar(c=0), ValueError, "`c` must be above 0; got 0."),
        (
            lambda: MorrisLecar(g_k=-1.0),
            ValueError,
            "`g_k` must be at least 0; got -1.0.",
        ),
        (
            lambda: MorrisLecar(e_k="low"),
            TypeError,
            "`e_k` must be a number; got 'low'.",
        ),
        (
            lambda: MorrisLecar.stiff().require_step(0.5),
            ValueError,
            "`dt_ms` must be at most 0.143 for this cell, above which a step overshoots; got 0.5.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, dt_ms=4.0),
            ValueError,
            "`dt_ms` must be at most 2.5 for this cell, above which a step overshoots; got 4.",
        ),
        (
            lambda: MorrisLecar().firing_rate(torch.zeros(1), dt_ms=0.0),
            ValueError,
            "`dt_ms` must be above 0; got 0.0.",
        ),
        (
            lambda: Silencing(dt_ms=0.2),
            ValueError,
            "`dt_ms` must be at most 0.143 for this cell, above which a step overshoots; got 0.2.",
        ),
        (
            lambda: Silencing()(0.0),
            ValueError,
            "`duration_ms` must be above 0; got 0.0.",
        ),
        (
            lambda: Silencing(width_mv=0.0),
            ValueError,
            "`width_mv` must be above 0; got 0.0.",
        ),
        (
            lambda: MorrisLecarNetwork(0, 4, 3),
            ValueError,
            "`input_size` must be at least 1; got 0.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, populations=Populations(4, 1)),
            ValueError,
            "`populations` must be of 4 units, `hidden_size`; got 5.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, cell=3),
            TypeError,
            "`cell` must be a MorrisLecar; got int.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, input_ms=0.25),
            ValueError,
            "`input_ms` must be a multiple of `dt_ms`, 0.1; got 0.25.",
        ),
        (
            lambda: network()(torch.zeros(50, 2, 4)),
            ValueError,
            "`input` must have shape (time, batch, 5); got (50, 2, 4).",
        ),
        (
            lambda: network()(torch.zeros(2, 2, 5).double()),
            ValueError,
            "`input` must last at least 10 ms, as long as `read_ms`; got 8 ms.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, populations=4),
            TypeError,
            "`populations` must be a Populations; got int.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, generator=3),
            TypeError,
            "`generator` must be a torch.Generator; got int.",
        ),
        (
            lambda: MorrisLecarNetwork(5, 4, 3, input_ms="a"),
            TypeError,
            "`input_ms` must be a number; got 'a'.",
        ),
        (
            lambda: network()(
                torch.zeros(50, 2, 5).double(), network().initial_state(1)
            ),
            ValueError,
            "`state` must be two tensors (2, 12); got (1, 12) and (1, 12).",
        ),
        (lambda: network()([[1.0]]), TypeError, "`input` must be a tensor; got list."),
        (
            lambda: network()(torch.zeros(50, 2, 5).double(), torch.zeros(2, 12)),
            TypeError,
            "`state` must be a tuple of voltage and gate; got Tensor.",
        ),
        (lambda: Silencing([0.5]), TypeError, "`weight` must be a number; got [0.5]."),
        (
            lambda: Silencing(cell=3),
            TypeError,
            "`cell` must be a MorrisLecar; got int.",
        ),
        (
            lambda: MorrisLecar().firing_rate(40.0),
            TypeError,
            "`current` must be a tensor; got float.",
        ),
        (
            lambda: MorrisLecar().firing_rate(torch.tensor([1.0, float("nan")])),
            ValueError,
            "`current` must be finite; got nan.",
        ),
        (
            lambda: MorrisLecar().firing_rate(torch.zeros(1), duration_ms=0.04),
            ValueError,
            "`duration_ms` must be at least a step, 0.1; got 0.04.",
        ),
        (
            lambda: EvidenceIntegration(n_features=2),
            ValueError,
            "`n_features` must be at least 3 for 5 words; got 2.",
        ),
        (
            lambda: EvidenceIntegration(n_evidence=1),
            ValueError,
            "`n_evidence` must be at least 2; got 1.",
        ),
        (
            lambda: EvidenceIntegration(dt_ms=0.0),
            ValueError,
            "`dt_ms` must be above 0; got 0.0.",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence
