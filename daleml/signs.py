r"""Dale's law as a declaration on any ``nn.Module``.

Fix signs, list them, project onto them, check them.

A sign is a stored fact about the presynaptic unit, never inferred from the current weight.
``fix`` keeps it as an int8 buffer ``<parameter>_signs`` beside the parameter, one entry for
each presynaptic unit, so it follows ``.to()``, ``deepcopy``, ``pickle`` and ``state_dict``.
With :math:`s_j` the sign of unit :math:`j`, a weight obeys the law when

.. math:: s_j \, w_{ij} \ge 0 \quad \text{for every } i.

Zero obeys it with either sign; NaN never does.

What was fixed stays fixed: a later ``fix`` or ``declare`` keeps signs, mask, role and
learning-rate correction unless it is told otherwise by name (``replace=True``,
:func:`release`), a checkpoint with other facts is refused unless it is to be adopted
(:func:`adopt_signs`, :func:`adopt_masks`, :func:`keep_masks`), and a buffer that something
wrote into is found out by :func:`check` (:func:`restore_` puts it back). ``docs/routes.md``
lists the routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import law, require
from daleml._signs import facts, fixing, judging, loading, projection
from daleml._signs.facts import Declaration
from daleml._signs.loading import adopt_masks, adopt_signs, keep_masks
from daleml.law import DaleError, SignReport, Unjudged, Violation
from daleml.populations import Populations

__all__ = [
    "DaleError",
    "Declaration",
    "SignReport",
    "Unjudged",
    "Violation",
    "adopt_masks",
    "adopt_signs",
    "check",
    "declare",
    "declared",
    "fix",
    "keep_masks",
    "named",
    "parameter",
    "project_",
    "release",
    "restore_",
]

_judge_checkpoint = loading.judge_checkpoint  # the name by which older pickles call it


def fix(
    module: nn.Module,
    name: str,
    signs: Tensor | Sequence[float] | Populations,
    *,
    dim: int | None = None,
    present: Tensor | None = None,
    role: str | None = None,
    lr_scale: float | None = None,
    drawn: bool = False,
    replace: bool = False,
    default: bool = False,
) -> None:
    """Fix the sign of every presynaptic unit of one parameter, and which of its synapses exist.

    The values are left alone: :func:`project_` moves them onto the law, :func:`check` says
    whether they keep it, and ``optim.enforce`` keeps it while they learn. From now on a
    checkpoint that breaks the law, or that holds other signs or another mask, is refused by
    ``load_state_dict``; one without sign buffers still loads, judged by the signs fixed here. A
    refused checkpoint leaves every weight it breaks as it was; as always in torch, what is
    lawful in it is loaded. A parameter shared under several names is judged under those it was
    fixed by.

    A second call keeps what the first fixed: the mask, role and correction that it does not
    name. It may not change signs or mask unless ``replace`` says so.

    Args:
        module: Any module, daleml's own or yours.
        name: Name of one of its parameters: ``"weight"``, ``"weight_hh_l0"``; of a submodule,
            ``"0.weight"``.
        signs: +1 (excitatory) or -1 (inhibitory) for each presynaptic unit, or a partition of
            them. A grouped convolution has one entry for each input channel, over all groups.
        dim: The dimension of the parameter along which presynaptic units lie. Default: 1, as in
            ``nn.Linear`` ``(post, pre)``; 0 for transposed convolutions, embeddings and
            vectors.
        present: Boolean, of the parameter's shape: which synapses exist; default: all, or those
            fixed before. One that does not is kept at exactly zero. The module's ``forward``
            should multiply by the buffer ``<name>_present``, 1 or 0, as daleml's layers do:
            else absent synapses have gradients, which count in a gradient's norm.
        role: Name of the part it plays, for ``optim.param_groups``; default: that declared
            before, or ``name``.
        lr_scale: Factor on its learning rate, for ``optim.param_groups``; default: that
            declared before, or 1.
        drawn: Whether ``present`` was drawn at random. Then a checkpoint may bring another draw
            of that density, as that of an interrupted run does when the model is built anew.
        replace: Whether to replace signs or a mask that were fixed before by those given here.
        default: Whether these are a layer's own defaults, as in ``reset_parameters``: all that
            was fixed before is kept, whatever is given here, and buffers that were emptied or
            written into are filled anew.

    Raises:
        AttributeError: If the module has no such parameter.
        TypeError: If ``signs`` is no sequence of numbers, or ``present`` no boolean tensor.
        ValueError: If ``signs`` has the wrong length or a value other than +1 and -1, ``dim``
            is out of range, ``present`` has another shape than the parameter, or other signs or
            another mask were fixed before.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> layer = torch.nn.Linear(5, 2)
        >>> signs.fix(layer, "weight", Populations(4, 1).signs())
        >>> print(signs.check(signs.project_(layer)))
        Dale's law holds: 1 parameter, 5 units, 10 synapses.
    """
    module, name = _owner(module, name)
    _, weight = facts.resolve(module, name)
    facts.require_shape(name, weight)
    given = fixing.given(module, name, weight, signs, dim, present, drawn)
    earlier = facts.record(module, name)
    if earlier is not None:
        given = (
            earlier if default else fixing.merged(module, name, earlier, given, replace)
        )
    facts.keep(module, name, given, weight.device)
    _declare(
        module,
        name,
        role,
        lr_scale,
        signed=True,
        default=default and earlier is not None,
    )


def declare(
    module: nn.Module,
    name: str,
    *,
    role: str | None = None,
    lr_scale: float | None = None,
    signed: bool | None = None,
    default: bool = False,
) -> None:
    """Declare the role and the learning-rate correction of a parameter, whether or not its signs are fixed.

    What is not given stays as it was declared before, and fixed signs stay fixed.

    Args:
        module: The module that owns the parameter.
        name: The parameter's name in it.
        role: Name of the part it plays; default: that declared before, or ``name``.
        lr_scale: Factor on its learning rate; positive. Default: that declared before, or 1.
        signed: Whether its signs are fixed: to be left out, or as it is, since :func:`fix` and
            :func:`release` set it.
        default: Whether these are a layer's own defaults, which give way to whatever was
            declared before.

    Raises:
        AttributeError: If the module has no such parameter.
        ValueError: If ``lr_scale`` is not positive, or ``signed`` is not as it is.
    """
    module, name = _owner(module, name)
    if role is not None:
        require.text("role", role)
    facts.resolve(module, name)
    earlier = facts.declarations(module).get(name)
    is_signed = earlier is not None and earlier.signed
    if signed is not None and signed != is_signed:
        other = "fix" if signed else "release"
        raise ValueError(
            f"`signed` must be left out, or {is_signed} for `{name}`; got {signed}: call"
            f" `signs.{other}`."
        )
    _declare(module, name, role, lr_scale, signed=is_signed, default=default)


def release(module: nn.Module, name: str) -> None:
    """Free one parameter: drop its signs, its mask, its role and its learning-rate correction.

    Args:
        module: The module.
        name: The parameter's name in it; of a submodule, ``"0.weight"``.

    Raises:
        ValueError: If nothing was fixed or declared of it.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.fix(layer, "weight", [1, 1, -1])
        >>> signs.release(layer, "weight")
        >>> print(signs.check(layer))
        Nothing to check: no parameter has its signs fixed. Not under the law: weight, 6 synapses.
    """
    module, name = _owner(module, name)
    if name not in facts.declarations(module):
        raise ValueError(
            "`name` must name a parameter that something was fixed or declared of; got"
            f" {name!r}."
        )
    facts.forget(module, name)


def restore_(model: nn.Module) -> nn.Module:
    """Put back every sign and mask that was fixed, if something overwrote the buffers that hold them.

    Returns:
        The model, for chaining.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 4)
        >>> _ = layer.weight_signs.zero_()
        >>> signs.restore_(layer).weight_signs.tolist()
        [1, 1, -1]
    """
    _require_module("model", model)
    for module in model.modules():
        for name, declaration in facts.declarations(module).items():
            kept = facts.record(module, name)
            if declaration.signed and kept is not None:
                facts.keep(module, name, kept, facts.resolve(module, name)[1].device)
                facts.refresh(module, name)
    return model


def parameter(module: nn.Module, name: str) -> nn.Parameter:
    """Return the parameter that was fixed or declared under a name, whatever pruning has called it since.

    Args:
        module: The module that owns it.
        name: The name it was built with: ``"weight"``, also where it is ``"weight_orig"`` now.

    Raises:
        AttributeError: If the module has no such parameter.
        ValueError: If it is computed by a parametrisation, so that there is no parameter to
            write to.

    Example:
        >>> import torch
        >>> from torch.nn.utils import prune
        >>> from daleml import signs
        >>> layer = prune.random_unstructured(torch.nn.Linear(3, 2), "weight", 0.5)
        >>> signs.parameter(layer, "weight") is layer.weight_orig
        True
    """
    actual, weight = facts.resolve(module, name)
    if not isinstance(weight, nn.Parameter):
        raise ValueError(
            f"`{actual}` must be a parameter; it is computed by a parametrisation, which"
            " must go first."
        )
    return weight


def named(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield ``(name, parameter, sign)`` for every parameter of ``model`` whose signs are fixed.

    Args:
        model: Any module.
        prefix: Put before the names, as in ``nn.Module.named_modules``.

    Yields:
        Name, parameter and sign. The sign has the parameter's dtype and as few dimensions as it
        needs to broadcast against it: ``(pre,)`` for a weight ``(post, pre)``, ``(in, 1, 1)``
        for the weight of a 2d convolution. A parameter pruned by ``torch.nn.utils.prune``
        appears under its new name, ``weight_orig``.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.fix(layer, "weight", [1, 1, -1])
        >>> [(name, sign.tolist()) for name, _, sign in signs.named(layer)]
        [('weight', [1.0, 1.0, -1.0])]
    """
    _require_module("model", model)
    for one in facts.fixed(model, prefix):
        yield (
            one.name,
            one.weight,
            law.broadcastable(one.signs, one.weight).to(one.weight.dtype),
        )


