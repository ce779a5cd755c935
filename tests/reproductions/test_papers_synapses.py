"""The claims of memory in synapses: short runs, exchanges by hand, and saboteurs."""

import pytest
import torch

from daleml import signs
from daleml._support import seeds
from daleml.layers.dynamics import RectifiedLeak, ShortTermPlasticity
from daleml.reproductions import judge
from daleml.reproductions.papers.synapses_masse2019 import experiments, networks
from daleml.reproductions.papers.synapses_masse2019.claims import PAPER
from daleml.reproductions.verdict import HOLDS

CLAIMS = {claim.id: claim for claim in PAPER.claims}
QUICK = experiments.MEMORY.settings["quick"]
TINY = QUICK | {
    "units": 20,
    "updates": 3,
    "batch": 8,
    "last": 2,
    "probes": 80,
    "times_ms": [500.0, 1500.0],
}


@pytest.fixture(scope="module")
def circuit():
    task = networks.build_task("DMS", TINY)
    return networks.MemoryCircuit(
        task, TINY, seeds.generator(0, 1), seeds.generator(0, 2)
    )


class TestCircuit:
    def test_is_the_papers(self, circuit):
        rnn = circuit.rnn
        assert rnn.populations.n_inh == 4
        assert rnn.state_names == ("r", "x_syn", "u_syn")
        signs.check(circuit).raise_for_violations()
        assert not rnn.weight_hh_l0.diagonal().any()
        assert not rnn.bias_hh_l0.any()
        assert torch.all(rnn.initial_state_l0 == 0.1)

    def test_weights_are_gamma_and_stronger_to_and_from_inhibitory_units(self):
        task = networks.build_task("DMS", QUICK)
        draws = seeds.generator(4, 1), seeds.generator(4, 2)
        weight = networks.MemoryCircuit(task, QUICK, *draws).rnn.weight_hh_l0.detach()
        among_excitatory = weight[:80, :80]
        others = torch.cat([weight[80:].flatten(), weight[:80, 80:].flatten()]).abs()
        # The mean of a gamma distribution of scale 1 is its shape.
        assert float(among_excitatory.mean()) == pytest.approx(0.1, rel=0.1)
        assert float(others.mean()) == pytest.approx(0.2, rel=0.1)

    def test_the_noise_of_the_inputs_is_the_papers_at_any_step(self):
        for dt_ms in (10.0, 50.0):
            task = networks.build_task("DMS", QUICK | {"dt_ms": dt_ms})
            trials = task.sample(200, generator=torch.Generator().manual_seed(1))
            silent = trials.inputs[: task.steps("fixation").stop]
            # sqrt(2 tau / dt) times 0.1.
            assert float(silent.std()) == pytest.approx(
                0.1 * (200 / dt_ms) ** 0.5, rel=0.02
            )

    def test_a_sequence_in_pieces_is_the_sequence(self, circuit):
        task = networks.build_task("DMS", TINY)
        trials = task.sample(6, generator=torch.Generator().manual_seed(1))
        circuit.rnn.noise = 0.0
        with torch.no_grad():
            whole, _ = circuit.remember(trials.inputs)
            first, held = circuit.remember(trials.inputs[:20])
            second, _ = circuit.remember(trials.inputs[20:], held)
        circuit.rnn.noise = 0.5
        assert torch.allclose(torch.cat([first, second]), whole, atol=1e-6)

    def test_exchanging_synapses_leaves_the_rates(self):
        rates, store, use = torch.rand(3, 5, 4)
        held = networks.Remembered(rates, store, use)
        order = torch.tensor([1, 2, 3, 4, 0])
        synapses = held.shuffled("synapses", order)
        assert torch.equal(synapses.rates, rates)
        assert torch.equal(synapses.efficacy, (use * store)[order])
        activity = held.shuffled("rates", order)
        assert torch.equal(activity.rates, rates[order])
        assert torch.equal(activity.efficacy, held.efficacy)
        assert torch.equal(activity.state()[0, :, 4:8], store)


class TestClaims:
    def test_short_runs_return_what_claims_and_figure_read(self):
        """And the same again for the same seed, so that an interrupted reproduction goes on."""
        first = experiments.run_memory(1, TINY)
        read = {check.number for claim in PAPER.claims for check in claim.checks}
        for panel in PAPER.sweeps[0].panels:
            for name in panel.curves.values():
                read |= {name.format(x=ms) for ms in TINY["times_ms"]}
        assert read <= first.keys()
        assert first == experiments.run_memory(1, TINY)

    def test_every_budget_ends_with_the_delay(self):
        for settings in experiments.MEMORY.settings.values():
            task = networks.build_task("DMS", settings)
            onset = task.steps("sample").start * task.dt_ms
            test = task.steps("test").start * task.dt_ms
            assert onset + settings["times_ms"][-1] == test
            for ms in settings["times_ms"]:
                assert ms % task.dt_ms == 0

    def test_accuracy_is_of_the_test_alone(self):
        task = networks.build_task("DMS", TINY)
        trials = task.sample(4, generator=torch.Generator().manual_seed(1))
        answers = torch.nn.functional.one_hot(trials.targets, 3).float()
        assert networks.accuracy(answers, trials) == 1.0
        # Fixation is right before the test only.
        fixates = torch.zeros_like(answers)
        fixates[..., 0] = 1
        assert networks.accuracy(fixates, trials) == 0.0


@pytest.mark.slow
class TestSabotage:
    """A minute each: what holds of the circuits of the paper, and of broken ones."""

    def verdicts(self):
        """What one circuit of each task would say if every seed gave the same."""
        numbers = experiments.run_memory(1, QUICK)
        found = {}
        for name, claim in CLAIMS.items():
            found[name] = judge(claim, [numbers] * 3).verdict
        return found

    def test_synapses_hold_the_memory(self):
        found = self.verdicts()
        assert [found[name] for name in ("m1", "m2", "m4")] == [HOLDS] * 3

    def test_synapses_that_recover_at_once_hold_none(self, monkeypatch):
        class Forgetful(ShortTermPlasticity):
            @classmethod
            def alternating(cls, units, over=None):
                return cls(tau_u_ms=0, tau_x_ms=0, U=0.3, over=RectifiedLeak())

        monkeypatch.setattr(networks, "ShortTermPlasticity", Forgetful)
        found = self.verdicts()
        assert HOLDS not in (found["m1"], found["m2"], found["m4"])

    def test_trials_that_exchange_nothing_lose_nothing(self, monkeypatch):
        monkeypatch.setattr(
            networks.Remembered, "shuffled", lambda self, what, order: self
        )
        assert self.verdicts()["m4"] != HOLDS
