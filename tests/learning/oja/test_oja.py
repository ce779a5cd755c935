"""The object that applies Oja's rule: its arguments, its precision, weights that are shared, copies."""

import copy
import io

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, EILinear
from daleml.learning import (
    DivergenceError,
    FeedbackAlignment,
    Normalised,
    Oja,
    PerNeuron,
    Subspace,
    orthonormality_error,
)
from daleml.learning.oja.oja_rules import subspace
from tests.learning.oja.test_oja_rules import mlp, random, rates, softmax


def test_coefficients_are_per_layer():
    model = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.RNN(3, 4))
    names = ["0.weight", "2.weight_ih_l0", "2.weight_hh_l0"]
    assert Oja(model, 0.1).coefficients == dict.fromkeys(names, 0.1)
    assert Oja(model, {"2": 0.1, "2.weight_hh_l0": 0.2}).coefficients == {
        names[1]: 0.1,
        names[2]: 0.2,
    }
    start = copy.deepcopy(model.state_dict())
    with Oja(model, {"0": 0.1, "2": 0.0}) as plasticity:
        model(torch.rand(5, 6))
        plasticity.step()
    moved = [
        name
        for name, value in model.state_dict().items()
        if not torch.equal(value, start[name])
    ]
    assert moved == ["0.weight"]
    assert (
        repr(plasticity)
        == "Oja({0.weight: 0.1, 2.weight_ih_l0: 0, 2.weight_hh_l0: 0}, rule=Subspace(), attached=False)"
    )


def test_a_refused_step_changes_nothing():
    model = mlp(4, 3, 2)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    with Oja(model, {"0": 0.01, "2": 1e6}) as plasticity:
        model(random(1, 4))
        with pytest.raises(
            DivergenceError, match=r"`coefficients\['2.weight'\]` must be below 2 / "
        ):
            plasticity.step()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), start, strict=True)
    )


RULES = [Subspace(), PerNeuron(), Normalised(Subspace())]


def test_half_precision_activities_reach_a_single_precision_weight():
    layer, x = nn.Linear(4, 3), torch.rand(2, 4)
    other = copy.deepcopy(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16), Oja(layer, 0.1) as plasticity:
        post = layer(x)
        plasticity.step()
    assert post.dtype == torch.bfloat16
    Oja(other, 0.1).update(x, post.float())
    assert layer.weight.dtype == torch.float32
    assert torch.equal(
        layer.weight, other.weight
    )  # to the last bit: the rule itself is not lowered


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_changed_by_what_single_precision_says(dtype, rule):
    model = nn.Sequential(EILinear(Populations(4, 2), 3), nn.ReLU()).to(dtype)
    single = copy.deepcopy(model).float()
    for batch in (
        torch.rand(2, 6),
        3 * torch.rand(9, 6),
    ):  # the second is too active for the cheap bound
        x = batch.to(dtype)
        coefficient = 1.9 / rule.decay(model(x).detach().float())
        with Oja(model, coefficient, rule=rule) as plasticity:
            post = model(x)
            plasticity.step()
        Oja(single, coefficient, rule=rule).update(x.float(), post.float())
        assert torch.equal(model[0].weight, single[0].weight.to(dtype))
        single.load_state_dict(model.state_dict())
        signs.check(model).raise_for_violations()


def test_double_precision_is_kept():
    layer = nn.Linear(4, 3).double()
    start, x, y = layer.weight.detach().clone(), rates(2, 4), rates(2, 3, seed=1)
    Oja(layer, 0.1).update(x, y)
    assert torch.equal(layer.weight, start + 0.1 * subspace(start, x, y))


# -- shared and frozen weights, rates with a sign --------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_tied_weights_are_one(order):
    """A free layer that shares a lawful one's weight: rows are pooled, and the law is kept whichever comes first."""
    torch.manual_seed(0)
    layers = [
        EILinear(Populations(3, 2), 5, bias=False).double(),
        nn.Linear(5, 5, bias=False).double(),
    ]
    layers[1].weight = layers[0].weight
    layers[0].weight.data /= 10
    model = nn.Sequential(*(layers[i] for i in order))
    start, lawful = layers[0].weight.detach().clone(), copy.deepcopy(layers[0])
    x = random(3, 5)
    with Oja(model, 0.5, activation=softmax) as plasticity:
        middle = model[0](x)
        last = model[1](middle)
        plasticity.step()
    pre, post = (
        torch.cat([x, middle]).detach(),
        torch.cat([softmax(middle), softmax(last)]).detach(),
    )
    lawful.weight.data = start + 0.5 * subspace(start, pre, post)
    assert not signs.check(lawful)  # so that projection has something to do
    assert torch.allclose(model[0].weight, signs.project_(lawful).weight)
    free = "1.weight" if order == (0, 1) else "0.weight"
    Oja(model, {free: 0.5}).update(x, softmax(random(3, 5, seed=4)), free)
    signs.check(model).raise_for_violations()


