"""One notion of a layer: every tool takes a stranger's layer for what it is, or says in one sentence why not."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from daleml import Populations, dalify, modules, signs
from daleml.analysis import effective_weights, regime, spectrum, weight_samples
from daleml.analysis.distributions.families import LogNormal, find, find_all
from daleml.layers import EILinear, init, populations_after
from daleml.learning import FeedbackAlignment, Oja
from daleml.learning.oja.oja_rules import DivergenceError, Normalised, Subspace
from daleml.modules import SynapticWeight
from daleml.optim import Reparametrization, param_groups, split_bias_
from tests.catalog import STRANGERS, Scratch, ScratchRecurrent, strangers


class Behind(nn.Module):
    """A linear read-out behind any layer, its rates rectified."""

    def __init__(self, layer, example):
        super().__init__()
        self.layer = layer
        with torch.no_grad():
            width = self.features(example).shape[1]
        self.out = nn.Linear(width, 2)

    def features(self, x):
        rates = self.layer(x)
        rates = rates[0][-1] if isinstance(rates, tuple) else rates
        return rates.relu().flatten(1)

    def forward(self, x):
        return self.out(self.features(x))


def built(build):
    torch.manual_seed(3)
    return build()


def example(case):
    return torch.rand(case.shape, generator=torch.Generator().manual_seed(1))


def seeded():
    return torch.Generator().manual_seed(2)


# -- the tools, each as a function of a layer and an example, to what it makes of it -----------------------------------


def drawn(layer, x):
    init.lognormal_model_(layer, generator=seeded())
    return dict(layer.named_parameters())


def learned(layer, x):
    oja = Oja(layer, 0.01, activation=None)
    with oja:
        layer(x)
        oja.step()
    return dict(layer.named_parameters())


def fed_back(layer, x):
    alignment = FeedbackAlignment(layer, generator=seeded())
    x = x.clone().requires_grad_()
    with alignment:
        layer(x).sum().backward()
    return {"feedback": alignment.feedback, "error": x.grad}


def grouped(layer, x):
    names = {id(parameter): name for name, parameter in layer.named_parameters()}
    return [
        {**group, "params": [names[id(parameter)] for parameter in group["params"]]}
        for group in param_groups(layer, lr=0.1, euclidean_lr=0.01)
    ]


def split(layer, x):
    return dict(split_bias_(layer).named_parameters())


def sampled(layer, x):
    return {
        name: (one.n, one.sign, one.log_moments)
        for name, one in weight_samples(layer).items()
    }


def acting(layer, x):
    return dict(effective_weights(layer))


def decomposed(layer, x):
    return torch.from_numpy(spectrum(layer).singular_values)


def told(layer, x):
    before = copy.deepcopy(layer.state_dict())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.1)
    return str(regime(layer, before, layer, x))


def dalified(layer, x):
    torch.manual_seed(4)
    model, report = dalify(Behind(layer, x), example=x, generator=seeded())
    return [
        str(report),
        bool(report),
        bool(signs.check(model)),
        dict(model.named_parameters()),
    ]


def passed(layer, x):
    return populations_after(layer, Populations(6, 3), tuple(x.shape[2:]))


TOOLS = [
    drawn,
    learned,
    fed_back,
    grouped,
    split,
    sampled,
    acting,
    decomposed,
    told,
    dalified,
    passed,
]


def outcome(tool, build, case):
    """Return what a tool makes of a layer, or the sentence in which it refuses it."""
    layer, x = built(build), example(case)
    name = type(layer).__name__
    try:
        found = tool(layer, x)
    except (TypeError, ValueError) as error:
        found = str(error).replace(name, "a layer")
        assert "\n" not in found
    return found


def assert_same(one, other):
    assert type(one) is type(other) or isinstance(one, torch.Tensor)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for value, twin in zip(one, other, strict=True):
            assert_same(value, twin)
    else:
        assert one == other


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__)
@strangers([case for case in STRANGERS if case.twin is not None])
def test_a_subclass_is_to_every_tool_what_its_parent_is(case, tool):
    assert_same(outcome(tool, case.build, case), outcome(tool, case.twin, case))


def scratch_and_twin():
    """Return a layer written from scratch, and a layer of daleml's with the same weights."""
    layer, twin = Scratch(Populations(6, 3), 6), EILinear(Populations(6, 3), 6)
    twin.load_state_dict({"weight": layer.synapses, "bias": layer.offset}, strict=False)
    return layer, twin


