"""Routes of guards: copies, checkpoints, schedulers, wrappers, and steps that do not end."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import nn

from daleml import signs
from daleml.optim import enforce
from tests.routes import ASKED, REFUSED, SAID, Kept, Said, Subject, route

GUARDS = "Guards"


def guarded(subject: Subject, **options):
    """Return a model and an optimiser that guards it, with gradients that would break the law."""
    module = subject.build()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    handle = enforce(optimizer, module, **options)
    return module, optimizer, handle


def push(module: nn.Module) -> None:
    """Set gradients that turn every weight over."""
    for parameter in module.parameters():
        parameter.grad = 3 * parameter.detach() + 1e-3 * torch.ones_like(parameter)


def kept_by(module: nn.Module, optimizer) -> Kept:
    """Take a step, and end with a model that has its facts and keeps the law."""
    before = [parameter.detach().clone() for parameter in module.parameters()]
    push(module)
    optimizer.step()
    assert any(
        not torch.equal(one, two)
        for one, two in zip(before, module.parameters(), strict=True)
    )
    signs.check(module).raise_for_violations()
    return Kept(module, watched=False)


@route(GUARDS, "a step")
def step(subject):
    module, optimizer, _ = guarded(subject)
    return kept_by(module, optimizer)


@route(GUARDS, "`copy.deepcopy` of model and optimiser together")
def deepcopied(subject):
    module, optimizer, _ = guarded(subject)
    return kept_by(*copy.deepcopy((module, optimizer)))


@route(
    GUARDS, "`copy.deepcopy` of the optimiser alone, which copies the model it guards"
)
def deepcopied_alone(subject):
    optimizer = copy.deepcopy(guarded(subject)[1])
    (guard,) = optimizer._dale_guards.values()
    return kept_by(guard.model, optimizer)


@route(GUARDS, "`pickle` of model and optimiser together")
def pickled(subject):
    module, optimizer, _ = guarded(subject)
    return kept_by(*pickle.loads(pickle.dumps((module, optimizer))))


@route(
    GUARDS,
    "`pickle` of model, optimiser and handle: the handle removes the copy's guard",
    ASKED,
)
def pickled_with_handle(subject):
    module, optimizer, handle = pickle.loads(pickle.dumps(guarded(subject)))
    result = kept_by(module, optimizer)
    handle.remove()
    assert not optimizer._dale_guards
    return result


@route(GUARDS, "`state_dict` and `load_state_dict` of the optimiser")
def optimizer_state(subject):
    module, optimizer, _ = guarded(subject)
    optimizer.load_state_dict(optimizer.state_dict())
    return kept_by(module, optimizer)


@route(GUARDS, "`load_state_dict` of the model")
def model_state(subject):
    module, optimizer, _ = guarded(subject)
    module.load_state_dict(subject.build().state_dict())
    return kept_by(module, optimizer)


@route(GUARDS, "`half()` of the model")
def model_cast(subject):
    module, optimizer, _ = guarded(subject)
    return kept_by(module.half(), optimizer)


@route(GUARDS, "`add_param_group`")
def add_param_group(subject):
    module, optimizer, _ = guarded(subject)
    optimizer.add_param_group({"params": [nn.Parameter(torch.rand(2))], "lr": 0.1})
    return kept_by(module, optimizer)


@route(GUARDS, "a scheduler made after `enforce`")
def scheduler_after(subject):
    module, optimizer, _ = guarded(subject)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    result = kept_by(module, optimizer)
    schedule.step()
    return result


@route(GUARDS, "a scheduler made before `enforce`")
def scheduler_before(subject):
    module = subject.build()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    enforce(optimizer, module)
    result = kept_by(module, optimizer)
    schedule.step()
    return result


@route(GUARDS, "`torch.amp.GradScaler`")
def scaler(subject):
    module, optimizer, _ = guarded(subject)
    scaling = torch.amp.GradScaler("cpu", init_scale=1.0)

    class Scaled:
        def step(self):
            for parameter in module.parameters():
                parameter.grad = scaling.scale(parameter.grad)
            scaling.step(optimizer)
            scaling.update()

    return kept_by(module, Scaled())


def _broken_off(text, arrange, error):
    @route(GUARDS, text)
    def broken(subject):
        module, optimizer = subject.build(), None
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
        closure = arrange(module, optimizer)
        push(module)
        try:
            optimizer.step(closure)
        except error:
            pass
        else:
            raise AssertionError("the step should have been broken off")
        signs.check(module).raise_for_violations()
        return Kept(module, watched=False)


def _spoil(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(-1).sub_(0.5)


def _closure_raises(error):
    def arrange(module, optimizer):
        enforce(optimizer, module)

        def closure():
            _spoil(module)  # as a line search does between two evaluations
            raise error

        return closure

    return arrange


def _hook_raises(*, first):
    def fail(*_):
        raise RuntimeError("of another hook")

    def arrange(module, optimizer):
        if first:
            optimizer.register_step_post_hook(fail)
        enforce(optimizer, module)
        if not first:
            optimizer.register_step_post_hook(lambda *_: (_spoil(module), fail()))

    return arrange


_broken_off(
    "a step broken off by an exception in the closure",
    _closure_raises(ArithmeticError()),
    ArithmeticError,
)
_broken_off(
    "a step broken off by Ctrl-C",
    _closure_raises(KeyboardInterrupt()),
    KeyboardInterrupt,
)
_broken_off(
    "a step broken off by a hook that ran before the guard",
    _hook_raises(first=True),
    RuntimeError,
)
_broken_off(
    "a step broken off by a hook that ran after the guard",
    _hook_raises(first=False),
    RuntimeError,
)


@route(GUARDS, "another hook, registered after the guard, writes to the weights")
def late_hook(subject):
    module, optimizer, _ = guarded(subject)
    optimizer.register_step_post_hook(lambda *_: _spoil(module))
    return kept_by(module, optimizer)


@route(GUARDS, "`enforce` twice: one guard")
def twice(subject):
    module, optimizer, handle = guarded(subject)
    again = enforce(optimizer, module)
    assert len(optimizer._dale_guards) == 1
    assert again.id == handle.id
    return kept_by(module, optimizer)


@route(GUARDS, "`handle.remove()`", ASKED)
def removed(subject):
    module, optimizer, handle = guarded(subject)
    handle.remove()
    push(module)
    optimizer.step()
    assert not signs.check(module)
    return Kept(module, watched=False)


@route(GUARDS, "an optimiser of another model, or of a copy of it", REFUSED)
def of_another(subject):
    module = subject.build()
    enforce(torch.optim.SGD(copy.deepcopy(module).parameters(), lr=1.0), module)


@route(GUARDS, "an optimiser that misses a parameter whose signs are fixed", REFUSED)
def misses(subject):
    model = nn.ModuleList([subject.build(), subject.build()])
    enforce(torch.optim.SGD(model[0].parameters(), lr=1.0), model)


@route(GUARDS, "the same with `partial=True`", ASKED)
def partial(subject):
    model = nn.ModuleList([subject.build(), subject.build()])
    optimizer = torch.optim.SGD(model[0].parameters(), lr=1.0)
    enforce(optimizer, model, partial=True)
    push(model[0])
    optimizer.step()
    signs.check(model).raise_for_violations()
    return Kept(model[0])


class TwoSteps(torch.optim.Optimizer):
    """The shape of sharpness-aware minimisers: the loop calls ``second_step``."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})
        self.base = torch.optim.SGD(self.param_groups, lr)

    def second_step(self):
        self.base.step()


