"""Routes of memory, precision and averages."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

from daleml import law, signs
from tests.routes import OTHERS, OURS, REFUSED, Kept, route, weight_of


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
    plain = {
        key: value
        for key, value in state.items()
        if not key.endswith((law.SUFFIX, law.PRESENT))
    }
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


@route(
    "Memory", "`half()` with `torch.__future__.set_swap_module_params_on_conversion`"
)
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
_average(
    "`AveragedModel(use_buffers=True)`, the default of Lightning's `WeightAveraging`",
    use_buffers=True,
)
for _decay in (0.5, 0.9, 0.99, 0.999, 0.9999):
    _average(
        f"the same, an exponential moving average of decay {_decay}",
        use_buffers=True,
        avg_fn=get_ema_avg_fn(_decay),
    )
_average(
    "the same by `get_ema_multi_avg_fn`",
    use_buffers=True,
    multi_avg_fn=get_ema_multi_avg_fn(0.999),
)


@route(
    "Averages",
    "buffers averaged in place by hand, as whole numbers they do not stay",
    REFUSED,
)
def averaged_in_place(subject):
    module, other = subject.build(), subject.build(unit_signs=subject.other_signs)
    with torch.no_grad():
        for mine, theirs in zip(module.buffers(), other.buffers(), strict=True):
            mine.copy_((mine + theirs) / 2)
    signs.check(module)
