"""A circuit as it is built: it does not run away, takes options by node, and answers a slip in one sentence."""

import warnings

import networkx as nx
import pytest
import torch
from torch import nn

from daleml import Populations, tasks
from daleml.datasets import fly_visual
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNConv2d,
    DANNLinear,
    DANNRNNCell,
    EIConv1d,
    EIConv2d,
    EILinear,
    EIRNNCell,
    init,
)

LEAK = {"dt_ms": 20, "tau_ms": 100}
STARTS = {
    "80 to 20": (Populations(80, 20), {}),
    "8 to 2": (Populations(8, 2), {}),
    "8 to 2, half the synapses": (Populations(8, 2), {"mask": 0.5}),
    "3 to 1, masked": (Populations(3, 1), {"mask": 0.7}),
    "2 to 1": (Populations(2, 1), {}),
    "5 to 5": (Populations(5, 5), {}),
    "50 to 50": (Populations(50, 50), {}),
    "99 to 1": (Populations(99, 1), {}),
    "1 to 99": (Populations(1, 99), {}),
    "all excite": (Populations(100), {}),
    "all inhibit": (Populations(0, 100), {}),
    "leaky": (Populations(80, 20), LEAK),
    "leaky, small, masked": (Populations(8, 2), {**LEAK, "mask": 0.5}),
    "softplus": (Populations(80, 20), {"nonlinearity": "softplus"}),
    "three layers": (Populations(80, 20), {"num_layers": 3}),
    "signed inputs": (Populations(40, 10), {"input_size": Populations(2, 1)}),
    "log-normal": (Populations(80, 20), {"draw": init.lognormal_}),
}


def highest_rate(populations, options, seed, n_steps=50):
    generator = torch.Generator().manual_seed(seed)
    options = dict(options)
    size, draw = options.pop("input_size", 3), options.pop("draw", None)
    rnn = EIRNN(size, populations, generator=generator, **options)
    if draw is not None:
        rnn.reset_parameters(generator, draw=draw)
    with torch.no_grad():
        return rnn(torch.rand(n_steps, 2, 3, generator=generator))[0].max().item()


def n_run_away(name, seeds):
    return sum(highest_rate(*STARTS[name], seed) > 1000 for seed in seeds)


