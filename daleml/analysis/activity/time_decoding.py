"""Decoding: what a linear reader tells from activity at each time of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from daleml import require
from daleml.analysis.activity.plain_values import (
    enough_shuffles,
    fields_of,
    open_fraction,
)
from daleml.analysis.activity.trial_rates import (
    Array,
    as_labels,
    as_rates,
    require_finite,
)

# Accuracies of the same number of right answers differ by rounding, by this much at most.
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Decoding:
    """How well labels of trials are read from activity, at each time.

    Attributes:
        accuracy: Fraction of right answers on trials that the reader had not seen, averaged over
            labels, by time.
        chance: The mean of the same over shuffled labels.
        chance_interval: Its lower and upper quantile, (2, times): between these lie accuracies
            at one time if nothing can be told.
        p_values: Of each time by itself, by shuffled labels.
        adjusted_p_values: The same, corrected for the number of times.
        decodable: Whether the corrected value is at most one less ``confidence``.
        labels: The distinct labels, in order.
        n_trials: Number of trials of each.
        n_units: Number of units, or of other quantities that are read.
        n_folds: In how many parts trials were divided.
        n_shuffles: How often labels were shuffled.
        confidence: Of the interval.
        times_ms: When each step begins; step numbers if ``dt_ms`` was not given.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> states = torch.randn(3, 40, 5, generator=generator)
        >>> labels = torch.arange(40) % 2
        >>> states[2, :, 0] += 8 * labels  # told apart at the last of three times
        >>> result = decode(states, labels)
        >>> result.decodable.tolist(), round(float(result.accuracy[2]), 2)
        ([False, False, True], 1.0)
    """

    accuracy: Array
    chance: Array
    chance_interval: Array
    p_values: Array
    adjusted_p_values: Array
    decodable: NDArray[np.bool_]
    labels: tuple[Any, ...]
    n_trials: tuple[int, ...]
    n_units: int
    n_folds: int
    n_shuffles: int
    confidence: float
    times_ms: Array

    @property
    def n(self) -> int:
        """Number of trials."""
        return sum(self.n_trials)

    def conclusion(self) -> str:
        """Say in one sentence when labels can be told."""
        n_times = int(self.decodable.sum())
        best = int(self.accuracy.argmax())
        return (
            f"{len(self.labels)} labels are read at {n_times} of {len(self.accuracy)} times,"
            f" best with {self.accuracy[best]:.1%} where chance gives {self.chance[best]:.1%},"
            f" in {self.n:,} trials of {self.n_units:,} units."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return fields_of(self) | {"n": self.n, "conclusion": self.conclusion()}

    def __str__(self) -> str:
        return self.conclusion()


def decode(
    states: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    *,
    n_folds: int = 5,
    penalty: float = 1.0,
    n_shuffles: int = 200,
    confidence: float = 0.95,
    dt_ms: float | None = None,
    rng: int = 0,
) -> Decoding:
    r"""Read labels of trials from activity by a cross-validated linear reader, time by time.

    .. math:: \hat W = \arg\min_W \|Y - X W\|^2 + \alpha \|W\|^2, \qquad
              \hat y = \arg\max_k (x \hat W)_k

    with activity :math:`X`, standardised by the mean and the standard deviation of the trials it
    learns from, and :math:`Y` of +1 for the label of a trial and -1 for every other: the ridge
    classifier. Each trial is answered by a reader that learned from the other folds.

    Args:
        states: What is read: rates, states, or efficacies of synapses.
        labels: What is to be told: one number or text for each trial.
        n_folds: In how many parts the trials are divided, each with all labels, at least 2.
        penalty: :math:`\alpha`, above 0.
        n_shuffles: How often labels are shuffled, at least 19, and often enough for a p-value of
            one less ``confidence``.
        confidence: Of the interval that chance allows, in (0, 1).
        dt_ms: Duration of a step, for the times of the result.
        rng: Seed of the folds and the shuffles.

    Shape:
        - ``states``: (time, trials, units), or (trials, units) for one time.
        - ``labels``: (trials,).

    Returns:
        Accuracy, and what chance allows, at each time.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes do not fit, values are not finite, there is one label only, or one
            has fewer trials than there are folds.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(coherences=(0.5,))
        >>> trials = task.sample(60, generator=torch.Generator().manual_seed(0))
        >>> evidence = trials.inputs[..., 1:].cumsum(0)
        >>> result = decode(evidence, trials.conditions["choice"], dt_ms=task.dt_ms)
        >>> bool(result.decodable.all()), result.n
        (True, 60)

    Notes:
        Folds are drawn such that all have the labels in the same proportions, and labels are
        then shuffled within folds: so every shuffle could have been what was drawn, and p-values
        are right for any number of trials. Accuracy is averaged over labels, so that chance is
        one over their number, whatever their proportions. All shuffles of a fold share one
        decomposition.
    """
    values = as_rates("states", states)
    if values.ndim == 2:
        values = values[None]
    require_finite("states", values)
    n_times, n, n_units = values.shape
    names, which = np.unique(as_labels("labels", labels, n), return_inverse=True)
    counts = np.bincount(which)
    folds = require.integer("n_folds", n_folds, minimum=2)
    if len(names) < 2 or counts.min() < folds:
        raise ValueError(
            f"`labels` must be at least two, each of at least `n_folds` trials, {folds}; got"
            f" {dict(zip(names.tolist(), counts.tolist(), strict=True))}."
        )
    alpha = require.positive("penalty", penalty)
    limit = open_fraction("confidence", confidence)
    shuffles = enough_shuffles(n_shuffles, 1 - limit)
    generator = np.random.default_rng(require.integer("rng", rng))
    parts = _folds(which, folds, generator)
    shuffled = _shuffled_within(which, parts, shuffles, generator)
    prepared = [_prepared(shuffled, part, counts) for part in parts]
    accuracies = [_accuracies(state, prepared, alpha) for state in values]
    found = np.stack(accuracies)
    observed, by_chance = found[:, 0], found[:, 1:]
    as_good = (by_chance >= observed[:, None] - _TIE).sum(axis=1)
    # The best of all times, less what chance gives at each, is what many times can reach.
    centre = by_chance.mean(axis=1)
    excess = (by_chance - centre[:, None]).max(axis=0)
    beyond = (excess >= (observed - centre)[:, None] - _TIE).sum(axis=1)
    adjusted = (1 + beyond) / (1 + shuffles)
    tails = [(1 - limit) / 2, (1 + limit) / 2]
    step = 1.0
    if dt_ms is not None:
        step = require.positive("dt_ms", dt_ms)
    return Decoding(
        accuracy=observed,
        chance=centre,
        chance_interval=np.quantile(by_chance, tails, axis=1),
        p_values=(1 + as_good) / (1 + shuffles),
        adjusted_p_values=adjusted,
        decodable=adjusted <= 1 - limit + _TIE,
        labels=tuple(names.tolist()),
        n_trials=tuple(counts.tolist()),
        n_units=n_units,
        n_folds=folds,
        n_shuffles=shuffles,
        confidence=limit,
        times_ms=np.arange(n_times, dtype=np.float64) * step,
    )


def _folds(
    which: NDArray[np.intp], n_folds: int, generator: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Divide trials into folds that have the labels in the same proportions."""
    # Trials in a random order, label by label: dealt out like cards.
    order = generator.permutation(len(which))
    order = order[np.argsort(which[order], kind="stable")]
    return [np.sort(order[fold::n_folds]) for fold in range(n_folds)]