def declared(model: nn.Module) -> Iterator[tuple[str, Tensor, Declaration]]:
    """Yield ``(name, parameter, declaration)`` for every parameter a module of ``model`` has said something of.

    A reparametrised parameter is represented by the originals that an optimiser trains instead.
    """
    _require_module("model", model)
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, declaration in facts.declarations(module).items():
            actual, weight = facts.resolve(module, name)
            if isinstance(weight, nn.Parameter):
                yield prefix + actual, weight, declaration
                continue
            names = {id(own): inner for inner, own in module.named_parameters()}
            for original in facts.trained(
                module, name
            ):  # what an optimiser trains instead
                yield prefix + names[id(original)], original, declaration


@torch.no_grad()
def project_(model: nn.Module) -> nn.Module:
    r"""Move every weight to the nearest lawful one, in place.

    :math:`w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)`.

    A weight put at zero keeps its gradient, so it can grow back. NaN stays NaN, for
    :func:`check` to report. A synapse that does not exist becomes zero whatever it was.

    Returns:
        The model, for chaining.

    Raises:
        DaleError: If a weight that breaks the law is computed by ``torch.nn.utils.parametrize``.
        ValueError: If a buffer of signs or a mask does not hold what was fixed, or a weight is
            sparse.
    """
    _require_module("model", model)
    for one in facts.fixed(model, quickly=True):
        projection.project_one(one)
    return model


