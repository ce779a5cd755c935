"""The claims of circuits that learn to decide: what is built, what is measured, and saboteurs."""

import numpy as np
import pytest
import torch

from daleml import signs
from daleml.reproductions import judge
from daleml.reproductions.papers.decision_song2016 import experiments, networks
from daleml.reproductions.papers.decision_song2016.claims import PAPER
from daleml.reproductions.verdict import FAILS, HOLDS

CLAIMS = {claim.id: claim for claim in PAPER.claims}
DECISIONS = experiments.DECISIONS.settings["quick"]
SMALL = DECISIONS | {"units": 20, "updates": 3, "batch": 8}
SEED = 3
TASK = networks.decision_task(SMALL, reaction_time=False)


def verdicts(numbers, *claims):
    return [judge(CLAIMS[claim], [numbers] * 3).verdict for claim in claims]


def answers_of(classes, trials):
    """Return what a circuit that answers so would have given."""
    outputs = torch.nn.functional.one_hot(classes, 3).float()
    outputs = outputs.expand(len(trials.inputs), -1, -1)
    accuracy = TASK.score(outputs, trials)
    return experiments.Answers(trials, torch.zeros(1), outputs, accuracy)


class TestCircuit:
    def test_inputs_reach_one_group_another_is_read_and_none_joins_these(self):
        model = networks.build(0, SMALL, TASK)
        circuit, pops = model[0], networks.populations(20)
        assert pops.sizes == {"in": 4, "out": 4, "rest": 8, "I": 4}
        inputs, out = pops.index("in"), pops.index("out")
        weights = circuit.weight_hh_l0
        assert not weights[out][:, inputs].any()
        assert not weights[inputs][:, out].any()
        reached = (circuit.weight_ih_l0[:, 1:] != 0).any(1)
        assert reached.nonzero().flatten().tolist() == inputs.tolist()
        rates = torch.zeros(20)
        rates[inputs] = 1
        assert torch.equal(model[1](rates), model[1](torch.zeros(20)))
        rates[out] = 1
        assert not torch.equal(model[1](rates), model[1](torch.zeros(20)))
        assert signs.check(model)

    def test_learning_keeps_the_law_or_does_not_as_asked(self):
        for lawful in (True, False):
            model = networks.build(0, SMALL, TASK)
            before = model[0].weight_hh_l0.detach().clone()
            networks.learn(model, TASK, 0, SMALL | {"lr": 0.05}, lawful=lawful)
            assert bool(signs.check(model)) is lawful
            assert not torch.equal(model[0].weight_hh_l0, before)


class TestMeasures:
    def test_a_perfect_observer_has_a_step_and_a_guesser_is_at_chance(self):
        trials = TASK.sample(900, torch.Generator().manual_seed(0))
        choice = trials.conditions["choice"]
        perfect = experiments._behaviour(answers_of(choice, trials), DECISIONS)
        assert perfect["correct from 200 ms"] == perfect["correct from 650 ms"] == 1
        assert perfect["choice 1 at -0.032"] == 0
        assert perfect["choice 1 at 0.032"] == 1
        guess = torch.randint(1, 3, (900,), generator=torch.Generator().manual_seed(1))
        guessed = experiments._behaviour(answers_of(guess, trials), DECISIONS)
        assert abs(guessed["correct from 350 ms"] - 0.5) < 0.15
        assert abs(guessed["choice 1 at 0.512"] - 0.5) < 0.15

    def test_lesions_are_of_as_many_synapses_between_units_alike_as_between_others(
        self,
    ):
        preferred = np.array([1.0, 1, -1, 0, 1])
        block = np.ones((5, 5), dtype=bool)
        block[4] = False
        alike = preferred[:, None] * preferred
        masks = experiments._lesions(block, alike, 0)
        assert masks["like"].sum() == masks["unlike"].sum() > 0
        for name, sign in (("like", 1), ("unlike", -1)):
            places = masks[name].numpy()
            assert (alike[places] == sign).all()
            assert block[places].all()


