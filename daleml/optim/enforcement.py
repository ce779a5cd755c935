"""A guard that keeps Dale's law under any torch optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from daleml import signs
from daleml.optim import step_guards
from daleml.optim.coverage import require_signed_trained, warn_of_draws


def enforce(
    optimizer: Optimizer,
    model: nn.Module,
    *,
    partial: bool = False,
    step: str | Sequence[str] = "step",
) -> RemovableHandle:
    r"""Project ``model`` onto its signs after every step of ``optimizer``.

    .. math:: w_{ij} \leftarrow s_j \max(s_j w_{ij}, 0)

    The weights are lawful however a step ends: also when a closure, another hook or Ctrl-C
    breaks it off. A model that the optimiser guards already is not guarded twice. Of a wrapper,
    such as accelerate's ``AcceleratedOptimizer``, a sharpness-aware minimiser or Lookahead, the
    optimiser that it steps by is guarded too. Copies of the optimiser, by ``copy.deepcopy`` or
    ``pickle``, guard the copy of the model.

    Args:
        optimizer: Any torch optimiser, or a wrapper of one.
        model: The model whose signs, fixed by ``signs.fix`` or by its layers, are kept. Every
            fixed parameter is projected, whether or not the optimiser trains it.
        partial: Whether the optimiser may train some of the fixed parameters only, as one of
            several optimisers does.
        step: The method that ends a step, or several. Name them where an optimiser changes
            weights in others than ``step``, as those in two steps do: ``step=("step",
            "second_step")``.

    Returns:
        A handle: ``handle.remove()`` undoes the guard, and so does leaving it as a context manager.

    Raises:
        TypeError: If ``optimizer`` or ``model`` is something else.
        ValueError: If no parameter of ``model`` has its signs fixed, so there is nothing to
            guard; the optimiser trains none of them, or misses some and ``partial`` is False;
            or it changes weights where no guard sees it.

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
        Projection keeps the sign, not the convergence theory of every optimiser: LBFGS, for
        one, learns less well under it. ``EG``, ``EGAdamW`` and ``MirrorDescent`` with its
        default potential keep the law by themselves. Of parameters that ``fully_shard`` has
        sharded, each process projects the part that it holds.

        The guard reads signs and masks again only when something changed them. It sees whatever
        torch counts, but not a write through ``.data`` into a buffer of signs or a mask:
        ``signs.check`` and ``signs.project_`` find that one.
    """
    given: Any = optimizer
    if not isinstance(given, Optimizer) and not _wraps_an_optimizer(given):
        raise TypeError(
            f"`optimizer` must be a torch optimiser; got {type(optimizer).__name__}."
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a module; got {type(model).__name__}.")
    if next(signs.named(model), None) is None:
        raise ValueError(
            "`model` must have a parameter whose signs are fixed; got"
            f" {type(model).__name__} without one."
        )
    steps = (step,) if isinstance(step, str) else tuple(step)
    stepping = step_guards.steppers(optimizer)
    _require_methods(optimizer, steps)
    require_signed_trained(stepping, model, partial=partial)
    # A wrapper changes weights by the optimiser that it wraps, which is guarded, too.
    if len(stepping) == 1:
        _require_seen(optimizer, steps)
    warn_of_draws(model)
    return step_guards.install(stepping, model, steps)


def _wraps_an_optimizer(given: Any) -> bool:
    """Whether something behaves as an optimiser and holds one, without being one by its class."""
    groups = getattr(given, "param_groups", None)
    if not isinstance(groups, list) or not callable(getattr(given, "step", None)):
        return False
    return len(step_guards.steppers(given)) > 1


def _require_methods(optimizer: Any, steps: Sequence[str]) -> None:
    """Raise unless an optimiser has all methods that are said to end a step."""
    for name in steps:
        if not callable(getattr(optimizer, name, None)):
            raise ValueError(
                f"`step` must name a method of {type(optimizer).__name__}; got {name!r}."
            )


def _require_seen(optimizer: Any, steps: Sequence[str]) -> None:
    """Raise if an optimiser that wraps no other changes weights where no guard sees it."""
    kind = type(optimizer)
    others = [name for name in dir(kind) if _may_change_weights(kind, name, steps)]
    # Its `step` is torch's own, which does nothing, so something else must do the work.
    empty = "step" in steps and getattr(kind, "step", None) is Optimizer.step
    if not others and not empty:
        return
    where = f" in {' and '.join(others)}" if others else " elsewhere"
    raise ValueError(
        f"`optimizer` must change weights in {' and '.join(steps)} alone, where a guard"
        f" sees it; got {kind.__name__}, which may do so{where}: name the methods that end"
        " a step, `step=(...)`, or call `signs.project_` after them."
    )


def _may_change_weights(kind: type, name: str, steps: Sequence[str]) -> bool:
    """Whether an attribute of an optimiser's class is a method that may end a step of its own.

    Optimisers in two steps have ``first_step`` and ``second_step``; schedule-free ones exchange
    the weights in ``train`` and ``eval``.
    """
    if name.startswith("_") or name in steps or hasattr(Optimizer, name):
        return False
    named_so = name.endswith("_step") or name in ("train", "eval")
    return named_so and callable(getattr(kind, name))
