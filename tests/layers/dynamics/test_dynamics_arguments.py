"""What dynamics and circuits refuse, each in one sentence."""

import warnings

import pytest
import torch
from torch import nn

from daleml import Populations
from daleml.layers import EIRNN, EIRNNCell
from daleml.layers.dynamics import (
    DEPRESSING,
    FACILITATING,
    Adaptation,
    Dynamics,
    MembraneLeak,
    RateLeak,
    RectifiedLeak,
    ShortTermPlasticity,
    TimeStep,
)

POPS = Populations.of(exc={"E": 4}, inh={"PV": 2})
LEAK = {"dt_ms": 10, "tau_ms": 50}


class Own:
    state_names = ("x",)
    starts = (0.0,)

    def __init__(self, after=None, rates=None, **attributes):
        self.after, self.wrong_rates = after, rates
        vars(self).update(attributes)

    def step(self, state, receive, time):
        received = receive(state[0])
        return (received,) if self.after is None else self.after(state)

    def rates(self, state, f):
        return state[0] if self.wrong_rates is None else self.wrong_rates(state[0])


def circuit(dynamics, **options):
    return EIRNN(3, POPS, dynamics=dynamics, **(LEAK | options))


def run(dynamics):
    return circuit(dynamics)(torch.rand(2, 4, 3))


PROTOCOL = (
    "`dynamics` must have `state_names`, `starts`, `step` and `rates`, as those of"
    " daleml.layers.dynamics have; got "
)


class OwnModule(nn.Module, Own):
    def __init__(self):
        nn.Module.__init__(self)
        self.after = self.wrong_rates = None
        self.gain = nn.Parameter(torch.ones(()))


