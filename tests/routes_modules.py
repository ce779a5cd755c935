"""Routes of modules: calls, copies, checkpoints, memory, averages and what computes a weight anew."""

from __future__ import annotations

import copy
import io
import pickle
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from daleml import law, signs
from daleml.layers import init
from daleml.optim import Reparametrization
from tests.routes import ASKED, REFUSED, SAID, SUBJECTS, Kept, Said, Subject, expected, route

OTHERS = tuple(subject.name for subject in SUBJECTS if subject.name != "nn.RNN")
OURS = ("EILinear", "DANNLinear", "EIConv2d", "EIRNN", "DANNRNN")


def weight_of(module: nn.Module, subject: Subject) -> nn.Parameter:
    return signs.parameter(module, subject.parameter)


# -- calls -----------------------------------------------------------------------------------------------------------


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
    signs.fix(subject.build(), subject.parameter, list(subject.unit_signs), present=subject.other_mask)


@route("Calls", "`signs.fix` with other signs and `replace=True`: mask, role and correction stay", ASKED)
def fix_replacing(subject):
    module = subject.build()
    signs.fix(module, subject.parameter, subject.other_signs, replace=True)
    return Kept(module, expected(subject, subject.other_signs))


@route("Calls", "`signs.fix` with another mask and `replace=True`", ASKED)
def fix_replacing_the_mask(subject):
    module = subject.build()
    signs.fix(module, subject.parameter, list(subject.unit_signs), present=subject.other_mask, replace=True)
    return Kept(module, expected(subject, mask=subject.other_mask))


@route("Calls", "`signs.declare` of a role and a correction: signs and mask stay", ASKED)
def declare(subject):
    module = subject.build()
    signs.declare(module, subject.parameter, role="input", lr_scale=0.5)
    before = expected(subject)
    return Kept(module, type(before)(before.signs, before.mask, "input", 0.5))


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
    model.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
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
    setattr(module, subject.parameter, nn.Parameter(-weight_of(module, subject).detach()))
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


@route("Calls", "the parameter set to None", REFUSED, only=("nn.Linear", "EILinear", "a stranger's layer"))
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


@route("Calls", "the parameter tied to another module: judged once, under the name it was fixed by")
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


@route("Calls", "tensors of `state_dict()` written into: they share the module's memory", REFUSED)
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


# -- copies ----------------------------------------------------------------------------------------------------------


@route("Copies", "`copy.deepcopy`")
def deepcopied(subject):
    return Kept(copy.deepcopy(subject.build()))


@route("Copies", "`copy.copy`")
def copied(subject):
    return Kept(copy.copy(subject.build()))


@route("Copies", "`pickle`")
def pickled(subject):
    return Kept(pickle.loads(pickle.dumps(subject.build())))


@route("Copies", "`torch.save` of the whole module")
def saved_whole(subject):
    file = io.BytesIO()
    torch.save(subject.build(), file)
    file.seek(0)
    return Kept(torch.load(file, weights_only=False))


@route("Copies", "a copy of a copy, which then refuses another mask in a checkpoint", REFUSED)
def copy_still_judges(subject):
    module = pickle.loads(pickle.dumps(copy.deepcopy(subject.build())))
    module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())


@route("Copies", "`torch.fx.symbolic_trace`", only=("nn.Linear",))
def traced(subject):
    return Kept(torch.fx.symbolic_trace(nn.Sequential(subject.build())))


@route("Copies", "`torch.export`: the copy is judged by its buffers", only=("nn.Linear", "a stranger's layer"))
def exported(subject):
    model = nn.Sequential(subject.build())
    return Kept(torch.export.export(model, (subject.x(),)).module())


# -- checkpoints -----------------------------------------------------------------------------------------------------


@route("Checkpoints", "`load_state_dict` of the same facts")
def loaded(subject):
    module = subject.build()
    module.load_state_dict(subject.build().state_dict())
    return Kept(module)


@route("Checkpoints", "the same with `assign=True`")
def assigned(subject):
    module = subject.build()
    module.load_state_dict(subject.build().state_dict(), assign=True)
    return Kept(module)


@route("Checkpoints", "of the plain module, without facts")
def loaded_plain(subject):
    module, state = subject.build(), subject.build().state_dict()
    plain = {key: value for key, value in state.items() if not key.endswith((law.SUFFIX, law.PRESENT))}
    module.load_state_dict(plain)
    return Kept(module)


