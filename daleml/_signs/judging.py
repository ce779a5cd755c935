"""Judgement of a module or of a state dict: what breaks Dale's law, and what was not judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml import _sparse_weights, law, modules
from daleml._signs import parameter_lookup, unsigned_units, verification
from daleml._signs.sharded_facts import require_one_wiring
from daleml._signs.verification import Fixed
from daleml._sparse_weights import Pattern
from daleml._support.sharded_tensors import local, reshard, whole
from daleml.law import JudgedWeight, SignReport, Unjudged, Violation

# The names that torch.nn.utils.parametrize gives to what a weight is computed from.
_PARAMETRISED = re.compile(
    r"^(?P<path>(?:.*\.)?)parametrizations\.(?P<name>.+)\.original\d*$"
)
_BUFFERS = law.BUFFERS


def of_model(model: nn.Module) -> SignReport:
    """Judge every weight of a module whose signs are fixed, and name the others.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        ValueError: If buffers do not hold what was fixed.
    """
    reshard(model)
    fixed = list(verification.fixed(model))
    require_one_wiring(fixed)
    # Of a weight that is computed, what an optimiser trains instead has been judged with it.
    judged: set[int] = set()
    for one in fixed:
        judged.update(map(id, parameter_lookup.trained(one.module, one.own)))
    entries = _entries(model)
    free = {
        name: tensor for name, tensor in entries.items() if id(tensor) not in judged
    }
    unjudged = _unjudged(_distinct(free, id), entries)
    packed = {}
    for path, names in modules.kept_otherwise(model):
        state = model.get_submodule(path).state_dict()
        for name in names:
            packed[f"{path}.{name}".lstrip(".")] = state[name]
    report = _report(map(_case, fixed), (), unjudged=unjudged + _packed(packed))
    # A lawful model needs no names.
    if not report:
        report = replace(report, violations=_with_populations(report.violations, fixed))
    return report


def _case(one: Fixed) -> JudgedWeight:
    """Return a weight as it is judged: whole, also where each process holds a shard of it."""
    unit_signs = law.valid_signs(one.name, one.signs)
    facts = unit_signs, one.present, one.fixed, one.pattern
    return one.name, whole(one.weight), *facts


def _with_populations(
    violations: Iterable[Violation], fixed: Iterable[Fixed]
) -> tuple[Violation, ...]:
    """Name the cell type of each unit that breaks the law, where its layer names cell types."""
    by_name = {one.name: one for one in fixed}
    found = []
    for violation in violations:
        names = _cell_types(by_name[violation.parameter])
        if violation.unit < len(names):
            violation = replace(violation, population=names[violation.unit])
        found.append(violation)
    return tuple(found)


def _cell_types(one: Fixed) -> list[str]:
    """Return the cell type of each presynaptic unit; nothing if nobody named any."""
    for weight in modules.known_weights(one.module):
        pre = weight.pre
        # That a unit excites or inhibits is said anyway.
        if weight.name == one.own and pre is not None and pre.types is not None:
            return pre.per_unit("names", {name: name for name in pre})
    return []


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
    tensors = {}
    for key, value in state.items():
        tensor = _as_tensor(value)
        if tensor is not None:
            tensors[str(key)] = tensor
    _require_flat(state, tensors)
    if not any(key.endswith(law.SUFFIX) for key in tensors):
        return _infer(tensors, _packed(state), dim)
    if dim is not None:
        raise ValueError(
            "`dim` must be left out where signs are saved, which say where units lie; got"
            f" {dim}."
        )
    signed = _once(tensors, [key for key in tensors if _is_signed(tensors, key)])
    cases = (_saved_case(tensors, key) for key in signed)
    # A weight that is saved under several names is judged once; its other names are not free.
    judged = {_place(tensors[key]) for key in signed} - {None}
    free = {}
    for key, tensor in tensors.items():
        if key not in signed and _place(tensor) not in judged:
            free[key] = tensor
    unjudged = _unjudged(_distinct(free, _place), tensors)
    return _report(cases, (), unjudged=unjudged + _packed(state))


def _report(
    cases: Iterable[JudgedWeight],
    inferred: Iterable[str],
    *,
    unjudged: tuple[Unjudged, ...] = (),
    transposed: bool = False,
) -> SignReport:
    broken: list[Violation] = []
    n_parameters = n_units = n_synapses = 0
    free: list[Unjudged] = []
    for name, weight, stored, present, fixed, pattern in cases:
        broken += law.violations(name, weight, stored, present, fixed, pattern)
        all_signed = not bool((stored == law.UNSIGNED).any())
        n_pre = stored.numel() if pattern is None else pattern.shape[1]
        if all_signed:
            n_parameters += 1
            n_units += n_pre
            n_synapses += weight.numel() if present is None else int(present.sum())
            continue
        # A verdict says what it did not judge.
        without = unsigned_units.without_sign(name, weight, stored, present, pattern)
        free.append(without)
        n_units += n_pre - (without.n_units or n_pre)
        n_parameters += without.n_units is not None
        existing = weight.numel() if present is None else int(present.sum())
        n_synapses += existing - without.n_synapses
    return SignReport(
        violations=tuple(broken),
        n_parameters=n_parameters,
        n_units=n_units,
        n_synapses=n_synapses,
        inferred=tuple(inferred),
        unjudged=(*free, *unjudged),
        transposed=transposed,
    )


# -- a module --------------------------------------------------------------------------------------


def _entries(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a state dict of the model holds, shared ones under each name."""
    found: dict[str, Tensor] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, parameter in module._parameters.items():
            # A name with a dot is that of a stack, whose slices are judged in their modules.
            if parameter is not None and "." not in name:
                found[prefix + name] = parameter
        apart = set(module._non_persistent_buffers_set) | _fixed_tables(module, path)
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in apart:
                found[prefix + name] = buffer
    return found