@pytest.mark.parametrize(
    "tool",
    [tool for tool in TOOLS if tool not in (passed,)],
    ids=lambda tool: tool.__name__,
)
def test_a_layer_written_from_scratch_is_to_every_tool_what_daleml_s_own_is(tool):
    layer, twin = scratch_and_twin()
    x = torch.rand(5, 9, generator=torch.Generator().manual_seed(1))

    def plain(found):
        text = {"synapses": "weight", "offset": "bias", "Scratch": "EILinear"}
        if isinstance(found, dict):
            return {plain(key): plain(value) for key, value in found.items()}
        if isinstance(found, list):
            return [plain(value) for value in found]
        if isinstance(found, str):
            for own, daleml_s in text.items():
                found = found.replace(own, daleml_s)
            return " ".join(found.split())
        return found

    one, other = plain(tool(layer, x)), plain(tool(twin, x))
    if tool is drawn:  # daleml's also resets its bias
        one.pop("bias"), other.pop("bias")
    if isinstance(one, (list, str)):
        assert_same(one, other)
    else:
        torch.testing.assert_close(one, other)


def test_a_circuit_written_from_scratch_is_seen_by_every_tool():
    case = next(case for case in STRANGERS if case.name == "from scratch, recurrent")
    x = example(case)
    layer = built(case.build)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    for tool in (drawn, learned):
        after = tool(layer, x)
        for name, value in before.items():
            assert not torch.equal(after[name], value), (tool, name)
        assert signs.check(layer)
    assert list(acting(layer, x)) == ["input", "recurrent"]
    assert list(sampled(layer, x)) == [
        "afferent E",
        "afferent I",
        "lateral E",
        "lateral I",
    ]
    assert decomposed(layer, x).shape == (6,)
    assert "weights: lateral;" in told(layer, x)
    assert [group["role"] for group in grouped(layer, x)] == ["afferent", "lateral"]
    text, lawful, checked, _ = dalified(layer, x)
    assert lawful
    assert checked
    assert (
        "reads 4 excitatory and 2 inhibitory units" in text
    )  # as the circuit says of its units
    with pytest.raises(
        ValueError, match="must have a dense layer; got ScratchRecurrent without one"
    ):
        fed_back(layer, x)


# -- half a protocol ---------------------------------------------------------------------------------------------------


