"""What circuits declare, draw and remember; and what the law says of synapses that do not exist."""

import math

import networkx as nx
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from daleml import Populations, signs, tasks
from daleml.datasets import digits
from daleml.layers import DANNRNN, EIRNN, EIRNNCell, init
from daleml.layers.init import matrix_spectra

POPS = Populations(4, 2)


def seeded(s=0):
    return torch.Generator().manual_seed(s)


def test_the_radius_a_circuit_starts_with():
    for pops, radius in (
        (Populations(30), 0.9),
        (Populations(0, 30), 0.9),
        (Populations(20, 10), 0.95),
    ):
        assert matrix_spectra.measured_radius(
            EIRNN(3, pops).weight_hh_l0
        ) == pytest.approx(radius, rel=1e-5)
        rnn = EIRNN(3, pops, spectral_radius=1.5)
        assert matrix_spectra.measured_radius(rnn.weight_hh_l0) == pytest.approx(
            1.5, rel=1e-5
        )
        rnn.reset_parameters()
        assert matrix_spectra.measured_radius(rnn.weight_hh_l0) == pytest.approx(
            1.5, rel=1e-5
        )


def test_both_paths_have_the_variance_of_nn_rnn():
    w = DANNRNN(50, 400, 40, generator=seeded()).effective_weights()[0]
    assert w.input.var().item() == pytest.approx(1 / 1200, rel=0.1)


def test_bias_centres_the_first_path_only():
    rnn = EIRNN(200, Populations(30), 2, input_mask=0.5, generator=seeded())
    rnn.reset_parameters(seeded(), input_mean=0.3)
    assert rnn.bias_hh_l0.abs().max() == 0
    drive = rnn.effective_weights()[0].input.sum(1) * 0.3 + rnn.bias_ih_l0
    assert drive.mean().item() == pytest.approx(0, abs=0.1)
    # The second path is scaled with its bias, lest the rates of thirty units add up.
    mean = rnn.weight_ih_l1.mean().item()
    assert rnn.bias_ih_l1[0].item() == pytest.approx(
        -30 * mean * init.RECTIFIED_MEAN, rel=0.1
    )


def test_declarations_of_a_recurrent_dann():
    rnn = DANNRNN(8, 16, 2, shunting=True)
    found = {n: (d.role, d.lr_scale, d.signed) for n, _, d in signs.declared(rnn)}
    n = 16
    assert found == {
        **{f"weight_ex_{p}_l0": (f"weight_ex_{p}", 1, True) for p in ("ih", "hh")},
        **{
            f"weight_ix_{p}_l0": (f"weight_ix_{p}", n**-0.5, True) for p in ("ih", "hh")
        },
        **{
            f"weight_ei_{p}_l0": (f"weight_ei_{p}", 1 / d, True)
            for p, d in (("ih", 8), ("hh", n))
        },
        **{
            f"alpha_{p}_l0": (f"alpha_{p}", n**-0.5 / d, False)
            for p, d in (("ih", 8), ("hh", n))
        },
        **{f"bias_{p}_l0": ("bias", 1, False) for p in ("ih", "hh")},
        "gain_l0": ("gain", 1, True),
    }


def test_the_shunts_of_both_paths_add_to_one():
    rnn = DANNRNN(
        500, 400, 40, shunting=True, mask=0.3, input_mask=0.3, generator=seeded()
    )
    total = 0
    for path, n in (("ih", 500), ("hh", 400)):
        wix, wei, alpha = (
            getattr(rnn, f"{k}_{path}_l0") for k in ("weight_ix", "weight_ei", "alpha")
        )
        total = total + (wei * alpha.exp()) @ wix @ torch.full(
            (n,), init.RECTIFIED_MEAN
        )
    assert total.mean().item() == pytest.approx(1, abs=0.05)


def test_a_dann_is_drawn_from_its_generator():
    a, b = (DANNRNN(3, 6, generator=seeded()) for _ in range(2))
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize(
    ("options", "signed"),
    [
        ({}, True),
        ({"nonlinearity": "softplus"}, True),
        ({"nonlinearity": "tanh"}, False),
        ({"dt_ms": 1, "tau_ms": 5}, False),
    ],
)
def test_an_initial_rate_is_positive_and_an_initial_state_is_free(options, signed):
    rnn = EIRNN(3, POPS, train_initial_state=True, **options)
    assert {n: d.signed for n, _, d in signs.declared(rnn)}[
        "initial_state_l0"
    ] == signed


def test_input_mask_is_of_the_first_layer():
    rnn = EIRNN(3, 3, 2, input_mask=torch.eye(3))
    assert rnn.weight_ih_l0_present.sum() == 3
    assert not hasattr(rnn, "weight_ih_l1_present")


