r"""Dale's law on any module: fix signs, list them, project onto them, check them.

A sign is a stored fact about the presynaptic unit, never inferred from the current weight.
``fix`` keeps it as an int8 buffer ``<parameter>_signs`` beside the parameter, one entry per
presynaptic unit, so it follows ``.to()``, ``deepcopy``, ``pickle`` and ``state_dict``.
With :math:`s_j` the sign of unit :math:`j`, a weight obeys the law when

.. math:: s_j \, w_{ij} \ge 0 \quad \text{for every } i.

Zero obeys it with either sign; NaN never does. :mod:`daleml.law` compares one weight with its
signs, and says who breaks the law.

``fix`` may also say which synapses exist, which of these do not learn, and by which factor each
of the others does.

What was fixed stays fixed: a later ``fix`` or ``declare`` keeps signs, mask, role and
learning-rate correction unless it is told otherwise by name (``replace=True``,
:func:`release`), a checkpoint with other facts is refused unless it is to be adopted
(:func:`adopt_signs`, :func:`adopt_masks`, :func:`keep_masks`), and a buffer that something
wrote into is found out by :func:`check` (:func:`restore_` puts it back). ``docs/routes.md``
lists the routes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from daleml import require
from daleml._signs import (
    facts,
    fixing,
    judging,
    loading,
    parameter_lookup,
    projection,
    sparse_verification,
    verification,
)
from daleml._signs.drawn_masks import DrawnBlocks
from daleml._signs.facts import Declaration
from daleml._signs.listing import declared, named, parameter
from daleml._signs.loading import adopt_masks, adopt_signs, keep_masks
from daleml._support.sharded_tensors import reshard
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

# Older pickles of models call it by this name.
_judge_checkpoint = loading.judge_checkpoint


def fix(
    module: nn.Module,
    name: str,
    signs: Tensor | Sequence[float | None] | Populations,
    *,
    dim: int | None = None,
    present: Tensor | None = None,
    fixed: Tensor | None = None,
    role: str | None = None,
    lr_scale: float | Tensor | None = None,
    drawn: bool | DrawnBlocks = False,
    draws_strengths: bool = False,
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
            In a list, None is a unit without a sign, which is not judged.
        dim: The dimension of the parameter along which presynaptic units lie. Default: 1, as in
            ``nn.Linear`` ``(post, pre)``; 0 for transposed convolutions, embeddings and
            vectors.
        present: Boolean, of the parameter's shape: which synapses exist; default: all, or those
            fixed before. One that does not is kept at exactly zero. The module's ``forward``
            should multiply by the buffer ``<name>_present``, 1 or 0, as daleml's layers do:
            else absent synapses have gradients, which count in a gradient's norm.
        fixed: Boolean, of the parameter's shape: which of the synapses that exist do not learn;
            default: none, or those fixed before. They keep the strengths that the parameter has
            now, also under an optimiser that no guard watches: daleml's layers act by the
            buffer ``<name>_fixed_strengths`` where ``<name>_fixed`` is 1, and another module's
            ``forward`` should. A guard puts them back into the parameter, too.
        role: Name of the part it plays, for ``optim.param_groups``; default: that declared
            before, or ``name``.
        lr_scale: Factor on its learning rate, for ``optim.param_groups``; default: that
            declared before, or 1. Or a tensor of the parameter's shape, a factor of at least 0
            on all that each synapse learns, which ``optim.enforce`` applies.
        drawn: Whether ``present`` was drawn at random. Then a checkpoint may bring another draw
            of that density, as that of an interrupted run does when the model is built anew. A
            layer that drew it block by block says by which densities.
        draws_strengths: Whether the strengths of ``fixed`` are drawn at random after this call,
            as a layer's ``reset_parameters`` does. Then a checkpoint may bring others.
        replace: Whether to replace signs, a mask or fixed synapses that were fixed before by
            those given here.
        default: Whether these are a layer's own defaults, as in ``reset_parameters``: all that
            was fixed before is kept, whatever is given here, and buffers that were emptied or
            written into are filled anew.

    Raises:
        AttributeError: If the module has no such parameter.
        TypeError: If ``signs`` is no sequence of numbers, or ``present`` or ``fixed`` no
            boolean tensor.
        ValueError: If ``signs`` has the wrong length or a value other than +1 and -1, ``dim``
            is out of range, ``present`` or ``fixed`` has another shape than the parameter, the
            parameter has a wrong sign where it is fixed, or other signs, another mask or other
            fixed synapses were fixed before.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> layer = torch.nn.Linear(5, 2)
        >>> signs.fix(layer, "weight", Populations(4, 1).signs())
        >>> print(signs.check(signs.project_(layer)))
        Dale's law holds: 1 parameter, 5 units, 10 synapses.
    """
    # A dotted name leads to the submodule that owns the parameter.
    module, name = fixing.owner(module, require.text("name", name))
    _, weight = parameter_lookup.resolve(module, name)
    parameter_lookup.require_shape(name, weight)
    synapses = fixing.Given(present, fixed, drawn, draws_strengths)
    given = fixing.given(module, name, weight, signs, dim, synapses)
    earlier = facts.record(module, name)
    if earlier is not None and default:
        given = earlier
    elif earlier is not None:
        given = fixing.merged(module, name, earlier, given, replace)
    given = fixing.with_strengths(name, given, earlier, weight)
    facts.keep(module, name, given, weight)
    # A layer's own role and correction give way to those that were declared before.
    gives_way = default and earlier is not None
    if isinstance(lr_scale, Tensor) and lr_scale.ndim:
        fixing.learn_by(module, name, weight, lr_scale, default=default)
        lr_scale = None
    elif isinstance(lr_scale, Tensor):
        lr_scale = float(lr_scale)
    fixing.declare(module, name, role, lr_scale, signed=True, default=gives_way)


