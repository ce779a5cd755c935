"""Errors that come back through fixed random weights."""

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear
from daleml.learning import FeedbackAlignment
from tests.learning.oja.test_oja_rules import mlp, random


def test_fixed_feedback_leaves_the_forward_pass_and_undoes_itself():
    model, x = mlp(5, 4, 4, 3, bias=True), random(6, 5).requires_grad_()
    before = model(x)
    ordinary = torch.autograd.grad(before.square().sum(), [x, *model.parameters()])
    with FeedbackAlignment(model) as alignment:
        assert alignment.attached
        during = model(x)
        assert torch.equal(during, before)
        other = torch.autograd.grad(during.square().sum(), [x, *model.parameters()])
        alignment.feedback = {
            name: model.get_submodule(name).weight.detach()
            for name in alignment.feedback
        }
        symmetric = torch.autograd.grad(
            model(x).square().sum(), [x, *model.parameters()]
        )
    assert not alignment.attached
    again = torch.autograd.grad(model(x).square().sum(), [x, *model.parameters()])
    assert not torch.allclose(other[1], ordinary[1])
    assert torch.allclose(
        other[-1], ordinary[-1]
    )  # the last layer receives the true error
    for expected, tied, undone in zip(ordinary, symmetric, again, strict=True):
        assert torch.allclose(tied, expected)
        assert torch.equal(undone, expected)


def test_fixed_feedback_takes_daleml_layers():
    model = nn.Sequential(EILinear(Populations(4, 1), 4), nn.ReLU(), DANNLinear(4, 3))
    with FeedbackAlignment(model) as alignment:
        model(torch.rand(2, 5)).sum().backward()
    assert {name: tuple(b.shape) for name, b in alignment.feedback.items()} == {
        "0": (4, 5),
        "2": (3, 4),
    }
    assert all(parameter.grad is not None for parameter in model.parameters())


class Scaled(nn.Linear):
    """A dense layer that is called with more than its input."""

    def forward(self, input, scale, *, shift=0.0):
        return super().forward(input) * scale + shift


@pytest.mark.parametrize(
    "call",
    [lambda f, x: f(x, 2.0, shift=1.0), lambda f, x: f(input=x, scale=2.0, shift=1.0)],
)
def test_what_a_layer_is_called_with_beside_its_input_reaches_it(call):
    layer, x = Scaled(3, 2), torch.rand(4, 3, requires_grad=True)
    expected = call(layer, x)
    with FeedbackAlignment(layer) as alignment:
        found = call(layer, x)
        found.sum().backward()
    assert torch.equal(found, expected)
    assert torch.allclose(x.grad, alignment.feedback[""].sum(dim=0).expand(4, 3))
    with (
        alignment,
        pytest.raises(
            TypeError, match="`input` must be given to `` by position or as `input`"
        ),
    ):
        layer(x=x, scale=2.0)


def test_no_error_reaches_units_that_a_layer_does_not_read():
    excitatory = EILinear(Populations(3, 2), 4, excitatory_only=True)
    sparse = nn.Linear(5, 4)
    present = torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    signs.fix(sparse, "weight", Populations(3, 2), present=present)
    x = torch.rand(2, 5, requires_grad=True)
    with FeedbackAlignment(excitatory) as alignment:
        excitatory(x).sum().backward()
        assert bool((x.grad[:, :3] != 0).all())
        assert not x.grad[:, 3:].any()
        assert not alignment.feedback[""][:, 3:].any()
        x.grad = None
        alignment.feedback[""] = torch.ones(4, 5)  # yours are cut too
        excitatory(x).sum().backward()
        assert x.grad[0].tolist() == [4, 4, 4, 0, 0]
    x.grad = None
    with FeedbackAlignment(sparse) as alignment:
        sparse(x)[:, 1].sum().backward()
    assert torch.equal(alignment.feedback[""] != 0, present)
    assert torch.equal(x.grad[0] != 0, present[1])


def test_the_projection_of_an_attention_is_left_out():
    model = nn.Sequential(nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2, 8))
    assert list(FeedbackAlignment(model).feedback) == ["0", "1.linear1", "1.linear2"]
    with pytest.raises(
        ValueError,
        match="`model` must have a dense layer; got MultiheadAttention without one",
    ):
        FeedbackAlignment(nn.MultiheadAttention(4, 2))


def test_what_overflows_behind_the_feedback_is_not_seen():
    layer = nn.Linear(3, 2).half()
    x = torch.full((1, 3), 3e4, dtype=torch.float16, requires_grad=True)
    with torch.no_grad():
        layer.weight.zero_()
    with FeedbackAlignment(layer) as alignment:
        alignment.feedback[""] = torch.ones(2, 3)
        output = layer(x)
        output.sum().backward()
    assert bool(output.isfinite().all())
    assert x.grad.tolist() == [[2, 2, 2]]


def test_an_activation_may_work_in_place():
    model, x = (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)),
        torch.rand(2, 3),
    )
    with FeedbackAlignment(model):
        model(x.requires_grad_()).sum().backward()
    assert model[0].weight.grad is not None


def test_autocast_gets_errors_in_its_precision_and_inputs_in_theirs():
    layer, x = nn.Linear(3, 2), torch.rand(4, 3, requires_grad=True)
    with (
        FeedbackAlignment(layer) as alignment,
        torch.autocast("cpu", dtype=torch.bfloat16),
    ):
        layer(x).sum().backward()
    assert x.grad.dtype == torch.float32
    assert torch.allclose(
        x.grad, alignment.feedback[""].sum(dim=0).expand(4, 3), atol=0.02
    )


def test_a_batch_of_models_has_the_same_feedback():
    model, x = mlp(3, 4, 2), random(5, 3)
    with FeedbackAlignment(model):

        def loss(parameters, row):
            return (
                torch.func.functional_call(model, parameters, (row[None],))
                .square()
                .sum()
            )

        parameters = {name: value.detach() for name, value in model.named_parameters()}
        each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
        model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(each[name].sum(0), parameter.grad)


def test_a_layer_without_a_shape_is_refused():
    with pytest.raises(ValueError, match="`model` must have run once") as raised:
        FeedbackAlignment(nn.Sequential(nn.LazyLinear(3)))
    assert (
        str(raised.value)
        == "`model` must have run once, so that its layers have shapes; got `0` without one."
    )


def test_compiled_before_it_is_attached_it_warns():
    model = mlp(3, 4, 2)
    with FeedbackAlignment(model):
        pass  # nothing to warn of
    model.compile(backend="eager")
    with (
        pytest.warns(UserWarning, match="`model` was compiled before `attach`"),
        FeedbackAlignment(model),
    ):
        pass
    with (
        pytest.warns(UserWarning, match="compiled"),
        FeedbackAlignment(torch.compile(mlp(3, 2), backend="eager")),
    ):
        pass
