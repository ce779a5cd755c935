"""A step that a CUDA graph records is the same step at each replay, with the rate of the time.

There is no such graph on a CPU. A tape of torch's operations stands in for one: it runs them again
on the same tensors, and no line of Python between them.
"""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from daleml.layers import DANNLinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.potentials import PNorm


class Tape(TorchDispatchMode):
    """Records operations as a CUDA graph does: what they read and wrote, and nothing else."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        with torch.no_grad():
            for func, args, kwargs, known in self.operations:
                _write(known, func(*args, **kwargs))


def _write(known, result):
    if isinstance(known, torch.Tensor) and known is not result:
        known.copy_(result)
    elif isinstance(known, (list, tuple)):
        for one, other in zip(known, result, strict=True):
            _write(one, other)


CASES = {
    "EG": lambda groups, lr, **kw: EG(groups, lr, **kw),
    "EG momentum": lambda groups, lr, **kw: EG(
        groups, lr, 0.9, nesterov=True, weight_decay=0.01, **kw
    ),
    "EG dampening": lambda groups, lr, **kw: EG(groups, lr, 0.9, 0.3, **kw),
    "MirrorDescent": lambda groups, lr, **kw: MirrorDescent(
        groups, lr, PNorm(3), 0.9, **kw
    ),
    "EGAdamW": lambda groups, lr, **kw: EGAdamW(groups, lr, weight_decay=0.1, **kw),
    "EGAdamW amsgrad": lambda groups, lr, **kw: EGAdamW(groups, lr, amsgrad=True, **kw),
}
optimisers = pytest.mark.parametrize("build", CASES.values(), ids=CASES)


def models(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(DANNLinear(6, 5, 2), nn.ReLU(), DANNLinear(5, 3, 1))
    model = model.to(dtype)
    return model, copy.deepcopy(model)


def groups(model, rate):
    """Return the groups of a model, with rates that are tensors where one is given."""
    found = list(param_groups(model, 0.1))
    for group in found:
        group["lr"] = rate(group["lr"])
    return found


def load(model, i):
    generator = torch.Generator().manual_seed(i)
    for parameter in model.parameters():
        grad = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        grad = grad.to(parameter.dtype)
        if parameter.grad is None:
            parameter.grad = grad
        else:
            parameter.grad.copy_(grad)


def agree(model, other, tolerance=1e-10):
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


@optimisers
def test_replays_are_steps(build):
    model, twin = models()
    of_tensors = groups(model, torch.tensor)
    recorded = build(of_tensors, 0.1, capturable=True)
    plain = build(groups(twin, float), 0.1)
    tape = Tape()
    for i in range(6):
        load(model, i)
        load(twin, i)
        # What a scheduler does: it writes into the rate of a graph.
        for group, other in zip(recorded.param_groups, plain.param_groups, strict=True):
            group["lr"].mul_(0.9)
            other["lr"] *= 0.9
        plain.step()
        if i < 2:
            recorded.step()
        elif i == 2:
            with tape:
                recorded.step()
        else:
            tape.replay()
        # The tensors of the rates are float32.
        agree(model, twin, 1e-6)


def test_a_tape_of_an_ordinary_step_repeats_its_corrections():
    """What the test above would not notice if the tape were of Python, too."""
    model, twin = models()
    recorded = EGAdamW(groups(model, float), 0.1, foreach=True)
    plain = EGAdamW(groups(twin, float), 0.1)
    tape = Tape()
    for i in range(4):
        load(model, i)
        load(twin, i)
        plain.step()
        if i:
            tape.replay()
        else:
            with tape:
                recorded.step()
    with pytest.raises(AssertionError):
        agree(model, twin, 1e-3)


@optimisers
def test_capturable_steps_are_those_of_the_plan(build):
    model, twin = models()
    recorded = build(groups(model, float), 0.1, capturable=True)
    plain = build(groups(twin, float), 0.1)
    for i in range(4):
        load(model, i)
        load(twin, i)
        recorded.step()
        plain.step()
    agree(model, twin, 1e-6)
    # A state that was saved goes on in either way.
    plain.load_state_dict(recorded.state_dict())
    assert all(group["capturable"] for group in plain.param_groups)
    for group in plain.param_groups:
        group["capturable"] = False
    load(model, 9)
    load(twin, 9)
    recorded.step()
    plain.step()
    agree(model, twin, 1e-6)


def test_low_precision_keeps_its_masters():
    model, twin = models(torch.bfloat16)
    recorded = EGAdamW(groups(model, float), 0.1, capturable=True)
    plain = EGAdamW(groups(twin, float), 0.1)
    for i in range(3):
        load(model, i)
        load(twin, i)
        recorded.step()
        plain.step()
    agree(model, twin, 1e-2)
    assert recorded.state[model[0].weight_ex]["master"].dtype == torch.float32


@optimisers
def test_a_graph_that_records_another_step_is_refused(build, monkeypatch):
    model, _ = models()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    optimizer = build(groups(model, float), 0.1)
    load(model, 0)
    with pytest.raises(
        RuntimeError, match=r"^`capturable` of \w+ must be True in every"
    ):
        optimizer.step()
    before = [one.clone() for one in model.parameters()]
    for group in optimizer.param_groups:
        group["capturable"] = True
    optimizer.step()
    assert not all(map(torch.equal, before, model.parameters()))


def test_arguments():
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="^`capturable` and `fused` must not both be"):
        EG([weight], 0.1, capturable=True, fused=True)
    with pytest.raises(TypeError, match="^`capturable` must be"):
        EGAdamW([weight], 0.1, capturable="yes")


def test_a_guarded_step_is_recorded_with_its_projection():
    model, twin = models()
    kinds = []
    for one in (model, twin):
        optimizer = MirrorDescent(groups(one, float), 0.5, PNorm(3), capturable=True)
        enforce(optimizer, one)
        kinds.append(optimizer)
    tape = Tape()
    for i in range(4):
        load(model, i)
        load(twin, i)
        kinds[1].step()
        if i < 2:
            kinds[0].step()
        elif i == 2:
            with tape:
                kinds[0].step()
        else:
            tape.replay()
    agree(model, twin)
