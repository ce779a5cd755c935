"""Biases that exponentiated gradient can carry through zero: sums of two parts of fixed signs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from daleml import modules, require, signs

_PARTS = ("original0", "original1")


class SplitBias(nn.Module):
    r"""The parametrisation :math:`b = b^+ + b^-`, with :math:`b^+ \ge 0 \ge b^-`.

    Args:
        spread: What each part holds beyond the bias itself, at the split: the positive one
            :math:`\max(b, 0)` plus it.
    """

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the bias."""
        return positive + negative

    def right_inverse(self, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return parts that add up to the bias."""
        return bias.clamp_min(0) + self.spread, bias.clamp_max(0) - self.spread


def split_bias_(model: nn.Module, *, spread: float | None = None) -> nn.Module:
    r"""Make every bias of a model the sum of a positive and a negative part, in place.

    .. math::
        b = b^+ + b^-, \qquad
        b^+ \leftarrow \max(b, 0) + c, \quad b^- \leftarrow \min(b, 0) - c

    Exponentiated gradient flips no sign and moves no zero, so it cannot learn an ordinary bias.
    Of the two parts one grows and the other shrinks, and their sum goes anywhere. The signs of
    the parts are fixed: ``signs.check`` sees them and ``param_groups`` gives them to ``EG``.
    The model computes what it did.

    Args:
        model: Its trainable vectors named ``bias``, or beginning so, are split, unless their
            signs are fixed.
        spread: :math:`c`, above 0; default: half of :math:`\sqrt{2 / \text{fan in}}`, which is
            what the parts are on average in the paper, and 5e-5 in normalisations.

    Returns:
        The model.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If it has no bias to split, or one that is split already.

    Example:
        >>> import torch
        >>> from daleml.layers import EILinear
        >>> from daleml.optim import EG, param_groups, split_bias_
        >>> layer = split_bias_(EILinear(4, 2))
        >>> optimizer = EG(param_groups(layer, lr=1.0), lr=1.0)
        >>> optimizer.step(lambda: (layer(torch.zeros(1, 4)) + 1).square().sum().backward())
        >>> sorted(name for name, _ in layer.named_parameters())
        ['parametrizations.bias.original0', 'parametrizations.bias.original1', 'weight']

    Notes:
        Survives ``deepcopy`` and state dicts, and a checkpoint of the plain model still loads:
        its biases are split on the way in. As any parametrised module in torch, it is not
        pickled. :func:`merge_bias_` undoes it. The biases of ``nn.RNN``, ``GRU`` and ``LSTM``
        are left alone: torch reads them as one block of memory.

    References:
        Cornford et al. 2024 (EG paper). Departure: there both parts are drawn anew, here they
        keep the bias.
    """
    _require_module(model)
    chosen = list(_biases(model))
    if any(parametrize.is_parametrized(module, name) for module, name in chosen):
        raise ValueError(
            f"`model` must not have its biases split twice; got {type(model).__name__},"
            " where they are."
        )
    if not chosen:
        raise ValueError(
            f"`model` must have a bias to split; got {type(model).__name__} without one."
        )
    if spread is not None:
        require.positive("spread", spread)
    for module, name in chosen:
        bias = getattr(module, name)
        parametrization = SplitBias(
            _default_spread(module) if spread is None else spread
        )
        # torch calls right_inverse, and keeps what it returns as original0 and original1.
        parametrize.register_parametrization(module, name, parametrization)
        for part, sign in zip(_PARTS, (1.0, -1.0), strict=True):
            part_signs = torch.full((bias.numel(),), sign)
            signs.fix(
                module, f"parametrizations.{name}.{part}", part_signs, role="bias"
            )
        module.register_load_state_dict_pre_hook(_split_on_load)  # type: ignore[no-untyped-call]
    return model


def merge_bias_(model: nn.Module) -> nn.Module:
    """Make split biases ordinary ones again, in place; what was learned stays.

    Args:
        model: A model that :func:`split_bias_` was given.

    Returns:
        The model.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If no bias of it is split.

    Example:
        >>> from torch import nn
        >>> from daleml.optim import merge_bias_, split_bias_
        >>> layer = merge_bias_(split_bias_(nn.Linear(3, 2)))
        >>> [name for name, _ in layer.named_parameters()]
        ['weight', 'bias']
    """
    _require_module(model)
    split = []
    for module in list(model.modules()):
        for name in _split_names(module):
            split.append((module, name))
    if not split:
        raise ValueError(
            f"`model` must have biases that are split; got {type(model).__name__} without"
            " one."
        )
    for module, name in split:
        parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return model


def _require_module(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")


def _biases(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the biases there are, split already or not, with the modules that own them."""
    fixed = {id(parameter) for _, parameter, _ in signs.named(model)}
    paths = {module: path for path, module in model.named_modules()}
    for module in list(model.modules()):
        kind = modules.torch_kind(module)
        # The parts of biases that are split already, and biases that torch reads as one block
        # of memory with the weights of their layer.
        if isinstance(module, parametrize.ParametrizationList) or (
            kind is not None and kind.packed
        ):
            continue
        declared = {one.bias for one in modules.known_weights(module, paths[module])}
        for name, parameter in list(module.named_parameters(recurse=False)):
            bias = (name.startswith("bias") or name in declared) and parameter.ndim == 1
            if bias and parameter.requires_grad and id(parameter) not in fixed:
                yield module, name
        for name in _split_names(module):
            yield module, name


def _split_names(module: nn.Module) -> list[str]:
    if not parametrize.is_parametrized(module):
        return []
    names = []
    for name, parts in cast("nn.ModuleDict", module.parametrizations).items():
        # The first one decides: nobody else's can come before ours, which wants two parts.
        if isinstance(cast("Any", parts)[0], SplitBias):
            names.append(name)
    return names


def _default_spread(module: nn.Module) -> float:
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.ndim > 1:
            return math.sqrt(2 / modules.fan_in(module, name)) / 2
    # A normalisation has no fan in.
    return 5e-5


def _split_on_load(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: object
) -> None:
    """Split the biases of a plain checkpoint before it is loaded."""
    for name in _split_names(module):
        if prefix + name not in state:
            continue
        parametrization = cast("Any", module.parametrizations)[name][0]
        for part, value in zip(
            _PARTS, parametrization.right_inverse(state.pop(prefix + name)), strict=True
        ):
            state[f"{prefix}parametrizations.{name}.{part}"] = value
