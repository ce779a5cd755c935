"""Whether a model answers with classes, and how many of its answers are right."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def are_classes(outputs: Any, targets: Any) -> bool:
    """Whether outputs are scores of classes, (n, classes), and targets their indices, (n,)."""
    if not isinstance(targets, Tensor) or not isinstance(outputs, Tensor):
        return False
    # A regression, or probabilities of classes.
    if targets.is_floating_point():
        return False
    return outputs.ndim == 2 and targets.ndim == 1


def n_correct(outputs: Any, targets: Any) -> Tensor | None:
    """Return how many targets have the largest output, where they lie; None if no classes."""
    if not are_classes(outputs, targets):
        return None
    right: Tensor = outputs.argmax(dim=-1) == targets
    return right.sum()
