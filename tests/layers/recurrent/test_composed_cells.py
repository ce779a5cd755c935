"""A cell's weights composed once for a block of steps: the same numbers, or a refusal."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.utils.checkpoint import checkpoint

from daleml import Populations, signs
from daleml.layers import DANNRNNCell, EIRNNCell
from daleml.layers._recurrent import cell_interface

POPS = Populations(4, 2)
X = torch.linspace(0.1, 9, 5 * 2 * 3).sin().abs().view(5, 2, 3)

CELLS = {
    "masked": lambda: EIRNNCell(3, POPS, mask=0.5, generator=seeded()),
    "whole": lambda: EIRNNCell(3, POPS, autapses=True, generator=seeded()),
    "leaky": lambda: EIRNNCell(3, POPS, dt_ms=20, tau_ms=100, generator=seeded()),
    "no bias": lambda: EIRNNCell(3, POPS, bias=False, generator=seeded()),
    "softplus": lambda: EIRNNCell(3, POPS, True, "softplus", generator=seeded()),
    "function": lambda: EIRNNCell(3, POPS, True, torch.sigmoid, generator=seeded()),
    "DANN": lambda: DANNRNNCell(3, 6, 2, mask=0.5, generator=seeded()),
    "shunting": lambda: DANNRNNCell(3, 6, 2, shunting=True, generator=seeded()),
}
cells = pytest.mark.parametrize("build", CELLS.values(), ids=CELLS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rollout(cell, x=X):
    state = None
    for now in x:
        state = cell(now, state)
    return state


def loss_and_gradients(cell):
    loss = rollout(cell).square().sum()
    return loss, torch.autograd.grad(loss, list(cell.parameters()))


@cells
def test_a_block_changes_no_number(build):
    cell = build()
    loss, gradients = loss_and_gradients(cell)
    with cell.composed() as same:
        assert same is cell
        within, found = loss_and_gradients(cell)
    assert torch.equal(within, loss)
    torch.testing.assert_close(found, gradients)
    torch.testing.assert_close(loss_and_gradients(cell)[1], gradients)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_the_weights_are_composed_once_in_a_block(kind, monkeypatch):
    cell, composed = CELLS[kind](), []
    compose = cell._compose
    monkeypatch.setattr(
        cell_interface.Cell, "_compose", lambda self: composed.append(1) or compose()
    )
    with cell.composed():
        rollout(cell)
        with torch.no_grad():
            rollout(cell)
        assert len(composed) == 1
    rollout(cell)
    assert len(composed) == 1 + len(X)


def test_blocks_nest_and_an_exception_ends_them():
    cell = CELLS["DANN"]()
    expected = rollout(cell)
    with cell.composed():
        outer = cell._composition
        with cell.composed():
            assert cell._composition is not outer
            assert torch.equal(rollout(cell), expected)
        assert cell._composition is outer
        with pytest.raises(RuntimeError, match="inconsistent"), cell.composed():
            cell(torch.rand(2, 4))
        assert cell._composition is outer
        assert torch.equal(rollout(cell), expected)
    assert cell._composition is None


CHANGES = {
    "in place": lambda cell: cell.weight_ex_hh.mul_(2),
    "a step of an optimiser": lambda cell: descend(cell),
    "load_state_dict": lambda cell: cell.load_state_dict(
        DANNRNNCell(3, 6, 2, generator=seeded(1)).state_dict()
    ),
    "another parameter": lambda cell: setattr(cell, "weight_ei_hh", nn.Parameter(torch.ones(6, 2))),
    "the mask": lambda cell: cell.weight_ex_hh_present.zero_(),
    "a mask that is fixed anew": lambda cell: signs.fix(
        cell, "weight_ex_hh", torch.ones(6), present=torch.eye(6).bool(), replace=True
    ),
}  # fmt: skip


def descend(cell):
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    with torch.enable_grad():
        rollout(cell).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_weights_inside_is_obeyed(change):
    cell = DANNRNNCell(3, 6, 2, generator=seeded())
    before = rollout(cell)
    with cell.composed():
        rollout(cell)
        with torch.no_grad():
            CHANGES[change](cell)
        within, found = loss_and_gradients(cell)
    expected, gradients = loss_and_gradients(cell)
    assert torch.equal(within, expected)
    assert not torch.equal(within, before.square().sum())
    torch.testing.assert_close(found, gradients)


def test_what_is_written_through_data_counts_from_the_next_block_on():
    cell = CELLS["DANN"]()
    before = rollout(cell)
    with cell.composed():
        rollout(cell)
        cell.weight_ex_hh.data.mul_(2)
        assert torch.equal(rollout(cell), before)
        with cell.composed():
            assert not torch.equal(rollout(cell), before)
    assert not torch.equal(rollout(cell), before)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_functional_call_and_transforms_see_their_own_weights(kind):
    cell = CELLS[kind]()
    others = {name: 2 * p.detach() for name, p in cell.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(cell, parameters, (x,)).square().sum()

    def every(x):
        return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(others, x)

    expected = loss(others, X[0]), every(X), torch.func.vmap(cell)(X)
    with cell.composed():
        own = cell(X[0])
        found = loss(others, X[0]), every(X), torch.func.vmap(cell)(X)
        assert torch.equal(cell(X[0]), own)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_a_second_backward_is_refused_in_a_sentence(kind):
    cell = CELLS[kind]()
    name = type(cell).__name__
    with cell.composed():
        first, second = rollout(cell).sum(), rollout(cell).sum()
        first.backward()
        with pytest.raises(RuntimeError) as raised:
            second.backward()
    assert str(raised.value) == (
        f"`{name}.composed()` must be gone back through once, since backward frees what"
        " composed the weights; got a second backward: add the losses up, pass"
        " `retain_graph=True` to the first, or open a block for each."
    )


@pytest.mark.parametrize("kind", ["masked", "DANN", "whole"])
def test_backward_may_come_again_where_the_graph_is_kept_or_new(kind):
    cell = CELLS[kind]()
    parameters = list(cell.parameters())
    rollout(cell).sum().backward()
    gradients = [p.grad.clone() for p in parameters]
    cell.zero_grad()
    with cell.composed():
        first, second = rollout(cell).sum(), rollout(cell).sum()
        first.backward(retain_graph=True)
        second.backward()
        rollout(cell).sum().backward()
        rollout(cell).sum().backward()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, 4 * gradient)


def test_a_weight_without_a_graph_is_not_used_where_one_is_wanted():
    cell = CELLS["DANN"]()
    _, gradients = loss_and_gradients(cell)
    for without in (torch.no_grad, torch.inference_mode):
        with without():
            block = cell.composed()
            block.__enter__()
            rollout(cell)
        torch.testing.assert_close(loss_and_gradients(cell)[1], gradients)
        with torch.no_grad():
            rollout(cell)
        block.__exit__(None, None, None)
    cell.requires_grad_(False)
    with cell.composed():
        rollout(cell)
        cell.requires_grad_()
        torch.testing.assert_close(loss_and_gradients(cell)[1], gradients)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


@pytest.mark.parametrize("how", ["pruned", "parametrised"])
def test_a_computed_weight_is_computed_at_every_step(how):
    cell = EIRNNCell(3, POPS, mask=0.5, generator=seeded())
    if how == "pruned":
        prune.l1_unstructured(cell, "weight_hh", amount=0.3)
        stored = cell.weight_hh_orig
    else:
        parametrize.register_parametrization(cell, "weight_hh", Doubled())
        stored = cell.parametrizations.weight_hh.original
    before = rollout(cell)
    with cell.composed():
        assert torch.equal(rollout(cell), before)
        with torch.no_grad():
            stored.mul_(0.5)
        within = rollout(cell)
    assert not torch.equal(within, before)
    assert torch.equal(within, rollout(cell))


def test_a_copy_is_outside_of_the_block():
    cell = CELLS["DANN"]()
    with cell.composed():
        state = rollout(cell)
        for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
            assert twin._composition is None
            assert torch.equal(rollout(twin), state)


def test_autocast_and_second_derivatives_in_a_block():
    cell = CELLS["DANN"]().double()
    x, state = X[0].double(), torch.rand(2, 6, dtype=torch.float64, requires_grad=True)
    with cell.composed():
        assert torch.autograd.gradcheck(lambda h: cell(x, h), state)
        assert torch.autograd.gradgradcheck(lambda h: cell(x, h), state)
    cell = cell.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = rollout(cell)
        with cell.composed():
            assert torch.equal(rollout(cell), expected)


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script:DeprecationWarning"
)  # torch.func.jvp's own
def test_tangents_go_through_a_step():
    cell = CELLS["masked"]().double()
    x, state = X[0].double(), torch.rand(2, 6, dtype=torch.float64)
    along = torch.rand_like(state)
    with cell.composed():
        _, found = torch.func.jvp(lambda h: cell(x, h), (state,), (along,))
        _, expected = torch.autograd.functional.jvp(
            lambda h: cell(x, h), state, along, strict=True
        )
    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_a_block_compiles():
    cell = CELLS["DANN"]()

    def call(x):
        with cell.composed():
            return rollout(cell, x)

    x = X[:2]
    torch.testing.assert_close(torch.compile(call, backend="eager")(x), call(x))


def test_steps_that_are_taken_again_go_backward_inside_the_block():
    cell = CELLS["DANN"]()
    _, gradients = loss_and_gradients(cell)
    state = torch.zeros(2, 6)
    with cell.composed():
        for now in X:
            state = checkpoint(cell, now, state, use_reentrant=False)
        state.square().sum().backward()
    found = tuple(parameter.grad for parameter in cell.parameters())
    torch.testing.assert_close(found, gradients)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_steps_taken_again_find_composed_what_a_backward_before_freed(kind):
    cell = CELLS[kind]()
    _, gradients = loss_and_gradients(cell)
    with cell.composed():
        for _ in range(2):
            last = checkpoint(rollout, cell, use_reentrant=False)
            found = torch.autograd.grad(last.square().sum(), list(cell.parameters()))
            torch.testing.assert_close(found, gradients)


def test_a_rollout_without_a_graph_after_backward_composes_nothing(monkeypatch):
    cell = CELLS["DANN"]()
    with cell.composed():
        loss_and_gradients(cell)
        composed = []
        composition = cell._composition
        compose = composition._compose
        monkeypatch.setattr(
            composition, "_compose", lambda: composed.append(1) or compose()
        )
        with torch.no_grad():
            rollout(cell)
        assert not composed
        loss_and_gradients(cell)
    assert len(composed) == 1


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_a_transform_after_backward_leaves_no_wrapped_weights(kind):
    cell = CELLS[kind]()
    wanted, gradients = loss_and_gradients(cell)
    with cell.composed():
        loss_and_gradients(cell)
        torch.func.grad(lambda x: cell(x).sum())(X[0])
        torch.func.vmap(cell)(X)
        found, again = loss_and_gradients(cell)
    assert torch.equal(found, wanted)
    torch.testing.assert_close(again, gradients)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_threads_leave_their_blocks_in_any_order(kind):
    cell = CELLS[kind]()
    _, gradients = loss_and_gradients(cell)
    found = []
    with cell.composed():
        # Its block would be the inner one, and outlives the outer one.
        other = ThreadPoolExecutor(1)
        inner = cell.composed()
        other.submit(inner.__enter__).result()
        own = loss_and_gradients(cell)[1]
        # Each thread goes backward through weights of its own.
        found.append(other.submit(loss_and_gradients, cell).result()[1])
    found += [own, other.submit(loss_and_gradients, cell).result()[1]]
    other.submit(inner.__exit__, None, None, None).result()
    other.shutdown()
    assert not cell._compositions
    for gradient in found:
        torch.testing.assert_close(gradient, gradients)


@pytest.mark.parametrize("kind", ["masked", "DANN"])
def test_values_that_torch_puts_into_the_same_parameter_are_obeyed(kind):
    cell = CELLS[kind]()
    name = next(iter(cell.state_dict()))
    with cell.composed():
        rollout(cell)
        # A cast replaces the values of a parameter, which torch does not count.
        assert rollout(cell.double(), X.double()).dtype == torch.float64
        cell.float()
        torch.testing.assert_close(rollout(cell), rollout(copy.deepcopy(cell)))
        prune.random_unstructured(cell, name, amount=0.5)
        prune.remove(cell, name)
        torch.testing.assert_close(rollout(cell), rollout(copy.deepcopy(cell)))


def test_what_was_composed_in_inference_mode_is_not_used_outside_of_it():
    cell = CELLS["DANN"]().requires_grad_(False)
    x = X[0].clone().requires_grad_()
    with torch.inference_mode(), cell.composed():
        rollout(cell)
        with torch.inference_mode(False):
            cell(x).sum().backward()
    assert x.grad.abs().sum() > 0