@torch.no_grad()
def check(
    model: nn.Module | Mapping[str, Any], *, dim: int | None = None
) -> SignReport:
    """Judge every weight whose signs are fixed, and every synapse that does not exist.

    Name the weights without signs.

    Args:
        model: A module; or a state dict, which is judged as the module would be: a weight
            beside its ``<name>_signs`` by them. A state dict without any signs is judged by
            itself, and says so: each presynaptic unit must make synapses of one sign only, and
            the rarer sign is counted as broken.
        dim: Where presynaptic units lie in the weights of a state dict without signs. Default:
            1, ``(post, pre)``; 0 for kernels ``(pre, post)``, as Keras and JAX store them.

    Returns:
        A report that is true when the law holds, and otherwise names parameter, unit and count.
        ``report.unjudged`` names the weights that are not under the law: floating-point tensors
        of two or more dimensions.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        TypeError: If ``model`` is neither a module nor a state dict.
        ValueError: If signs do not fit their weight, or a buffer no longer holds what was fixed.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 4)
        >>> print(signs.check(torch.nn.Sequential(layer, torch.nn.Linear(4, 2))))
        Dale's law holds for the 1 of 2 weights that have signs (3 units, 12 synapses); not under the law: 1.weight, 8
        synapses.
        >>> _ = torch.nn.init.constant_(layer.weight, 0.5)
        >>> print(signs.check(layer))
        Dale's law is broken by 4 synapses of 1 unit (1 parameter, 3 units, 12 synapses):
          weight, unit 2 (inhibitory): 4 of 4 synapses positive, worst 0.5
    """
    if isinstance(model, nn.Module):
        if dim is not None:
            raise ValueError(
                "`dim` must be left out for a module, whose signs say where units lie; got"
                f" {dim}."
            )
        return judging.of_model(model)
    if isinstance(model, Mapping):
        return judging.of_state(model, dim)
    raise TypeError(
        f"`model` must be a module or a state dict; got {type(model).__name__}."
    )


def _declare(
    module: nn.Module,
    name: str,
    role: str | None,
    lr_scale: float | None,
    *,
    signed: bool,
    default: bool,
) -> None:
    if lr_scale is not None and not lr_scale > 0:
        raise ValueError(f"`lr_scale` must be positive; got {lr_scale}.")
    if "_dale" not in module.__dict__:
        module._dale = {}  # type: ignore[assignment]
        module.register_load_state_dict_pre_hook(loading.judge_checkpoint)  # type: ignore[no-untyped-call]
    facts.count_change()
    known = facts.declarations(module)
    earlier = known.get(name)
    if earlier is not None and (default or role is None):
        role = earlier.role
    if earlier is not None and (default or lr_scale is None):
        lr_scale = earlier.lr_scale
    known[name] = Declaration(
        role or name, 1.0 if lr_scale is None else float(lr_scale), signed
    )


def _require_module(argument: str, model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"`{argument}` must be a module; got {type(model).__name__}.")


def _owner(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the submodule that holds a parameter, and the parameter's name in it."""
    _require_module("module", module)
    path, _, own = require.text("name", name).rpartition(".")
    try:
        return module.get_submodule(path), own
    except AttributeError:
        raise AttributeError(
            f"`name` must name a parameter of {type(module).__name__}; got {name!r}."
        ) from None
