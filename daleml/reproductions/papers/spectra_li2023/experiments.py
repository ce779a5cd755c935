"""Singular values before learning, and errors after it, of recurrent networks that read rows."""

from __future__ import annotations

import math

import numpy as np
import torch

from daleml import Populations
from daleml._support import seeds
from daleml.analysis import spectrum
from daleml.datasets import ImageSplit, digits, fashion_mnist
from daleml.layers import DANNRNN, EIRNN, init
from daleml.reproductions.absent_files import fashion_mnist_absent
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.digit_networks import SIDE, SPECTRAL_RADIUS
from daleml.reproductions.papers.spectra_li2023.networks import ARMS, CENTRED
from daleml.reproductions.papers.spectra_li2023.recurrent_batches import RecurrentBatch
from daleml.reproductions.papers.spectra_li2023.row_training import RowTraining

# The key of the stream of random numbers of a seed that networks are drawn from.
_NETWORK = 1

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
    dann, rnn = (numbers[f"{name} entropy, {sizes[0]}"] for name in ("dann", "rnn"))
    column_ei = numbers[f"column_ei 0.1 entropy, {sizes[0]}"]
    return numbers | {
        "dann - column_ei entropy": dann - column_ei,
        "dann - rnn entropy": dann - rnn,
        "least rise with size": float(np.diff(entropy, axis=0).min()),
        "least rise with inhibition": float(np.diff(entropy, axis=1).min()),
        "mean difference from table": float((entropy - table).mean()),
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
    """Train every network to name images that it reads row by row, all at the same rate."""
    data = _images(settings["images"])
    side = math.isqrt(data.train_x.shape[1])
    arms = [arm for arm in ARMS if settings["centred"] or arm is not CENTRED]
    models = [
        arm.build(data.pixel_mean, seeds.generator(seed, 0, _NETWORK), side=side)
        for arm in arms
    ]
    training = RowTraining(RecurrentBatch(arms, models), data, seed, settings)
    training.run(settings["updates"])
    numbers = training.numbers()
    return numbers | _comparisons(
        {arm.name: numbers[f"{arm.name}/error"] for arm in arms}
    )


def _comparisons(error: Numbers) -> Numbers:
    """Return what the claims compare, from the error of every arm."""
    rnn, column_ei = error["rnn"], error["column_ei_10"]
    # What is gained by an RNN's singular values, signs kept, and by free signs alone.
    by_spectrum = column_ei - error["column_ei, rnn spectrum, signs kept"]
    by_signs = column_ei - error["column_ei, signs free"]
    # What an RNN loses by column EI's singular values, and by kept signs.
    of_spectrum = error["rnn, column_ei spectrum"] - rnn
    of_signs = error["rnn, signs kept"] - rnn
    numbers = {
        "column_ei_1 - column_ei_10": error["column_ei_1"] - column_ei,
        "column_ei_10 - column_ei_50": column_ei - error["column_ei_50"],
        "column_ei_10 - rnn": column_ei - rnn,
        "column_ei_10 - dann": column_ei - error["dann"],
        "dann - rnn": error["dann"] - rnn,
        "transplanted - rnn": error["column_ei, rnn spectrum"] - rnn,
        "spared by spectrum": by_spectrum,
        "spared by free signs": by_signs,
        "spectrum over signs, from column_ei": by_spectrum - by_signs,
        "cost of spectrum": of_spectrum,
        "cost of kept signs": of_signs,
        "spectrum over signs, from rnn": of_spectrum - of_signs,
    }
    if CENTRED.name in error:
        numbers["centred - column_ei_10"] = error[CENTRED.name] - column_ei
        numbers["centred - rnn"] = error[CENTRED.name] - rnn
    return numbers


def _images(name: str) -> ImageSplit:
    return fashion_mnist(published=True) if name == "fashion" else digits()


_DIGITS = {"images": "digits", "lr": 0.1, "judged_every": 45, "centred": True}
# The rate of the authors' runs, on as many images as theirs.
_FASHION = {"images": "fashion", "lr": 0.010772, "judged_every": 375, "centred": False}
ROWS = Experiment(
    "spectral row images",
    run_rows,
    settings={
        "quick": _DIGITS | {"updates": 2700},
        "paper": _FASHION | {"updates": 11_250},
        # 25 epochs, where the paper prints errors after 46,800 updates.
        "long": _FASHION | {"updates": 46_875},
    },
    seeds={"quick": 8, "paper": 5, "long": 10},
    minutes={"quick": 0.3, "paper": 2.8, "long": 11.0},
    absent=fashion_mnist_absent,
    absent_at=("paper", "long"),
)

# Names of the first edition, in which claim 2g had an experiment of its own.
LONG, run_long = ROWS, run_rows
