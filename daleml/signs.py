r"""Dale's law as a declaration on any ``nn.Module``: fix signs, list them, project onto them, check them.

A sign is a stored fact about the presynaptic unit, never inferred from the current weight. ``fix`` keeps it as an int8
buffer ``<parameter>_signs`` beside the parameter, one entry a presynaptic unit, so it follows ``.to()``, ``deepcopy``,
``pickle`` and ``state_dict``. With :math:`s_j` the sign of unit :math:`j`, a weight obeys the law when

.. math:: s_j \, w_{ij} \ge 0 \quad \text{for every } i.

Zero obeys it with either sign; NaN never does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import law, modules
from daleml.law import DaleError, SignReport, Violation
from daleml.populations import Populations

__all__ = [
    "DaleError",
    "Declaration",
    "SignReport",
    "Violation",
    "check",
    "declare",
    "declared",
    "fix",
    "named",
    "project_",
]


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


def fix(
    module: nn.Module,
    name: str,
    signs: Tensor | Sequence[float] | Populations,
    *,
    dim: int | None = None,
    present: Tensor | None = None,
    role: str | None = None,
    lr_scale: float = 1.0,
) -> None:
    """Fix the sign of every presynaptic unit of one parameter, and which of its synapses exist.

    The values are left alone: :func:`project_` moves them onto the law, :func:`check` says whether they keep it, and
    ``optim.enforce`` keeps it while they learn. From now on a checkpoint that breaks the law, or that holds other
    signs, is refused by ``load_state_dict``; one without sign buffers still loads, judged by the signs fixed here. A
    refused checkpoint leaves every weight it breaks as it was; as always in torch, what is lawful in it is loaded. A
    parameter shared under several names is judged under those it was fixed by.

    Args:
        module: Any module, daleml's own or yours.
        name: Name of one of its parameters: ``"weight"``, ``"weight_hh_l0"``; of a submodule, ``"0.weight"``.
        signs: +1 (excitatory) or -1 (inhibitory) for each presynaptic unit, or a partition of them. A grouped
            convolution has one entry an input channel, over all groups.
        dim: The dimension of the parameter along which presynaptic units lie. Default: 1, as in ``nn.Linear``
            ``(post, pre)``; 0 for transposed convolutions, embeddings and vectors.
        present: Boolean, of the parameter's shape: which synapses exist; default: all. One that does not is kept at
            exactly zero. A checkpoint brings its own, if it has any. The module's ``forward`` should multiply by the
            buffer ``<name>_present``, as daleml's layers do: else absent synapses have gradients, which count in a
            gradient's norm.
        role: Name of the part it plays, for ``optim.param_groups``; default: ``name``.
        lr_scale: Factor on its learning rate, for ``optim.param_groups``.

    Raises:
        AttributeError: If the module has no such parameter.
        TypeError: If ``signs`` is no sequence of numbers, or ``present`` no boolean tensor.
        ValueError: If ``signs`` has the wrong length or a value other than +1 and -1, ``dim`` is out of range, or
            ``present`` has another shape than the parameter.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> layer = torch.nn.Linear(5, 2)
        >>> signs.fix(layer, "weight", Populations(4, 1).signs())
        >>> print(signs.check(signs.project_(layer)))
        Dale's law holds: 1 parameter, 5 units, 10 synapses.
    """
    _require_module("module", module)
    path, _, name = name.rpartition(".")
    module = module.get_submodule(path)
    _, weight = _resolve(module, name)
    if weight.ndim == 0:
        raise ValueError(f"`{name}` must have presynaptic units, so at least one dimension; got a single number.")
    if dim is None:
        dim = modules.presynaptic_dim(module, name, weight.ndim)
    if not 0 <= dim < weight.ndim:
        raise ValueError(f"`dim` must be between 0 and {weight.ndim - 1} for `{name}`; got {dim}.")
    groups = getattr(module, "groups", 1) if dim == 1 else 1
    buffer = _stored(signs, weight, dim, groups if isinstance(groups, int) else 1, name)
    module.register_buffer(name + law.SUFFIX, buffer)
    if present is not None:
        if not isinstance(present, Tensor) or present.dtype != torch.bool:
            got = present.dtype if isinstance(present, Tensor) else type(present).__name__
            raise TypeError(f"`present` must be a boolean tensor; got {got}.")
        if present.shape != weight.shape:
            raise ValueError(
                f"`present` must have the shape {tuple(weight.shape)} of `{name}`; got {tuple(present.shape)}."
            )
        module.register_buffer(name + law.PRESENT, present.detach().to(weight.device, copy=True))
    elif _present(module, name) is not None:
        delattr(module, name + law.PRESENT)
    declare(module, name, role=role, lr_scale=lr_scale, signed=True)


def declare(
    module: nn.Module, name: str, *, role: str | None = None, lr_scale: float = 1.0, signed: bool = False
) -> None:
    """Declare the role and the learning-rate correction of a parameter, whether or not its signs are fixed.

    Args:
        module: The module that owns the parameter.
        name: The parameter's name in it.
        role: Name of the part it plays; default: ``name``.
        lr_scale: Factor on its learning rate; positive.
        signed: Whether its signs are fixed, which :func:`fix` sets.

    Raises:
        AttributeError: If the module has no such parameter.
        ValueError: If ``lr_scale`` is not positive.
    """
    _resolve(module, name)
    if not lr_scale > 0:
        raise ValueError(f"`lr_scale` must be positive; got {lr_scale}.")
    if "_dale" not in module.__dict__:
        module._dale = {}  # type: ignore[assignment]
        module.register_load_state_dict_pre_hook(_judge_checkpoint)  # type: ignore[no-untyped-call]
    _declarations(module)[name] = Declaration(role or name, float(lr_scale), signed)


def named(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield ``(name, parameter, sign)`` for every parameter of ``model`` whose signs are fixed.

    Args:
        model: Any module.
        prefix: Put before the names, as in ``nn.Module.named_modules``.

    Yields:
        Name, parameter and sign. The sign has the parameter's dtype and as few dimensions as it needs to broadcast
        against it: ``(pre,)`` for a weight ``(post, pre)``, ``(in, 1, 1)`` for the weight of a 2d convolution. A
        parameter pruned by ``torch.nn.utils.prune`` appears under its new name, ``weight_orig``.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.fix(layer, "weight", [1, 1, -1])
        >>> [(name, sign.tolist()) for name, _, sign in signs.named(layer)]
        [('weight', [1.0, 1.0, -1.0])]
    """
    for path, module in model.named_modules(prefix=prefix):
        for name, declaration in _declarations(module).items():
            if declaration.signed:
                actual, weight = _resolve(module, name)
                sign = law.broadcastable(_signs(module, name), weight).to(weight.dtype)
                yield f"{path}.{actual}" if path else actual, weight, sign