def declare(
    module: nn.Module,
    name: str,
    *,
    role: str | None = None,
    lr_scale: float | None = None,
    signed: bool | None = None,
    default: bool = False,
) -> None:
    """Declare the role and the learning-rate correction of a parameter.

    Its signs may be fixed or not. What is not given stays as it was declared before, and fixed
    signs stay fixed.

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

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.declare(layer, "bias", role="offset", lr_scale=0.1)
        >>> [(name, declaration.role) for name, _, declaration in signs.declared(layer)]
        [('bias', 'offset')]
    """
    module, name = fixing.owner(module, require.text("name", name))
    if role is not None:
        require.text("role", role)
    parameter_lookup.resolve(module, name)
    earlier = facts.declarations(module).get(name)
    is_signed = earlier is not None and earlier.signed
    if signed is not None and signed != is_signed:
        other = "fix" if signed else "release"
        raise ValueError(
            f"`signed` must be left out, or {is_signed} for `{name}`; got {signed}: call"
            f" `signs.{other}`."
        )
    fixing.declare(module, name, role, lr_scale, signed=is_signed, default=default)


def release(module: nn.Module, name: str) -> None:
    """Free one parameter: drop its signs, its mask, its role and its learning-rate correction.

    Args:
        module: The module.
        name: The parameter's name in it; of a submodule, ``"0.weight"``.

    Raises:
        AttributeError: If the module has no such submodule.
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
    module, name = fixing.owner(module, require.text("name", name))
    if name not in facts.declarations(module):
        raise ValueError(
            "`name` must name a parameter that something was fixed or declared of; got"
            f" {name!r}."
        )
    facts.forget(module, name)


def restore_(model: nn.Module) -> nn.Module:
    """Put back every sign and mask that was fixed, where something overwrote their buffers.

    Args:
        model: Any module.

    Returns:
        The model, for chaining.

    Raises:
        TypeError: If ``model`` is no module.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 4)
        >>> _ = layer.weight_signs.zero_()
        >>> signs.restore_(layer).weight_signs.tolist()
        [1, 1, -1]
    """
    fixing.require_module("model", model)
    for module in model.modules():
        sparse_verification.restore_(module)
        for name, declaration in facts.declarations(module).items():
            kept = facts.record(module, name)
            if declaration.signed and kept is not None:
                facts.keep(
                    module, name, kept, parameter_lookup.resolve(module, name)[1]
                )
                parameter_lookup.refresh(module, name)
    return model


@torch.no_grad()
def project_(model: nn.Module) -> nn.Module:
    r"""Move every weight to the nearest lawful one, in place.

    :math:`w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)`.

    A weight put at zero keeps its gradient, so it can grow back. NaN stays NaN, for
    :func:`check` to report. A synapse that does not exist becomes zero whatever it was.

    Args:
        model: Any module.

    Returns:
        The model, for chaining.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        DaleError: If a weight that breaks the law is computed by ``torch.nn.utils.parametrize``.
        TypeError: If ``model`` is no module.
        ValueError: If a buffer of signs or a mask does not hold what was fixed, or a weight is
            sparse.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> signs.fix(layer, "weight", [1, -1])
        >>> _ = layer.weight.data.copy_(torch.tensor([[-3.0, -2.0]]))
        >>> signs.project_(layer).weight.tolist()
        [[0.0, -2.0]]
    """
    fixing.require_module("model", model)
    reshard(model)
    for one in verification.fixed(model, quickly=True):
        projection.project_one(one)
    return model


@torch.no_grad()
def check(
    model: nn.Module | Mapping[str, Any], *, dim: int | None = None
) -> SignReport:
    """Judge every weight whose signs are fixed, and name the weights without signs.

    A synapse that does not exist must be zero.

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
        of two or more dimensions. A buffer that the ``plastic_weights`` of a layer of your own
        leave out is no weight; a state dict cannot say so, and there it is named.

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
        Dale's law holds for the 1 of 2 weights that have signs (3 units, 12 synapses);
        not under the law: 1.weight, 8 synapses.
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
