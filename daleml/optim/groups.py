"""Parameter groups: a learning rate for each role, and biases apart."""

from __future__ import annotations

from typing import Any

from torch import nn

from daleml import _checks, signs


def param_groups(model: nn.Module, lr: float) -> list[dict[str, Any]]:
    r"""Sort the parameters of a model into groups by role and learning rate, for any torch optimiser.

    Layers declare the corrections: in a DANN with :math:`d` inputs and :math:`n_e` outputs, ``weight_ix`` learns at
    :math:`\eta / \sqrt{n_e}`, ``weight_ei`` at :math:`\eta / d`, ``alpha`` at :math:`\eta / (\sqrt{n_e}\, d)`, and all
    else at :math:`\eta`. Biases, and vectors of no declared role, are a group of their own, ``"bias"``.

    Args:
        model: Any module. Every parameter that requires a gradient lands in exactly one group.
        lr: The learning rate of a parameter without correction.

    Returns:
        Groups with keys ``params``, ``lr``, ``role`` and ``euclidean``. The last tells ``EG`` and ``EGAdamW`` to step
        by plain SGD or AdamW, and is true where no sign is fixed and the parameter is a vector; other optimisers
        ignore it.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If ``lr`` is negative, or the model has nothing to train.

    Example:
        >>> from daleml.layers import DANNLinear
        >>> for group in param_groups(DANNLinear(100, 25), lr=0.1):
        ...     print(group["role"], f"{group['lr']:.3f}", group["euclidean"])
        weight_ex 0.100 False
        weight_ix 0.020 False
        weight_ei 0.001 False
        bias 0.100 True

    Notes:
        Learning rates survive Adam, which would divide scaled gradients back.

    References:
        Cornford et al. 2021 (ICLR); the constants are those of the released code.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    _checks.non_negative("lr", lr)
    declarations = {id(parameter): declaration for _, parameter, declaration in signs.declared(model)}
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        fallback = signs.Declaration("bias" if parameter.ndim < 2 else "weight")
        declaration = declarations.get(id(parameter), fallback)
        euclidean = not declaration.signed and parameter.ndim < 2
        key = declaration.role, lr * declaration.lr_scale, euclidean
        group = {"params": [], "lr": key[1], "role": key[0], "euclidean": euclidean}
        groups.setdefault(key, group)["params"].append(parameter)
    if not groups:
        raise ValueError(f"`model` must have a parameter to train; got {type(model).__name__} without one.")
    return list(groups.values())
