"""The cell, its network, and the task it is taught."""

import copy

import pytest
import torch

from daleml import Populations, signs
from daleml.learning import (
    EvidenceIntegration,
    MorrisLecar,
    MorrisLecarNetwork,
    Silencing,
)
from daleml.neurons import coupled_cells as module
from tests.reference import morris_lecar as slow

# Coarse steps are quick, and what these tests compare does not hang on the step.
pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def network(n=12, **options):
    return MorrisLecarNetwork(
        5, n, 3, **{"dt_ms": 0.5, "generator": seeded()} | options
    ).double()


# -- the cell ----------------------------------------------------------------------------------------------------------


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
        cell.firing_rate(currents, settle_ms=400, dt_ms=0.1)[1] == 25
    )  # and no warning, which would be an error
    assert (
        cell.firing_rate(currents, settle_ms=400, dt_ms=0.5, check_step=False)[1] == 0
    )


@pytest.mark.filterwarnings("error")
def test_a_network_of_coarse_steps_warns():
    sentence = "`dt_ms` should be at most 0.104 for this cell: with 0.5 cells fall silent at currents under which"
    with pytest.warns(UserWarning, match=sentence):
        MorrisLecarNetwork(5, 4, 3, dt_ms=0.5)
    MorrisLecarNetwork(5, 4, 3)


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


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_ms", [1.5, 10.0, 12.0])
@pytest.mark.parametrize("learns", [True, False])
def test_the_network_is_the_slow_loop(read_ms, learns):
    net, x = network(read_ms=read_ms), torch.randn(4, 6, 5, dtype=torch.float64)
    state = net.initial_state(6)
    with torch.set_grad_enabled(learns):
        ours = net(x, state)
    torch.testing.assert_close(
        ours, slow.network(net, x, state), rtol=1e-10, atol=1e-12
    )
    if learns and read_ms == 1.5:
        x, state = x[:1, :2], tuple(part[:2] for part in state)
        only = lambda w: torch.func.functional_call(net, {"weight_hh": w}, (x, state))  # noqa: E731
        assert torch.autograd.gradcheck(only, net.weight_hh)


def test_the_compact_step_is_the_step():
    cell = MorrisLecar()
    tensors = [
        torch.linspace(-150, 150, 99).double(),
        torch.rand(99).double(),
        torch.zeros(99).double(),
    ]
    drive, received, results = (
        torch.linspace(-200, 200, 99).double(),
        torch.rand(99).double(),
        [],
    )
    for step in (module._step_, module._compact_step_):
        state = [t.clone() for t in [*tensors, torch.zeros(99).double()]]
        step(cell, 0.1, *state, drive, received)
        results.append(torch.stack(state))
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)
    far = [torch.tensor([-1e4, 1e4]), torch.rand(2), torch.zeros(2), torch.zeros(2)]
    module._compact_step_(cell, 0.1, *far, torch.zeros(2), torch.zeros(2))
    assert torch.stack(far).isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning"
)  # torch's compiler's own
def test_compiled_is_the_same():
    net, x = MorrisLecarNetwork(5, 12, 3, compiled=True), torch.randn(5, 6, 5)
    state = net.initial_state(6)
    with torch.no_grad():
        fast = net(x, state)
        net.compiled = False
        torch.testing.assert_close(fast, net(x, state), rtol=1e-4, atol=1e-5)


