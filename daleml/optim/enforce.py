"""A guard that keeps Dale's law under any torch optimiser."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml import signs


def enforce(optimizer: Optimizer, model: nn.Module) -> RemovableHandle:
    r"""Project ``model`` onto its signs after every step of ``optimizer``.

    .. math:: w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)

    Args:
        optimizer: Any torch optimiser; only its public step hook is used.
        model: The model whose signs, fixed by ``signs.fix`` or by its layers, are kept. Every fixed parameter is
            projected, whether or not the optimiser trains it.

    Returns:
        A handle: ``handle.remove()`` undoes the guard, and so does leaving it as a context manager.

    Raises:
        TypeError: If ``optimizer`` or ``model`` is something else.
        ValueError: If no parameter of ``model`` has its signs fixed, so there is nothing to guard.

    Example:
        >>> import torch
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> from daleml.optim import enforce
        >>> layer = EILinear(Populations(8, 2), 3)
        >>> optimizer = torch.optim.AdamW(layer.parameters(), lr=10.0)
        >>> guard = enforce(optimizer, layer)
        >>> layer(torch.rand(4, 10)).sum().backward()
        >>> optimizer.step()
        >>> bool(signs.check(layer))
        True
        >>> guard.remove()

    Notes:
        Projection keeps the sign, not the convergence theory of every optimiser: LBFGS, for one, learns less well
        under it. ``copy.deepcopy`` of an optimiser drops its hooks; guard the copy again.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}.")
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    if next(signs.named(model), None) is None:
        raise ValueError(
            f"`model` must have a parameter whose signs are fixed; got {type(model).__name__} without one."
        )

    def project(_optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        signs.project_(model)

    return optimizer.register_step_post_hook(project)
