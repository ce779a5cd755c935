"""One verdict on Dale's law, whether a module is judged or a state dict.

What was judged, and what was not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml import law, modules
from daleml._signs import parameter_lookup, verification
from daleml.law import JudgedWeight, SignReport, Unjudged

_PARAMETRISED = re.compile(
    r"^(?P<path>(?:.*\.)?)parametrizations\.(?P<name>.+)\.original\d*$"
)
_BUFFERS = (law.SUFFIX, law.PRESENT)


def of_model(model: nn.Module) -> SignReport:
    """Judge every weight of a module whose signs are fixed, and name the others.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        ValueError: If buffers do not hold what was fixed.
    """
    fixed = list(verification.fixed(model))
    cases = [
        (one.name, one.weight, law.valid_signs(one.name, one.signs), one.present)
        for one in fixed
    ]
    judged = {
        id(part)
        for one in fixed
        for part in parameter_lookup.trained(one.module, one.own)
    }
    entries = _entries(model)
    free = {
        name: tensor for name, tensor in entries.items() if id(tensor) not in judged
    }
    unjudged = _unjudged(_distinct(free, id), entries)
    packed = {
        f"{path}.{name}".lstrip("."): model.get_submodule(path).state_dict()[name]
        for path, names in modules.kept_otherwise(model)
        for name in names
    }
    return _report(cases, (), unjudged=unjudged + _packed(packed))


def of_state(state: Mapping[Any, Any], dim: int | None = None) -> SignReport:
    """Judge every weight of a state dict that lies beside its signs, and name the others.

    If no weight does, signs are inferred: all that a presynaptic unit makes must have one sign.

    Args:
        state: Tensors or arrays by name.
        dim: Where presynaptic units lie in weights whose signs are inferred; default: 1,
            ``(post, pre)``.

    Raises:
        ValueError: If signs do not fit their weight, the weights lie one level deeper, or
            ``dim`` is given where signs are saved, which say it themselves.
    """
    tensors = {
        str(key): tensor
        for key, value in state.items()
        if (tensor := _as_tensor(value)) is not None
    }
    _require_flat(state, tensors)
    if not any(key.endswith(law.SUFFIX) for key in tensors):
        return _infer(tensors, _packed(state), dim)
    if dim is not None:
        raise ValueError(
            "`dim` must be left out where signs are saved, which say where units lie; got"
            f" {dim}."
        )
    signed = _once(tensors, [key for key in tensors if _is_signed(tensors, key)])
    cases = [(key, tensors[key], *_saved_facts(tensors, key)) for key in signed]
    judged = {place for key in signed if (place := _place(tensors[key])) is not None}
    free = {
        key: tensor
        for key, tensor in tensors.items()
        if key not in signed and _place(tensor) not in judged
    }
    return _report(
        cases, (), unjudged=_unjudged(_distinct(free, _place), tensors) + _packed(state)
    )


def _report(
    cases: list[JudgedWeight],
    inferred: Iterable[str],
    *,
    unjudged: tuple[Unjudged, ...] = (),
    transposed: bool = False,
) -> SignReport:
    return SignReport(
        violations=tuple(
            violation for case in cases for violation in law.violations(*case)
        ),
        n_parameters=len(cases),
        n_units=sum(signs.numel() for _, _, signs, _ in cases),
        n_synapses=sum(
            weight.numel() if present is None else int(present.sum())
            for _, weight, _, present in cases
        ),
        inferred=tuple(inferred),
        unjudged=unjudged,
        transposed=transposed,
    )


# -- a module --------------------------------------------------------------------------------------


def _entries(model: nn.Module) -> dict[str, Tensor]:
    """Return what a state dict of the model holds, the tensors themselves, shared ones under each name."""
    found: dict[str, Tensor] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, parameter in module._parameters.items():
            if parameter is not None:
                found[prefix + name] = parameter
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                found[prefix + name] = buffer
    return found


# -- a state dict ----------------------------------------------------------------------------------


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if (
        not isinstance(value, (np.ndarray, np.generic))
        or value.dtype.kind not in "fiub"
    ):
        return None
    native = (
        np.float64
        if value.dtype.kind == "f" and value.dtype.itemsize > 8
        else value.dtype.newbyteorder("=")
    )
    return torch.from_numpy(np.array(value, dtype=native))


def _require_flat(state: Mapping[Any, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise if a mapping holds no tensors itself, and another mapping that does.

    A checkpoint of a trainer.
    """
    if tensors:
        return
    for key, value in state.items():
        if isinstance(value, Mapping) and any(
            isinstance(one, (Tensor, np.ndarray)) for one in value.values()
        ):
            raise ValueError(
                "`model` must be a state dict of tensors; got one that holds it under"
                f" {key!r}: give that."
            )


def _is_signed(tensors: Mapping[str, Tensor], key: str) -> bool:
    if key.endswith(_BUFFERS) or not tensors[key].is_floating_point():
        return False
    return key.removesuffix("_orig") + law.SUFFIX in tensors


def _saved_facts(
    tensors: Mapping[str, Tensor], key: str
) -> tuple[Tensor, Tensor | None]:
    stored = law.saved_signs(tensors, key)
    assert stored is not None  # `_is_signed` has seen it
    return stored, law.saved_present(tensors, key)


