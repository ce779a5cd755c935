"""Trackers: functions from a model to numbers that are recorded while it learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from daleml import signs
from daleml._sparse_weights import sparse_weights
from daleml._support import class_answers
from daleml._support.device_moves import device_of, moved_pair
from daleml._support.sharded_tensors import whole
from daleml.analysis import (
    effective_weights,
    fit_weights,
    svd_entropy,
    weight_matrices,
    weight_samples,
)
from daleml.analysis.weights.effective_matrices import as_they_act

Tracker: TypeAlias = Callable[[nn.Module], float | Mapping[str, float]]
"""Called after every epoch with the model, in eval mode and without gradients."""


_LEAST_LOG_SD = 1e-5
"""Weights whose logarithms vary less than this are constant but for rounding, and have no fit."""
_LARGEST_SPARSE = 2**20
"""The most pairs of units of a sparse weight whose entropy ``train`` records."""


def sign_violations(model: nn.Module) -> float:
    """Count the synapses that break Dale's law; NaN if no parameter has its signs fixed.

    Args:
        model: Any module.

    Returns:
        The number of synapses.

    Example:
        >>> from daleml.layers import EILinear
        >>> sign_violations(EILinear(3, 2))
        0.0
    """
    report = signs.check(model)
    # A count of 0 would say that a law was kept where there was none.
    if not report.n_parameters:
        return math.nan
    return float(report.n_violations)


def fraction_at_zero(model: nn.Module) -> float:
    """Return the fraction of synapses at exactly zero.

    Args:
        model: Any module.

    Returns:
        The fraction over all parameters of two or more dimensions; NaN if there are none.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
        >>> fraction_at_zero(layer)
        0.5
    """
    n_synapses = n_nonzero = 0
    for matrix in weight_matrices(model):
        weights = matrix.synapses()
        n_synapses += weights.size
        n_nonzero += int(np.count_nonzero(weights))
    if not n_synapses:
        return math.nan
    return (n_synapses - n_nonzero) / n_synapses


def lognormal_sigma(model: nn.Module, *, by: str | None = None) -> dict[str, float]:
    r"""Return the standard deviation :math:`\sigma` of :math:`\ln |w|` of each parameter.

    Args:
        model: Any module.
        by: Whether to divide them by ``"population"`` or ``"pathway"``, as for
            :func:`~daleml.analysis.weight_samples`.

    Returns:
        By name, excitatory and inhibitory weights apart. Weights that are all alike are left out.

    Example:
        >>> from daleml import Populations
        >>> from daleml.layers import EILinear
        >>> sorted(lognormal_sigma(EILinear(Populations(40, 10), 20)))
        ['weight E', 'weight I']
    """
    sigmas = {}
    for name, sample in weight_samples(model, by=by).items():
        if sample.moments.log_sd > _LEAST_LOG_SD:
            sigmas[name] = fit_weights(sample).params["sigma"]
    return sigmas


def svd_entropies(model: nn.Module, *, by: str | None = None) -> dict[str, float]:
    """Return the normalised SVD entropy of each effective weight, which multiplies an input.

    Args:
        model: Any module.
        by: Whether to divide them by ``"population"`` or ``"pathway"``, as for
            :func:`~daleml.analysis.weight_samples`.

    Returns:
        The entropies, by name.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(3, 3)
        >>> _ = torch.nn.init.eye_(layer.weight)
        >>> {name: round(entropy, 6) for name, entropy in svd_entropies(layer).items()}
        {'weight': 1.0}
    """
    matrices = effective_weights(model, by=by)
    return {name: svd_entropy(weight) for name, weight in matrices}


def _entropies_while_it_learns(model: nn.Module) -> dict[str, float]:
    """Return :func:`svd_entropies`, without those of large sparse weights.

    All singular values of a sparse weight of 3,000 units take longer than many epochs, and of a
    connectome they cannot be had at all.
    """
    entropies = {}
    for name, weight in as_they_act(model):
        if weight.layout == torch.strided or weight.numel() <= _LARGEST_SPARSE:
            entropies[name] = svd_entropy(weight)
    return entropies


def held_out(
    inputs: Tensor, targets: Any, loss: Callable[[Tensor, Any], Tensor]
) -> Tracker:
    """Make a tracker of the loss and, for classes, of the fraction of errors on held-out data.

    Args:
        inputs: Inputs of the model. They follow it to its device.
        targets: What it should answer; likewise.
        loss: ``loss(outputs, targets)``, a scalar.

    Returns:
        A tracker that gives ``loss`` and, where targets are classes, ``error``.

    Raises:
        TypeError: If ``loss`` is no function.
        ValueError: When the tracker is called, if a model of classes has not one output for
            each target.

    Example:
        >>> import torch
        >>> x, y = torch.rand(6, 4), torch.zeros(6, dtype=torch.long)
        >>> tracker = held_out(x, y, torch.nn.functional.cross_entropy)
        >>> sorted(read({"test": tracker}, torch.nn.Linear(4, 3)))
        ['test/error', 'test/loss']
    """
    # A class, such as CrossEntropyLoss, is callable, and makes a loss of outputs and targets.
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(
            f"`loss` must be a function of outputs and targets; got {loss!r}."
        )

    # Else a call outside `read` keeps a graph, and torch warns of a loss turned into a number.
    @torch.no_grad()
    def evaluate(model: nn.Module) -> dict[str, float]:
        x, y = inputs, targets
        device = device_of(model)
        if device is not None:
            x, y = moved_pair(inputs, targets, device)
        outputs = model(x)
        if class_answers.are_classes(outputs, y) and len(outputs) != len(y):
            raise ValueError(
                f"`targets` must be as many as the model's outputs, {len(outputs)}; got"
                f" {len(y)}."
            )
        results = {"loss": float(loss(outputs, y))}
        correct = n_correct(outputs, y)
        if correct is not None:
            results["error"] = 1 - correct / len(y)
        return results

    return evaluate


def sign_flips(model: nn.Module) -> Tracker:
    """Make a tracker of the fraction of weights whose sign is no longer the one they have now.

    A weight at zero has no sign, and loses none.

    Args:
        model: The model as it is before training.

    Returns:
        A tracker; it gives NaN for a model without weights.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(3, 2)
        >>> tracker = sign_flips(layer)
        >>> _ = layer.weight.data.neg_()
        >>> tracker(layer)
        1.0
    """
    members = getattr(model, "members", None)
    if isinstance(members, tuple):
        # Of an ensemble, each model has a beginning of its own.
        each = {id(member): sign_flips(member) for member in members}
        return lambda member: each[id(member)](member)
    start = {}
    sparse = {id(getattr(module, name)) for module, name in sparse_weights(model)}
    for name, value in model.named_parameters():
        if value.ndim >= 2 or id(value) in sparse:
            start[name] = whole(value.detach()).sign()
    n_synapses = sum(sign.numel() for sign in start.values())

    @torch.no_grad()
    def flipped(model: nn.Module) -> float:
        if not n_synapses:
            return math.nan
        now = dict(model.named_parameters())
        n_flipped = 0
        for name, sign in start.items():
            # A weight that began or ended at zero has changed no sign.
            n_flipped += int((whole(now[name]) * sign < 0).sum())
        return n_flipped / n_synapses

    return flipped


def n_correct(outputs: Any, targets: Any) -> int | None:
    """Count the right answers of a classifier; None if the model is none.

    Args:
        outputs: Outputs of a model.
        targets: Indices of classes, or anything else.

    Shape:
        Outputs ``(n, classes)``, targets ``(n,)``.

    Returns:
        The number of targets that have the largest output.

    Example:
        >>> import torch
        >>> n_correct(torch.eye(3), torch.tensor([0, 1, 1]))
        2
    """
    correct = class_answers.n_correct(outputs, targets)
    return None if correct is None else int(correct)


DEFAULT: dict[str, Tracker] = {
    "sign_violations": sign_violations,
    "fraction_at_zero": fraction_at_zero,
    "lognormal_sigma": lognormal_sigma,
    "svd_entropy": _entropies_while_it_learns,
}
"""What ``train`` records unless told otherwise.