def test_tied_weights_diverge_together_and_have_one_coefficient():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    torch.nn.init.eye_(model[0].weight)
    with Oja(model, {"0": 0.1, "1": 0.2}) as plasticity:
        model(torch.rand(1, 2))
        with pytest.raises(ValueError, match="agree") as raised:
            plasticity.step()
    assert str(raised.value) == (
        "`coefficients` must agree on `0.weight` and `1.weight`, which are one parameter; got 0.1 and 0.2."
    )
    with Oja(
        model, 1.5
    ) as plasticity:  # each of them alone would be below 2, one after another above
        model(torch.tensor([[1.0, 0.0]]))
        plasticity.step()
    assert torch.allclose(model[0].weight, torch.eye(2))
    assert torch.allclose(model[1].weight, torch.eye(2))


def test_a_frozen_weight_is_changed_like_any_other():
    layer = nn.Linear(3, 2).requires_grad_(False)
    start = layer.weight.clone()
    Oja(layer, 0.1).update(torch.ones(3), torch.ones(2))
    assert not torch.equal(layer.weight, start)


def test_a_coefficient_of_zero_changes_nothing_whatever_is_shown():
    layer = nn.Linear(3, 2)
    start = layer.weight.detach().clone()
    Oja(layer, 0.0).update(torch.ones(3), torch.full((2,), 1e30))
    assert torch.equal(layer.weight, start)


def test_a_layer_that_has_left_the_model_may_still_learn():
    model = nn.Sequential(EILinear(Populations(3, 1), 2), nn.ReLU())
    left, plasticity = model[0], Oja(model, 0.1)
    model[0] = nn.Identity()
    start = left.weight.detach().clone()
    plasticity.update(torch.ones(4), torch.ones(2))
    assert not torch.equal(left.weight, start)
    signs.check(left).raise_for_violations()


@pytest.mark.parametrize("rule", [PerNeuron(), Normalised(PerNeuron())])
def test_negative_rates_of_a_lawful_layer_are_warned_of_once(rule):
    lawful, free = EILinear(Populations(3, 2), 4), nn.Linear(4, 2)
    model = nn.Sequential(lawful, nn.Identity(), free)
    x = -torch.ones(2, 5) * Populations(3, 2).signs()
    with Oja(model, 1e-3, rule=rule) as plasticity:
        model(x)
        with pytest.warns(UserWarning, match="negative rates") as warned:
            plasticity.step()
        model(x)
        plasticity.step()  # silently
    assert [str(warning.message) for warning in warned] == [
        f"`0.weight` drives negative rates, where {rule} may flip signs before projection: pass `activation=`."
    ]
    for options in (
        {"rule": rule, "activation": {"0": torch.relu}},
        {"rule": Subspace()},
    ):
        with Oja(model, 1e-3, **options) as plasticity:
            model(x)
            plasticity.step()


def test_negative_rates_of_a_circuit_have_another_cure():
    rnn = EIRNN(3, Populations(3, 1), nonlinearity="tanh")
    with Oja(rnn, {"weight_hh_l0": 1e-3}, rule=PerNeuron()) as plasticity:
        rnn(-torch.ones(4, 2, 3))
        with pytest.warns(
            UserWarning,
            match="projection: give the circuit a nonlinearity without negative values",
        ):
            plasticity.step()


# -- changed since -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"0.weight": -0.1},
            "`coefficients['0.weight']` must be at least 0; got -0.1.",
        ),
        (
            {"0.weight": "0.1"},
            "`coefficients['0.weight']` must be a number; got '0.1'.",
        ),
        (
            {"0": 0.1},
            "`coefficients` must name weights it had at construction (0.weight, 2.weight); got '0'.",
        ),
    ],
)
def test_coefficients_changed_later_are_judged(change, sentence):
    model = mlp(4, 3, 2)
    with Oja(model, 0.01) as plasticity:
        plasticity.coefficients |= change
        for act in (
            plasticity.step,
            lambda: plasticity.update(rates(4), rates(3), "0.weight"),
        ):
            model(rates(5, 4))
            with pytest.raises((TypeError, ValueError)) as raised:
                act()
            assert str(raised.value) == sentence
        plasticity.coefficients = {"2.weight": 0.01}
        start = copy.deepcopy(model.state_dict())
        model(rates(5, 4))
        plasticity.step()
    assert torch.equal(model[0].weight, start["0.weight"])
    assert not torch.equal(model[2].weight, start["2.weight"])


