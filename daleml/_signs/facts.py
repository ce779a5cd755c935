"""The facts of a module: what was fixed or declared of its parameters, and where that is kept.

Signs and masks are buffers, and a record beside them tells a changed buffer from what was fixed.
The buffers follow the module wherever torch carries it, and any code may write into them:
memory is emptied, averages are rounded, a rank broadcasts its own. The record is a plain
attribute, which no such code touches. :mod:`~daleml._signs.verification` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from daleml import law
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._signs.fixed_synapses import FixedSynapses
from daleml._support.sharded_tensors import local, local_part


@dataclass(frozen=True)
class Declaration:
    """What a module says of one of its parameters.

    Attributes:
        role: The part it plays, such as ``"weight"``, ``"weight_ix"``, ``"alpha"`` or ``"bias"``.
        lr_scale: Factor on the learning rate, which ``optim.param_groups`` applies.
        signed: Whether its signs are fixed.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.fix(layer, "weight", [1, 1, -1], role="readout", lr_scale=0.1)
        >>> [declaration for _, _, declaration in signs.declared(layer)]
        [Declaration(role='readout', lr_scale=0.1, signed=True)]
    """

    role: str
    lr_scale: float = 1.0
    signed: bool = False


@dataclass(frozen=True)
class Record:
    """What was fixed for one parameter, in plain bytes.

    Attributes:
        shape: Shape of the sign buffer.
        signs: Values of the sign buffer, int8.
        mask_shape: Shape of the mask; None if every synapse exists.
        mask: Values of the mask, eight synapses per byte.
        drawn: Whether the mask was drawn at random, so that a checkpoint may bring another draw;
            or by which densities, block by block.
        fixed: Which synapses do not learn; None if all do. Where some do not, there is a mask.
    """

    shape: tuple[int, ...]
    signs: bytes
    mask_shape: tuple[int, ...] | None = None
    mask: bytes | None = None
    drawn: bool | DrawnBlocks = False
    fixed: FixedSynapses | None = None

    def sign_tensor(self) -> Tensor:
        """Return the signs, int8, on the CPU."""
        # Copied, since an array over bytes is read-only, which torch warns of.
        values = np.frombuffer(self.signs, dtype=np.int8).copy()
        return torch.from_numpy(values).reshape(self.shape)

    def mask_tensor(self) -> Tensor | None:
        """Return which synapses exist, int8, on the CPU; None if all do."""
        if self.mask is None or self.mask_shape is None:
            return None
        n_synapses = int(np.prod(self.mask_shape))
        bits = np.unpackbits(np.frombuffer(self.mask, dtype=np.uint8), count=n_synapses)
        return torch.from_numpy(bits.astype(np.int8)).reshape(self.mask_shape)


def make_record(
    unit_signs: Tensor,
    present: Tensor | None,
    *,
    drawn: bool | DrawnBlocks,
    fixed: FixedSynapses | None = None,
) -> Record:
    """Return the record of signs and a mask that have values."""
    # On the CPU in any case: `with torch.device("meta")` must not make a record of nothing.
    stored = unit_signs.detach().to("cpu", torch.int8).contiguous()
    shape, values = tuple(stored.shape), stored.numpy().tobytes()
    if present is None and fixed is not None:
        # So that who composes a weight looks for fixed synapses only where there is a mask.
        present = torch.ones(fixed.shape, dtype=torch.bool, device="cpu")
    if present is None:
        # Of a sparse weight it is where the synapses lie that was drawn.
        return Record(shape, values, drawn=drawn)
    bits = np.packbits(present.detach().to("cpu", torch.bool).numpy()).tobytes()
    return Record(shape, values, tuple(present.shape), bits, drawn, fixed)


# -- what a module says ----------------------------------------------------------------------------


def declarations(module: nn.Module) -> dict[str, Declaration]:
    """Return what a module says of its parameters, by their names."""
    found: dict[str, Declaration] = module.__dict__.get("_dale", {})
    return found


def record(module: nn.Module, name: str) -> Record | None:
    """Return what was fixed for a parameter; None if nothing was.

    A module pickled by an older version has buffers and no record: what they hold was fixed.
    """
    found: Record | None = module.__dict__.get("_dale_fixed", {}).get(name)
    if found is not None:
        return found
    declaration = declarations(module).get(name)
    if declaration is None or not declaration.signed:
        return None
    stored = module._buffers.get(name + law.SUFFIX)
    if stored is None or stored.is_meta or not bool((stored.abs() == 1).all()):
        return None
    return make_record(stored, module._buffers.get(name + law.PRESENT), drawn=False)


def hold_nothing(signs: Tensor, kept: Record | None) -> bool:
    """Whether a buffer of signs does not hold what was fixed, as after ``to_empty``."""
    if signs.is_meta:
        return True
    if not bool(((signs.abs() == 1) | (signs == law.UNSIGNED)).all()):
        return True
    if kept is None:
        return False
    return not torch.equal(signs.to("cpu", torch.int8), kept.sign_tensor())


def keep(module: nn.Module, name: str, kept: Record, weight: Tensor) -> None:
    """Write a record of a weight and its buffers."""
    device = weight.device
    count_change()
    if "_dale_fixed" not in module.__dict__:
        module._dale_fixed = {}  # type: ignore[assignment]
    module.__dict__["_dale_fixed"][name] = kept
    module.register_buffer(name + law.SUFFIX, kept.sign_tensor().to(device))
    mask = kept.mask_tensor()
    if mask is not None:
        module.register_buffer(name + law.PRESENT, mask.to(device))
    elif name + law.PRESENT in module._buffers:
        delattr(module, name + law.PRESENT)
    _keep_fixed(module, name, kept, weight)


def _keep_fixed(module: nn.Module, name: str, kept: Record, weight: Tensor) -> None:
    """Write the buffers of the synapses that do not learn, or take them away."""
    if kept.fixed is None:
        for buffer in (name + law.FIXED, name + law.STRENGTHS):
            if buffer in module._buffers:
                delattr(module, buffer)
        return
    mask = kept.mask_tensor()
    strengths = kept.fixed.values(mask)
    if strengths is None:
        # What is used before it is drawn should be seen.
        strengths = torch.full(kept.fixed.shape, torch.nan, device="cpu")
    module.register_buffer(name + law.FIXED, kept.fixed.which(mask).to(weight.device))
    # Of the weight's dtype: a cast of the module rounds both alike.
    module.register_buffer(
        name + law.STRENGTHS, strengths.to(weight.device, weight.dtype)
    )


def adopt_fixed(module: nn.Module, name: str, now: FixedSynapses) -> None:
    """Take what the buffers of fixed synapses hold for what was fixed."""
    kept = record(module, name)
    assert kept is not None  # who adopts has compared with it
    module.__dict__["_dale_fixed"][name] = replace(kept, fixed=now)


def settle_fixed_(module: nn.Module, name: str, weight: Tensor) -> None:
    """Bring a weight that was just written, and the synapses fixed in it, together.

    Strengths that were drawn become those that the weight has now; those that were given are put
    back into it.
    """
    kept = record(module, name)
    if kept is None or kept.fixed is None or weight.is_meta:
        return
    if kept.fixed.drawn:
        now = kept.fixed.at(weight, kept.mask_tensor())
        keep(module, name, replace(kept, fixed=now), weight)
        return
    which = module._buffers[name + law.FIXED]
    strengths = module._buffers[name + law.STRENGTHS]
    if which is not None and strengths is not None:
        here = local(weight)
        own = local_part(strengths, weight).to(here)
        here.copy_(torch.where(local_part(which.bool(), weight), own, here))


def settle_as_given(module: nn.Module, name: str) -> None:
    """Keep the strengths of fixed synapses from now on, as if they had never been drawn."""
    kept = record(module, name)
    if kept is not None and kept.fixed is not None:
        adopt_fixed(module, name, replace(kept.fixed, drawn=False))


def forget(module: nn.Module, name: str) -> None:
    """Drop everything that is known of a parameter."""
    count_change()
    for buffer in (name + suffix for suffix in law.BUFFERS):
        if buffer in module._buffers:
            delattr(module, buffer)
    module.__dict__.get("_dale_fixed", {}).pop(name, None)
    declarations(module).pop(name, None)
    learning(module).pop(name, None)


# -- how quickly single synapses learn -------------------------------------------------------------


def learning(module: nn.Module) -> dict[str, Tensor]:
    """Return the factors on what each synapse learns, by the names of the parameters."""
    found: dict[str, Tensor] = module.__dict__.get("_dale_learning", {})
    return found


def keep_learning(module: nn.Module, name: str, factors: Tensor) -> None:
    """Write the factors of one parameter; ones, which change nothing, are left out."""
    count_change()
    if "_dale_learning" not in module.__dict__:
        module._dale_learning = {}  # type: ignore[assignment]
    known = learning(module)
    if bool((factors == 1).all()):
        known.pop(name, None)
    else:
        # Of a dtype of their own, which a cast of the module leaves alone.
        known[name] = factors.detach().to("cpu", torch.float32)


# -- when facts change -----------------------------------------------------------------------------

_n_changes = 0


def n_changes() -> int:
    """Return how often something was fixed, declared or released in this process, on any module.

    Whoever caches facts reads them anew when the number has changed.
    """
    return _n_changes


def count_change() -> None:
    """Let every cache of facts be read anew."""
    global _n_changes
    _n_changes += 1