def test_rates_of_a_discrete_state_are_it():
    state = torch.tensor([-1.0, 2.0])
    assert torch.equal(EIRNN(3, 2, nonlinearity="tanh").rates(state), state)


@pytest.mark.parametrize("tau", [[5, 20], [20, math.inf]])
def test_every_tau_counts(tau):
    with pytest.raises(
        ValueError, match="`dt_ms` must be at most|`tau_ms` must be finite"
    ):
        EIRNN(3, 2, dt_ms=10, tau_ms=tau)


def test_leak_has_the_dtype_and_is_no_part_of_a_checkpoint():
    rnn = EIRNN(3, 2, dt_ms=1, tau_ms=[3, 7], dtype=torch.float64)
    assert rnn.leak.tolist() == [1 / 3, 1 / 7]
    assert "leak" not in rnn.state_dict()


def test_nn_functionals_relu_is_known():
    assert EIRNN(3, 2, nonlinearity=nn.functional.relu).nonlinearity == "relu"
    assert EIRNN(3, 2, nonlinearity=torch.tanh).nonlinearity == "tanh"


def test_half_precision_input_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        EIRNN(3, 2)(torch.rand(4, 2, 3).bfloat16())


def test_scale_recurrent_refuses():
    with pytest.raises(ValueError, match="`factor` must be above 0"):
        EIRNN(3, 2).scale_recurrent_(-1)


def test_true_is_no_density():
    with pytest.raises((TypeError, ValueError), match="`mask` must"):
        EIRNN(3, 4, mask=True)


def test_multigraph():
    with pytest.raises(TypeError, match="one edge from node to node; got MultiDiGraph"):
        EIRNN(3, 2, mask=nx.MultiDiGraph([(0, 1)]))


def test_majority_by_strength_and_silent_nodes_excite():
    g = nx.DiGraph()
    g.add_edge("a", "b", sign=1, weight=-3.0)
    g.add_edge("a", "c", sign=-1, weight=2.0)
    g.add_edge("b", "a", sign=-1, weight=1.0)
    g.add_edge("b", "c", sign=1, weight=1.0)
    rnn = EIRNN.from_graph(g, 3, drop_minority=True)
    assert rnn.nodes == ("a", "b", "c")
    assert rnn.populations == Populations(3, 0)
    assert (rnn.weight_hh_l0 >= 0).all()


def test_all_present_is_no_mask():
    assert not hasattr(EIRNN(3, 4, mask=torch.ones(4, 4)), "weight_hh_l0_present")


def test_from_graph_without_autapses():
    g = nx.DiGraph([(0, 0), (0, 1), (1, 0)])
    nx.set_node_attributes(g, 1, "sign")
    rnn = EIRNN.from_graph(g, 3, autapses=False)
    assert signs.check(rnn)
    assert (rnn.weight_hh_l0.diagonal() == 0).all()


def test_radius_is_exact_for_a_matrix_far_from_normal():
    w = init.column_ei_(
        torch.empty(300, 300), Populations(297, 3).signs(), generator=seeded()
    )
    init.spectral_radius_(w, 1.5)
    assert matrix_spectra.measured_radius(w) == pytest.approx(1.5, rel=2e-7)


def test_svd():
    w, other = (
        torch.randn(30, 20, generator=seeded()),
        torch.randn(20, 30, generator=seeded(1)),
    )
    left, _, right = torch.linalg.svd(w.double(), full_matrices=False)
    values = torch.linalg.svdvals(other.double())
    for given in (other, values, values.flip(0)):
        got = init.svd_spectrum_(w.double(), given)
        torch.testing.assert_close(got, (left * values) @ right, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="must be at least 0; got -1"):
        init.svd_spectrum_(w, -torch.ones(20))
    with pytest.raises(ValueError, match="must have 20 singular values; got 3"):
        init.svd_spectrum_(w, torch.ones(3))


def test_low_rank():
    w = torch.randn(20, 30, generator=seeded(), dtype=torch.float64)
    left, s, right = torch.linalg.svd(w, full_matrices=False)
    got = init.low_rank_(w.clone(), 4)
    torch.testing.assert_close(
        got, (left[:, :4] * s[:4]) @ right[:4] * (s.norm() / s[:4].norm())
    )
    assert (init.low_rank_(torch.zeros(3, 3), 1) == 0).all()
    for rank in (0, 21):
        with pytest.raises(ValueError, match="`rank` must be at"):
            init.low_rank_(w, rank)


