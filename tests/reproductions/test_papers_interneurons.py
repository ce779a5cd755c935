"""The claims of E, PV, SST and VIP: the circuit against the equations, and against saboteurs."""

import numpy as np
import pytest
import torch

from daleml import layers, signs
from daleml.analysis.activity import paradoxical_effect
from daleml.datasets import garcia_del_molino
from daleml.layers import EIRNN
from daleml.layers.dynamics import RateLeak
from daleml.reproductions import judge
from daleml.reproductions.papers.interneurons_garciadelmolino2017 import (
    experiments,
    networks,
)
from daleml.reproductions.papers.interneurons_garciadelmolino2017.claims import PAPER
from daleml.reproductions.verdict import FAILS, HOLDS

CLAIMS = {claim.id: claim for claim in PAPER.claims}
MODEL = experiments.MODEL.settings["quick"] | {"baselines": [0.0, 1.0], "ms": 100.0}
SIZES = {"E": 80, "PV": 10, "SST": 6, "VIP": 4}
DRAWN = experiments.DRAWN.settings["quick"] | {
    "baselines": [0.0, 1.0],
    "sizes": SIZES,
    "ms": 20.0,
}


def verdict(claim, numbers):
    return judge(CLAIMS[claim], [numbers] * 3).verdict


@pytest.fixture(scope="module")
def model():
    return experiments.run_model(0, MODEL)


class TestCircuit:
    def test_equals_a_loop_written_from_the_equations(self):
        """Every rate of every step, after 10 pA to VIP at the low baseline."""
        weights = np.array(
            [
                [2.4167, -0.3329, -0.8039, 0],
                [2.9706, -3.4554, -2.1291, 0],
                [4.6440, 0, 0, -2.7896],
                [0.7162, 0, -0.1560, 0],
            ]
        )
        leak, tau = np.array([6.25, 10, 5, 5]), np.array([0.0288, 0.008, 0.016, 0.016])
        circuit = networks.published()
        rates = circuit.baseline(0)
        currents = circuit.background(rates).numpy()
        currents[3] += 10
        r = np.array([1.0, 10, 3, 2])
        expected = []
        for _ in range(500):
            v = -70 + (weights @ r + currents) / leak
            phi = (v + 50) / (tau * 10 * (1 - np.exp(-(v + 50))))
            r = r + 0.1 / 2 * (phi - r)
            expected.append(r)
        found = circuit.run(rates[None], [{"VIP": 10.0}], ms=50)[:, 0, 0]
        assert np.allclose(found, expected, rtol=1e-10, atol=1e-10)

    def test_a_curve_is_continuous_at_its_threshold_and_has_an_inverse(self):
        curve = networks.published().curve
        at = torch.linspace(-1, 1, 2001).double() * 1e-6
        above = 20 * curve.leak + at[:, None] * curve.leak
        rates = curve(above)
        assert torch.all(rates.diff(dim=0) > 0)
        assert rates[1000].tolist() == pytest.approx((1 / (curve.tau_s * 10)).tolist())
        wanted = torch.tensor([0.01, 50.0, 3.0, 500.0]).double()
        assert torch.allclose(curve(curve.inverse(wanted)), wanted, rtol=1e-12)

    def test_gain_is_the_slope(self):
        curve = networks.published().curve
        currents = torch.tensor([110.0, 200.0, 90.0, 130.0]).double()
        difference = (curve(currents + 1e-4) - curve(currents - 1e-4)) / 2e-4
        assert torch.allclose(curve.gain(currents), difference, rtol=1e-6)

    def test_a_step_of_current_is_what_a_drive_is(self):
        """By hand in the input, and by the context that perturbs any circuit."""
        circuit = networks.published()
        rates = torch.stack([circuit.baseline(0), circuit.baseline(1)])
        by_hand = circuit.run(rates, [{"VIP": 10.0}], ms=20)
        with layers.drive(circuit.rnn, "VIP", 10.0):
            driven = circuit.run(rates, [{}], ms=20)
        assert torch.allclose(driven, by_hand, rtol=0, atol=1e-11)

    def test_keeps_the_law_and_the_printed_weights(self):
        circuit = networks.published()
        assert circuit.populations.names == ("E", "PV", "SST", "VIP")
        signs.check(circuit.rnn).raise_for_violations()
        table = garcia_del_molino()
        printed = table.matrix("strength").to_numpy() * list(table.signs.values())
        assert np.allclose(circuit.weights, printed)
        assert torch.allclose(circuit.mean_weights(), circuit.weights)

    def test_many_units_receive_the_currents_of_the_model_on_average(self):
        sizes = {"E": 400, "PV": 50, "SST": 30, "VIP": 20}
        circuit = networks.drawn(sizes, 0.5, torch.Generator().manual_seed(1))
        assert circuit.populations.sizes == sizes
        signs.check(circuit.rnn).raise_for_violations()
        found, wanted = circuit.mean_weights(), networks.published().weights
        assert torch.allclose(found, wanted, rtol=0.15, atol=0)
        assert not circuit.weights.diagonal().any()

    def test_measured_strengths_leave_one_factor_free(self):
        circuit = networks.measured(SIZES, 0.5, 0.5, torch.Generator().manual_seed(1))
        means = circuit.mean_weights()
        assert float(means[0, 0]) == pytest.approx(0.5, rel=0.2)
        assert float(means[0, 3]) == 0.0
        assert float(means[1, 3]) < 0