Entropies of sparse weights of more than 2**20 pairs of units, 1,024 by 1,024, are left out: they
would take longer than an epoch. :func:`svd_entropies` gives them.
"""


@torch.no_grad()
def read(trackers: Mapping[str, Tracker], model: nn.Module) -> dict[str, float]:
    """Run trackers on a model in eval mode, and return what they give as one row.

    A tracker of several numbers fills the columns ``<tracker>/<name>``.

    Args:
        trackers: Functions of the model, by name.
        model: The model; its modules are left in the modes that they are in.

    Returns:
        The numbers, by column.

    Example:
        >>> from daleml.layers import EILinear
        >>> read({"violations": sign_violations}, EILinear(3, 2))
        {'violations': 0.0}
    """
    # One by one: some may be frozen in eval mode.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        row: dict[str, float] = {}
        for name, tracker in trackers.items():
            value = tracker(model)
            if isinstance(value, Mapping):
                for key, number in value.items():
                    row[f"{name}/{key}"] = _number(f"{name}/{key}", number)
            else:
                row[name] = _number(name, value)
        return row
    finally:
        for module, training in modes:
            module.training = training


def _number(name: str, value: Any) -> float:
    """Return what a tracker found, or raise if it is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"`trackers` must return a number, or numbers by name; {name!r} gave"
            f" {type(value).__name__}: {error}."
        ) from None