def test_claims_are_of_what_the_experiments_return():
    numbers = experiments.run_decisions(0, SMALL | {"tests": 300, "guesses": 60})
    for claim in CLAIMS.values():
        assert claim.note
        if claim.experiment is experiments.DECISIONS:
            assert {check.number for check in claim.checks} <= set(numbers)
    for sweep in PAPER.sweeps:
        for panel in sweep.panels[:2]:
            assert panel.numbers("quick") <= set(numbers)


GOOD = {
    "shortfall": -0.03,
    "lawful/absolute bias": 0.01,
    "lawful/lapse": 0.0,
    "lawful/misfit": 0.03,
    "lawful/gain by duration": 0.1,
}


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ({"shortfall": -0.332}, "p1"),
        ({"lawful/lapse": 0.1}, "p1"),
        ({"lawful/misfit": float("nan")}, "p1"),
        ({"lawful/gain by duration": 0.0}, "p2"),
    ],
)
def test_a_circuit_that_guesses_turns_a_claim(fault, claim):
    assert verdicts(GOOD, claim) == [HOLDS]
    assert verdicts(GOOD | fault, claim) == [FAILS]


def put(model, state):
    """Write tensors into a module, whatever it thinks of them."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


@pytest.fixture(scope="module")
def states():
    """What two circuits learn, with the law and without, as the claims have them."""
    found = {}
    for lawful in (True, False):
        task = networks.decision_task(DECISIONS, reaction_time=False)
        model = networks.build(SEED, DECISIONS, task)
        networks.learn(model, task, SEED, DECISIONS, lawful=lawful)
        found[lawful] = model.state_dict()
    return found


@pytest.mark.slow
class TestSaboteurs:
    """One circuit of each kind: what is broken is the science, not the arithmetic."""

    def judged(self, monkeypatch, learned, *claims):
        """Judge claims of circuits that have learned this, in place of learning."""

        def remember(model, task, seed, settings, *, lawful=True):
            # A circuit refuses to load what is unlawful: it is put there by hand.
            put(model, learned[lawful])

        monkeypatch.setattr(experiments, "learn", remember)
        return verdicts(experiments.run_decisions(SEED, DECISIONS), *claims)

    def test_intact_it_decides(self, monkeypatch, states):
        claims = ("p1", "p2", "p4", "p5", "p6")
        assert self.judged(monkeypatch, states, *claims) == [HOLDS] * 5

    def test_a_circuit_that_has_not_learned_does_not(self, monkeypatch, states):
        task = networks.decision_task(DECISIONS, reaction_time=False)
        untrained = networks.build(SEED, DECISIONS, task).state_dict()
        both = {True: untrained, False: untrained}
        found = self.judged(monkeypatch, both, "p1", "p4", "p6")
        assert found == [FAILS] * 3

    def test_a_circuit_whose_signs_nothing_keeps_breaks_the_law(
        self, monkeypatch, states
    ):
        free = {True: states[False], False: states[False]}
        assert self.judged(monkeypatch, free, "p4") == [FAILS]

    def test_choices_that_are_exchanged_between_trials_have_no_units(
        self, monkeypatch, states
    ):
        whole = experiments._selectivity

        def exchanged(found, pops):
            order = torch.randperm(len(found.trials), generator=torch.manual_seed(0))
            return whole(found._replace(rates=found.rates[:, order]), pops)

        monkeypatch.setattr(experiments, "_selectivity", exchanged)
        assert self.judged(monkeypatch, states, "p5", "p6") == [FAILS] * 2

    def test_preferences_that_are_exchanged_between_units_join_no_like(
        self, monkeypatch, states
    ):
        whole = experiments._selectivity

        def exchanged(found, pops):
            order = torch.randperm(pops.size, generator=torch.manual_seed(0))
            return whole(found._replace(rates=found.rates[..., order]), pops)

        monkeypatch.setattr(experiments, "_selectivity", exchanged)
        assert self.judged(monkeypatch, states, "p6") == [FAILS]

    def test_answers_that_are_sure_at_once_are_not_slower_for_weak_evidence(self):
        settings = experiments.TIMES.settings["quick"] | {"sure": 0.34, "tests": 500}
        numbers = experiments.run_reaction_times(SEED, settings)
        assert verdicts(numbers, "p3") == [FAILS]