def without(name, of=Scratch):
    """Return a layer that lacks one method."""
    half = type(
        "Half",
        (nn.Module,),
        {key: value for key, value in vars(of).items() if callable(value)},
    )
    del half.__init__
    delattr(half, name)
    layer = half()
    full = (
        Scratch(Populations(6, 3), 6)
        if of is Scratch
        else of(Populations(6, 3), Populations(4, 2))
    )
    layer.__dict__.update(full.__dict__)
    return layer


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("plastic_weights", [learned, fed_back, dalified]),
        ("effective_weight", [learned, fed_back, acting, decomposed]),
        ("redraw_", [drawn]),
        ("output_signs", [dalified]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_with_half_of_the_protocol_is_refused_by_the_name_of_what_it_lacks(
    name, tools
):
    x = torch.rand(5, 9)
    for tool in TOOLS:
        layer = without(name)
        if tool in tools:
            with pytest.raises(ValueError, match=f"`{name}`") as raised:
                tool(layer, x)
            assert str(raised.value).count(". ") == 0
        elif (
            tool is split and name == "plastic_weights"
        ):  # its bias goes by no name that torch has
            with pytest.raises(ValueError, match="must have a bias to split"):
                tool(layer, x)
        elif tool is not passed:
            tool(layer, x)


def test_a_circuit_whose_rates_cannot_be_seen_is_refused_by_oja():
    layer = without("register_layer_hook", ScratchRecurrent)
    with pytest.raises(ValueError, match="without the method `register_layer_hook`"):
        Oja(layer, 0.1)


def test_weights_it_has_not_got_and_things_that_are_no_weights_are_refused():
    layer = Scratch(Populations(6, 3), 6)
    for given, error, sentence in (
        (
            ["nothing"],
            ValueError,
            "must name its parameters; got 'nothing', which it has not.",
        ),
        ([3], TypeError, "must give names or SynapticWeight; got 3."),
    ):
        layer.plastic_weights = lambda given=given: given
        with pytest.raises(error) as raised:
            Oja(layer, 0.1)
        assert str(raised.value) == f"`plastic_weights` of Scratch {sentence}"


def test_names_alone_are_enough_for_a_dense_weight():
    layer = Scratch(Populations(6, 3), 6)
    layer.plastic_weights = lambda: ["synapses"]
    assert list(learned(layer, torch.rand(5, 9))) == ["synapses", "offset"]


# -- what a subclass adds, and what wraps a layer ----------------------------------------------------------------------


class Skipping(EILinear):
    """Adds a weight of its own."""

    def __init__(self, *args):
        super().__init__(*args)
        self.skip = nn.Parameter(torch.rand(self.out_features, self.in_features))

    def forward(self, x):
        return super().forward(x) + x @ self.skip.T


def test_what_a_subclass_adds_is_seen():
    layer = Skipping(Populations(6, 3), 6)
    assert list(effective_weights(layer)) != []
    assert [name for name, _ in effective_weights(layer)] == ["weight", "skip"]
    with pytest.warns(UserWarning, match="left alone skip, of which it does not know"):
        init.lognormal_model_(layer)
    _, report = dalify(Behind(layer, torch.rand(5, 9)), example=torch.rand(5, 9))
    assert not report
    assert [verdict.name for verdict in report.of("not lawful")] == ["layer.skip"]


class Halved(nn.Linear):
    """Runs in a way of its own: with its weight as it is, negated, or as one of several things."""

    how = "plain"

    def forward(self, x):
        if self.how == "negated":
            return nn.functional.linear(-x, self.weight, self.bias)
        if self.how == "pair":
            return super().forward(x), x
        if self.how == "masked":
            return nn.functional.linear(
                x, self.weight * (self.weight.detach() > 0.1), self.bias
            )
        if self.how == "bypassed":
            return nn.functional.linear(x, -self.weight, self.bias)
        return nn.functional.linear(x, self.weight, self.bias) / 2


@pytest.mark.parametrize(
    ("how", "lawful"),
    [
        ("plain", True),
        ("masked", True),
        ("negated", False),
        ("bypassed", False),
        ("pair", False),
    ],
)
def test_a_forward_of_ones_own_is_looked_at(how, lawful):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.out = Halved(9, 6), nn.Linear(6, 2)

        def forward(self, x):
            rates = self.layer(x)
            return self.out((rates[0] if isinstance(rates, tuple) else rates).relu())

    net = Net()
    net.layer.how = how
    assert bool(dalify(net, example=torch.rand(5, 9)).report) == lawful


def test_wrapped_layers_are_seen_once():
    class Forwarding(nn.Module):
        """Passes on what it has not got, as compiled and adapted modules do."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

    layer = EILinear(Populations(6, 3), 6)
    wrapped = Forwarding(layer)
    assert [name for name, _ in effective_weights(wrapped)] == ["inner"]
    assert list(Oja(wrapped, 0.1).coefficients) == ["inner.weight"]
    assert list(FeedbackAlignment(wrapped).feedback) == ["inner"]
    assert spectrum(wrapped).shape == (6, 9)
    averaged = torch.optim.swa_utils.AveragedModel(layer)
    assert [name for name, _ in effective_weights(averaged)] == ["module"]
    init.lognormal_model_(wrapped)
    assert signs.check(wrapped)


def test_reparametrised_and_pruned_weights_are_drawn_and_read_as_they_act():
    layer = parametrizations.weight_norm(nn.Linear(9, 6))
    before = layer.weight.detach().clone()
    init.lognormal_model_(layer)
    assert not torch.equal(layer.weight, before)
    assert dict(effective_weights(layer)).keys() == {"weight"}
    assert torch.equal(dict(effective_weights(layer))["weight"], layer.weight)
    layer = nn.Linear(9, 6)
    signs.fix(layer, "weight", Populations(6, 3))
    signs.project_(layer)
    prune.random_unstructured(layer, "weight", 0.3)
    init.lognormal_model_(layer)
    assert signs.check(layer)
    assert (layer.weight_orig != 0).all()


def test_a_parametrisation_that_cannot_be_set_is_refused():
    class Square(nn.Module):
        def forward(self, weight):
            return weight.square()

    layer = nn.Linear(9, 6)
    parametrize.register_parametrization(layer, "weight", Square())
    with pytest.raises(
        ValueError,
        match="whose `weight` is computed by a parametrisation without `right_inverse`",
    ):
        init.lognormal_model_(layer)


def test_a_matrix_of_nobodys_is_drawn_where_its_signs_are_fixed_and_named_where_not():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.known = nn.Parameter(torch.zeros(4, 3))
            self.unknown = nn.Parameter(torch.zeros(4, 3))
            signs.fix(self, "known", [1, 1, -1])

    net = Net()
    with pytest.warns(UserWarning, match="left alone unknown, of which"):
        init.lognormal_model_(net)
    assert signs.check(net)
    assert (net.known != 0).all()
    assert not net.unknown.any()


def test_layers_without_a_shape_are_refused_by_name():
    lazy = nn.Sequential(nn.Linear(3, 4), nn.LazyLinear(2))
    for call in (init.lognormal_model_, dalify, FeedbackAlignment):
        with pytest.raises(
            ValueError,
            match="must have run once, so that its layers have shapes; got `1` without one",
        ):
            call(lazy)


def test_an_activation_of_ones_own_is_not_passed_over():
    class Square(nn.Module):
        def forward(self, x):
            return x.square()

    class Softer(nn.ReLU):
        def forward(self, x):
            return nn.functional.softplus(x)

    for own in (Square(), Softer()):
        for model in (
            nn.Sequential(nn.Linear(3, 2), own),
            nn.Sequential(nn.Linear(3, 2), nn.Sequential(own)),
        ):
            with pytest.raises(
                ValueError,
                match=f"since {type(own).__name__} follows it, of which no rates are known",
            ):
                Oja(model, 0.1)
    nested = nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Sigmoid()))
    x = torch.rand(4, 3)
    states = []
    for model in (nested, nn.Sequential(nested[0], nested[1][0])):
        again = copy.deepcopy(model)
        with Oja(again, 0.1) as oja:
            again(x)
            oja.step()
        states.append(again[0].weight.detach())
    assert torch.equal(*states)


def test_both_directions_of_a_plain_circuit_act():
    both = dict(effective_weights(nn.RNN(3, 4, 2, bidirectional=True)))
    ways = ("", "_reverse", "_l1", "_l1_reverse")
    assert list(both) == [
        f"{kind}{way}" for way in ways for kind in ("input", "recurrent")
    ]


def test_a_transposed_convolution_is_read_as_post_by_pre():
    layer = nn.ConvTranspose1d(5, 2, 3)
    (_, weight), *_ = effective_weights(layer)
    assert weight.shape == (2, 15)


def test_the_table_knows_no_class_twice_and_finds_the_nearest():
    class Both(nn.Conv1d, nn.Linear):
        pass

    assert modules.torch_class(Both.__new__(Both)) is nn.Conv1d
    assert modules.torch_kind(nn.NLLLoss()) is None
    assert modules.torch_kind(nn.ReLU6()).rates
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not modules.synaptic_weights(nn.MultiheadAttention(4, 2))


# -- plug-in points that code could pass by ----------------------------------------------------------------------------


def test_a_rule_whose_decay_is_its_own_is_not_judged_by_its_parents_bound():
    class Strong(Subspace):
        def decay(self, post):
            return 100.0

    post = torch.full((1, 2), 0.1)
    for rule in (Strong(), Normalised(Strong())):
        with pytest.raises(DivergenceError, match="must be below 2 / 100"):
            rule.refuse_divergence("coefficient", 0.5, post)
    Subspace().refuse_divergence("coefficient", 0.5, post)


def test_two_families_of_one_name_are_refused():
    class Mine(LogNormal):
        pass

    with pytest.raises(
        ValueError,
        match="must have names of their own; got two that are called 'lognormal'",
    ):
        find_all(["lognormal", Mine()])
    assert find_all(["lognormal", LogNormal()]) == [find("lognormal")]


def test_attention_has_a_regime_too():
    model = nn.Sequential(
        nn.Linear(3, 4),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0),
        nn.Linear(4, 1),
    )
    before = copy.deepcopy(model.state_dict())
    assert regime(
        model, before, model, torch.rand(3, 2, 3)
    ).kernel_alignment == pytest.approx(1)


def test_a_lawful_weight_is_lawful_however_it_is_computed():
    model = nn.Sequential(EILinear(Populations(4, 2), 5), nn.ReLU(), nn.Linear(5, 2))
    Reparametrization().attach(model[:1], 0.1)
    assert list(weight_samples(model)) == [
        "0.weight E",
        "0.weight I",
        "2.weight E",
        "2.weight I",
    ]
    _, report = dalify(model, example=torch.rand(4, 6))
    assert report
    assert report.verdicts[1].name == "0.parametrizations.weight.original"
    assert report.verdicts[1].why == "already"


@pytest.mark.parametrize(
    "given", [[1, 0, 1, 1, 1, -1], "all", torch.ones(2, 3), torch.full((6,), torch.nan)]
)
def test_signs_of_units_that_are_none_are_refused(given):
    layer = Scratch(Populations(6, 3), 6)
    layer.output_signs = lambda: given
    with pytest.raises(
        ValueError,
        match=r"^`output_signs` of Scratch must give \+1 or -1 for each output unit, or None",
    ):
        dalify(Behind(layer, torch.rand(5, 9)), example=torch.rand(5, 9))


@pytest.mark.parametrize(
    "given",
    [[1, 1, 1, 1, -1, -1], Populations(4, 2), torch.tensor([1, 1, 1, 1, -1, -1])],
)
def test_a_layer_says_the_signs_of_its_units_in_any_form(given):
    layer = Scratch(Populations(6, 3), 6)
    layer.output_signs = lambda: given
    model, report = dalify(Behind(layer, torch.rand(5, 9)), example=torch.rand(5, 9))
    assert report
    assert model.out.weight_signs.tolist() == [1, 1, 1, 1, -1, -1]


def test_units_that_are_not_as_many_as_their_signs_are_named():
    layer = Scratch(Populations(6, 3), 6)
    layer.output_signs = lambda: torch.ones(4)
    _, report = dalify(Behind(layer, torch.rand(5, 9)), example=torch.rand(5, 9))
    assert not report
    assert any(
        "puts out something else than the rates of its units" in note
        for note in report.notes
    )


def test_a_redraw_that_takes_no_draw_is_refused():
    layer = Scratch(Populations(6, 3), 6)
    layer.redraw_ = lambda generator=None: None
    with pytest.raises(
        ValueError,
        match="`redraw_` of Scratch must take the keywords `draw`, `ratio` and `generator`",
    ):
        init.lognormal_model_(layer)


def test_a_weight_stored_pre_by_post_is_fixed_along_its_own_dimension():
    class Sideways(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(5, 2))
            signs.fix(self, "weight", Populations(3, 2))

        def plastic_weights(self):
            return [SynapticWeight("weight", pre_dim=0)]

        def effective_weight(self):
            return self.weight.T

    layer = Sideways()
    assert layer.weight_signs.shape == (5, 1)
    with pytest.raises(
        ValueError,
        match=r"must leave out `weight`, since it is stored as \(pre, post\)",
    ):
        Oja(layer, 0.1)
    assert FeedbackAlignment(layer).feedback[""].shape == (2, 5)
    layer.effective_weight = lambda: layer.weight
    with pytest.raises(
        ValueError,
        match=r"must have the shape \(2, 5\) of `weight`, as far as that reads its input",
    ):
        modules.effective(layer, SynapticWeight("weight", pre_dim=0))