@route("Checkpoints", "of the plain module, lawless", REFUSED)
def loaded_lawless(subject):
    module, state = subject.build(), subject.build().state_dict()
    plain = {key: value for key, value in state.items() if not key.endswith((law.SUFFIX, law.PRESENT))}
    plain[subject.parameter] = -plain[subject.parameter]
    module.load_state_dict(plain)


@route("Checkpoints", "with signs and without a mask")
def loaded_without_mask(subject):
    module, state = subject.build(), subject.build().state_dict()
    del state[subject.parameter + law.PRESENT]
    module.load_state_dict(state, strict=False)
    return Kept(module)


@route("Checkpoints", "with other signs", REFUSED)
def loaded_other_signs(subject):
    subject.build().load_state_dict(subject.build(unit_signs=subject.other_signs).state_dict())


@route("Checkpoints", "with other signs, `strict=False`", REFUSED)
def loaded_other_signs_loosely(subject):
    subject.build().load_state_dict(subject.build(unit_signs=subject.other_signs).state_dict(), strict=False)


@route("Checkpoints", "with other signs, `assign=True`", REFUSED)
def assigned_other_signs(subject):
    subject.build().load_state_dict(subject.build(unit_signs=subject.other_signs).state_dict(), assign=True)


@route("Checkpoints", "with other signs, inside `signs.adopt_signs`", ASKED)
def adopted_signs(subject):
    module = subject.build()
    with signs.adopt_signs(module):
        module.load_state_dict(subject.build(unit_signs=subject.other_signs).state_dict())
    return Kept(module, expected(subject, subject.other_signs))


@route("Checkpoints", "with another mask", REFUSED)
def loaded_other_mask(subject):
    subject.build().load_state_dict(subject.build(mask=subject.other_mask).state_dict())


@route("Checkpoints", "with another mask, `strict=False`", REFUSED)
def loaded_other_mask_loosely(subject):
    subject.build().load_state_dict(subject.build(mask=subject.other_mask).state_dict(), strict=False)


@route("Checkpoints", "with another mask, `assign=True`", REFUSED)
def assigned_other_mask(subject):
    subject.build().load_state_dict(subject.build(mask=subject.other_mask).state_dict(), assign=True)


@route("Checkpoints", "with another mask, inside `signs.adopt_masks`", ASKED)
def adopted_mask(subject):
    module = subject.build()
    with signs.adopt_masks(module):
        module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())
    assert signs.check(module)
    return Kept(module, expected(subject, mask=subject.other_mask))


@route("Checkpoints", "with another mask, inside `signs.keep_masks`: what is absent here is set to zero", ASKED)
def kept_mask(subject):
    module = subject.build()
    with signs.keep_masks(module):
        module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())
    assert signs.check(module)
    return Kept(module)


@route("Checkpoints", "with a mask, into a module that has none", REFUSED)
def mask_into_none(subject):
    subject.build(masked=False).load_state_dict(subject.build().state_dict())


@route("Checkpoints", "with a mask, into a module that has none, `strict=False`", REFUSED)
def mask_into_none_loosely(subject):
    subject.build(masked=False).load_state_dict(subject.build().state_dict(), strict=False)


@route("Checkpoints", "with a mask, into a module that has none, inside `signs.adopt_masks`", ASKED)
def mask_adopted_into_none(subject):
    module = subject.build(masked=False)
    with signs.adopt_masks(module):
        module.load_state_dict(subject.build().state_dict())
    return Kept(module)


@route("Checkpoints", "of a module without a mask, with weights where this one has no synapse", REFUSED)
def all_into_masked(subject):
    subject.build().load_state_dict(subject.build(masked=False).state_dict())


@route("Checkpoints", "of a submodule alone", REFUSED)
def submodule(subject):
    model = nn.Sequential(nn.Identity(), subject.build())
    model[1].load_state_dict(subject.build(unit_signs=subject.other_signs).state_dict())


@route("Checkpoints", "with boolean masks, as daleml wrote before")
def boolean(subject):
    module, state = subject.build(), subject.build().state_dict()
    key = subject.parameter + law.PRESENT
    module.load_state_dict({**state, key: state[key].bool()})
    return Kept(module)


@route("Checkpoints", "averaged by hand, in floating point")
def averaged_by_hand(subject):
    module, first, second = subject.build(), subject.build().state_dict(), subject.build().state_dict()
    module.load_state_dict({key: 0.9 * first[key] + 0.1 * second[key] for key in first})
    return Kept(module)