HIDDEN = (
    "`dynamics` must be an `nn.Module` where they have parameters, which would neither"
    " learn nor be saved otherwise; got "
)
REFUSED = [
    (
        lambda: circuit(Own(gain=nn.Parameter(torch.ones(6)))),
        HIDDEN + "Own with some in `gain`: derive its class from `nn.Module`.",
    ),
    (
        lambda: circuit(Own(inner=nn.Linear(6, 6))),
        HIDDEN + "Own with some in `inner`: derive its class from `nn.Module`.",
    ),
    (
        lambda: circuit(Adaptation(100, 1, over=Adaptation(100, 1, over=OwnModule()))),
        HIDDEN
        + "Adaptation with some in `over.over`: derive its class from `nn.Module`.",
    ),
    (lambda: circuit("rate"), PROTOCOL + "str."),
    (lambda: circuit(RateLeak), PROTOCOL + "RateLeak: give `RateLeak(...)`."),
    (
        lambda: circuit(Own(state_names="x")),
        "`dynamics` must have a tuple of names as `state_names`; got 'x'.",
    ),
    (
        lambda: circuit(Own(state_names=("x", "x"))),
        "`dynamics` must have `state_names` that differ; got ('x', 'x').",
    ),
    (
        lambda: circuit(Own(state_names=("x", "y"))),
        "`dynamics` must have one of `starts` for each of ('x', 'y'); got 1.",
    ),
    (
        lambda: run(Own(lambda state: state[0])),
        "`step` of Own must return the 1 state variables that `state_names` names; got"
        " Tensor.",
    ),
    (
        lambda: run(Own(lambda state: (state[0][:, :1],))),
        "`step` of Own must return `x` of every unit, (4, 6); got (4, 1).",
    ),
    (
        lambda: run(Own(lambda state: (0.0,))),
        "`step` of Own must return `x` of every unit, (4, 6); got float.",
    ),
    (
        lambda: run(Own(rates=lambda x: x.sum())),
        "`rates` of Own must return a rate for every unit, (4, 6); got ().",
    ),
    (
        lambda: circuit(Mute()).transmitted(torch.zeros(4, 6)),
        "`step` of Mute must call `receive` with what the units send; got no call.",
    ),
    (
        lambda: circuit(Adaptation(100, 1)).rates(torch.zeros(4, 6)),
        "`state` must hold x, a of 6 units, 12 values; got 6.",
    ),
    (lambda: Adaptation(-1, 0.5), "`tau_ms` must be at least 0; got -1."),
    (lambda: Adaptation(100, -0.5), "`strength` must be at least 0; got -0.5."),
    (lambda: Adaptation("100", 1), "`tau_ms` must be a number; got '100'."),
    (lambda: Adaptation(100, [1, None]), "`strength` must be a number; got None."),
    (lambda: Adaptation({}, 1), "`tau_ms` must have a value for every unit; got {}."),
    (
        lambda: Adaptation(100, 1, over="leak"),
        "`over` must be dynamics, such as `MembraneLeak()`; got str.",
    ),
    (
        lambda: Adaptation(100, 1, over=RateLeak),
        "`over` must be dynamics, such as `MembraneLeak()`; got RateLeak.",
    ),
    (
        lambda: Adaptation(torch.ones(3, requires_grad=True), 1),
        "`tau_ms` must be numbers, since it does not learn; got a tensor with a gradient:"
        " write dynamics of your own as an nn.Module.",
    ),
    (
        lambda: circuit(Adaptation([100] * 5, 1)),
        "`tau_ms` must be a number or one for each of the 6 units; got 5.",
    ),
    (
        lambda: circuit(Adaptation({"E": 100}, 1)),
        "`tau_ms` must have a value for every population; got none for 'PV'.",
    ),
    (
        lambda: circuit(Adaptation({"E": 100, "SST": 50}, 1)),
        "`tau_ms` must name one of the populations 'E', 'PV', an area or a pattern of"
        " them; got 'SST'.",
    ),
    (
        lambda: circuit(Adaptation({"E": 100, "PV": 5}, 1)),
        "`dt_ms` must be at most `tau_ms` of Adaptation; got 10 and 5.",
    ),
    (
        lambda: circuit(Adaptation(100, 1), dt_ms=None, tau_ms=None),
        "`dt_ms` must be given with Adaptation, whose time constants are in ms; got None.",
    ),
    (
        lambda: ShortTermPlasticity(100, 100, 1.5),
        "`U` must be a fraction in [0, 1]; got 1.5.",
    ),
    (
        lambda: ShortTermPlasticity(float("nan"), 100, 0.5),
        "`tau_u_ms` must be finite; got nan.",
    ),
    (
        lambda: ShortTermPlasticity.by_population(DEPRESSING),
        "`kinetics` must be a mapping of populations to kinetics; got Kinetics.",
    ),
    (
        lambda: ShortTermPlasticity.by_population({"E": 0.3}),
        "`kinetics` must hold Kinetics, such as `FACILITATING`; got 0.3 for 'E'.",
    ),
    (
        lambda: ShortTermPlasticity({"E": 100, "I": 100}, 100, 0.5).step(
            (torch.zeros(1, 2),) * 3, lambda sent: sent, TimeStep(1.0, 0.1, torch.relu)
        ),
        "dynamics with numbers by population must be given to a circuit, or made by"
        " `for_units(populations)`; got numbers of no units.",
    ),
]


class Mute(Own):
    def step(self, state, receive, time):
        return state


@pytest.mark.parametrize(
    ("call", "sentence"), REFUSED, ids=[sentence[:60] for _, sentence in REFUSED]
)
def test_what_is_wrong_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


def test_a_time_step_that_is_too_long_for_the_dynamics_is_refused_later_too():
    rnn = circuit(Adaptation(20, 1))
    with pytest.raises(ValueError, match="`dt_ms` must be at most `tau_ms` of Adapt"):
        rnn.dt_ms = 30
    assert rnn.dt_ms == 10
    with pytest.raises(ValueError, match="`dt_ms` must be given with Adaptation"):
        rnn.leak = None
    assert rnn.tau_ms == 50
    with pytest.raises(ValueError, match="differ"):
        rnn.dynamics = Own(state_names=("x", "x"))
    assert isinstance(rnn.dynamics, Adaptation)


def test_a_state_of_another_size_is_refused_in_the_words_of_torch():
    rnn = circuit(Adaptation(100, 1))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 4, 12\)"):
        rnn(torch.rand(2, 4, 3), torch.zeros(1, 4, 6))
    cell = EIRNNCell(3, POPS, dynamics=Adaptation(100, 1), **LEAK)
    with pytest.raises(RuntimeError, match="hidden_size: got 6, expected 12"):
        cell(torch.rand(4, 3), torch.zeros(4, 6))