class TwoStepsAlone(torch.optim.Optimizer):
    """The same without an optimiser inside."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self, closure=None):
        self.second_step()

    @torch.no_grad()
    def second_step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad)


class SecondStep:
    """Steps an optimiser as such a loop does."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.second_step()


@route(GUARDS, "a two-step optimiser that steps by another, as sharpness-aware ones do")
def sharpness_aware(subject):
    module = subject.build()
    optimizer = TwoSteps(module.parameters(), 1.0)
    enforce(optimizer, module)
    return kept_by(module, SecondStep(optimizer))


@route(GUARDS, "a two-step optimiser that writes the weights itself", REFUSED)
def two_steps_alone(subject):
    module = subject.build()
    enforce(TwoStepsAlone(module.parameters(), 1.0), module)


@route(GUARDS, 'the same with `step=("step", "second_step")`', ASKED)
def two_steps_named(subject):
    module = subject.build()
    optimizer = TwoStepsAlone(module.parameters(), 1.0)
    enforce(optimizer, module, step=("step", "second_step"))
    return kept_by(module, SecondStep(optimizer))


class Wrapper(torch.optim.Optimizer):
    """The shape of accelerate's: an optimiser by its class, which has no hooks and lets another step."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups):
        self.optimizer.param_groups = groups

    def step(self, closure=None):
        self.optimizer.step(closure)


class DuckWrapper:
    """The shape of Lightning's: no optimiser by its class."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self.param_groups = optimizer.param_groups

    def step(self, closure=None):
        return self._optimizer.step(closure)


@route(GUARDS, "a wrapper without hooks, such as accelerate's")
def wrapped(subject):
    module = subject.build()
    optimizer = Wrapper(torch.optim.SGD(module.parameters(), lr=1.0))
    enforce(optimizer, module)
    return kept_by(module, optimizer)


@route(GUARDS, "a wrapper that is no torch optimiser, such as Lightning's")
def duck_wrapped(subject):
    module = subject.build()
    optimizer = DuckWrapper(torch.optim.SGD(module.parameters(), lr=1.0))
    enforce(optimizer, module)
    return kept_by(module, optimizer)


@route(GUARDS, "the wrapped optimiser stepped by itself")
def unwrapped(subject):
    module = subject.build()
    inner = torch.optim.SGD(module.parameters(), lr=1.0)
    enforce(Wrapper(inner), module)
    return kept_by(module, inner)


@route(GUARDS, "`torch.compile` of the model")
def compiled(subject):
    module = subject.build()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    enforce(optimizer, torch.compile(module, backend="eager"))
    return kept_by(module, optimizer)


@route(GUARDS, "buffers emptied under a guard", REFUSED)
def emptied(subject):
    module, optimizer, _ = guarded(subject)
    module.get_buffer(subject.parameter + "_signs").fill_(77)
    push(module)
    optimizer.step()


@route(GUARDS, "a new optimiser without a guard: `train` and `signs.check` tell", SAID)
def unguarded(subject):
    module = subject.build()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    push(module)
    optimizer.step()
    return Said(str(signs.check(module)).splitlines()[0])
