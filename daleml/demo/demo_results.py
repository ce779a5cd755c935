"""What the demo found: numbers by network, ready for ``results.json``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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

SIGNS = (("all", None), ("E", 1), ("I", -1))

_FITTED = (
    "best family",
    "log-normal behind by (AICc)",
    "sigma of ln|w|",
    "± s.e.",
    "KS from log-normal",
)
_FEWEST = 50  # weights: with fewer, the family that ranks first is chance
# of ln|w|: weights within a few per cent of each other have no shape to be told
_LEAST_SPREAD = 0.02


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
    histories = [run.history for run in runs]
    verdict = signs.check(runs[0].after)
    lawful = verdict.n_parameters > 0
    entropies = [
        column for column in histories[0].columns if column.startswith("svd_entropy/")
    ]
    return Summary(
        label=runs[0].arm.label,
        lr=runs[0].arm.lr,
        test_error=[run.test_error for run in runs],
        train_loss=[float(history["loss"].iloc[-1]) for history in histories],
        sign_flips=[float(history["sign_flips"].iloc[-1]) for history in histories],
        sign_violations=(
            [history["sign_violations"].tolist() for history in histories]
            if lawful
            else []
        ),
        steps=int(sum(history["signs/steps"].sum() for history in histories)),
        lawless_steps=int(
            sum(history["signs/lawless_steps"].sum() for history in histories)
        ),
        n_synapses=verdict.n_synapses,
        n_unjudged=sum(weight.n_synapses for weight in verdict.unjudged),
        ks_lognormal_before=[_mean_ks(run.before) for run in runs],
        ks_lognormal=[_mean_ks(run.after) for run in runs],
        fraction_at_zero=[
            float(history["fraction_at_zero"].iloc[-1]) for history in histories
        ],
        svd_entropy={
            name.partition("/")[2]: [
                float(np.mean([h[name].iloc[i] for h in histories])) for i in (0, -1)
            ]
            for name in entropies
        },
    )


def _hidden(name: str) -> bool:
    """Whether a sample is of excitatory weights onto hidden units.

    The matrices with thousands of synapses.
    """
    path, _, rest = name.partition(".")
    recurrent = rest.removesuffix(" E") in ("weight_hh_l0", "weight_ex_hh_l0")
    return recurrent or (
        path not in (str(2 * LAYERS), "readout")
        and rest.removesuffix(" E") in ("weight", "weight_ex")
    )


def _mean_ks(model: nn.Module) -> float:
    """Mean, over hidden matrices, of the distance of z-scored ln|w| from the normal."""
    samples = weight_samples(model)
    return float(
        np.mean(
            [
                fit_weights(samples[name]).ks_distance()
                for name in samples
                if _hidden(name)
            ]
        )
    )


def recurrent_spectrum(model: nn.Module) -> Spectrum:
    """Return the spectrum of what multiplies the state of a network that reads row by row."""
    return spectrum(model.rnn)


def synapse_table(model: nn.Module) -> list[dict[str, Any]]:
    """Fit every population of synapses of a network: by parameter, E and I apart."""
    return [fit_row(name, sample) for name, sample in weight_samples(model).items()]


def brain_table(brain: Connectome) -> list[dict[str, Any]]:
    """Fit the synapses of a connectome.

    All, those of excitatory and those of inhibitory neurons.
    """
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
    if sample.n < _FEWEST:
        return "too few"
    spread = sample.log_moments[1]
    return "nearly equal" if spread < _LEAST_SPREAD else ""