LEAK_ALONE = "the leak alone"
OTHERS = [
    (None, RateLeak(), LEAK_ALONE, "RateLeak"),
    (RateLeak(), MembraneLeak(), "RateLeak", LEAK_ALONE),
    (RateLeak(), RectifiedLeak(), "RateLeak", "RectifiedLeak"),
    (
        ShortTermPlasticity(*DEPRESSING),
        ShortTermPlasticity(*DEPRESSING, over=RateLeak()),
        "ShortTermPlasticity over MembraneLeak",
        "ShortTermPlasticity over RateLeak",
    ),
    (Adaptation(100, 1), Own(), "Adaptation over MembraneLeak", "Own"),
]


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: f"{case[2]}, {case[3]}")
def test_a_checkpoint_of_other_dynamics_is_refused(case):
    of_checkpoint, of_circuit, there, here = case
    rnn = circuit(of_circuit)
    before = {key: value.clone() for key, value in rnn.state_dict().items()}
    with pytest.raises(RuntimeError) as raised:
        rnn.load_state_dict(circuit(of_checkpoint).state_dict())
    assert (
        f"dynamics: the checkpoint is of a circuit with {there}, and this one has {here};"
        " build it with the same `dynamics`." in str(raised.value)
    )
    after = rnn.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_checkpoint_of_other_numbers_is_refused_until_they_are_set():
    saved = circuit(ShortTermPlasticity(*DEPRESSING))
    rnn = circuit(ShortTermPlasticity(*FACILITATING))
    with pytest.raises(RuntimeError) as raised:
        rnn.load_state_dict(saved.state_dict())
    assert (
        "dynamics.tau_u_ms: the checkpoint has 200 and this circuit 1500; load it into a"
        " circuit with the same `dynamics`, and set `dynamics` to others afterwards if you"
        " mean them." in str(raised.value)
    )
    rnn.dynamics = ShortTermPlasticity(*DEPRESSING)
    rnn.load_state_dict(saved.state_dict())
    # One number for all is what the same number for each is, and a file loses metadata.
    each = circuit(ShortTermPlasticity([200] * 6, 1500, 0.45))
    each.load_state_dict(dict(saved.state_dict()))


def test_numbers_of_ones_own_dynamics_are_facts():
    saved = circuit(Own(gain=0.1, _n_calls=3, says=True)).state_dict()
    assert [key for key in saved if key.startswith("dynamics.")] == ["dynamics.gain"]
    circuit(Own(gain=0.1, _n_calls=7)).load_state_dict(saved)
    over = circuit(Adaptation(100, 1, over=Own(gain=0.1))).state_dict()
    assert over["dynamics.over.gain"] == 0.1
    for dynamics in (Own(gain=0.2), Own()):
        with pytest.raises(
            RuntimeError, match=r"dynamics\.gain: the checkpoint has 0\.1"
        ):
            circuit(dynamics).load_state_dict(saved)
    # What is a module has them among its parameters, and what computes nothing is no matter.
    circuit(OwnModule()).load_state_dict(circuit(OwnModule()).state_dict())
    circuit(Own(inner=nn.ReLU()))


def test_a_checkpoint_that_cannot_say_its_dynamics_warns():
    rnn = circuit(RateLeak())
    # As a file of safetensors: tensors, and no metadata.
    bare = dict(circuit(None).state_dict())
    with pytest.warns(UserWarning, match="dynamics: the checkpoint does not say them"):
        rnn.load_state_dict(bare)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        circuit(None).load_state_dict(bare)


def test_shown():
    plastic = ShortTermPlasticity.by_population({"E": DEPRESSING, "PV": FACILITATING})
    assert repr(plastic) == (
        "ShortTermPlasticity(tau_u_ms={'E': 200, 'PV': 1500}, tau_x_ms={'E': 1500, 'PV':"
        " 200}, U={'E': 0.45, 'PV': 0.15}, over=MembraneLeak())"
    )
    assert (
        "dynamics=ShortTermPlasticity(tau_u_ms=200 to 1500 (6 units), tau_x_ms=200 to 1500"
        " (6 units), U=0.15 to 0.45 (6 units), over=MembraneLeak())"
        in repr(circuit(plastic))
    )
    assert "dynamics=Own()" in repr(circuit(Own()))
    assert all(isinstance(one, Dynamics) for one in (plastic, Own(), MembraneLeak()))
