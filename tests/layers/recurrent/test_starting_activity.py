"""A circuit as it is built neither explodes nor falls silent, whatever it is built of."""

import itertools

import pytest
import torch

from daleml import Populations
from daleml.layers import DANNRNN, EIRNN, Blocks, DANNRNNCell, EIRNNCell, init
from daleml.layers._recurrent import starting_activity
from daleml.layers.dynamics import Adaptation, RateLeak, ShortTermPlasticity

N_STEPS = 150


def activity(rnn, seed=0):
    """Return the rates at a moderate input, (steps, sequences, units)."""
    generator = torch.Generator().manual_seed(seed)
    shape = N_STEPS, 3, rnn.input_size
    inputs = torch.randn(shape, generator=generator).clamp(min=0)
    with torch.no_grad():
        return rnn(inputs)[0]


def is_moderate(rates):
    """Whether rates stay below a thousand, and some units are active to the end."""
    late = rates[-50:]
    finite = bool(rates.isfinite().all()) and float(rates.abs().max()) < 1e3
    return finite and float(late.abs().mean()) > 1e-3


TYPES = Populations.of(exc={"E": 24}, inh={"PV": 3, "SST": 2, "VIP": 1})
AREAS = Populations.of(exc={"V1.E": 12, "PFC.E": 12}, inh={"V1.I": 3, "PFC.I": 3})
WIRINGS = {
    "five units": (Populations(4, 1), None),
    "sparse": (Populations.split(20), 0.2),
    "few inhibit": (Populations(18, 2), 0.2),
    "many inhibit": (Populations(4, 16), None),
    "all excite": (Populations(20), None),
    "all inhibit": (Populations(0, 20), None),
    "types": (
        TYPES,
        Blocks(
            {"E->*": 0.3, "PV->E": 0.5, "SST->*": 0.3, "VIP->SST": 0.8}, default=0
        ),
    ),
    "weak inhibition": (TYPES, Blocks({"E->E": 0.3, "E->PV": 0.3, "PV->E": 0.1}, default=0)),
    "no inhibition of E": (TYPES, Blocks({"E->*": 0.4, "PV->PV": 0.5}, default=0)),
    "areas": (
        AREAS,
        Blocks({"V1->V1": 0.3, "PFC->PFC": 0.3, "V1.E->PFC": 0.1}, default=0),
    ),
}  # fmt: skip
LEAKS = ({}, {"dt_ms": 20, "tau_ms": 100})


def circuits(wiring, seeds, layers, functions=("relu", "softplus", "tanh")):
    """Yield circuits of a wiring: with leaks, nonlinearities, layers and seeds."""
    populations, mask = WIRINGS[wiring]
    for seed, f, leak, n in itertools.product(range(seeds), functions, LEAKS, layers):
        generator = torch.Generator().manual_seed(seed)
        options = {"mask": mask, "generator": generator} | leak
        yield EIRNN(3, populations, n, f, **options)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_circuit_is_born_alive(wiring):
    for rnn in circuits(wiring, 1, (1, 3), ["relu"]):
        assert is_moderate(activity(rnn)), rnn


@pytest.mark.slow
@pytest.mark.parametrize("wiring", WIRINGS)
def test_many_circuits_are_born_alive(wiring):
    for rnn in circuits(wiring, 40, (1, 2, 3)):
        assert is_moderate(activity(rnn)), rnn


DYNAMICS = (
    ShortTermPlasticity(tau_x_ms=200, tau_u_ms=1500, U=0.15),
    ShortTermPlasticity(tau_x_ms=1500, tau_u_ms=200, U=0.45),
    Adaptation(tau_ms=200, strength=0.5),
    RateLeak(),
)


@pytest.mark.parametrize("dynamics", DYNAMICS)
def test_dynamics_are_born_alive(dynamics):
    populations, mask = WIRINGS["types"]
    options = {"dt_ms": 20, "tau_ms": 100, "mask": mask, "dynamics": dynamics}
    for n_layers, seed in itertools.product((1, 2), range(2)):
        generator = torch.Generator().manual_seed(seed)
        rnn = EIRNN(3, populations, n_layers, generator=generator, **options)
        assert is_moderate(activity(rnn)), rnn


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 10, 30, 100, 300])
def test_circuits_of_every_size_are_born_alive(size):
    shares, masks = (0.1, 0.2, 0.5, 0.8), (None, 0.3, 0.6)
    seeds = range(3 if size == 300 else 15)
    for share, mask, leak, seed in itertools.product(shares, masks, LEAKS, seeds):
        generator = torch.Generator().manual_seed(seed)
        populations = Populations.split(size, share)
        rnn = EIRNN(3, populations, mask=mask, generator=generator, **leak)
        assert is_moderate(activity(rnn, seed)), rnn


@pytest.mark.parametrize("options", [{}, {"mask": 0.5}, {"shunting": True}, {"num_layers": 3}])  # fmt: skip
def test_a_recurrent_dann_is_born_alive(options):
    for size, seed in itertools.product((3, 6, 40), range(2)):
        generator = torch.Generator().manual_seed(seed)
        rnn = DANNRNN(3, size, generator=generator, **options)
        assert is_moderate(activity(rnn)), rnn


