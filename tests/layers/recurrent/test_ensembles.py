"""Ensembles by torch.func: each circuit is run as itself, or the ensemble is refused."""

import copy
import pickle

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.optim.swa_utils import AveragedModel

from daleml import Populations
from daleml.layers import EIRNN, EIRNNCell
from daleml.layers.dynamics import Adaptation, ShortTermPlasticity

DOUBLE = torch.float64
POPS = Populations.of(exc={"V1.E": 2, "V2.E": 2}, inh={"V1.PV": 1, "V2.SST": 1})
EACH = [100.0, 100.0, 80.0, 80.0, 30.0, 50.0]
LEAK = {"dt_ms": 20, "tau_ms": 100}
LEARNED = LEAK | {"train_tau": True}


def circuit(kind=EIRNN, **options):
    return kind(3, POPS, dtype=DOUBLE, **options)


def rates(result):
    return result[0] if isinstance(result, tuple) else result


def run_together(circuits, base=None):
    """What circuits do that are stacked, and what each does by itself."""
    is_cell = isinstance(circuits[0], EIRNNCell)
    x = torch.rand(*([2, 3] if is_cell else [5, 2, 3]), dtype=DOUBLE)
    parameters, buffers = stack_module_state(circuits)

    def call(*state):
        return rates(functional_call(base or circuits[0], state, (x,)))

    together = vmap(call)(parameters, buffers)
    return together, torch.stack([rates(one(x)) for one in circuits])


@pytest.mark.parametrize("kind", [EIRNN, EIRNNCell])
@pytest.mark.parametrize(
    "carry",
    [
        lambda rnn: rnn,
        copy.deepcopy,
        lambda rnn: pickle.loads(pickle.dumps(rnn)),
        lambda rnn: rnn.float().double(),
    ],
    ids=["built", "copy", "pickle", "casts"],
)
def test_time_constants_that_learn_may_begin_elsewhere(carry, kind):
    options = {"dt_ms": 20, "train_tau": True}
    first = circuit(kind, tau_ms=EACH, **options)
    second = circuit(kind, tau_ms=[2 * tau for tau in EACH], **options)
    circuits = [carry(first), carry(second)]
    for tau_ms in (None, 50, [30, 40, 50, 60, 70, 80]):
        if tau_ms is not None:
            circuits[1].tau_ms = tau_ms
        together, alone = run_together(circuits)
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    # Only the code of the first is run, as where it is a skeleton on meta.
    together, alone = run_together(circuits, copy.deepcopy(circuits[0]).to("meta"))
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    names = set(circuits[0].state_dict())
    assert not {"tau_anchor", "settings_digest"} & names


OTHERS = {
    "nonlinearity": ({}, {"nonlinearity": "softplus"}),
    "tau of all": (LEAK, LEAK | {"tau_ms": 50}),
    "noise": (LEAK, LEAK | {"noise": 0.1}),
    "step": (LEARNED, LEARNED | {"dt_ms": 10}),
    "numbers": (
        LEAK | {"dynamics": Adaptation(200, 0.1)},
        LEAK | {"dynamics": Adaptation(200, 0.2)},
    ),
    "kinds": (LEAK | {"dynamics": ShortTermPlasticity(1500, 200, 0.15)}, LEAK),
    "ties": (
        LEARNED | {"tau_ms": {"V1": 40, "V2": 60}},
        LEARNED | {"tau_ms": {"*.E": 40, "*.[PS]*": 60}},
    ),
}


@pytest.mark.parametrize("kind", [EIRNN, EIRNNCell])
@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_other_settings_are_refused(one, other, kind):
    with pytest.raises(ValueError, match="the first stands for all; got others"):
        run_together([circuit(kind, **one), circuit(kind, **other)])


def test_tensors_of_another_circuit_stand_in_where_settings_are_alike():
    x = torch.rand(5, 2, 3, dtype=DOUBLE)
    first, second = circuit(**LEARNED), circuit(**LEARNED | {"tau_ms": 50})
    state = dict(second.named_parameters()) | dict(second.named_buffers())
    assert torch.equal(functional_call(first, state, (x,))[0], second(x)[0])
    other = circuit(**LEARNED, dynamics=Adaptation(200, 0.1))
    with pytest.raises(ValueError, match="the first stands for all"):
        functional_call(other, state, (x,))


def test_an_averaged_model_is_of_the_same_settings():
    model = circuit(**LEARNED)
    averaged = AveragedModel(model, use_buffers=True)
    for _ in range(3):
        averaged.update_parameters(model)
    together, alone = run_together([averaged.module, model])
    torch.testing.assert_close(together, alone)


def test_settings_are_compared_as_they_are_now():
    circuits = [circuit(**LEAK), circuit(**LEAK)]
    circuits[1].tau_ms = 50
    with pytest.raises(ValueError, match="the first stands for all"):
        run_together(circuits)
    circuits[0].tau_ms = 50
    circuits[1].to_empty(device="cpu")
    circuits[1].load_state_dict(circuits[0].state_dict())
    together, alone = run_together(circuits)
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("options", [{}, LEAK, LEAK | {"tau_ms": EACH}, LEARNED])
def test_a_circuit_on_meta_is_wholly_filled_by_a_checkpoint(options):
    options = {"dynamics": Adaptation(200, 0.1)} | options if options else {}
    with torch.device("meta"):
        rnn = circuit(**options)
        assert ("dynamics" in rnn.state_dict()) == bool(options)
    filled = circuit(**options)
    rnn.load_state_dict(filled.state_dict(), assign=True)
    assert {buffer.device.type for buffer in rnn.buffers()} == {"cpu"}
    together, alone = run_together([rnn.to("cpu"), filled])
    torch.testing.assert_close(together, alone)