def declared(model: nn.Module) -> Iterator[tuple[str, Tensor, Declaration]]:
    """Yield ``(name, parameter, declaration)`` for every parameter a module of ``model`` has said something of.

    A reparametrised parameter is represented by the originals that an optimiser trains instead.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, declaration in _declarations(module).items():
            actual, weight = _resolve(module, name)
            if isinstance(weight, nn.Parameter):
                yield prefix + actual, weight, declaration
                continue
            parametrization = module.get_submodule(f"parametrizations.{name}")
            for inner, original in parametrization.named_parameters():  # what an optimiser trains instead
                yield f"{prefix}parametrizations.{name}.{inner}", original, declaration


@torch.no_grad()
def project_(model: nn.Module) -> nn.Module:
    r"""Move every weight to the nearest lawful one, in place: :math:`w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)`.

    A weight put at zero keeps its gradient, so it can grow back. NaN stays NaN, for :func:`check` to report. A synapse
    that does not exist becomes zero whatever it was.

    Returns:
        The model, for chaining.

    Raises:
        DaleError: If a weight that breaks the law is computed by ``torch.nn.utils.parametrize``.
    """
    _require_module("model", model)
    for path, module in model.named_modules():
        for name, declaration in _declarations(module).items():
            if not declaration.signed:
                continue
            actual, weight = _resolve(module, name)
            excitatory = law.broadcastable(_signs(module, name), weight) > 0
            low = torch.where(excitatory, 0.0, -torch.inf).to(weight.dtype)
            high = torch.where(excitatory, torch.inf, 0.0).to(weight.dtype)
            present = _present(module, name)
            if isinstance(weight, nn.Parameter):
                weight.clamp_(min=low, max=high)
                if present is not None:
                    weight.masked_fill_(~present, 0)
            elif law.violations(actual, weight, _signs(module, name), present):
                full = f"{path}.{actual}" if path else actual
                raise DaleError(
                    f"`{full}` is reparametrised and breaks Dale's law, and only a parameter can be projected."
                )
    return model


@torch.no_grad()
def check(model: nn.Module | Mapping[str, Any]) -> SignReport:
    """Judge every weight whose sign is fixed, and every synapse that does not exist.

    Args:
        model: A module; or a state dict, where a weight beside its ``<name>_signs`` is judged by them, and any other
            floating-point tensor of two or more dimensions by itself: each presynaptic unit (dimension 1) must make
            synapses of one sign only, and the rarer sign is counted as broken.

    Returns:
        A report that is true when the law holds, and otherwise names parameter, unit and count.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 4)
        >>> _ = torch.nn.init.constant_(layer.weight, 0.5)
        >>> print(signs.check(layer))
        Dale's law is broken by 4 synapses of 1 unit (1 parameter, 3 units, 12 synapses):
          weight, unit 2 (inhibitory): 4 of 4 synapses positive, worst 0.5
    """
    if isinstance(model, nn.Module):
        judged: list[law.Case] = [
            (
                full := f"{path}.{name}" if path else name,
                _resolve(module, name)[1],
                law.valid_signs(full, _signs(module, name)),
                _present(module, name),
            )
            for path, module in model.named_modules()
            for name, declaration in _declarations(module).items()
            if declaration.signed
        ]
        inferred: tuple[str, ...] = ()
    elif isinstance(model, Mapping):
        judged, inferred = law.judged_in_state(model)
    else:
        raise TypeError(f"`model` must be a module or a state dict; got {type(model).__name__}.")
    return SignReport(
        violations=tuple(violation for case in judged for violation in law.violations(*case)),
        n_parameters=len(judged),
        n_units=sum(signs.numel() for _, _, signs, _ in judged),
        n_synapses=sum(weight.numel() if present is None else int(present.sum()) for _, weight, _, present in judged),
        inferred=inferred,
    )


# -- where the facts are kept ------------------------------------------------------------------------------------------


def _declarations(module: nn.Module) -> dict[str, Declaration]:
    declarations: dict[str, Declaration] = module.__dict__.get("_dale", {})
    return declarations


def _signs(module: nn.Module, name: str) -> Tensor:
    return module.get_buffer(name + law.SUFFIX)


def _present(module: nn.Module, name: str) -> Tensor | None:
    return module._buffers.get(name + law.PRESENT)


def _resolve(module: nn.Module, name: str) -> tuple[str, Tensor]:
    """Find a parameter by the name it was declared under, through pruning and reparametrisation."""
    for candidate in (name, f"{name}_orig"):
        parameter = module._parameters.get(candidate)
        if parameter is not None:
            return candidate, parameter
    if parametrize.is_parametrized(module, name):
        return name, getattr(module, name)
    raise AttributeError(f"`name` must name a parameter of {type(module).__name__}; got {name!r}.")


def _stored(signs: Tensor | Sequence[float] | Populations, weight: Tensor, dim: int, groups: int, name: str) -> Tensor:
    """Shape a vector of signs so that it says by itself where the presynaptic units of ``weight`` are.

    The result has as few dimensions as it needs to broadcast against the weight, or, for a grouped convolution, one
    more than the weight: ``(groups, 1, in / groups, 1, ...)`` against the weight split into groups.
    """
    if isinstance(signs, Populations):
        signs = signs.signs(device="cpu")
    try:
        vector = torch.as_tensor(signs, device="cpu").detach()  # even inside `with torch.device("meta")`
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`signs` must be numbers or a partition; got {type(signs).__name__}.") from None
    n_pre = weight.shape[dim] * groups
    if vector.shape != (n_pre,):
        raise ValueError(
            f"`signs` must hold one sign for each of the {n_pre} presynaptic units of `{name}`; "
            f"got shape {tuple(vector.shape)}."
        )
    wrong = vector[(vector != 1) & (vector != -1)]
    if wrong.numel():
        raise ValueError(f"`signs` must be +1 or -1; got {wrong[0].item()}.")
    trailing = (1,) * (weight.ndim - dim - 1)
    shape = (n_pre, *trailing) if groups == 1 else (groups, 1, n_pre // groups, *trailing)
    # A copy, and a signed byte: `.half()` on the module leaves it alone, and a view would alias the caller's tensor.
    return vector.to(torch.int8).reshape(shape).clone().to(weight.device)


def _require_module(argument: str, model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"`{argument}` must be a module; got {type(model).__name__}.")


# -- checkpoints -------------------------------------------------------------------------------------------------------


def _judge_checkpoint(
    module: nn.Module,
    state: dict[str, Any],
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Refuse lawless values before they are copied in; torch raises ``errors`` when it has read the rest."""
    for name, declaration in _declarations(module).items():
        if not declaration.signed:
            continue
        signs_key, signs = prefix + name + law.SUFFIX, _signs(module, name)
        actual, weight = _resolve(module, name)
        saved, incoming = state.get(signs_key), state.get(prefix + actual)
        unknown = signs.is_meta or not bool((signs.abs() == 1).all())  # as after `to_empty`
        if saved is None:  # a checkpoint of the plain module
            if unknown:
                errors.append(f"{signs_key}: neither the module nor the checkpoint has signs; call `signs.fix` first.")
            state[signs_key] = signs
        elif isinstance(saved, Tensor) and saved.shape == signs.shape and not saved.is_meta:
            try:
                saved = law.valid_signs(prefix + name, saved)
            except ValueError as error:
                errors.append(str(error))
                saved = signs
            if not unknown and not torch.equal(saved.to(signs.device), signs):
                differing = (saved.to(signs.device) != signs).flatten().nonzero().flatten().tolist()
                errors.append(
                    f"{signs_key}: the signs of {len(differing)} units, the first of them unit {differing[0]}, differ "
                    "from those fixed on the module; call `signs.fix` with the checkpoint's signs first to accept them."
                )
                saved = signs
            state[signs_key] = signs = saved
            unknown = False
        present = _present(module, name)
        if present is not None:
            present = _adopt_present(state, prefix + name, present)
        if not isinstance(incoming, Tensor) or incoming.shape != weight.shape or unknown or incoming.is_meta:
            continue  # torch reports missing keys and wrong shapes itself; there is nothing to judge on meta
        present = None if present is None else present.to(incoming.device)
        violations = law.violations(prefix + actual, incoming, signs.to(incoming.device), present)
        if violations:
            errors.extend(f"Dale's law is broken: {violation}." for violation in violations[: law.SHOWN])
            if len(violations) > law.SHOWN:
                errors.append(f"Dale's law is broken by {len(violations) - law.SHOWN} more units of {prefix + actual}.")
            state[prefix + actual] = weight


def _adopt_present(state: dict[str, Any], name: str, present: Tensor) -> Tensor:
    """Return which synapses exist after loading: those of the checkpoint, or of the module if it does not say."""
    saved = state.setdefault(name + law.PRESENT, present)
    if not isinstance(saved, Tensor) or saved.shape != present.shape or saved.is_meta:
        return present
    state[name + law.PRESENT] = saved = saved.to(torch.bool)
    return saved