def growing():
    """A circuit whose rates would grow, though every eigenvalue is below 1."""
    seed = 18
    generator = torch.Generator().manual_seed(seed)
    return EIRNN(3, Populations(9, 1), mask=0.5, generator=generator)


def test_what_would_grow_is_scaled_down_and_nothing_else_changes(monkeypatch):
    mended = growing()
    kept = EIRNN(3, Populations(40, 10), generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(starting_activity, "GROWING", 1e9)
    drawn = growing()
    growth = init.rectified_radius(drawn.weight_hh_l0)
    assert growth > 1
    assert not is_moderate(activity(drawn))
    expected = drawn.weight_hh_l0 * (starting_activity.CONTAINED / growth)
    torch.testing.assert_close(mended.weight_hh_l0, expected)
    torch.testing.assert_close(mended.weight_ih_l0, drawn.weight_ih_l0)
    same = EIRNN(3, Populations(40, 10), generator=torch.Generator().manual_seed(0))
    for one, other in zip(kept.parameters(), same.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_radius_that_was_asked_for_is_kept():
    generator = torch.Generator().manual_seed(18)
    rnn = EIRNN(
        3, Populations(9, 1), mask=0.5, generator=generator, spectral_radius=1.5
    )
    assert init.rectified_radius(rnn.weight_hh_l0) > 1.2


@pytest.mark.parametrize("make", [EIRNNCell, DANNRNNCell])
def test_building_moves_no_generator_further(make):
    units = Populations(8, 2) if make is EIRNNCell else 10
    torch.manual_seed(0)
    make(3, units)
    after = torch.rand(1)
    torch.manual_seed(0)
    cell = make(3, units, device="cpu")
    starting_activity.keep_moderate(cell)
    assert torch.equal(torch.rand(1), after)


def by_iteration(weight, n_steps=1000):
    """Return the growth of rectified activity by many steps from many starts."""
    generator = torch.Generator().manual_seed(1)
    rates = torch.rand(len(weight), 200, generator=generator, dtype=torch.float64)
    growth = torch.zeros(200, dtype=torch.float64)
    for step in range(n_steps):
        rates = (weight.double() @ rates).clamp(min=0)
        size = rates.norm(dim=0)
        growth += size.log() if step >= n_steps // 2 else 0
        rates /= size.clamp(min=1e-300)
    return float((growth.max() / (n_steps - n_steps // 2)).exp())


@pytest.mark.parametrize("seed", range(2))
def test_rectified_radius_against_many_steps(seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(12, 12, generator=generator) * 0.4
    found = init.rectified_radius(weight)
    assert found == pytest.approx(by_iteration(weight), rel=0.05)
    assert init.rectified_radius(1e20 * weight) == pytest.approx(1e20 * found)


def test_rectified_radius_of_what_is_known():
    positive = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    radius = float(torch.linalg.eigvals(positive).abs().max())
    assert init.rectified_radius(positive) == pytest.approx(radius, rel=1e-3)
    assert init.rectified_radius(-positive) == 0
    assert init.rectified_radius(torch.zeros(3, 3)) == 0
    # Without what it excites, the excitatory unit has no inhibition: 1.1, not 0.5.
    late = torch.tensor([[1.1, -1.0], [0.0, 0.5]])
    assert init.rectified_radius(late) == pytest.approx(1.1)
    with pytest.raises(ValueError, match="`weight` must be square"):
        init.rectified_radius(torch.ones(2, 3))


SLOW = {"dt_ms": 10, "tau_ms": {"E": 10, "PV": 50}}


@pytest.mark.parametrize("f", ["relu", "softplus"])
def test_inhibition_that_is_slower_than_excitation_does_not_come_too_late(f):
    cells = Populations.of(exc={"E": 40}, inh={"PV": 30})
    # Of circuits that are bounded for equal time constants alone, three in five exploded.
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        rnn = EIRNN(5, cells, nonlinearity=f, generator=generator, **SLOW)
        assert is_moderate(activity(rnn))
        assert rnn.weight_hh_l0.detach().abs().max() > 0.01


def test_equal_time_constants_by_population_change_no_bit():
    cells = Populations.of(exc={"E": 40}, inh={"PV": 30})
    weights = []
    for tau_ms in (50, {"E": 50, "PV": 50}, {"E": 50, "PV": 45}):
        generator = torch.Generator().manual_seed(0)
        rnn = EIRNN(5, cells, generator=generator, dt_ms=10, tau_ms=tau_ms)
        weights.append(rnn.weight_hh_l0.detach())
    # Nor do unequal ones under which a circuit is stable anyway.
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_growth_under_unequal_leaks_is_that_of_the_map_of_a_step():
    """By hand: without inhibition it is the largest eigenvalue, whatever the speeds."""
    leak = torch.tensor([1.0, 0.2], dtype=torch.float64)
    weight = torch.tensor([[0.5, 2.0], [3.0, 0.1]], dtype=torch.float64)
    # Of [[.5, 2], [.6, .82]]: half the trace, and the root of its square less the determinant.
    expected = 0.66 + (0.66**2 - (0.5 * 0.82 - 2 * 0.6)) ** 0.5
    found = starting_activity._leaky_growth(weight, leak)
    assert found == pytest.approx(expected, rel=1e-6)
