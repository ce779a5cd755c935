"""Routes of weights that are computed anew, and of wrappers."""

import copy

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from daleml import law, signs
from daleml.optim import Reparametrization
from tests.routes import OTHERS, OURS, REFUSED, SAID, Kept, Said, route


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
    prune.global_unstructured(
        [(module, subject.parameter)], prune.L1Unstructured, amount=0.3
    )
    return Kept(module)


@route("Weights computed anew", "pruned, then `reset_parameters()`", only=OURS)
def pruned_reset(subject):
    module = subject.build()
    prune.random_unstructured(module, subject.parameter, 0.3)
    module.reset_parameters()
    return Kept(module)


@route(
    "Weights computed anew",
    "pruned, then another mask in a checkpoint",
    REFUSED,
    only=OTHERS,
)
def pruned_loaded(subject):
    module, other = subject.build(), subject.build(mask=subject.other_mask)
    for one in (module, other):
        prune.random_unstructured(one, subject.parameter, 0.3)
    module.load_state_dict(other.state_dict())


@route(
    "Weights computed anew",
    "`parametrizations.weight_norm`: what multiplies is judged",
    only=OTHERS,
)
def weight_norm(subject):
    module = subject.build()
    parametrizations.weight_norm(module, subject.parameter)
    return Kept(module)


@route(
    "Weights computed anew", "`torch.nn.utils.weight_norm`, the older one", only=OTHERS
)
def old_weight_norm(subject):
    module = nn.utils.weight_norm(subject.build(), subject.parameter)
    return Kept(module, watched=False)


@route("Weights computed anew", "`parametrizations.spectral_norm`", only=OTHERS)
def spectral_norm(subject):
    module = subject.build()
    parametrizations.spectral_norm(module, subject.parameter)
    return Kept(module)


@route(
    "Weights computed anew",
    "`torch.nn.utils.spectral_norm`, the older one",
    only=OTHERS,
)
def old_spectral_norm(subject):
    return Kept(nn.utils.spectral_norm(subject.build(), subject.parameter))


@route(
    "Weights computed anew",
    "parametrised, and lawless: `signs.project_` cannot write",
    REFUSED,
    only=OTHERS,
)
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


@route(
    "Weights computed anew", "`Reparametrization().attach` and `detach`", only=OTHERS
)
def reparametrised(subject):
    module = subject.build()
    Reparametrization().attach(module, 0.1)
    Reparametrization().detach(module)
    assert signs.check(module)
    return Kept(module)


@route(
    "Weights computed anew",
    "other signs fixed while `Reparametrization` is attached",
    REFUSED,
    only=OTHERS,
)
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
    module.load_state_dict(
        {**module.to_empty(device="cpu").state_dict(), **_state_of_facts(subject)},
        strict=False,
    )
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
        key: value
        for key, value in subject.build().state_dict().items()
        if key.endswith((law.SUFFIX, law.PRESENT))
    }


@route(
    "Weights computed anew",
    "`torch.func.functional_call` with other weights: the module is as it was",
)
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
    return Said(
        str(signs.check(torch.ao.quantization.quantize_dynamic(model, {nn.Linear})))
    )


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
            self.base, self.down, self.up = (
                base,
                nn.Linear(5, 2, bias=False),
                nn.Linear(2, 4, bias=False),
            )

    report = signs.check(LoRA(subject.build()))
    assert [one.parameter for one in report.unjudged] == ["down.weight", "up.weight"]
    return Said(str(report))


def in_a_group(walk):
    """Run a function in a process group of one, without a port."""
    from torch import distributed

    distributed.init_process_group(
        "gloo", store=distributed.HashStore(), rank=0, world_size=1
    )
    try:
        return walk()
    finally:
        distributed.destroy_process_group()


def _ddp(text, **options):
    @route(
        "Wrappers", text, only=("EILinear", "EIRNN", "nn.Linear", "a stranger's layer")
    )
    def ddp(subject):
        def wrap():
            model = nn.parallel.DistributedDataParallel(subject.build(), **options)
            output = model(subject.x())
            (output[0] if isinstance(output, tuple) else output).sum().backward()
            return Kept(copy.deepcopy(model.module))

        return in_a_group(wrap)


_ddp("`DistributedDataParallel`, which broadcasts buffers")
_ddp("`DistributedDataParallel(broadcast_buffers=False)`", broadcast_buffers=False)


@route(
    "Wrappers",
    "`fully_shard`",
    only=("EILinear", "EIRNN", "nn.Linear", "a stranger's layer"),
)
def sharded(subject):
    def shard():
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_model_state_dict,
        )
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        module = subject.build()
        fully_shard(module, mesh=init_device_mesh("cpu", (1,)))
        output = module(subject.x())
        (output[0] if isinstance(output, tuple) else output).sum().backward()
        signs.check(module).raise_for_violations()
        whole = get_model_state_dict(
            module, options=StateDictOptions(full_state_dict=True)
        )
        gathered = subject.build()
        gathered.load_state_dict(whole)
        return Kept(gathered)

    return in_a_group(shard)