def test_balance_rows():
    w = torch.rand(5, 5, generator=seeded()) * torch.tensor([1, 1, 1, -1, -1.0])
    w[0, 3:] = 0
    w[1, :3] = 0
    before = w.clone()
    init.balance_rows_(w)
    assert torch.equal(w[:2], before[:2])
    assert torch.equal(w[:, :3], before[:, :3])
    torch.testing.assert_close(w[2:].sum(1), torch.zeros(3), atol=1e-6, rtol=0)


def test_independent_inhibition_centres_on_average():
    parts = torch.empty(400, 300), torch.empty(40, 300), torch.empty(400, 40)
    present = torch.rand(400, 300, generator=seeded(1)) < 0.4
    init.dann_(*parts, independent=True, present=present, generator=seeded())
    assert not torch.equal(parts[1][0], parts[1][1])
    assert (parts[0] - parts[2] @ parts[1]).mean().item() == pytest.approx(
        0, abs=0.01 * parts[0].mean().item() / 0.4 * 3
    )


def test_radius_refuses():
    for wrong, text in (
        (torch.zeros(3, 3), "eigenvalue other than zero"),
        (torch.ones(2, 3), "must be square"),
    ):
        with pytest.raises(ValueError, match=text):
            init.spectral_radius_(wrong, 1.0)
    with pytest.raises(TypeError, match="a matrix or a recurrent module; got Linear"):
        init.spectral_radius_(nn.Linear(2, 2), 1.0)


def masked():
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0, 0.5], [0.0, -1.0, 3.0]]))
    present = torch.tensor([[True, True, False], [False, True, True]])
    signs.fix(layer, "weight", [1, -1, 1], present=present)
    signs.project_(layer)
    return layer, present


def test_every_way_to_break_a_masked_law_is_counted_once():
    layer, _present = masked()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1.0, -2.0, -9.0], [-5.0, -1.0, 3.0]]))
    found = {
        (v.unit, v.absent): (v.count, v.size, v.worst)
        for v in signs.check(layer).violations
    }
    assert found == {
        (0, False): (1, 1, -1.0),
        (0, True): (1, 1, -5.0),
        (2, True): (1, 1, -9.0),
    }
    assert signs.check(layer.state_dict()) == signs.check(layer)
    assert "unit 0: 1 of 1 absent synapse not zero, worst -5" in str(signs.check(layer))


@pytest.mark.parametrize(
    "wrong", [torch.ones(2, 3), torch.ones(3, 2, dtype=torch.bool)]
)
def test_a_saved_mask_that_does_not_fit(wrong):
    layer, _ = masked()
    state = {**layer.state_dict(), "weight_present": wrong}
    with pytest.raises(
        ValueError, match="`weight_present` must be boolean and fit `weight`"
    ):
        signs.check(state)
    if wrong.shape != (2, 3):
        with pytest.raises(RuntimeError, match="size mismatch for weight_present"):
            layer.load_state_dict(state)


def test_pruned_and_masked():
    layer, _present = masked()
    prune.l1_unstructured(layer, "weight", 1)
    with torch.no_grad():
        layer.weight_orig[0, 2] = 1
    assert (
        signs.check(layer.state_dict()).n_violations
        == signs.check(layer).n_violations
        == 1
    )


def test_a_checkpoint_without_a_mask_is_complete():
    layer, _present = masked()
    plain = {"weight": layer.weight.detach().clone()}
    assert str(layer.load_state_dict(plain)) == "<All keys matched successfully>"


def test_declaring_synapses():
    layer, present = masked()
    given = present.clone()
    signs.fix(layer, "weight", [1, -1, 1], present=given)
    given[:] = False
    assert torch.equal(layer.weight_present, present)
    with pytest.raises(ValueError, match="`present` must have the shape"):
        signs.fix(layer, "weight", [1, -1, 1], present=present[:1])
    for wrong in (present.float(), [[True]]):
        with pytest.raises(TypeError, match="`present` must be a boolean tensor"):
            signs.fix(layer, "weight", [1, -1, 1], present=wrong)
    signs.fix(layer, "weight", [1, -1, 1])
    assert torch.equal(layer.weight_present, present)  # kept: nobody asked for another


def test_reparametrised_and_masked():
    layer, _present = masked()
    nn.utils.parametrizations.weight_norm(layer)
    layer.weight = torch.tensor([[1.0, -2.0, 0.5], [1.0, -1.0, 3.0]])
    with pytest.raises(signs.DaleError, match="reparametrised"):
        signs.project_(layer)