class TestCompilingUnasked:
    """Whether many cells at once are compiled, and what becomes of it where torch cannot."""

    @pytest.fixture(autouse=True)
    def afresh(self, monkeypatch):
        monkeypatch.setattr(module, "_MANY", 4 * 3 * 12)
        module._compiled.cache_clear()
        yield
        module._compiled.cache_clear()

    @staticmethod
    def run(n, **options):
        net, x = (
            network(**options),
            torch.randn(4, 3, 5, dtype=torch.float64, generator=seeded()),
        )
        own = net.weight_hh.detach() + torch.zeros(n, 1, 1)
        state = net.initial_state(3, seeded(1))
        with torch.no_grad():
            return torch.func.vmap(
                lambda w: torch.func.functional_call(net, {"weight_hh": w}, (x, state))
            )(own)

    def test_only_for_many(self, monkeypatch):
        asked = []
        monkeypatch.setattr(
            module, "compiled_copy", lambda step: asked.append(step) or step
        )
        few, many = self.run(3), self.run(4)
        assert len(asked) == 2  # with the activity counted, and without
        torch.testing.assert_close(many[:3], few, rtol=1e-10, atol=1e-12)
        self.run(4, compiled=False)
        assert len(asked) == 2

    def test_not_for_one_however_large(self, monkeypatch):
        monkeypatch.setattr(
            module, "compiled_copy", lambda step: pytest.fail("compiled")
        )
        with torch.no_grad():
            network()(torch.randn(4, 50, 5, dtype=torch.float64))

    @pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
    def test_where_torch_cannot(self, monkeypatch, kind):
        def refuse(step):
            def fail(*args):
                raise kind("no compiler")

            return fail

        monkeypatch.setattr(module, "compiled_copy", refuse)
        with pytest.warns(RuntimeWarning, match="cannot compile here"):
            found = self.run(4)
        torch.testing.assert_close(found, self.run(4, compiled=False))
        with pytest.raises(kind, match="no compiler"):
            self.run(4, compiled=True)


def test_many_networks_at_once_are_one_after_another(monkeypatch):
    """More of them than a block holds, with weights, inputs or states of their own."""
    monkeypatch.setattr(
        module, "_CACHED", 4 * 3 * 12
    )  # four networks of three sequences
    net, x, n = network(), torch.randn(4, 3, 5, dtype=torch.float64), 11
    state = net.initial_state(3)
    own = {
        name: p.detach() + 0.1 * torch.randn(n, *p.shape).double()
        for name, p in net.named_parameters()
    }
    for names in (["weight_hh"], ["weight_ih"], ["readout.weight"], list(own)):
        with torch.no_grad():
            members = {name: own[name] for name in names}
            batched = torch.func.vmap(
                lambda m: torch.func.functional_call(net, m, (x, state))
            )(members)
            for i in range(n):
                one = torch.func.functional_call(
                    net, {k: m[i] for k, m in members.items()}, (x, state)
                )
                torch.testing.assert_close(batched[i], one)
    with torch.no_grad():
        inputs = torch.randn(n, 4, 3, 5, dtype=torch.float64)
        batched = torch.func.vmap(lambda x: net(x, state))(inputs)
        torch.testing.assert_close(
            batched, torch.stack([net(x, state) for x in inputs])
        )


def test_gradients_reach_a_state_through_weights_that_do_not_learn():
    net = network()
    net.requires_grad_(False)
    x, (v, w) = torch.randn(4, 3, 5).double(), net.initial_state(3)
    v.requires_grad_()
    net(x, (v, w)).square().sum().backward()
    assert v.grad.abs().sum() > 0


def test_the_initial_weights_are_those_published():
    net = MorrisLecarNetwork(50, 200, 3, generator=seeded())
    weight, spread = net.weight_hh.detach(), 200**-0.5
    assert weight.min() >= 0.001 - spread
    assert weight.max() <= 0.001 + spread
    assert float((weight == 0.001).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert (
        0.1 - spread <= net.weight_ih.min() < 0.1 - 0.95 * spread
    )  # by the number of cells, not of inputs
    assert 0.1 + 0.95 * spread < net.weight_ih.max() <= 0.1 + spread
    assert 0 < net.readout.bias.abs().max() <= spread
    voltage, gate = net.initial_state(500, seeded(1))
    assert float(voltage.mean()) == pytest.approx(-20, abs=0.1)
    assert float(voltage.std()) == pytest.approx(5, abs=0.1)
    assert gate.unique().item() == pytest.approx(0.014173)


def test_dales_law_is_an_option():
    net = network(populations=Populations(9, 3))
    assert signs.check(net)
    excitation, inhibition = (
        part.detach().sum() for part in net.weight_hh.split([9, 3], 1)
    )
    assert float(excitation / -inhibition) == pytest.approx(1, abs=0.3)
    assert not list(signs.named(network()))
    assert signs.check(copy.deepcopy(net)).n_parameters == 1
    lonely = network(n=4, populations=Populations(0, 4))
    assert (lonely.weight_hh <= 0).all()


def test_chance_comes_from_the_generator():
    x = torch.zeros(5, 2, 5).double()
    first, second = network(generator=seeded(3)), network(generator=seeded(3))
    before = torch.get_rng_state()
    assert torch.equal(first(x), second(x))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first(x), first(x))