def _place(tensor: Tensor) -> tuple[Any, ...] | None:
    """Return where in memory a tensor lies, by which shared ones are known.

    None for one without memory.
    """
    if tensor.is_meta or tensor.layout != torch.strided or not tensor.numel():
        return None
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _once(tensors: Mapping[str, Tensor], signed: list[str]) -> list[str]:
    """Leave out the second name of a weight whose signs are the same memory too.

    Of a module that is there twice.
    """
    seen = set()
    found = []
    for key in signed:
        places = (
            _place(tensors[key]),
            _place(tensors[key.removesuffix("_orig") + law.SUFFIX]),
        )
        if None in places or places not in seen:
            found.append(key)
        seen.add(places)
    return found


def _infer(
    tensors: Mapping[str, Tensor], packed: tuple[Unjudged, ...], dim: int | None
) -> SignReport:
    """Judge weights by themselves; what a parametrisation computes is not there to be judged."""
    sizes, plain = _weights(tensors, tensors)
    plain = {key: weight for key, weight in plain.items() if weight.is_floating_point()}
    cases = [
        _majority(key, weight, 1 if dim is None else dim)
        for key, weight in plain.items()
    ]
    unjudged = (
        tuple(
            Unjudged(name, n_synapses)
            for name, n_synapses in sizes.items()
            if name not in plain
        )
        + packed
    )
    report = _report(cases, plain, unjudged=unjudged)
    matrices = all(weight.ndim == 2 for weight in plain.values())
    if report or dim is not None or not matrices:
        return report
    other = [_majority(key, weight, 0) for key, weight in plain.items()]
    lawful = not any(law.violations(*case) for case in other)
    return _report(cases, plain, unjudged=unjudged, transposed=lawful)


def _majority(key: str, weight: Tensor, dim: int) -> JudgedWeight:
    """Return what to judge a weight by that has no signs.

    For each unit, the sign of most of its synapses.
    """
    weight = weight.float() if weight.dtype.itemsize == 1 else weight
    if not 0 <= dim < weight.ndim:
        raise ValueError(
            f"`dim` must be between 0 and {weight.ndim - 1} for `{key}`; got {dim}."
        )
    others = [other for other in range(weight.ndim) if other != dim]
    n_exc, n_inh = (weight > 0).sum(others), (weight < 0).sum(others)
    signs = torch.where(n_exc >= n_inh, 1, -1).reshape(
        -1, *(1,) * (weight.ndim - dim - 1)
    )
    return key, weight, signs, None


# -- what is not under the law ---------------------------------------------------------------------


def _weights(
    entries: Mapping[str, Tensor], among: Mapping[str, Tensor]
) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Return the sizes of all weights by the names that users know, and those that are there as they are."""
    sizes: dict[str, int] = {}
    plain: dict[str, Tensor] = {}
    for key, tensor in entries.items():
        if (
            key.endswith(_BUFFERS)
            or tensor.ndim < 2
            or not (tensor.is_floating_point() or tensor.is_complex())
        ):
            continue
        if key.endswith("_mask") and key.removesuffix("_mask") + "_orig" in among:
            continue  # of torch.nn.utils.prune
        made = _PARAMETRISED.match(key)
        if made:
            key = made["path"] + made["name"]
            sizes[key] = max(sizes.get(key, 0), tensor.numel())
        else:
            sizes[key] = tensor.numel()
            plain[key] = tensor
    return sizes, plain


def _distinct(
    entries: Mapping[str, Tensor], identity: Callable[[Tensor], Any]
) -> dict[str, Tensor]:
    """Leave out all names but the first of a tensor that several share."""
    found: dict[str, Tensor] = {}
    seen = set()
    for key, tensor in entries.items():
        known = identity(tensor)
        if known is None or known not in seen:
            found[key] = tensor
        seen.add(known)
    return found


def _unjudged(
    free: Mapping[str, Tensor], among: Mapping[str, Tensor]
) -> tuple[Unjudged, ...]:
    """Name the weights that nobody judged: floating-point tensors of two or more dimensions."""
    sizes, _ = _weights(free, among)
    return tuple(Unjudged(name, n_synapses) for name, n_synapses in sizes.items())


def _packed(state: Mapping[Any, Any]) -> tuple[Unjudged, ...]:
    """Name what holds matrices and is no tensor itself, as the packed weights of quantised modules are."""
    sizes = {
        str(key): _n_packed(value)
        for key, value in state.items()
        if not isinstance(value, (Tensor, Mapping))
    }
    return tuple(
        Unjudged(name, n_synapses) for name, n_synapses in sizes.items() if n_synapses
    )


def _n_packed(value: Any) -> int:
    """Count the elements of all matrices in tuples, lists and objects of TorchScript."""
    if isinstance(value, Tensor):
        is_matrix = value.ndim > 1 and (value.is_floating_point() or value.is_quantized)
        return value.numel() if is_matrix else 0
    if isinstance(value, torch.ScriptObject):
        value = value.__getstate__()
    return sum(map(_n_packed, value)) if isinstance(value, (tuple, list)) else 0