@pytest.mark.parametrize("name", STARTS)
def test_a_circuit_as_built_does_not_run_away(name):
    assert n_run_away(name, range(8)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_no_circuit_of_many_as_built_runs_away(name):
    assert n_run_away(name, range(8, 200)) == 0


def test_the_papers_radius_does_run_away():
    populations, options = STARTS["80 to 20"]
    assert (
        sum(
            highest_rate(populations, {**options, "spectral_radius": 1.5}, seed) > 1000
            for seed in range(40)
        )
        > 0
    )


def test_a_connectome_as_built_does_not_run_away():
    rnn = EIRNN.from_graph(fly_visual(), 3, drop_minority=True)
    assert rnn(torch.rand(200, 2, 3))[0].max() < 1000


# -- options by node ---------------------------------------------------------------------------------------------------


def signed_graph(*nodes):
    graph = nx.DiGraph()
    for node, sign in nodes:
        graph.add_node(node, sign=sign)
    graph.add_edges_from((a, b) for a, _ in nodes for b, _ in nodes if a != b)
    return graph


MIXED = signed_graph(("pv", -1), ("pyr", 1), ("sst", -1))
SORTED = signed_graph(("pyr", 1), ("pv", -1), ("sst", -1))
TAUS = {"pv": 20.0, "pyr": 100.0, "sst": 40.0}


def test_time_constants_go_by_node():
    import pandas as pd

    for given in (
        TAUS,
        pd.Series(TAUS),
        {name: torch.tensor(tau) for name, tau in TAUS.items()},
    ):
        rnn = EIRNN.from_graph(MIXED, 1, dt_ms=10, tau_ms=given)
        assert rnn.nodes == ("pyr", "pv", "sst")
        assert dict(zip(rnn.nodes, rnn.tau_ms.tolist(), strict=True)) == TAUS
    assert EIRNN.from_graph(MIXED, 1, dt_ms=10, tau_ms=50).tau_ms == 50
    assert EIRNN.from_graph(
        SORTED, 1, dt_ms=10, tau_ms=[100, 20, 40]
    ).tau_ms.tolist() == [100, 20, 40]


def test_inputs_go_by_node():
    rnn = EIRNN.from_graph(MIXED, 2, input_mask={"pv": [True, False], "pyr": True})
    assert rnn.get_buffer("weight_ih_l0_present").tolist() == [[1, 1], [1, 0], [0, 0]]
    given = torch.tensor([[1, 0], [0, 1], [1, 1]])
    rnn = EIRNN.from_graph(SORTED, 2, input_mask=given)
    assert torch.equal(rnn.get_buffer("weight_ih_l0_present"), given.to(torch.int8))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tau_ms": [20.0, 100.0, 40.0]}, "`tau_ms` must be a mapping by node, {'pyr': ..., }, since the circuit puts excitatory nodes first and the graph does not; got list of 3."),
        ({"input_mask": torch.ones(3, 1)}, "`input_mask` must be a mapping by node, {'pyr': ..., }, since the circuit puts excitatory nodes first and the graph does not; got Tensor of 3."),
        ({"tau_ms": {"pv": 20.0, "pyr": 100.0}}, "`tau_ms` must have a value for every node; got none for 'sst'."),
        ({"tau_ms": {**TAUS, "vip": 5.0}}, "`tau_ms` must name nodes of the graph; got 'vip'."),
        ({"input_mask": {"vip": [True]}}, "`input_mask` must name nodes of the graph; got 'vip'."),
        ({"input_mask": {"pv": [True, True]}}, "`input_mask` must have rows of 1 inputs; got shape (2,) for node 'pv'."),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_the_nodes_are_refused(options, sentence):
    with pytest.raises(ValueError) as raised:
        EIRNN.from_graph(MIXED, 1, dt_ms=10, **{"tau_ms": 50, **options})
    assert str(raised.value) == sentence


# -- slips -------------------------------------------------------------------------------------------------------------

INPUT = torch.rand(4, 2, 3)
SLIPS = [
    (lambda: EILinear((80, 20), 40), "`populations` must be a Populations or an integer; got (80, 20): write Populations(80, 20)."),
    (lambda: EIConv1d((8, 2), 4, 3), "`populations` must be a Populations or an integer; got (8, 2): write Populations(8, 2)."),
    (lambda: EIRNN(3, (80, 20)), "`hidden_size` must be a Populations or an integer; got (80, 20): write Populations(80, 20)."),
    (lambda: EIRNNCell((2, 1), Populations(8, 2)), "`input_size` must be a Populations or an integer; got (2, 1): write Populations(2, 1)."),
    (lambda: Populations(100, 0.2), "`n_inh` must be an integer; got 0.2: for a fraction of 100 units write Populations.split(100, 0.2)."),
    (lambda: Populations(exc=80), "Populations has no argument `exc`; did you mean `n_exc`?"),
    (lambda: Populations(80, inhibitory=20), "Populations has no argument `inhibitory`; did you mean `n_inh`?"),
    (lambda: EIRNN(3, Populations(8, 2), dt=20, tau=100), "EIRNN has no argument `dt`; did you mean `dt_ms`?"),
    (lambda: DANNRNNCell(3, 8, tau=100), "DANNRNNCell has no argument `tau`; did you mean `tau_ms`?"),
    (lambda: EIRNN(3, Populations(8, 2), nonlinarity="relu"), "EIRNN has no argument `nonlinarity`; did you mean `nonlinearity`?"),
    (lambda: EILinear(in_features=8, out_features=2), "EILinear has no argument `in_features`; did you mean `populations`?"),
    (lambda: EIConv2d(in_channels=8, out_channels=2, kernel_size=3), "EIConv2d has no argument `in_channels`; did you mean `populations`?"),
    (lambda: DANNLinear(8, 2, n_inhibitory=1), "DANNLinear has no argument `n_inhibitory`; did you mean `n_inh`?"),
    (lambda: tasks.PerceptualDecision(dt=20), "PerceptualDecision has no argument `dt`; did you mean `dt_ms`?"),
    (lambda: tasks.DelayedMatchToSample(delay=200), "DelayedMatchToSample has no argument `delay`; did you mean `delay_ms`?"),
    (lambda: nn.Sequential(EIRNN(3, Populations(8, 2)), EILinear(10, 2))(INPUT), "`input` must be a tensor; got a tuple of 2: of what a recurrent layer returns, (rates, state), pass the first, as in `layer(rnn(x)[0])`, or end the model with a `Readout`, which takes both."),
    (lambda: nn.Sequential(DANNRNN(3, 10), DANNLinear(10, 2))(INPUT), "`input` must be a tensor; got a tuple of 2: of what a recurrent layer returns"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "sentence"), SLIPS, ids=[sentence for _, sentence in SLIPS]
)
def test_a_slip_is_answered_with_what_was_meant(call, sentence):
    with pytest.raises(TypeError) as raised:
        call()
    assert str(raised.value).startswith(sentence)


def test_what_nothing_is_near_is_answered_by_python_and_a_subclass_has_arguments_of_its_own():
    class Mine(EILinear):
        def __init__(self, size, tau):
            super().__init__(size, 2)
            self.time = tau

    assert Mine(size=3, tau=5).time == 5
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        EILinear(3, 2, colour="red")


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: DANNLinear(3, 4, shunting=True), (5, 3)),
        (lambda: DANNConv2d(3, 4, 2, shunting=True), (5, 3, 4, 4)),
        (lambda: DANNRNN(3, 4, shunting=True), (5, 2, 3)),
        (lambda: DANNRNNCell(3, 4, shunting=True), (5, 3)),
    ],
)
def test_a_shunt_of_signed_inputs_says_so_once(build, shape):
    signed = torch.rand(shape)
    signed.view(-1)[: signed.numel() // 5] *= -1
    layer = build()
    with pytest.warns(
        UserWarning,
        match="should be rates, at least 0; got 20% below 0, and where they make the divis",
    ):
        layer(signed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(signed)
        build()(signed.abs())