def test_a_mask_saved_as_numbers():
    layer, _present = masked()
    state = {k: v.float() for k, v in layer.state_dict().items()}
    for assign in (False, True):
        layer.load_state_dict(state, assign=assign)
        assert signs.check(layer)
        assert layer.weight_present.dtype == torch.int8


def test_last_state_is_its_own_memory():
    _output, last = EIRNN(3, 4)(torch.rand(5, 2, 3))
    with torch.no_grad():
        last.zero_()
    from daleml.layers._recurrent.dispatch import LayerSweep, run

    rates, last = run(
        torch.rand(4, 2),
        torch.rand(3, 2),
        None,
        torch.rand(3, 3),
        LayerSweep(torch.zeros(2, 3), None, None, "relu", (2, 2)),
    )
    kept = rates.clone()
    last.zero_()
    assert torch.equal(rates, kept)


CHARACTERS = (
    "the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs. "
    * 5
)


@pytest.mark.parametrize(
    "task",
    [
        tasks.PerceptualDecision(),
        tasks.ContextDecision(),
        tasks.DelayedMatchToSample(),
        tasks.AddingProblem(),
        tasks.CharacterModel(CHARACTERS),
        tasks.RowSequentialImages.from_split(digits())[0],
    ],
    ids=lambda task: type(task).__name__,
)
def test_no_circuit_is_born_silent(task):
    trials = task.sample(32, seeded())
    for rnn in (
        EIRNN(task.n_inputs, Populations(80, 20), generator=seeded()),
        DANNRNN(task.n_inputs, 100, generator=seeded()),
    ):
        rates = rnn(trials.inputs)[0]
        assert (rates > 0).double().mean() > 0.2
        torch.nn.functional.linear(rates, torch.ones(1, 100)).square().mean().backward()
        assert all(
            p.grad.abs().sum() > 0
            for name, p in rnn.named_parameters()
            if name.startswith("weight")
        )


def test_the_bias_cancels_the_mean_input_unit_by_unit():
    mask = torch.zeros(40, 200)
    mask[:10], mask[10:20, :50] = 1, 1  # all inputs, a quarter of them, none
    rnn = EIRNN(
        200, Populations(40), input_mask=mask, input_mean=0.3, generator=seeded()
    )
    drive = rnn.effective_weights()[0].input.sum(1) * 0.3 + rnn.bias_ih_l0
    for units in (slice(0, 10), slice(10, 20), slice(20, 40)):
        assert drive[units].mean().item() == pytest.approx(0, abs=0.2)
    assert (EIRNN(200, Populations(40)).bias_ih_l0 == 0).all()


# -- what may look on --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_layer_hook_sees_every_layer_as_it_runs(packed):
    rnn = EIRNN(
        3, POPS, num_layers=2, dropout=0.5, dt_ms=20, tau_ms=100, generator=seeded()
    ).double()
    x, hx = (
        torch.rand(4, 2, 3, dtype=torch.float64),
        torch.rand(2, 2, 6, dtype=torch.float64),
    )
    given = nn.utils.rnn.pack_padded_sequence(x, [4, 2]) if packed else x
    seen = {}
    with rnn.register_layer_hook(lambda suffix, *parts: seen.setdefault(suffix, parts)):
        output, _ = rnn(given, hx)
    sizes = (2, 2, 1, 1) if packed else (2, 2, 2, 2)
    for layer, suffix in enumerate(("_l0", "_l1")):
        rows, begun, rates, found = seen[suffix]
        assert found == sizes
        assert torch.equal(begun, hx[layer])
        alone = EIRNN(rows.shape[1], POPS, dt_ms=20, tau_ms=100).double()
        for name, parameter in alone.named_parameters():
            parameter.data = rnn.get_parameter(name.replace("_l0", suffix)).data
        again, _ = alone(
            nn.utils.rnn.PackedSequence(rows, torch.tensor(sizes)), begun[None]
        )
        assert torch.allclose(again.data, rates)
    assert torch.equal(seen["_l0"][0], given.data if packed else x.reshape(8, 3))
    assert bool((seen["_l1"][0] == 0).any())  # what dropout left
    assert torch.equal(seen["_l1"][2], output.data if packed else output.reshape(8, 6))


def test_a_removed_layer_hook_sees_nothing_and_a_cell_has_them_too():
    cell, seen = EIRNNCell(3, POPS), []
    with cell.register_layer_hook(
        lambda suffix, rows, begun, rates, sizes: seen.append((suffix, rates, sizes))
    ):
        after = cell(torch.rand(5, 3))
    cell(torch.rand(5, 3))
    assert [(suffix, sizes) for suffix, _, sizes in seen] == [("", (5,))]
    assert torch.equal(seen[0][1], after)