def test_a_weight_reparametrised_later_is_called_that():
    model = mlp(4, 3, 2)
    with Oja(model, 0.01) as plasticity:
        nn.utils.parametrizations.weight_norm(model[0])
        model(rates(5, 4))
        with pytest.raises(ValueError, match="reparametrised") as raised:
            plasticity.step()
    assert str(raised.value) == (
        "`model` must keep `0.weight` as a parameter of its own; it has been reparametrised since."
    )


def test_an_empty_batch_is_called_that():
    model = mlp(4, 3, 2)
    with Oja(model, 0.01) as plasticity:
        model(rates(0, 4))
        with pytest.raises(ValueError, match="empty") as raised:
            plasticity.step()
        assert str(raised.value) == (
            "`step` must follow a batch with at least one example; got an empty one at `0.weight`."
        )
        model(rates(0, 4))
        model(rates(5, 4))
        plasticity.step()


def test_a_copy_of_it_is_detached_and_has_its_own_model():
    model, x = mlp(4, 3, 2), rates(5, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Oja(model, {"0": 0.01}, rule=Normalised()).attach(optimizer) as plasticity:
        model(x)
        file = io.BytesIO()
        torch.save(plasticity, file)
        file.seek(0)
        start = copy.deepcopy(model.state_dict())
        for twin in (copy.deepcopy(plasticity), torch.load(file, weights_only=False)):
            assert not twin.attached
            assert twin.coefficients == plasticity.coefficients
            with pytest.raises(RuntimeError, match="nothing was recorded"):
                twin.step()
            twin.update(x, rates(5, 3))
            with twin:
                assert twin.attached
        assert plasticity.attached
        assert all(
            torch.equal(value, start[name])
            for name, value in model.state_dict().items()
        )
        plasticity.step()
    assert not torch.equal(model[0].weight, start["0.weight"])


def pruned():
    from torch.nn.utils import prune

    return prune.random_unstructured(nn.Linear(3, 2), "weight", 0.5)


def layer():
    return nn.Linear(3, 2)


def shown(plasticity, model):
    with plasticity:
        model(torch.rand(4, 3))


WRONG = [
    (lambda: Oja("model", 0.1), "`model` must be a module; got str."),
    (
        lambda: Oja(nn.ReLU(), 0.1),
        "`model` must have a dense layer or a circuit; got ReLU without one.",
    ),
    (lambda: Oja(layer(), -0.1), "`coefficients` must be at least 0; got -0.1."),
    (lambda: Oja(layer(), "0.1"), "`coefficients` must be a number; got '0.1'."),
    (
        lambda: Oja(mlp(4, 3, 2), {"1": 0.1}),
        "`coefficients` must name weights (0.weight, 2.weight) or their layers; got '1'.",
    ),
    (
        lambda: Oja(layer(), {}),
        "`coefficients` must name at least one weight; got none.",
    ),
    (
        lambda: Oja(layer(), {"weight": float("nan")}),
        "`coefficients['weight']` must be finite; got nan.",
    ),
    (
        lambda: Oja(layer(), 0.1, rule="subspace"),
        "`rule` must be a rule such as Subspace(); got 'subspace'.",
    ),
    (
        lambda: Oja(layer(), 0.1, activation="relu"),
        "`activation` must be a function or a mapping of them; got 'relu'.",
    ),
    (
        lambda: Oja(mlp(4, 3, 2), 0.1, activation={"1": softmax}),
        "`activation` must name dense layers (0, 2); got '1'.",
    ),
    (
        lambda: Oja(mlp(4, 3, 2), 0.1, activation={"2": "relu"}),
        "`activation['2']` must be a function; got 'relu'.",
    ),
    (
        lambda: Oja(pruned(), 0.1),
        "`coefficients` must leave out `weight`, since it is reparametrised.",
    ),
    (
        lambda: Oja(nn.RNN(3, 4, num_layers=2), 0.1),
        "`coefficients` must leave out `weight_ih_l0`, since it is of an nn.RNN with several layers or both directions, whose inner rates cannot be seen: stack modules of one layer, or use EIRNN.",
    ),
    (
        lambda: Oja(nn.RNN(3, 4, num_layers=2), {"weight_hh_l1": 0.1}),
        "`coefficients` must leave out `weight_hh_l1`, since it is of an nn.RNN with several layers or both directions, whose inner rates cannot be seen: stack modules of one layer, or use EIRNN.",
    ),
    (
        lambda: Oja(nn.RNN(3, 4, bidirectional=True), {"weight_hh_l1": 0.1}),
        "`coefficients` must name weights (weight_ih_l0, weight_hh_l0, weight_ih_l0_reverse, weight_hh_l0_reverse) or their layers; got 'weight_hh_l1'.",
    ),
    (
        lambda: Oja(nn.Sequential(layer(), nn.MultiheadAttention(2, 1)), 0.1),
        "`coefficients` must leave out `1.out_proj.weight`, since it is read by an attention module that does not call its layer.",
    ),
    (
        lambda: Oja(nn.Sequential(nn.LazyLinear(3)), 0.1),
        "`coefficients` must leave out `0.weight`, since it has no shape before the model's first forward pass.",
    ),
    (
        lambda: Oja(EIRNN(3, 4), 0.1, activation={}),
        "`activation` must be left out where no dense layer is plastic, since a circuit's rates are known; got {}.",
    ),
    (
        lambda: Oja(
            nn.Sequential(layer(), nn.RNN(2, 4)), {"1": 0.1}, activation=softmax
        ),
        f"`activation` must be left out where no dense layer is plastic, since a circuit's rates are known; got {softmax!r}.",
    ),
    (
        lambda: shown(
            Oja(model := layer(), 0.1, activation=lambda z: z.sum(-1, keepdim=True)),
            model,
        ),
        "`activation` must keep the shape (4, 2) of an output; got (4, 1).",
    ),
    (
        lambda: shown(Oja(model := layer(), 0.1, activation=lambda z: None), model),
        "`activation` must keep the shape (4, 2) of an output; got NoneType.",
    ),
    (
        lambda: Oja(layer(), 0.1, on_divergence="ignore"),
        "`on_divergence` must be 'raise' or 'skip'; got 'ignore'.",
    ),
    (
        lambda: Oja(layer(), 0.1).attach("sgd"),
        "`optimizer` must be a torch optimiser; got str.",
    ),
    (
        lambda: Oja(layer(), 0.1).attach().attach(),
        "`attach` must be called once until `detach`; it is attached already.",
    ),
    (
        lambda: Oja(layer(), 0.1).step(),
        "`step` must follow a forward pass in training mode while attached; nothing was recorded of `weight` (not attached).",
    ),
    (
        lambda: Oja(mlp(4, 3, 2), 0.1).update(torch.ones(4), torch.ones(3)),
        "`weight` must be one of 0.weight, 2.weight; got None.",
    ),
    (
        lambda: Oja(layer(), 0.1).update(torch.ones(4), torch.ones(2)),
        "`pre` must have 3 units, those of `weight`; got shape (4,).",
    ),
    (
        lambda: Oja(layer(), 0.1).update(torch.ones(3), torch.ones(3)),
        "`post` must have 2 units, those of `weight`; got shape (3,).",
    ),
    (
        lambda: Oja(layer(), 0.1).update([1], torch.ones(2)),
        "`pre` must be a tensor; got list.",
    ),
    (
        lambda: Oja(layer(), 0.1).update(torch.ones(5, 3), torch.ones(4, 2)),
        "`post` must have the leading dimensions of `pre`, (5,); got (4,).",
    ),
    (
        lambda: Oja(layer(), 0.1).update(torch.ones(0, 3), torch.ones(0, 2)),
        "`pre` must have at least one row; got shape (0, 3).",
    ),
    (
        lambda: Oja(layer(), 0.5).update(torch.ones(3), torch.ones(2)),
        None,
    ),
    (
        lambda: Oja(layer(), 1.0).update(torch.ones(3), torch.ones(2)),
        "`coefficients['weight']` must be below 2 / 2, over the strongest activity squared, since the rule diverges from there on; got 1.",
    ),
    (
        lambda: Oja(layer(), 1.0).update(torch.ones(3), torch.tensor([1, torch.nan])),
        "`post` must be finite; got NaN for `weight`.",
    ),
    (
        lambda: Normalised("subspace"),
        "`rule` must be a rule such as Subspace(); got 'subspace'.",
    ),
    (lambda: Normalised(eps=0), "`eps` must be above 0; got 0."),
    (
        lambda: orthonormality_error([[1.0, 2.0]]),
        "`weight` must be a tensor; got list.",
    ),
    (
        lambda: orthonormality_error(torch.ones(3)),
        "`weight` must be a matrix; got shape (3,).",
    ),
    (lambda: FeedbackAlignment("model"), "`model` must be a module; got str."),
    (
        lambda: FeedbackAlignment(nn.ReLU()),
        "`model` must have a dense layer; got ReLU without one.",
    ),
    (
        lambda: FeedbackAlignment(layer()).attach().attach(),
        "`attach` must be called once until `detach`; it is attached already.",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), WRONG)
def test_wrong_input_gets_a_sentence(call, sentence):
    if sentence is None:
        call()
        return
    with pytest.raises((TypeError, ValueError, RuntimeError)) as raised:
        call()
    assert str(raised.value) == sentence