def _fixed_tables(module: nn.Module, path: str) -> set[str]:
    """Return the buffers of a layer of one's own whose ``plastic_weights`` leave them out."""
    said = modules.method(module, "plastic_weights")
    # Layers of this package know nothing of a buffer that somebody added to them.
    if said is None or said.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return set()
    return set(module._buffers) - modules.accounted(module, path)


# -- a state dict ----------------------------------------------------------------------------------


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if (
        not isinstance(value, (np.ndarray, np.generic))
        or value.dtype.kind not in "fiub"
    ):
        return None
    native = value.dtype.newbyteorder("=")
    # torch has no long doubles.
    if value.dtype.kind == "f" and value.dtype.itemsize > 8:
        native = np.dtype(np.float64)
    return torch.from_numpy(np.array(value, dtype=native))


def _require_flat(state: Mapping[Any, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raise if a mapping holds no tensors itself, but a mapping of tensors, as trainers save."""
    if tensors:
        return
    for key, value in state.items():
        inside = value.values() if isinstance(value, Mapping) else ()
        if any(isinstance(one, (Tensor, np.ndarray)) for one in inside):
            raise ValueError(
                "`model` must be a state dict of tensors; got one that holds it under"
                f" {key!r}: give that."
            )


def _is_signed(tensors: Mapping[str, Tensor], key: str) -> bool:
    if key.endswith(_BUFFERS) or not tensors[key].is_floating_point():
        return False
    return key.removesuffix("_orig") + law.SUFFIX in tensors


def _saved_case(tensors: Mapping[str, Tensor], key: str) -> JudgedWeight:
    """Return a saved weight as it is judged, whole, and the facts that lie beside it."""
    plain = key.removesuffix("_orig")
    buffers = (plain + suffix for suffix in law.BUFFERS)
    state = {name: tensors[name] for name in buffers if name in tensors}
    weight = state[key] = whole(tensors[key])
    stored = law.saved_signs(state, key)
    assert stored is not None  # `_is_signed` has seen it
    return (
        key,
        weight,
        stored,
        law.saved_present(state, key),
        law.saved_fixed(state, key),
        _sparse_weights.pattern_of_state(tensors, key),
    )


def _place(tensor: Tensor) -> tuple[Any, ...] | None:
    """Return where in memory a tensor lies, by which shared ones are known; None if nowhere."""
    if tensor.is_meta or tensor.layout != torch.strided or not local(tensor).numel():
        return None
    return local(tensor).data_ptr(), tuple(tensor.shape), tensor.stride()


def _once(tensors: Mapping[str, Tensor], signed: list[str]) -> list[str]:
    """Leave out the second name of a weight whose signs are the same memory too.

    The state dict of a model that holds one module twice has such names.
    """
    seen = set()
    found = []
    for key in signed:
        stored = tensors[key.removesuffix("_orig") + law.SUFFIX]
        places = (_place(tensors[key]), _place(stored))
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
    along = 1 if dim is None else dim
    cases = []
    for key, weight in plain.items():
        pattern = _sparse_weights.pattern_of_state(tensors, key)
        cases.append(_majority(key, weight, along, pattern))
    computed = [Unjudged(name, sizes[name]) for name in sizes if name not in plain]
    unjudged = (*computed, *packed)
    report = _report(cases, plain, unjudged=unjudged)
    matrices = all(weight.ndim == 2 for weight in plain.values())
    if report or dim is not None or not matrices:
        return report
    other = [_majority(key, weight, 0) for key, weight in plain.items()]
    lawful = not any(law.violations(*case) for case in other)
    return _report(cases, plain, unjudged=unjudged, transposed=lawful)


def _majority(
    key: str, weight: Tensor, dim: int, pattern: Pattern | None = None
) -> JudgedWeight:
    """Return a weight without signs, and for each unit the sign of most of its synapses."""
    weight = whole(weight)
    if weight.dtype.itemsize == 1:
        # float8 has no arithmetic
        weight = weight.float()
    if pattern is not None:
        return unsigned_units.majority(key, weight, pattern)
    if not 0 <= dim < weight.ndim:
        raise ValueError(
            f"`dim` must be between 0 and {weight.ndim - 1} for `{key}`; got {dim}."
        )
    others = [other for other in range(weight.ndim) if other != dim]
    n_exc = (weight > 0).sum(others)
    n_inh = (weight < 0).sum(others)
    unit_signs = torch.where(n_exc >= n_inh, 1, -1)
    trailing = (1,) * (weight.ndim - dim - 1)
    return key, weight, unit_signs.reshape(-1, *trailing), None, None, None


# -- what is not under the law ---------------------------------------------------------------------


def _weights(
    entries: Mapping[str, Tensor], among: Mapping[str, Tensor]
) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Return the sizes of all weights by the names that users know, and those not computed."""
    sizes: dict[str, int] = {}
    plain: dict[str, Tensor] = {}
    for key, tensor in entries.items():
        sparse = key.removesuffix("_orig") + _sparse_weights.SHAPE in among
        if key.endswith(_BUFFERS) or (tensor.ndim < 2 and not sparse):
            continue
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        # The mask of torch.nn.utils.prune.
        if key.endswith("_mask") and key.removesuffix("_mask") + "_orig" in among:
            continue
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
    """Name what holds matrices and is no tensor itself, as packed weights of quantised modules."""
    found = []
    for key, value in state.items():
        # Tensors are named where they are judged, and a mapping is no weight.
        n_synapses = 0 if isinstance(value, (Tensor, Mapping)) else _n_packed(value)
        if n_synapses:
            found.append(Unjudged(str(key), n_synapses))
    return tuple(found)


def _n_packed(value: Any) -> int:
    """Count the elements of all matrices in tuples, lists and objects of TorchScript."""
    if isinstance(value, Tensor):
        has_weights = value.is_floating_point() or value.is_quantized
        return value.numel() if value.ndim > 1 and has_weights else 0
    if isinstance(value, torch.ScriptObject):
        value = value.__getstate__()
    if not isinstance(value, (tuple, list)):
        return 0
    return sum(map(_n_packed, value))