def _shuffled_within(
    which: NDArray[np.intp],
    folds: list[NDArray[np.intp]],
    n_shuffles: int,
    generator: np.random.Generator,
) -> NDArray[np.intp]:
    """Return the labels, and as many shuffles of them within folds, (1 + shuffles, trials)."""
    found = np.tile(which, (1 + n_shuffles, 1))
    for fold in folds:
        rows = np.tile(which[fold], (n_shuffles, 1))
        found[1:, fold] = generator.permuted(rows, axis=1)
    return found


class _Fold(NamedTuple):
    """One fold: its trials, the others, and what is to be told of both in each shuffle.

    Attributes:
        held: Which trials are answered.
        shown: Which are learned from.
        targets: Of the latter, less their mean, (shown, labels - 1, shuffles).
        means: Their mean, (labels - 1, shuffles).
        judged: The labels of the former, (held, shuffles).
        weights: How much a right answer counts, so that all labels count the same.
    """

    held: NDArray[np.intp]
    shown: NDArray[np.intp]
    targets: Array
    means: Array
    judged: NDArray[np.intp]
    weights: Array


def _prepared(
    labels: NDArray[np.intp], held: NDArray[np.intp], counts: NDArray[np.intp]
) -> _Fold:
    """Return a fold with the targets of all shuffles, which are the same at all times."""
    others = np.setdiff1d(np.arange(labels.shape[1]), held)
    # The scores of all labels have the same sum, so that the last one's need not be computed.
    known = np.arange(len(counts) - 1)
    shown = labels[:, others].T[:, None]
    targets = np.where(shown == known[:, None], 1.0, -1.0)
    means = targets.mean(axis=0)
    judged = labels[:, held].T
    weights = 1 / (len(counts) * counts[judged])
    return _Fold(held, others, targets - means, means, judged, weights)


def _accuracies(state: Array, folds: list[_Fold], penalty: float) -> Array:
    """Return the accuracy, averaged over labels, for each row of labels."""
    total = np.zeros(folds[0].judged.shape[1])
    for fold in folds:
        reader = _reader(state[fold.shown], state[fold.held], penalty)
        n_shown, n_known, n_rows = fold.targets.shape
        scores = reader @ fold.targets.reshape(n_shown, n_known * n_rows)
        scores = fold.means + scores.reshape(-1, n_known, n_rows)
        # Of K labels one has the target 1 and the others -1: together, 2 - K.
        last = (1 - n_known) - scores.sum(axis=1, keepdims=True)
        answers = np.concatenate([scores, last], axis=1).argmax(axis=1)
        total += np.where(answers == fold.judged, fold.weights, 0.0).sum(axis=0)
    return total


def _reader(shown: Array, held: Array, penalty: float) -> Array:
    """Return the matrix that takes centred targets of shown trials to scores of held ones.

    It is found by the smaller of two systems of equations.
    """
    mean, spread = shown.mean(axis=0), shown.std(axis=0)
    # A unit that never changes says nothing, and is not blown up.
    spread = np.where(spread > 1e-12 * (1 + np.abs(mean)), spread, np.inf)
    x, z = (shown - mean) / spread, (held - mean) / spread
    n, n_units = x.shape
    if n_units <= n:
        inner = x.T @ x + penalty * np.eye(n_units)
        return np.asarray(z @ np.linalg.solve(inner, x.T))
    inner = x @ x.T + penalty * np.eye(n)
    return np.asarray(np.linalg.solve(inner, x @ z.T).T)