# -- the task ----------------------------------------------------------------------------------------------------------


def test_counts_are_uniform_over_compositions_without_ties():
    task = EvidenceIntegration(n_words=4)
    trials = task.sample(20_000, seeded())
    counts = torch.stack([trials.conditions[f"n_{k}"] for k in (1, 2, 3)], 1)
    seen, times = counts.unique(dim=0, return_counts=True)
    legal = [
        (a, b, c)
        for a in range(5)
        for b in range(5 - a)
        for c in range(5 - a - b)
        if sorted((a, b, c))[-1] > sorted((a, b, c))[-2]
    ]
    assert {tuple(row) for row in seen.tolist()} == set(legal)
    expected = 20_000 / len(legal)
    assert float(((times - expected) ** 2 / expected).sum()) < 2 * len(
        legal
    )  # chi squared: mean len - 1
    assert torch.equal(counts.argmax(1), trials.targets[-1])


def test_a_phrase_holds_the_words_counted_in_random_order():
    task = EvidenceIntegration()
    trials = task.sample(200, seeded())
    which = torch.cdist(trials.inputs, task.words).argmin(-1)
    assert (which[-1] == 4).all()
    for k in (1, 2, 3):
        assert torch.equal((which[:-1] == k - 1).sum(0), trials.conditions[f"n_{k}"])
    assert (which[0] != which[0, 0]).any()
    assert task.words.unique().tolist() == pytest.approx([0.0, 0.2])
    assert torch.equal(task.words, EvidenceIntegration().words)
    assert not torch.equal(task.words, EvidenceIntegration(vocabulary=1).words)


def test_no_two_words_are_the_same():
    for vocabulary in range(50):
        words = EvidenceIntegration(n_features=3, vocabulary=vocabulary).words
        assert len(words.unique(dim=0)) == 5


def test_answers_of_one_a_trial_or_one_a_step():
    task = EvidenceIntegration()
    trials = task.sample(64, seeded())
    answers = torch.randn(64, 3, generator=seeded())
    expected = torch.nn.functional.cross_entropy(answers, trials.targets[-1])
    torch.testing.assert_close(task.loss(answers, trials), expected)
    stepwise = torch.randn(50, 64, 3)
    stepwise[-1] = answers
    torch.testing.assert_close(task.loss(stepwise, trials), expected)
    assert task.score(answers, trials) == task.score(stepwise, trials)
    right = torch.nn.functional.one_hot(trials.targets[-1], 3).float()
    assert task.score(right, trials) == task.ideal == 1
    with pytest.raises(
        ValueError, match=r"`outputs` must have shape \(50, 64, 3\); got \(50, 64\)"
    ):
        task.loss(stepwise[..., 0], trials)


def test_it_learns_by_the_training_loop():
    from daleml import train

    task = EvidenceIntegration(n_words=9)
    net = MorrisLecarNetwork(task.n_inputs, 8, 3, dt_ms=1.0, generator=seeded())
    history = train(
        net,
        task.batches(64, 3),
        torch.optim.Adam(net.parameters(), 0.03),
        task.loss,
        epochs=10,
    )
    assert history.loss.iloc[10] < history.loss.iloc[1] - 0.05


# -- the stiff cell ----------------------------------------------------------------------------------------------------


def test_silencing_is_the_mean_activity():
    cell = Silencing(
        torch.tensor([0.0, 0.6]).double(), cell=MorrisLecar(), width_mv=1.0
    )
    v, w = torch.full((2,), -20.0).double(), torch.full((2,), 0.014173).double()
    total = 0
    for _ in range(500):
        v, w = slow.step(cell.cell, v, w, 100 * cell.weight.detach(), 0.1)
        total = total + torch.sigmoid(v - 20) / 500
    torch.testing.assert_close(cell(50.0).detach(), total)
    assert total[0] < 1e-3 < total[1]
