"""Where a module keeps what was fixed.

Signs and masks as buffers, and a record by which a changed buffer is found out.

The buffers follow the module wherever torch carries it, and any code may write into them:
memory is emptied, averages are rounded, a rank broadcasts its own. The record is a plain
attribute, which no such code touches. A buffer that no longer holds what the record says is
refused in one sentence, and :func:`restore` writes it anew.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from daleml import law


@dataclass(frozen=True)
class Declaration:
    """What a module says of one of its parameters.

    Attributes:
        role: The part it plays, such as ``"weight"``, ``"weight_ix"``, ``"alpha"`` or ``"bias"``.
        lr_scale: Factor on the learning rate, which ``optim.param_groups`` applies.
        signed: Whether its signs are fixed.
    """

    role: str
    lr_scale: float = 1.0
    signed: bool = False


@dataclass(frozen=True)
class Record:
    """What was fixed for one parameter, in plain bytes.

    Attributes:
        shape: Of the sign buffer.
        signs: Its values, int8.
        mask_shape: Of the mask; None if every synapse exists.
        mask: Its values, eight synapses a byte.
        drawn: Whether the mask was drawn at random, so that a checkpoint may bring another draw.
    """

    shape: tuple[int, ...]
    signs: bytes
    mask_shape: tuple[int, ...] | None = None
    mask: bytes | None = None
    drawn: bool = False

    def sign_tensor(self) -> Tensor:
        """Return the signs, int8, on the CPU."""
        return torch.from_numpy(
            np.frombuffer(self.signs, dtype=np.int8).copy()
        ).reshape(self.shape)

    def mask_tensor(self) -> Tensor | None:
        """Return which synapses exist, int8, on the CPU; None if all do."""
        if self.mask is None or self.mask_shape is None:
            return None
        n_synapses = int(np.prod(self.mask_shape))
        bits = np.unpackbits(np.frombuffer(self.mask, dtype=np.uint8), count=n_synapses)
        return torch.from_numpy(bits.astype(np.int8)).reshape(self.mask_shape)


class Fixed(NamedTuple):
    """One parameter whose signs are fixed, with its facts, verified.

    Attributes:
        name: Full name in the model, ``weight_orig`` if it is pruned.
        module: The module that owns it.
        own: The name that it was fixed by.
        weight: The parameter; or the tensor that a parametrisation computes.
        signs: Its sign buffer.
        present: Which synapses exist, boolean; None if all do.
    """

    name: str
    module: nn.Module
    own: str
    weight: Tensor
    signs: Tensor
    present: Tensor | None


# -- what a module says
# ------------------------------------------------------------------------------------------------


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
    stored = module._buffers.get(name + law.SUFFIX)
    if (
        declaration is None
        or not declaration.signed
        or stored is None
        or stored.is_meta
    ):
        return None
    if not bool((stored.abs() == 1).all()):
        return None
    return make_record(stored, module._buffers.get(name + law.PRESENT), drawn=False)


def make_record(signs: Tensor, present: Tensor | None, *, drawn: bool) -> Record:
    """Return the record of signs and a mask that have values."""
    bits = signs.detach().to("cpu", torch.int8).contiguous().numpy().tobytes()
    if present is None:
        return Record(tuple(signs.shape), bits)
    packed = np.packbits(present.detach().to("cpu", torch.bool).numpy()).tobytes()
    return Record(tuple(signs.shape), bits, tuple(present.shape), packed, drawn)


def keep(module: nn.Module, name: str, kept: Record, device: torch.device) -> None:
    """Write a record and its buffers."""
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


def refresh(module: nn.Module, name: str) -> None:
    """Write the facts into what a parametrisation keeps of them, in buffers called ``signs`` and ``present``."""
    stored, present = (
        module._buffers.get(name + law.SUFFIX),
        module._buffers.get(name + law.PRESENT),
    )
    for inner in _copies(module, name):
        if stored is not None:
            signs = law.broadcastable(stored, getattr(module, name))
            inner._buffers["signs"].copy_(signs)  # type: ignore[union-attr]
        if present is not None and inner._buffers.get("present") is not None:
            inner._buffers["present"].copy_(present)  # type: ignore[union-attr]


def _copies(module: nn.Module, name: str) -> list[nn.Module]:
    """Return the parametrisations of a parameter that keep signs of their own."""
    if not parametrize.is_parametrized(module, name):
        return []
    inside = module.get_submodule(f"parametrizations.{name}").children()
    return [inner for inner in inside if inner._buffers.get("signs") is not None]


def forget(module: nn.Module, name: str) -> None:
    """Drop everything that is known of a parameter."""
    count_change()
    for buffer in (name + law.SUFFIX, name + law.PRESENT):
        if buffer in module._buffers:
            delattr(module, buffer)
    module.__dict__.get("_dale_fixed", {}).pop(name, None)
    declarations(module).pop(name, None)


# -- finding the parameter
# ---------------------------------------------------------------------------------------------


def resolve(module: nn.Module, name: str) -> tuple[str, Tensor]:
    """Find a parameter by the name it was declared under, through pruning and reparametrisation.

    Returns:
        The name it has now, and the parameter; or the tensor that is computed in its place.

    Raises:
        AttributeError: If there is none.
    """
    for candidate in (name, f"{name}_orig"):
        parameter = module._parameters.get(candidate)
        if parameter is not None:
            return candidate, parameter
    if parametrize.is_parametrized(module, name):
        return name, getattr(module, name)
    for hook in (
        module._forward_pre_hooks.values()
    ):  # torch.nn.utils.weight_norm, the older one
        if getattr(hook, "name", None) == name and hasattr(hook, "compute_weight"):
            return name, hook.compute_weight(module)
    raise AttributeError(
        f"`name` must name a parameter of {type(module).__name__}; got {name!r}."
    )


def trained(module: nn.Module, name: str) -> list[nn.Parameter]:
    """Return what an optimiser trains in order to change a parameter.

    Itself, or what it is computed from.
    """
    _, weight = resolve(module, name)
    if isinstance(weight, nn.Parameter):
        return [weight]
    if parametrize.is_parametrized(module, name):
        return list(module.get_submodule(f"parametrizations.{name}").parameters())
    parts = (module._parameters.get(f"{name}_{part}") for part in ("g", "v"))
    return [part for part in parts if part is not None]


def require_shape(name: str, weight: Tensor) -> None:
    """Raise if a parameter has no shape yet, or only a part of it is here."""
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            f"`{name}` must have a shape before its signs are fixed; run the lazy module"
            " once first."
        )
    if hasattr(weight, "device_mesh"):
        raise ValueError(
            f"`{name}` must be whole; it is sharded by `fully_shard`, which signs do not"
            " follow: train with DistributedDataParallel instead."
        )


# -- facts, verified
# ---------------------------------------------------------------------------------------------------


_verified: weakref.WeakKeyDictionary[nn.Module, dict[str, tuple[Any, ...] | None]] = (
    weakref.WeakKeyDictionary()
)
"""Of each module, the buffers that held what was fixed, as they were when they were compared last."""


def fixed(
    model: nn.Module, prefix: str = "", *, quickly: bool = False
) -> Iterator[Fixed]:
    """Yield every parameter of a model whose signs are fixed, after comparing its buffers with the record.

    A module that says nothing, and has a buffer of signs beside a parameter, is believed: a
    traced or an exported copy of a model consists of such modules.

    Args:
        model: Any module.
        prefix: Put before the names.
        quickly: Whether to compare no more than values where torch has counted no change of
            buffers since everything was compared last.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        ValueError: If buffers do not hold what was fixed, or do not fit the parameter.
    """
    for path, module in model.named_modules(prefix=prefix):
        yield from fixed_in(module, path, quickly=quickly)


def fixed_in(module: nn.Module, path: str, *, quickly: bool) -> Iterator[Fixed]:
    """Yield the parameters of one module of a model, as :func:`fixed` does those of all."""
    known = declarations(module)
    for own, declaration in known.items():
        if declaration.signed:
            yield _of(module, path, own, quickly=quickly)
    for buffer, stored in list(module._buffers.items()):
        own = buffer.removesuffix(law.SUFFIX)
        if own == buffer or own in known or stored is None:
            continue
        found = _believed(module, path, own)
        if found is not None:
            yield found


def _of(module: nn.Module, path: str, own: str, *, quickly: bool) -> Fixed:
    full = f"{path}.{own}" if path else own
    try:
        actual, weight = resolve(module, own)
    except AttributeError:
        raise AttributeError(
            f"`{full}` has its signs fixed and must be a parameter of"
            f" {type(module).__name__}; it is gone: call `signs.release` before it is"
            " deleted or replaced."
        ) from None
    require_shape(full, weight)
    stored, present = _buffers(module, own, full)
    stamp = _stamp(weight, stored, present)
    unchanged = (
        quickly
        and stamp is not None
        and _verified.get(module, {}).get(own) == stamp
        and _holds(record(module, own), stored, present)
    )
    if not unchanged:
        _compare(module, own, full, weight, stored, present)
        _verified.setdefault(module, {})[own] = stamp
    exists = None if present is None else present.to(torch.bool)
    return Fixed(
        f"{path}.{actual}" if path else actual, module, own, weight, stored, exists
    )


def _buffers(module: nn.Module, own: str, full: str) -> tuple[Tensor, Tensor | None]:
    stored, present = (
        module._buffers.get(own + law.SUFFIX),
        module._buffers.get(own + law.PRESENT),
    )
    kept = record(module, own)
    lost = (
        law.SUFFIX
        if stored is None
        else law.PRESENT
        if kept and kept.mask and present is None
        else ""
    )
    if stored is None or lost:
        raise ValueError(
            f"`{full}{lost}` must be a buffer; it was fixed and is gone: call"
            " `signs.restore_` to put it back."
        )
    return stored, present


def _compare(
    module: nn.Module,
    own: str,
    full: str,
    weight: Tensor,
    stored: Tensor,
    present: Tensor | None,
) -> None:
    """Raise unless buffers hold what was fixed, and fit the parameter."""
    kept = record(module, own)
    try:
        law.valid_signs(full, stored)
        if present is not None:
            law.valid_present(full, present)
    except ValueError as error:
        known = kept is not None and not stored.is_meta
        raise ValueError(
            f"{error} Call `signs.restore_` to put back what was fixed."
            if known
            else str(error)
        ) from None
    if kept is not None:
        signs, mask = kept.sign_tensor(), kept.mask_tensor()
        _require_equal(full, law.SUFFIX, stored, signs)
        if (
            present is not None
            and mask is not None
            and not _adopt_draw(module, own, kept, stored, present)
        ):
            _require_equal(full, law.PRESENT, present, mask)
    if not fits(weight, stored) or (
        present is not None and present.shape != weight.shape
    ):
        raise ValueError(
            f"`{full}` must have the shape that its signs were fixed for; got"
            f" {tuple(weight.shape)}, and signs of {stored.numel()} units: call"
            " `signs.release`, then `signs.fix`."
        )
    sign = law.broadcastable(stored, weight)
    if not all(
        bool((inner._buffers["signs"] * sign > 0).all())  # type: ignore[operator]
        for inner in _copies(module, own)
    ):
        raise ValueError(
            f"`{full}` must be computed by the signs that were fixed; something wrote into"
            " its parametrisation: call `signs.restore_` to put them back."
        )


def _adopt_draw(
    module: nn.Module, own: str, kept: Record, stored: Tensor, present: Tensor
) -> bool:
    """Take another draw of a mask that was drawn at random.

    As of the first process, which broadcasts its own.
    """
    mask = kept.mask_tensor()
    if (
        mask is None
        or present.shape != mask.shape
        or not is_another_draw(present, mask, drawn=kept.drawn)
    ):
        return False
    module.__dict__["_dale_fixed"][own] = make_record(stored, present, drawn=True)
    return True


def is_another_draw(present: Tensor, mask: Tensor, *, drawn: bool) -> bool:
    """Whether a mask may be another draw at the density of one that was drawn.

    Within 5 standard errors.
    """
    if not drawn:
        return False
    n, here, there = mask.numel(), int((mask != 0).sum()), int((present != 0).sum())
    density = (here + there) / (2 * n)
    spread = math.sqrt(
        2 * n * density * (1 - density)
    )  # of the difference of two binomial counts
    return abs(here - there) <= 5 * spread + 1


def _require_equal(full: str, suffix: str, found: Tensor, expected: Tensor) -> None:
    if found.shape == expected.shape and torch.equal(
        found.to("cpu", torch.int8), expected
    ):
        return
    raise ValueError(
        f"`{full}{suffix}` must hold what was fixed; something wrote into it since: call"
        " `signs.restore_` to put back what was fixed, or `signs.fix` with `replace=True`"
        " to fix something else."
    )


def are_counted(stored: Tensor, present: Tensor | None) -> bool:
    """Whether torch counts writes into buffers: not those made in inference mode."""
    return not any(
        buffer is not None and buffer.is_inference() for buffer in (stored, present)
    )


def _stamp(
    weight: Tensor, stored: Tensor, present: Tensor | None
) -> tuple[Any, ...] | None:
    """Return what tells buffers from others and from themselves before a write that torch counts.

    None where torch counts none. There are no weak references: torch does not swap a tensor
    that has one.
    """
    if not are_counted(stored, present):
        return None
    of_signs = (id(stored), stored.data_ptr(), stored._version)
    if present is None:
        return weight.shape, of_signs
    return weight.shape, of_signs, (id(present), present.data_ptr(), present._version)


def _holds(kept: Record | None, stored: Tensor, present: Tensor | None) -> bool:
    """Whether buffers that were compared once still hold a record, also after writes through ``.data``.

    Elsewhere than on a CPU that would wait for the device, and it is taken for granted.
    """
    if kept is None or stored.device.type != "cpu":
        return True
    if stored.numpy().tobytes() != kept.signs:
        return False
    if present is None or present.dtype != torch.int8:
        return True
    mask = present.numpy()
    # Shifted by one bit, 0 and 1 alone are zero.
    return np.packbits(mask).tobytes() == kept.mask and not (mask >> 1).any()


def fits(weight: Tensor, stored: Tensor) -> bool:
    """Whether a sign buffer has one entry for each presynaptic unit of a weight."""
    try:
        law.saved_signs(
            {"weight": weight.detach(), "weight" + law.SUFFIX: torch.ones_like(stored)},
            "weight",
        )
    except ValueError:
        return False
    return True


def _believed(module: nn.Module, path: str, own: str) -> Fixed | None:
    """Return a parameter beside a buffer of signs, of a module that says nothing.

    None if they do not belong together.

    A stranger's buffer may bear such a name and mean something else.
    """
    try:
        actual, weight = resolve(module, own)
    except AttributeError:
        return None
    stored, present = (
        module._buffers[own + law.SUFFIX],
        module._buffers.get(own + law.PRESENT),
    )
    if (
        stored is None
        or stored.is_floating_point()
        or stored.is_meta
        or not fits(weight, stored)
    ):
        return None
    full = f"{path}.{actual}" if path else actual
    if present is not None and present.shape != weight.shape:
        return None
    exists = None if present is None else law.valid_present(full, present)
    return Fixed(full, module, own, weight, law.valid_signs(full, stored), exists)