@route("Checkpoints", "averaged by hand over modules of different signs", REFUSED)
def averaged_different(subject):
    first, second = subject.build().state_dict(), subject.build(unit_signs=subject.other_signs).state_dict()
    subject.build().load_state_dict({key: 0.5 * first[key] + 0.5 * second[key] for key in first})


@route("Checkpoints", "`safetensors.torch.save_model` and `load_model`")
def safetensors(subject):
    module = subject.build()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(subject.build(), str(path))
        load_model(module, str(path))
    return Kept(module)


@route("Checkpoints", "`torch.save` of a state dict, read with `weights_only=True`")
def torch_saved(subject):
    module, file = subject.build(), io.BytesIO()
    torch.save(subject.build().state_dict(), file)
    file.seek(0)
    module.load_state_dict(torch.load(file, weights_only=True))
    return Kept(module)


@route(
    "Checkpoints",
    "into a plain module, which knows no signs: torch names the keys",
    REFUSED,
    only=("nn.Linear", "nn.RNN"),
)
def into_plain(subject):
    subject.make().load_state_dict(subject.build().state_dict())


@route(
    "Checkpoints",
    "into a plain module, `strict=False`: `signs.check` names the weight",
    SAID,
    only=("nn.Linear", "nn.RNN"),
)
def into_plain_loosely(subject):
    plain = subject.make()
    named = plain.load_state_dict(subject.build().state_dict(), strict=False)
    assert subject.parameter + law.SUFFIX in named.unexpected_keys
    return Said(str(signs.check(plain)))


# -- memory and precision ------------------------------------------------------------------------------------------


@route(
    "Memory",
    "built on the meta device, loaded with `assign=True`",
    only=("nn.Linear", "EILinear", "a stranger's layer"),
)
def meta(subject):
    module = subject.build().to("meta")
    module.load_state_dict(subject.build().state_dict(), assign=True)
    return Kept(module)


@route("Memory", "on the meta device", REFUSED, only=OTHERS)
def on_meta(subject):
    signs.check(subject.build().to("meta"))


def emptied(subject):
    module = subject.build().to_empty(device="cpu")
    for buffer in module.buffers():
        buffer.fill_(77)  # what uninitialised memory may hold
    return module


@route("Memory", "`to_empty`, which leaves memory that nobody filled", REFUSED)
def to_empty(subject):
    signs.check(emptied(subject))


@route("Memory", "`to_empty`, where memory holds another module's signs", REFUSED)
def to_empty_plausibly(subject):
    module = emptied(subject)
    module.get_buffer(subject.parameter + law.SUFFIX).fill_(-1)
    module.get_buffer(subject.parameter + law.PRESENT).fill_(1)
    signs.check(module)


@route("Memory", "`to_empty`, then a checkpoint without facts", REFUSED)
def to_empty_plain(subject):
    state = subject.build().state_dict()
    plain = {key: value for key, value in state.items() if not key.endswith((law.SUFFIX, law.PRESENT))}
    emptied(subject).load_state_dict(plain)


@route("Memory", "`to_empty`, then a checkpoint with facts")
def to_empty_loaded(subject):
    module = emptied(subject)
    module.load_state_dict(subject.build().state_dict())
    return Kept(module)


@route("Memory", "`to_empty`, then `reset_parameters()`", only=OURS)
def to_empty_reset(subject):
    module = emptied(subject)
    module.reset_parameters()
    return Kept(module)


@route("Memory", "`to_empty`, then `signs.restore_`")
def to_empty_restored(subject):
    module = signs.restore_(emptied(subject))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.1)
    return Kept(signs.project_(module))


def _cast(text, change):
    @route("Memory", text)
    def cast(subject):
        return Kept(change(subject.build()))


_cast("`half()`", lambda module: module.half())
_cast("`bfloat16()`", lambda module: module.bfloat16())
_cast("`double()`", lambda module: module.double())
_cast("`to(dtype)`", lambda module: module.to(torch.float64))
_cast("`half()` and back to `float()`", lambda module: module.half().float())
_cast("`share_memory()`", lambda module: module.share_memory())


@route("Memory", "`half()` with `torch.__future__.set_swap_module_params_on_conversion`")
def swapped(subject):
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return Kept(subject.build().half())
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@route("Memory", "`load_state_dict` with the same flag", only=OTHERS)
def swapped_in(subject):
    module = subject.build()
    signs.project_(module)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        module.load_state_dict(subject.build().state_dict())
        return Kept(module)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@route("Memory", "`torch.utils.swap_tensors` of the parameter", only=OTHERS)
