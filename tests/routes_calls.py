"""Routes of calls that change a module in place."""

from dataclasses import replace

import torch
from torch import nn

from daleml import law, signs
from daleml.layers import init
from tests.routes import (
    ASKED,
    OURS,
    REFUSED,
    SAID,
    Kept,
    Said,
    expected,
    route,
    weight_of,
)


@route("Calls", "`signs.fix` again with the same signs, and nothing else")
def fix_again(subject):
    module = subject.build()
    signs.fix(module, subject.parameter, list(subject.unit_signs))
    return Kept(module)


@route("Calls", "`signs.fix` again with other signs", REFUSED)
def fix_others(subject):
    signs.fix(subject.build(), subject.parameter, subject.other_signs)


@route("Calls", "`signs.fix` again with another mask", REFUSED)
def fix_another_mask(subject):
    signs.fix(
        subject.build(),
        subject.parameter,
        list(subject.unit_signs),
        present=subject.other_mask,
    )


@route(
    "Calls",
    "`signs.fix` with other signs and `replace=True`: mask, role and correction stay",
    ASKED,
)
def fix_replacing(subject):
    module = subject.build()
    signs.fix(module, subject.parameter, subject.other_signs, replace=True)
    return Kept(module, expected(subject, subject.other_signs))


@route("Calls", "`signs.fix` with another mask and `replace=True`", ASKED)
def fix_replacing_the_mask(subject):
    module = subject.build()
    signs.fix(
        module,
        subject.parameter,
        list(subject.unit_signs),
        present=subject.other_mask,
        replace=True,
    )
    return Kept(module, expected(subject, mask=subject.other_mask))


@route(
    "Calls", "`signs.declare` of a role and a correction: signs and mask stay", ASKED
)
def declare(subject):
    module = subject.build()
    signs.declare(module, subject.parameter, role="input", lr_scale=0.5)
    before = replace(expected(subject), role="input", lr_scale=0.5)
    return Kept(module, before)


@route("Calls", "`signs.declare(..., signed=False)`", REFUSED)
def declare_unsigned(subject):
    signs.declare(subject.build(), subject.parameter, signed=False)


@route("Calls", "`signs.release`", SAID)
def release(subject):
    module = subject.build()
    signs.release(module, subject.parameter)
    return Said(str(signs.check(module)).splitlines()[0])


@route("Calls", "`reset_parameters()`")
def reset(subject):
    module = subject.build()
    module.reset_parameters()
    assert subject.name not in OURS or signs.check(module)
    return Kept(module)


@route("Calls", "`model.apply` of a function that resets every module")
def apply_reset(subject):
    model = nn.Sequential(subject.build())
    model.apply(
        lambda module: (
            module.reset_parameters() if hasattr(module, "reset_parameters") else None
        )
    )
    return Kept(model)


@route("Calls", "`init.lognormal_model_`")
def lognormal(subject):
    module = subject.build()
    init.lognormal_model_(module)
    return Kept(module)


@route("Calls", "`init.spectral_radius_`", only=("EIRNN",))
def radius(subject):
    module = subject.build()
    init.spectral_radius_(module, 0.9)
    return Kept(module)


@route("Calls", "`torch.nn.init` in place, which `signs.check` then judges")
def torch_init(subject):
    module = subject.build()
    nn.init.normal_(weight_of(module, subject))
    assert not signs.check(module)
    return Kept(module)


@route("Calls", "`vector_to_parameters`")
def vector(subject):
    module = subject.build()
    flat = nn.utils.parameters_to_vector(module.parameters())
    nn.utils.vector_to_parameters(-flat, module.parameters())
    assert not signs.check(module)
    return Kept(module)


@route("Calls", "`weight.data` set")
def data(subject):
    module = subject.build()
    weight = weight_of(module, subject)
    weight.data = -weight.data
    assert not signs.check(module)
    return Kept(module)


@route("Calls", "a new `nn.Parameter` of the same shape in its place")
def replaced(subject):
    module = subject.build()
    setattr(
        module, subject.parameter, nn.Parameter(-weight_of(module, subject).detach())
    )
    assert not signs.check(module)
    return Kept(module)


@route("Calls", "a new `nn.Parameter` of another shape in its place", REFUSED)
def reshaped(subject):
    module = subject.build()
    setattr(module, subject.parameter, nn.Parameter(torch.rand(2, 3)))
    signs.check(module)


@route("Calls", "the parameter deleted", REFUSED)
def deleted(subject):
    module = subject.build()
    delattr(module, subject.parameter)
    signs.check(module)


@route(
    "Calls",
    "the parameter set to None",
    REFUSED,
    only=("nn.Linear", "EILinear", "a stranger's layer"),
)
def set_to_none(subject):
    module = subject.build()
    setattr(module, subject.parameter, None)
    signs.check(module)


@route("Calls", "`requires_grad_(False)`")
def frozen(subject):
    return Kept(subject.build().requires_grad_(False))


@route("Calls", "`eval()` and `train()`")
def modes(subject):
    return Kept(subject.build().eval().train())


@route("Calls", "the module moved into another container")
def moved(subject):
    model = nn.Sequential(subject.build())
    return Kept(nn.ModuleDict({"kept": next(iter(model.children()))}))


@route("Calls", "`add_module` and `register_module` under another name")
def added(subject):
    model = nn.Module()
    model.add_module("inner", subject.build())
    return Kept(model)


@route(
    "Calls",
    "the parameter tied to another module: judged once, under the name it was fixed by",
)
def tied(subject):
    module, other = subject.build(), nn.Module()
    other.register_parameter("borrowed", weight_of(module, subject))
    model = nn.ModuleList([module, other])
    assert not any(one.parameter == "1.borrowed" for one in signs.check(model).unjudged)
    return Kept(model)


@route("Calls", "the parameter handed to another module alone, without its facts", SAID)
def handed(subject):
    other = nn.Module()
    other.register_parameter("borrowed", weight_of(subject.build(), subject))
    report = signs.check(other)
    assert report.unjudged[0].parameter == "borrowed"
    return Said(str(report))


@route("Calls", "the buffer of signs written into", REFUSED)
def signs_written(subject):
    module = subject.build()
    module.get_buffer(subject.parameter + law.SUFFIX).neg_()
    signs.check(module)


@route("Calls", "the mask written into", REFUSED)
def mask_written(subject):
    module = subject.build()
    module.get_buffer(subject.parameter + law.PRESENT).fill_(1)
    signs.check(module)


@route("Calls", "the buffer of signs assigned", REFUSED)
def signs_assigned(subject):
    module = subject.build()
    name = subject.parameter + law.SUFFIX
    setattr(module, name, -module.get_buffer(name))
    signs.check(module)


@route("Calls", "the buffer of signs deleted", REFUSED)
def signs_deleted(subject):
    module = subject.build()
    delattr(module, subject.parameter + law.SUFFIX)
    signs.check(module)


@route("Calls", "the mask deleted", REFUSED)
def mask_deleted(subject):
    module = subject.build()
    delattr(module, subject.parameter + law.PRESENT)
    signs.check(module)


@route(
    "Calls",
    "tensors of `state_dict()` written into: they share the module's memory",
    REFUSED,
)
def state_written(subject):
    module = subject.build()
    for value in module.state_dict().values():
        value.mul_(-1)
    signs.check(module)


@route("Calls", "any of these, then `signs.restore_`")
def restored(subject):
    module = subject.build()
    module.get_buffer(subject.parameter + law.SUFFIX).neg_()
    delattr(module, subject.parameter + law.PRESENT)
    return Kept(signs.restore_(module))
