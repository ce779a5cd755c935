"""The numbers that the demo finds, by network, ready for ``results.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from daleml import signs
from daleml.analysis import (
    Spectrum,
    WeightSample,
    compare_families,
    fit_weights,
    spectrum,
    weight_sample,
    weight_samples,
)
from daleml.datasets import Connectome
from daleml.demo.demo_training import Trained
from daleml.demo.dense_networks import LAYERS

if TYPE_CHECKING:
    import pandas as pd

SIGNS = (("all", None), ("E", 1), ("I", -1))

_FITTED = (
    "best family",
    "log-normal behind by (AICc)",
    "sigma of ln|w|",
    "± s.e.",
    "KS from log-normal",
)
_FEWEST = 50
"""With fewer weights, it is chance which family ranks first."""

_LEAST_SPREAD = 0.02
"""Standard deviation of ln|w| below which weights are too alike to have a shape."""


@dataclass(frozen=True)
class Summary:
    """What one arm did, over its seeds.

    Errors and flips are fractions; those of the test set are of 360 digits.
    """

    label: str
    lr: float
    test_error: list[float]
    train_loss: list[float]
    sign_flips: list[float]
    sign_violations: list[list[float]]
    steps: int
    lawless_steps: int
    n_synapses: int
    n_unjudged: int
    ks_lognormal_before: list[float]
    ks_lognormal: list[float]
    fraction_at_zero: list[float]
    svd_entropy: dict[str, list[float]] = field(default_factory=dict)


def summarise(runs: list[Trained]) -> Summary:
    """Gather the runs of one arm."""
    # The seeds of an arm differ in their weights only: one network's verdict counts for all.
    verdict = signs.check(runs[0].after)
    histories = [run.history for run in runs]
    violations = []
    if verdict.n_parameters:
        violations = [history["sign_violations"].tolist() for history in histories]
    return Summary(
        label=runs[0].arm.label,
        lr=runs[0].arm.lr,
        test_error=[run.test_error for run in runs],
        train_loss=_last(histories, "loss"),
        sign_flips=_last(histories, "sign_flips"),
        sign_violations=violations,
        steps=_sum(histories, "signs/steps"),
        lawless_steps=_sum(histories, "signs/lawless_steps"),
        n_synapses=verdict.n_synapses,
        n_unjudged=sum(weight.n_synapses for weight in verdict.unjudged),
        ks_lognormal_before=[_mean_ks(run.before) for run in runs],
        ks_lognormal=[_mean_ks(run.after) for run in runs],
        fraction_at_zero=_last(histories, "fraction_at_zero"),
        svd_entropy=_entropies(histories),
    )


def _last(histories: list[pd.DataFrame], column: str) -> list[float]:
    """Return what a column ends with, in each history."""
    return [float(history[column].iloc[-1]) for history in histories]


def _sum(histories: list[pd.DataFrame], column: str) -> int:
    """Return the sum of a column of counts over all histories."""
    return int(sum(history[column].sum() for history in histories))


def _entropies(histories: list[pd.DataFrame]) -> dict[str, list[float]]:
    """Return the SVD entropy of each matrix before and after learning, mean of the seeds."""
    found = {}
    for column in histories[0].columns:
        kind, _, matrix = column.partition("/")
        if kind == "svd_entropy":
            means = []
            # The first row was recorded before learning, the last after it.
            for place in (0, -1):
                seeds = [history[column].iloc[place] for history in histories]
                means.append(float(np.mean(seeds)))
            found[matrix] = means
    return found


def _hidden(name: str) -> bool:
    """Whether a sample is of excitatory weights onto hidden units, thousands of synapses."""
    path, _, parameter = name.removesuffix(" E").partition(".")
    if parameter in ("weight_hh_l0", "weight_ex_hh_l0"):
        return True
    # Between two layers of a stack stands a ReLU, so that the read-out has twice their number.
    is_readout = path in (str(2 * LAYERS), "readout")
    return not is_readout and parameter in ("weight", "weight_ex")


def _mean_ks(model: nn.Module) -> float:
    """Mean, over hidden matrices, of the distance of z-scored ln|w| from the normal."""
    distances = []
    for name, sample in weight_samples(model).items():
        # A small population is far from any family by chance alone.
        if _hidden(name):
            distances.append(fit_weights(sample).ks_distance())
    return float(np.mean(distances))


def recurrent_spectrum(model: nn.Module) -> Spectrum:
    """Return the spectrum of what multiplies the state of a network that reads row by row."""
    return spectrum(model.rnn)


def synapse_table(model: nn.Module) -> list[dict[str, Any]]:
    """Fit every population of synapses of a network: by parameter, E and I apart."""
    return [fit_row(name, sample) for name, sample in weight_samples(model).items()]


def brain_table(brain: Connectome) -> list[dict[str, Any]]:
    """Fit the synapses of a connectome: all, those of excitatory, those of inhibitory neurons."""
    discrete = are_counts(brain)
    return [
        fit_row(name, brain.weights(sign), discrete=discrete) for name, sign in SIGNS
    ]


def are_counts(brain: Connectome) -> bool:
    """Whether the strengths of a connectome are whole numbers; means of counts are not."""
    weights = brain.weights()
    return bool(np.all(weights == np.floor(weights)))


def fit_row(
    name: str, weights: WeightSample | NDArray[np.float64], *, discrete: bool = False
) -> dict[str, Any]:
    """Fit one population of synapses, and tell how the log-normal does.

    Args:
        name: What to call it.
        weights: Its magnitudes.
        discrete: Whether they are counts.

    Returns:
        What was found, by the name of its column; None, and the reason under ``"not fitted"``,
        where a family's name would mean nothing.
    """
    sample = weight_sample(weights)
    row: dict[str, Any] = {"synapses": name, "n": sample.n, "zeros": sample.n_zero}
    reason = _why_not(sample)
    if reason:
        return row | dict.fromkeys(_FITTED) | {"not fitted": reason}
    comparison = compare_families(sample, discrete=discrete)
    lognormal = comparison["lognormal"]
    values = (
        comparison.best.family,
        lognormal.aicc - comparison.best.aicc,
        lognormal.params["sigma"],
        lognormal.stderr["sigma"],
        lognormal.ks_distance(),
    )
    return row | dict(zip(_FITTED, values, strict=True)) | {"not fitted": ""}


def _why_not(sample: WeightSample) -> str:
    # The reason stands in the table in place of a family.
    if sample.n < _FEWEST:
        return "too few"
    spread = sample.log_moments[1]
    return "nearly equal" if spread < _LEAST_SPREAD else ""