def swap_tensors(subject):
    module = subject.build()
    weight = weight_of(module, subject)
    torch.utils.swap_tensors(weight, nn.Parameter(-weight.detach()))
    assert not signs.check(module)
    return Kept(module)


# -- averages ----------------------------------------------------------------------------------------------------------


def _average(text, **options):
    @route("Averages", text)
    def average(subject):
        module = subject.build()
        averaged = AveragedModel(module, **options)
        for _ in range(4):
            averaged.update_parameters(module)
        assert signs.check(averaged)
        return Kept(averaged)


_average("`AveragedModel`")
_average("`AveragedModel(use_buffers=True)`, the default of Lightning's `WeightAveraging`", use_buffers=True)
for _decay in (0.5, 0.9, 0.99, 0.999, 0.9999):
    _average(
        f"the same, an exponential moving average of decay {_decay}", use_buffers=True, avg_fn=get_ema_avg_fn(_decay)
    )
_average("the same by `get_ema_multi_avg_fn`", use_buffers=True, multi_avg_fn=get_ema_multi_avg_fn(0.999))


@route("Averages", "buffers averaged in place by hand, as whole numbers they do not stay", REFUSED)
def averaged_in_place(subject):
    module, other = subject.build(), subject.build(unit_signs=subject.other_signs)
    with torch.no_grad():
        for mine, theirs in zip(module.buffers(), other.buffers(), strict=True):
            mine.copy_((mine + theirs) / 2)
    signs.check(module)


# -- what computes a weight anew ---------------------------------------------------------------------------------------


@route("Weights computed anew", "`prune.random_unstructured`", only=OTHERS)
def pruned(subject):
    module = subject.build()
    prune.random_unstructured(module, subject.parameter, 0.3)
    return Kept(module)


@route("Weights computed anew", "`prune.remove`", only=OTHERS)
def prune_removed(subject):
    module = subject.build()
    prune.random_unstructured(module, subject.parameter, 0.3)
    prune.remove(module, subject.parameter)
    assert signs.check(module)
    return Kept(module)


@route("Weights computed anew", "`prune.global_unstructured`", only=OTHERS)
def pruned_globally(subject):
    module = subject.build()
    prune.global_unstructured([(module, subject.parameter)], prune.L1Unstructured, amount=0.3)
    return Kept(module)


@route("Weights computed anew", "pruned, then `reset_parameters()`", only=OURS)
def pruned_reset(subject):
    module = subject.build()
    prune.random_unstructured(module, subject.parameter, 0.3)
    module.reset_parameters()
    return Kept(module)


@route("Weights computed anew", "pruned, then another mask in a checkpoint", REFUSED, only=OTHERS)
def pruned_loaded(subject):
    module, other = subject.build(), subject.build(mask=subject.other_mask)
    for one in (module, other):
        prune.random_unstructured(one, subject.parameter, 0.3)
    module.load_state_dict(other.state_dict())


@route("Weights computed anew", "`parametrizations.weight_norm`: what multiplies is judged", only=OTHERS)
def weight_norm(subject):
    module = subject.build()
    parametrizations.weight_norm(module, subject.parameter)
    return Kept(module)


@route("Weights computed anew", "`torch.nn.utils.weight_norm`, the older one", only=OTHERS)
def old_weight_norm(subject):
    module = nn.utils.weight_norm(subject.build(), subject.parameter)
    return Kept(module, watched=False)


@route("Weights computed anew", "`parametrizations.spectral_norm`", only=OTHERS)
def spectral_norm(subject):
    module = subject.build()
    parametrizations.spectral_norm(module, subject.parameter)
    return Kept(module)


@route("Weights computed anew", "`torch.nn.utils.spectral_norm`, the older one", only=OTHERS)
def old_spectral_norm(subject):
    return Kept(nn.utils.spectral_norm(subject.build(), subject.parameter))


@route("Weights computed anew", "parametrised, and lawless: `signs.project_` cannot write", REFUSED, only=OTHERS)
def lawless_norm(subject):
    module = subject.build()
    parametrizations.weight_norm(module, subject.parameter)
    originals = module.parametrizations[subject.parameter]
    with torch.no_grad():
        originals.original1.neg_()
    signs.project_(module)


