"""Lists of what is fixed and declared in a model: the parameters, their signs and their roles."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from daleml import law
from daleml._signs import facts, parameter_lookup, verification
from daleml._signs.facts import Declaration
from daleml._signs.fixing import require_module
from daleml._support.sharded_tensors import is_sharded, spread


def parameter(module: nn.Module, name: str) -> nn.Parameter:
    """Return the parameter that was fixed or declared under a name.

    Args:
        module: The module that owns it.
        name: The name it was built with: ``"weight"``, also where pruning has made it
            ``"weight_orig"``.

    Returns:
        The parameter that an optimiser trains.

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
    actual, weight = parameter_lookup.resolve(module, name)
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
        appears under its new name, ``weight_orig``. Of a weight that ``fully_shard`` has
        sharded, both are DTensors.

    Raises:
        AttributeError: If a parameter whose signs were fixed is gone.
        TypeError: If ``model`` is no module.
        ValueError: If a buffer of signs or a mask does not hold what was fixed.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> layer = torch.nn.Linear(3, 2)
        >>> signs.fix(layer, "weight", [1, 1, -1])
        >>> [(name, sign.tolist()) for name, _, sign in signs.named(layer)]
        [('weight', [1.0, 1.0, -1.0])]
    """
    require_module("model", model)
    for one in verification.fixed(model, prefix):
        sign = law.broadcastable(one.signs, one.weight).to(one.weight.dtype)
        if is_sharded(one.weight):
            sign = spread(sign, one.weight)
        yield one.name, one.weight, sign


def declared(model: nn.Module) -> Iterator[tuple[str, Tensor, Declaration]]:
    """Yield ``(name, parameter, declaration)`` for every parameter that a module declares.

    A reparametrised parameter is represented by the originals that an optimiser trains instead.

    Args:
        model: Any module.

    Yields:
        Name, parameter and declaration, whether its signs are fixed or not.

    Raises:
        AttributeError: If a declared parameter is gone.
        TypeError: If ``model`` is no module.

    Example:
        >>> from daleml import signs
        >>> from daleml.layers import DANNLinear
        >>> for name, _, declaration in signs.declared(DANNLinear(4, 3, 2)):
        ...     print(f"{name}: {declaration.role}, signed {declaration.signed}")
        weight_ex: weight_ex, signed True
        weight_ix: weight_ix, signed True
        weight_ei: weight_ei, signed True
        bias: bias, signed False
    """
    require_module("model", model)
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, declaration in facts.declarations(module).items():
            actual, weight = parameter_lookup.resolve(module, name)
            if isinstance(weight, nn.Parameter):
                yield prefix + actual, weight, declaration
                continue
            # It is computed: an optimiser trains what it is computed from.
            names = {id(own): inner for inner, own in module.named_parameters()}
            for original in parameter_lookup.trained(module, name):
                yield prefix + names[id(original)], original, declaration