class TestClaims:
    def test_there_are_nine_and_all_can_be_judged(self):
        assert list(CLAIMS) == [f"n{i}" for i in range(1, 10)]
        assert all(claim.paper == "interneurons" for claim in PAPER.claims)

    @pytest.mark.parametrize("claim", ["n1", "n2", "n3", "n4", "n5"])
    def test_the_model_does_what_the_paper_says(self, model, claim):
        assert verdict(claim, model) == HOLDS

    def test_nothing_is_drawn_but_where_one_check_begins(self, model):
        other = experiments.run_model(1, MODEL)
        assert {name for name in model if model[name] != other[name]} == {"returns"}

    def test_the_responses_are_those_of_an_integration_by_scipy(self, model):
        """Made once with LSODA at a tolerance of 1e-10."""
        found = [model[f"SST_{baseline}"] for baseline in (0, 1)]
        assert found == pytest.approx([-2.42109, 9.85011], abs=2e-5)
        found = [model[f"E_{baseline}"] for baseline in (0, 1)]
        assert found == pytest.approx([0.25759, 16.30482], abs=2e-5)

    @pytest.mark.parametrize("baseline", [0, 1])
    def test_a_linearisation_elsewhere_finds_the_same(self, model, baseline):
        """`paradoxical_effect` solves for the fixed point; here the circuit is run to it."""
        circuit = networks.published()
        rates = circuit.baseline(baseline)
        rnn = EIRNN.from_matrix(
            circuit.weights,
            1,
            rows="post",
            names=circuit.populations.names,
            nonlinearity=circuit.curve,
            dynamics=RateLeak(),
            dt_ms=0.1,
            tau_ms=2,
            dtype=torch.float64,
        )
        with torch.no_grad():
            rnn.bias_hh_l0.zero_()
            rnn.bias_ih_l0.copy_(circuit.background(rates))
        effect = paradoxical_effect(
            rnn, population="PV", amount=10.0, start=rates[None]
        )
        assert effect.inhibition_stabilised == (baseline == 1)
        for name, hz in (("E", f"pv_to_e_{baseline}"), ("PV", f"pv_to_pv_{baseline}")):
            assert effect.responses[name] == pytest.approx(model[hz], abs=1e-6)
        effect = paradoxical_effect(
            rnn, population="VIP", amount=10.0, start=rates[None]
        )
        for name in rnn.populations.names:
            expected = model[f"{name}_{baseline}"]
            assert effect.responses[name] == pytest.approx(expected, abs=1e-6)

    def test_many_units_return_what_the_claims_read(self):
        first = experiments.run_drawn(3, DRAWN)
        read = {
            check.number
            for claim in PAPER.claims
            if claim.experiment is experiments.DRAWN
            for check in claim.checks
        }
        assert read <= first.keys()
        assert first == experiments.run_drawn(3, DRAWN)

    def test_the_figure_shows_numbers_that_the_experiments_return(self, model):
        (sweep,) = PAPER.sweeps
        many = experiments.run_drawn(3, DRAWN)
        for panel in sweep.panels:
            numbers = model if panel.experiment is experiments.MODEL else many
            for name in panel.curves.values():
                assert {name.format(x=x) for x in (0.0, 1.0)} <= numbers.keys()


class TestSabotage:
    """Broken science is found out."""

    def sabotaged(self, monkeypatch, **changes):
        """The numbers of a model of which some pathways have other strengths."""
        table = garcia_del_molino()
        for pathway, strength in changes.items():
            pre, post = pathway.split("_to_")
            here = (table.pathways["pre"] == pre) & (table.pathways["post"] == post)
            table.pathways.loc[here, "strength"] = strength
        monkeypatch.setattr(networks, "garcia_del_molino", lambda: table)
        return experiments.run_model(0, MODEL)

    def test_without_vip_onto_sst_there_is_no_disinhibition(self, monkeypatch):
        numbers = self.sabotaged(monkeypatch, VIP_to_SST=0.0)
        assert verdict("n3", numbers) == FAILS
        assert verdict("n2", numbers) == FAILS

    def test_without_the_excitation_of_sst_the_response_does_not_reverse(
        self, monkeypatch
    ):
        numbers = self.sabotaged(monkeypatch, E_to_SST=0.0)
        assert numbers["SST_1"] < 0
        assert verdict("n2", numbers) == FAILS

    def test_with_weak_excitation_inhibition_stabilises_nothing(self, monkeypatch):
        numbers = self.sabotaged(monkeypatch, E_to_E=1.0)
        assert verdict("n4", numbers) == FAILS

    def test_a_matrix_read_the_wrong_way_round_is_no_such_circuit(self, monkeypatch):
        """Senders for receivers: the law still holds, and the printed currents do not."""
        table = garcia_del_molino()
        turned = table.pathways.rename(columns={"pre": "post", "post": "pre"})
        object.__setattr__(table, "pathways", turned)
        monkeypatch.setattr(networks, "garcia_del_molino", lambda: table)
        circuit = networks.published()
        assert experiments._distance_from_printed_currents(circuit) > 1

    def test_a_step_that_is_too_long_is_not_the_equations(self, monkeypatch):
        monkeypatch.setattr(networks, "_STEP_MS", 2.0)
        numbers = experiments.run_model(0, MODEL)
        assert verdict("n1", numbers) == FAILS