@route("Weights computed anew", "parametrised and undone", only=OTHERS)
def norm_removed(subject):
    module = subject.build()
    parametrizations.weight_norm(module, subject.parameter)
    parametrize.remove_parametrizations(module, subject.parameter)
    return Kept(module)


@route("Weights computed anew", "`Reparametrization().attach` and `detach`", only=OTHERS)
def reparametrised(subject):
    module = subject.build()
    Reparametrization().attach(module, 0.1)
    Reparametrization().detach(module)
    assert signs.check(module)
    return Kept(module)


@route("Weights computed anew", "other signs fixed while `Reparametrization` is attached", REFUSED, only=OTHERS)
def reparametrised_and_replaced(subject):
    module = subject.build()
    Reparametrization().attach(module, 0.1)
    signs.fix(module, subject.parameter, subject.other_signs, replace=True)


@route(
    "Weights computed anew",
    "`Reparametrization` and `to_empty`, which empties its copy of the signs too",
    REFUSED,
    only=OTHERS,
)
def reparametrised_and_emptied(subject):
    module = subject.build()
    Reparametrization().attach(module, 0.1)
    module.load_state_dict({**module.to_empty(device="cpu").state_dict(), **_state_of_facts(subject)}, strict=False)
    for inner in module.parametrizations[subject.parameter]:
        inner.signs.zero_()
    signs.check(module)


@route("Weights computed anew", "the same, then `signs.restore_`", only=OTHERS)
def reparametrised_and_restored(subject):
    module = subject.build()
    Reparametrization().attach(module, 0.1)
    for inner in module.parametrizations[subject.parameter]:
        inner.signs.zero_()
    return Kept(signs.restore_(module), watched=False)


def _state_of_facts(subject):
    return {
        key: value for key, value in subject.build().state_dict().items() if key.endswith((law.SUFFIX, law.PRESENT))
    }


@route("Weights computed anew", "`torch.func.functional_call` with other weights: the module is as it was")
def functional(subject):
    module = subject.build()
    changed = {name: -value.detach() for name, value in module.named_parameters()}
    torch.func.functional_call(module, changed, (subject.x(),))
    assert signs.check(module)
    return Kept(module)


@route(
    "Weights computed anew",
    "`torch.ao` dynamic quantisation: the copy has no weights to judge",
    SAID,
    only=("nn.Linear",),
)
def quantised(subject):
    model = nn.Sequential(subject.build())
    return Said(str(signs.check(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}))))


# -- wrappers ----------------------------------------------------------------------------------------------------------


@route("Wrappers", "`torch.compile`")
def compiled(subject):
    return Kept(torch.compile(subject.build(), backend="eager"))


@route("Wrappers", "`nn.DataParallel`")
def data_parallel(subject):
    return Kept(nn.DataParallel(subject.build()))


@route(
    "Wrappers",
    "a wrapper that adds matrices of its own, as LoRA does: they are named",
    SAID,
    only=("nn.Linear", "EILinear"),
)
def lora(subject):
    class LoRA(nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.down, self.up = base, nn.Linear(5, 2, bias=False), nn.Linear(2, 4, bias=False)

    report = signs.check(LoRA(subject.build()))
    assert [one.parameter for one in report.unjudged] == ["down.weight", "up.weight"]
    return Said(str(report))


def in_a_group(walk):
    """Run a function in a process group of one, without a port."""
    from torch import distributed

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        return walk()
    finally:
        distributed.destroy_process_group()


def _ddp(text, **options):
    @route("Wrappers", text, only=("EILinear", "EIRNN", "nn.Linear", "a stranger's layer"))
    def ddp(subject):
        def wrap():
            model = nn.parallel.DistributedDataParallel(subject.build(), **options)
            output = model(subject.x())
            (output[0] if isinstance(output, tuple) else output).sum().backward()
            return Kept(copy.deepcopy(model.module))

        return in_a_group(wrap)


_ddp("`DistributedDataParallel`, which broadcasts buffers")
_ddp("`DistributedDataParallel(broadcast_buffers=False)`", broadcast_buffers=False)


@route("Wrappers", "`fully_shard`", REFUSED, only=("EILinear", "nn.Linear"))
def sharded(subject):
    def shard():
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        module = subject.build()
        fully_shard(module, mesh=init_device_mesh("cpu", (1,)))
        signs.check(module)

    return in_a_group(shard)
