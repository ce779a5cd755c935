"""Singular values before learning, and errors after it, of recurrent networks that read rows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from daleml import Populations
from daleml._support import seeds
from daleml.analysis import spectrum
from daleml.datasets import digits
from daleml.layers import DANNRNN, EIRNN, init
from daleml.reproductions import harness
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.digit_networks import SIDE, SPECTRAL_RADIUS
from daleml.reproductions.harness import ImageArm
from daleml.reproductions.papers.spectra_li2023.networks import ARMS, LONG_ARMS

# -- before learning

FRACTIONS = (0.01, 0.1, 0.2, 0.5)
"""The inhibitory fractions of the units of column EI."""

TABLE = {
    100: (0.514, 0.799, 0.867, 0.920),
    300: (0.602, 0.841, 0.898, 0.941),
    1000: (0.678, 0.875, 0.922, 0.956),
}
"""Normalised SVD entropy of column EI by size and inhibitory fraction.

From another implementation than this one.
"""


def run_spectra(seed: int, settings: Settings) -> Numbers:
    """Measure recurrent matrices before they have learned anything.

    Each number is the mean of several draws.
    """
    numbers: Numbers = {}
    for size, draws in settings["draws"]:
        found = [
            _spectra(size, seeds.generator(seed, size, draw)) for draw in range(draws)
        ]
        for name in found[0]:
            numbers[f"{name}, {size}"] = _mean([one[name] for one in found])
    sizes = [size for size, _ in settings["draws"]]
    rows = []
    for size in sizes:
        names = [f"column_ei {part:g} entropy, {size}" for part in FRACTIONS]
        rows.append([numbers[name] for name in names])
    entropy = np.array(rows)
    table = np.array([TABLE[size] for size in sizes])
    dann = numbers[f"dann entropy, {sizes[0]}"]
    column_ei = numbers[f"column_ei 0.1 entropy, {sizes[0]}"]
    return numbers | {
        "dann - column_ei entropy": dann - column_ei,
        "least rise with size": float(np.diff(entropy, axis=0).min()),
        "least rise with inhibition": float(np.diff(entropy, axis=1).min()),
        "farthest from table": float(np.abs(entropy - table).max()),
    }


def _spectra(size: int, generator: torch.Generator) -> Numbers:
    """Draw one recurrent matrix of each kind, and return what its singular values tell."""
    bound = size**-0.5
    uniform = torch.empty(size, size).uniform_(-bound, bound, generator=generator)
    dann = DANNRNN(SIDE, size, generator=generator)
    spectra = {"rnn": spectrum(uniform), "dann": spectrum(dann)}
    parts = (dann.get_parameter(f"weight_{part}_hh_l0") for part in ("ex", "ix", "ei"))
    # The same circuit, its interneurons drawn independently of what they balance.
    init.dann_(*parts, numerator=1 / 3, independent=True, generator=generator)
    spectra["independent"] = spectrum(dann)
    for fraction in FRACTIONS:
        populations = Populations.split(size, inhibitory=fraction)
        circuit = EIRNN(
            SIDE, populations, spectral_radius=SPECTRAL_RADIUS, generator=generator
        )
        spectra[f"column_ei {fraction:g}"] = spectrum(circuit)
    numbers = {}
    for name, one in spectra.items():
        values = one.singular_values
        numbers[f"{name} entropy"] = one.svd_entropy
        numbers[f"{name} largest"] = float(values[0])
        numbers[f"{name} largest / second"] = float(values[0] / values[1])
        numbers[f"{name} largest / median"] = float(values[0] / np.median(values))
    return numbers


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


SPECTRA = Experiment(
    "spectral initialisation",
    run_spectra,
    settings={
        "quick": {"draws": [[100, 10], [300, 3]]},
        "paper": {"draws": [[100, 10], [300, 3], [1000, 1]]},
        "long": {"draws": [[100, 10], [300, 10], [1000, 3]]},
    },
    seeds={"quick": 5, "paper": 5, "long": 10},
    minutes={"quick": 0.02, "paper": 0.3, "long": 1.0},
)

# -- learning


def run_rows(seed: int, settings: Settings) -> Numbers:
    """Train every network to read digits row by row, at the rate that validation chose."""
    numbers = _train(ARMS, seed, settings)
    error = {arm.name: numbers[f"{arm.name}/error"] for arm in ARMS}
    rnn, column_ei = error["rnn"], error["column_ei_10"]
    # What is gained by an RNN's singular values, signs kept, and by free signs alone.
    by_spectrum = column_ei - error["column_ei, rnn spectrum, signs kept"]
    by_signs = column_ei - error["column_ei, signs free"]
    from_rnn = error["rnn, column_ei spectrum"] - error["rnn, signs kept"]
    return numbers | {
        "column_ei_1 - column_ei_10": error["column_ei_1"] - column_ei,
        "column_ei_10 - column_ei_50": column_ei - error["column_ei_50"],
        "column_ei_10 - rnn": column_ei - rnn,
        "transplanted - rnn": error["column_ei, rnn spectrum"] - rnn,
        "spectrum over signs, from column_ei": by_spectrum - by_signs,
        "spectrum over signs, from rnn": from_rnn,
    }


def run_long(seed: int, settings: Settings) -> Numbers:
    """Train three of the networks for longer."""
    numbers = _train(LONG_ARMS, seed, settings)
    for name, other in itertools.combinations(("column_ei_10", "dann", "rnn"), 2):
        difference = numbers[f"{name}/error"] - numbers[f"{other}/error"]
        numbers[f"{name} - {other}"] = difference
    return numbers


def _train(arms: tuple[ImageArm, ...], seed: int, settings: Settings) -> Numbers:
    data, epochs = digits(), settings["epochs"]
    shown, judged = harness.train_images(data), harness.test_images(data)
    numbers = {}
    for arm in arms:
        choice = harness.choose_lr(arm, shown, seed, **settings["choice"])
        course = harness.train_arm(arm, choice.lr, seed, shown, judged, epochs)
        early = course.errors[min(5, epochs) - 1]
        numbers[f"{arm.name}/lr"] = choice.lr
        numbers[f"{arm.name}/error"] = 100 * course.error
        numbers[f"{arm.name}/early_error"] = 100 * early
        numbers[f"{arm.name}/train_loss"] = course.train_loss
    return numbers


_COARSE = {"lrs": [0.03, 0.1, 0.3], "fraction": 0.2}
_FINE = {"lrs": [0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.3], "fraction": 0.2}
ROWS = Experiment(
    "spectral row digits",
    run_rows,
    settings={
        "quick": {"epochs": 25, "choice": _COARSE | {"epochs": 25}},
        "paper": {"epochs": 25, "choice": _FINE | {"epochs": 25}},
        "long": {"epochs": 25, "choice": _FINE | {"epochs": 25}},
    },
    seeds={"quick": 6, "paper": 10, "long": 30},
    minutes={"quick": 0.6, "paper": 1.2, "long": 1.2},
)
LONG = Experiment(
    "spectral row digits, longer",
    run_long,
    settings={
        "quick": {"epochs": 60, "choice": _COARSE | {"epochs": 30}},
        "paper": {"epochs": 60, "choice": _FINE | {"epochs": 60}},
        "long": {"epochs": 200, "choice": _FINE | {"epochs": 200}},
    },
    seeds={"quick": 6, "paper": 10, "long": 10},
    minutes={"quick": 0.3, "paper": 1.0, "long": 3.3},
)
