"""The Morris-Lecar cell."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

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


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    "cell", [MorrisLecar(), MorrisLecar.type_ii(), MorrisLecar.stiff()], ids=str
)
def test_a_step_is_the_readable_one(cell, first_order):
    """With ``first_order``, the published lines one after another."""
    cell = dataclasses.replace(cell, first_order=first_order)
    v = torch.linspace(-84, 120, 100, dtype=torch.float64)
    w, current = (
        torch.rand(100, dtype=torch.float64),
        torch.linspace(-50, 150, 100, dtype=torch.float64),
    )
    for ours, theirs in zip(
        cell.step(v, w, current, 0.1), slow.step(cell, v, w, current, 0.1), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def lsoda(cell, current, t, start=(-20.0, 0.014173)):
    return solve_ivp(
        slow.equations(cell, current), (0, t[-1]), start,
        t_eval=t, rtol=1e-9, atol=1e-9, method="LSODA",
    ).y  # fmt: skip


@pytest.mark.parametrize(
    ("first_order", "error", "least", "most"),
    [(False, 0.02, 3.6, 4.4), (True, 1.5, 1.8, 2.2)],
)
def test_the_step_converges_to_the_equations(first_order, error, least, most):
    """Against scipy: half the step has a quarter of the error, and as published a half."""
    cell, current = MorrisLecar(first_order=first_order), 60.0
    true = lsoda(cell, current, [20.0])[0, -1]
    errors = []
    for dt_ms in (0.1, 0.05):
        v, w = torch.tensor([-20.0]).double(), torch.tensor([0.014173]).double()
        # The gate is half a step behind: as it was half a step before the beginning.
        if not first_order:
            w -= dt_ms / 2 * slow.equations(cell, current)(0, (-20.0, 0.014173))[1]
        for _ in range(round(20 / dt_ms)):
            v, w = cell.step(v, w, current, dt_ms)
        errors.append(abs(v.item() - true))
    assert errors[0] < error  # mV, on a spike's flank
    assert least < errors[0] / errors[1] < most


def test_firing_is_blocked_where_the_equations_are():
    """Near the current of depolarisation block, at the published step and at five times it."""
    cell, currents = MorrisLecar(), torch.tensor([60.0, 110.0, 114.0, 117.0]).double()
    times, options = np.arange(500.0, 1000.0, 0.25), {"settle_ms": 500.0}
    options |= {"duration_ms": 500.0, "check_step": False}
    true = []
    for current in currents:
        v = lsoda(cell, float(current), times)[0]
        true.append(((v[:-1] < 0) & (v[1:] >= 0)).sum() * 2.0)
    assert min(true[1:3]) > 20
    assert true[3] == 0
    for dt_ms in (0.1, 0.5):
        ours = cell.firing_rate(currents, dt_ms=dt_ms, **options)
        assert ours.tolist() == pytest.approx(true, abs=2.1)  # a spike more or less
    published = MorrisLecar(first_order=True)
    early = published.firing_rate(currents, dt_ms=0.5, **options)
    assert early[1:].tolist() == [0, 0, 0]


def test_the_f_i_curve_is_of_type_i():
    """Silent below 39.5 µA/cm², slow at the onset, 24 Hz at 100, blocked from 115.5."""
    currents = torch.tensor([20.0, 39.5, 40.0, 100.0, 116.5, 130.0])
    rates = MorrisLecar().firing_rate(
        currents, settle_ms=500, duration_ms=1000, dt_ms=0.5, check_step=False
    )
    assert rates[[0, 1, 4, 5]].tolist() == [0, 0, 0, 0]
    assert 0 < rates[2] < 5
    assert 23 <= rates[3] <= 25


def test_a_step_too_coarse_for_its_answer_warns():
    """At 110 µA/cm² the equations fire at 25 Hz; a published step of 0.5 ms falls silent."""
    cell = MorrisLecar(first_order=True)
    currents = torch.tensor([60.0, 110.0], dtype=torch.float64)
    sentence = "other rates at 1 of 2 currents; at 110 µA/cm², 26 Hz instead of 0."
    with pytest.warns(UserWarning, match=sentence):
        assert cell.firing_rate(currents, settle_ms=400, dt_ms=0.5)[1] == 0
    # And no warning, which would be an error.
    ours = MorrisLecar().firing_rate(
        currents, settle_ms=200, duration_ms=200, dt_ms=0.5
    )
    assert ours[1] == 25
    options = {"settle_ms": 400, "duration_ms": 100, "check_step": False}
    assert cell.firing_rate(currents, dt_ms=0.5, **options)[1] == 0


def test_a_steep_gate_has_a_shorter_step():
    """Where calcium opens itself so fast that a step of the usual length would divide by zero."""
    steep = MorrisLecar(v2=1.0)
    longest = steep.longest_step_ms
    assert longest < dataclasses.replace(steep, first_order=True).longest_step_ms
    v = torch.linspace(-84, 120, 20001, dtype=torch.float64)
    gate = torch.sigmoid((v - steep.v1) * 2)
    growth = (4 * gate * ((1 - gate) * 2 * (120 - v) - 1) - 2) / 20
    assert 1 - longest / 2 * growth.max() == pytest.approx(0.25, abs=1e-3)


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
            lambda: MorrisLecar(first_order=1),
            TypeError,
            "`first_order` must be True or False; got 1.",
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
        (
            lambda: Silencing(gate=1.5),
            ValueError,
            "`gate` must be in [0, 1]; got 1.5.",
        ),
        (
            lambda: Silencing(sample_ms=0.25),
            ValueError,
            "`sample_ms` must be a multiple of `dt_ms`, 0.1; got 0.25.",
        ),
        (
            lambda: Silencing(v_mv="low"),
            TypeError,
            "`v_mv` must be a number; got 'low'.",
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
