"""Routes of copies and checkpoints."""

import copy
import io
import pickle
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from daleml import law, signs
from tests.routes import ASKED, REFUSED, SAID, Kept, Said, expected, route


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


@route(
    "Copies",
    "a copy of a copy, which then refuses another mask in a checkpoint",
    REFUSED,
)
def copy_still_judges(subject):
    module = pickle.loads(pickle.dumps(copy.deepcopy(subject.build())))
    module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())


@route("Copies", "`torch.fx.symbolic_trace`", only=("nn.Linear",))
def traced(subject):
    return Kept(torch.fx.symbolic_trace(nn.Sequential(subject.build())))


@route(
    "Copies",
    "`torch.export`: the copy is judged by its buffers",
    only=("nn.Linear", "a stranger's layer"),
)
def exported(subject):
    model = nn.Sequential(subject.build())
    return Kept(torch.export.export(model, (subject.x(),)).module())


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
    plain = {
        key: value
        for key, value in state.items()
        if not key.endswith((law.SUFFIX, law.PRESENT))
    }
    module.load_state_dict(plain)
    return Kept(module)


@route("Checkpoints", "of the plain module, lawless", REFUSED)
def loaded_lawless(subject):
    module, state = subject.build(), subject.build().state_dict()
    plain = {
        key: value
        for key, value in state.items()
        if not key.endswith((law.SUFFIX, law.PRESENT))
    }
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
    subject.build().load_state_dict(
        subject.build(unit_signs=subject.other_signs).state_dict()
    )


@route("Checkpoints", "with other signs, `strict=False`", REFUSED)
def loaded_other_signs_loosely(subject):
    subject.build().load_state_dict(
        subject.build(unit_signs=subject.other_signs).state_dict(), strict=False
    )


@route("Checkpoints", "with other signs, `assign=True`", REFUSED)
def assigned_other_signs(subject):
    subject.build().load_state_dict(
        subject.build(unit_signs=subject.other_signs).state_dict(), assign=True
    )


@route("Checkpoints", "with other signs, inside `signs.adopt_signs`", ASKED)
def adopted_signs(subject):
    module = subject.build()
    with signs.adopt_signs(module):
        module.load_state_dict(
            subject.build(unit_signs=subject.other_signs).state_dict()
        )
    return Kept(module, expected(subject, subject.other_signs))


@route("Checkpoints", "with another mask", REFUSED)
def loaded_other_mask(subject):
    subject.build().load_state_dict(subject.build(mask=subject.other_mask).state_dict())


@route("Checkpoints", "with another mask, `strict=False`", REFUSED)
def loaded_other_mask_loosely(subject):
    subject.build().load_state_dict(
        subject.build(mask=subject.other_mask).state_dict(), strict=False
    )


@route("Checkpoints", "with another mask, `assign=True`", REFUSED)
def assigned_other_mask(subject):
    subject.build().load_state_dict(
        subject.build(mask=subject.other_mask).state_dict(), assign=True
    )


@route("Checkpoints", "with another mask, inside `signs.adopt_masks`", ASKED)
def adopted_mask(subject):
    module = subject.build()
    with signs.adopt_masks(module):
        module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())
    assert signs.check(module)
    return Kept(module, expected(subject, mask=subject.other_mask))


@route(
    "Checkpoints",
    "with another mask, inside `signs.keep_masks`: what is absent here is set to zero",
    ASKED,
)
def kept_mask(subject):
    module = subject.build()
    with signs.keep_masks(module):
        module.load_state_dict(subject.build(mask=subject.other_mask).state_dict())
    assert signs.check(module)
    return Kept(module)


@route("Checkpoints", "with a mask, into a module that has none", REFUSED)
def mask_into_none(subject):
    subject.build(masked=False).load_state_dict(subject.build().state_dict())


@route(
    "Checkpoints", "with a mask, into a module that has none, `strict=False`", REFUSED
)
def mask_into_none_loosely(subject):
    subject.build(masked=False).load_state_dict(
        subject.build().state_dict(), strict=False
    )


@route(
    "Checkpoints",
    "with a mask, into a module that has none, inside `signs.adopt_masks`",
    ASKED,
)
def mask_adopted_into_none(subject):
    module = subject.build(masked=False)
    with signs.adopt_masks(module):
        module.load_state_dict(subject.build().state_dict())
    return Kept(module)


@route(
    "Checkpoints",
    "of a module without a mask, with weights where this one has no synapse",
    REFUSED,
)
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
    module, first, second = (
        subject.build(),
        subject.build().state_dict(),
        subject.build().state_dict(),
    )
    module.load_state_dict({key: 0.9 * first[key] + 0.1 * second[key] for key in first})
    return Kept(module)


@route("Checkpoints", "averaged by hand over modules of different signs", REFUSED)
def averaged_different(subject):
    first, second = (
        subject.build().state_dict(),
        subject.build(unit_signs=subject.other_signs).state_dict(),
    )
    subject.build().load_state_dict(
        {key: 0.5 * first[key] + 0.5 * second[key] for key in first}
    )


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
