"""What to watch while a network learns.

Functions from a model to one number, or to several by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from daleml import signs
from daleml.analysis import (
    effective_weights,
    fit_weights,
    svd_entropy,
    weight_matrices,
    weight_samples,
)

Tracker: TypeAlias = Callable[[nn.Module], float | Mapping[str, float]]
"""Called after every epoch with the model, in eval mode and without gradients."""


def sign_violations(model: nn.Module) -> float:
    """Count the synapses that break Dale's law; NaN if no parameter has its signs fixed."""
    report = signs.check(model)
    return float(report.n_violations) if report.n_parameters else math.nan


def fraction_at_zero(model: nn.Module) -> float:
    """Return the fraction of synapses at exactly zero, over all parameters of two or more dimensions."""
    arrays = [matrix.synapses() for matrix in weight_matrices(model)]
    total = sum(array.size for array in arrays)
    return (
        sum(array.size - int(np.count_nonzero(array)) for array in arrays) / total
        if total
        else math.nan
    )


def lognormal_sigma(model: nn.Module) -> dict[str, float]:
    """Return the standard deviation of ln|w| of each parameter, E and I apart."""
    samples = weight_samples(model)
    return {
        name: fit_weights(sample).params["sigma"]
        for name, sample in samples.items()
        if sample.moments.log_sd > 1e-5
    }


def svd_entropies(model: nn.Module) -> dict[str, float]:
    """Return the normalised SVD entropy of each matrix that multiplies an input.

    The effective weight of a layer.
    """
    return {name: svd_entropy(weight) for name, weight in effective_weights(model)}


def held_out(
    inputs: Tensor, targets: Any, loss: Callable[[Tensor, Any], Tensor]
) -> Tracker:
    """Make a tracker of ``loss`` and, where targets are classes, ``error`` (a fraction) on held-out data.

    Raises:
        TypeError: If ``loss`` is no function.
        ValueError: When the tracker is called, if a model of classes has not one output for
            each target.
    """
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"`loss` must be a function of outputs and targets; got {loss!r}."
        )

    def evaluate(model: nn.Module) -> dict[str, float]:
        outputs = model(inputs)
        if _are_classes(outputs, targets) and len(outputs) != len(targets):
            raise ValueError(
                f"`targets` must be as many as the model's outputs, {len(outputs)}; got"
                f" {len(targets)}."
            )
        results = {"loss": float(loss(outputs, targets))}
        correct = n_correct(outputs, targets)
        return (
            results
            if correct is None
            else results | {"error": 1 - correct / len(targets)}
        )

    return evaluate


def sign_flips(model: nn.Module) -> Tracker:
    """Make a tracker of the fraction of weights whose sign is no longer the one they have now.

    Zero has none.
    """
    start = {
        name: value.detach().sign()
        for name, value in model.named_parameters()
        if value.ndim >= 2
    }
    total = sum(sign.numel() for sign in start.values())

    def flipped(model: nn.Module) -> float:
        now = dict(model.named_parameters())
        return (
            sum(int((now[name] * sign < 0).sum()) for name, sign in start.items())
            / total
            if total
            else math.nan
        )

    return flipped


def n_correct(outputs: Any, targets: Any) -> int | None:
    """Count the right answers of a classifier, outputs ``(n, classes)`` and targets ``(n,)``.

    None if it is none.
    """
    if not _are_classes(outputs, targets):
        return None
    return int((outputs.argmax(dim=-1) == targets).sum())


def _are_classes(outputs: Any, targets: Any) -> bool:
    if (
        not isinstance(targets, Tensor)
        or not isinstance(outputs, Tensor)
        or targets.is_floating_point()
    ):
        return False
    return outputs.ndim == 2 and targets.ndim == 1


DEFAULT: dict[str, Tracker] = {
    "sign_violations": sign_violations,
    "fraction_at_zero": fraction_at_zero,
    "lognormal_sigma": lognormal_sigma,
    "svd_entropy": svd_entropies,
}
"""What ``train`` records unless told otherwise."""


@torch.no_grad()
def read(trackers: Mapping[str, Tracker], model: nn.Module) -> dict[str, float]:
    """Run trackers on a model in eval mode.

    A tracker of several numbers yields ``<tracker>/<name>`` columns.
    """
    modes = [
        (module, module.training) for module in model.modules()
    ]  # one by one: some may be frozen in eval mode
    model.eval()
    try:
        row: dict[str, float] = {}
        for name, tracker in trackers.items():
            value = tracker(model)
            if isinstance(value, Mapping):
                row |= {f"{name}/{key}": float(number) for key, number in value.items()}
            else:
                row[name] = float(value)
        return row
    finally:
        for module, training in modes:
            module.training = training
