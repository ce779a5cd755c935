"""Li, Cornford, Ghosh & Richards 2023: why column EI learns worse, told by singular values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from daleml import Populations
from daleml._support import seeds
from daleml.analysis import spectrum
from daleml.datasets import digits
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EILinear, init
from daleml.reproductions import harness
from daleml.reproductions.claim import (
    Check,
    Claim,
    Experiment,
    Numbers,
    Paper,
    Settings,
)
from daleml.reproductions.harness import Arm
from daleml.tasks import RowReader

UNITS, SIDE, CLASSES = 100, 8, 10
RADIUS = 1.5
"""Spectral radius of column EI before learning, as in the paper."""
CLIP_NORM = 10.0


# -- the networks
# ------------------------------------------------------------------------------------------------------


def build_rnn(mean: float, generator: torch.Generator) -> RowReader:
    """Build an ordinary network.

    Torch's initialisation without biases, and a He-initialised read-out.
    """
    model = _empty()
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            nn.init.zeros_(parameter)
        elif name == "readout.weight":
            nn.init.normal_(parameter, std=math.sqrt(2 / UNITS), generator=generator)
        else:
            nn.init.uniform_(
                parameter, -(UNITS**-0.5), UNITS**-0.5, generator=generator
            )
    return model


def build_dann(mean: float, generator: torch.Generator) -> RowReader:
    """Build a recurrent Dale's ANN of as many excitatory units, with a tenth of that in interneurons a path."""
    rnn = DANNRNN(SIDE, UNITS, batch_first=True, generator=generator)
    return RowReader(rnn, DANNLinear(UNITS, CLASSES, generator=generator))


class ColumnEI:
    """Builds a column-EI circuit with so many inhibitory units of the hundred."""

    def __init__(self, n_inh: int) -> None:
        self.n_inh = n_inh

    def __call__(self, mean: float, generator: torch.Generator) -> RowReader:
        """Build it."""
        populations = Populations(UNITS - self.n_inh, self.n_inh)
        rnn = EIRNN(
            SIDE,
            populations,
            batch_first=True,
            input_mean=mean,
            spectral_radius=RADIUS,
            generator=generator,
        )
        return RowReader(rnn, EILinear(populations, CLASSES, generator=generator))


class Transplant:
    """Builds a network without a law, of the singular vectors of one network and the singular values of another.

    The other is drawn after the first, from the same generator. Without another, the first
    keeps its own values. Nothing is left for a bias to centre where the values are another's.
    """

    def __init__(
        self,
        vectors: Callable[..., RowReader],
        values: Callable[..., RowReader] | None = None,
    ) -> None:
        self.vectors, self.values = vectors, values

    def __call__(self, mean: float, generator: torch.Generator) -> RowReader:
        """Build it."""
        model, first = _empty(), self.vectors(mean, generator)
        other = self.values(mean, generator) if self.values else None
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(first.get_parameter(name))
                if other and parameter.ndim == 2:
                    init.svd_spectrum_(parameter, other.get_parameter(name))
                elif other:
                    nn.init.zeros_(parameter)
        return model


def _empty() -> RowReader:
    """Return an ordinary network of uninitialised weights.

    Torch's own would be drawn from its global generator.
    """
    rnn = nn.RNN(SIDE, UNITS, nonlinearity="relu", batch_first=True, device="meta")
    return RowReader(rnn, nn.Linear(UNITS, CLASSES, device="meta")).to_empty(
        device="cpu"
    )


_COLUMN_EI = ColumnEI(UNITS // 10)

ARMS = (
    Arm("rnn", build_rnn, clip_norm=CLIP_NORM),
    Arm("dann", build_dann, clip_norm=CLIP_NORM),
    Arm("column_ei_1", ColumnEI(1), clip_norm=CLIP_NORM),
    Arm("column_ei_10", _COLUMN_EI, clip_norm=CLIP_NORM),
    Arm("column_ei_50", ColumnEI(50), clip_norm=CLIP_NORM),
    Arm("rnn, signs kept", build_rnn, each_sign=True, clip_norm=CLIP_NORM),
    Arm(
        "rnn, column_ei spectrum",
        Transplant(build_rnn, _COLUMN_EI),
        clip_norm=CLIP_NORM,
    ),
    Arm("column_ei, signs free", Transplant(_COLUMN_EI), clip_norm=CLIP_NORM),
    Arm(
        "column_ei, rnn spectrum, signs kept",
        Transplant(_COLUMN_EI, build_rnn),
        each_sign=True,
        clip_norm=CLIP_NORM,
    ),
    Arm(
        "column_ei, rnn spectrum",
        Transplant(_COLUMN_EI, build_rnn),
        clip_norm=CLIP_NORM,
    ),
)
LONG_ARMS = tuple(arm for arm in ARMS if arm.name in ("rnn", "dann", "column_ei_10"))


# -- the experiments
# ---------------------------------------------------------------------------------------------------

FRACTIONS = (0.01, 0.1, 0.2, 0.5)
TABLE = {
    100: (0.514, 0.799, 0.867, 0.920),
    300: (0.602, 0.841, 0.898, 0.941),
    1000: (0.678, 0.875, 0.922, 0.956),
}
"""Normalised SVD entropy of column EI by size and inhibitory fraction, from an implementation other than this one."""


def run_spectra(seed: int, settings: Settings) -> Numbers:
    """Look at recurrent matrices before they have learned anything.

    Each number is the mean of several draws.
    """
    numbers: Numbers = {}
    for size, draws in settings["draws"]:
        found = [
            _spectra(size, seeds.generator(seed, size, draw)) for draw in range(draws)
        ]
        numbers |= {
            f"{name}, {size}": _mean([one[name] for one in found]) for name in found[0]
        }
    sizes = [size for size, _ in settings["draws"]]
    entropy = np.array(
        [
            [numbers[f"column_ei {part:g} entropy, {size}"] for part in FRACTIONS]
            for size in sizes
        ]
    )
    first = sizes[0]
    return numbers | {
        "dann - column_ei entropy": (
            numbers[f"dann entropy, {first}"]
            - numbers[f"column_ei 0.1 entropy, {first}"]
        ),
        "least rise with size": float(np.diff(entropy, axis=0).min()),
        "least rise with inhibition": float(np.diff(entropy, axis=1).min()),
        "farthest from table": float(
            np.abs(entropy - [TABLE[size] for size in sizes]).max()
        ),
    }


def _spectra(size: int, generator: torch.Generator) -> Numbers:
    uniform = torch.empty(size, size).uniform_(
        -(size**-0.5), size**-0.5, generator=generator
    )
    dann = DANNRNN(SIDE, size, generator=generator)
    spectra = {"rnn": spectrum(uniform), "dann": spectrum(dann)}
    parts = (dann.get_parameter(f"weight_{part}_hh_l0") for part in ("ex", "ix", "ei"))
    init.dann_(*parts, numerator=1 / 3, independent=True, generator=generator)
    spectra["independent"] = spectrum(dann)
    for part in FRACTIONS:
        populations = Populations.split(size, inhibitory=part)
        spectra[f"column_ei {part:g}"] = spectrum(
            EIRNN(SIDE, populations, spectral_radius=RADIUS, generator=generator)
        )
    numbers = {}
    for name, one in spectra.items():
        values = one.singular_values
        numbers[f"{name} entropy"] = one.svd_entropy
        numbers[f"{name} largest"] = float(values[0])
        numbers[f"{name} largest / second"] = float(values[0] / values[1])
        numbers[f"{name} largest / median"] = float(values[0] / np.median(values))
    return numbers


def run_rows(seed: int, settings: Settings) -> Numbers:
    """Train every network to read digits row by row, at the rate that its validation chose."""
    numbers = _train(ARMS, seed, settings)
    error = {arm.name: numbers[f"{arm.name}/error"] for arm in ARMS}
    rnn, column_ei = error["rnn"], error["column_ei_10"]
    by_spectrum = column_ei - error["column_ei, rnn spectrum, signs kept"]
    by_signs = column_ei - error["column_ei, signs free"]
    return numbers | {
        "column_ei_1 - column_ei_10": error["column_ei_1"] - column_ei,
        "column_ei_10 - column_ei_50": column_ei - error["column_ei_50"],
        "column_ei_10 - rnn": column_ei - rnn,
        "transplanted - rnn": error["column_ei, rnn spectrum"] - rnn,
        "spectrum over signs, from column_ei": by_spectrum - by_signs,
        "spectrum over signs, from rnn": (
            error["rnn, column_ei spectrum"] - error["rnn, signs kept"]
        ),
    }


def run_long(seed: int, settings: Settings) -> Numbers:
    """Train three of the networks for longer."""
    numbers = _train(LONG_ARMS, seed, settings)
    for name, other in itertools.combinations(("column_ei_10", "dann", "rnn"), 2):
        numbers[f"{name} - {other}"] = (
            numbers[f"{name}/error"] - numbers[f"{other}/error"]
        )
    return numbers


def _train(arms: tuple[Arm, ...], seed: int, settings: Settings) -> Numbers:
    data = digits()
    shown, judged = harness.train_images(data), harness.test_images(data)
    numbers = {}
    for arm in arms:
        choice = harness.choose_lr(arm, shown, seed, **settings["choice"])
        course = harness.learn(arm, choice.lr, seed, shown, judged, settings["epochs"])
        numbers[f"{arm.name}/lr"] = choice.lr
        numbers[f"{arm.name}/error"] = 100 * course.error
        numbers[f"{arm.name}/early_error"] = (
            100 * course.errors[min(5, settings["epochs"]) - 1]
        )
        numbers[f"{arm.name}/train_loss"] = course.train_loss
    return numbers


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


# -- the claims
# --------------------------------------------------------------------------------------------------------

_LRS = [0.03, 0.1, 0.3]
_FINE_LRS = [0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.3]

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
ROWS = Experiment(
    "spectral row digits",
    run_rows,
    settings={
        "quick": {"epochs": 25, "choice": {"lrs": _LRS, "epochs": 25, "fraction": 0.2}},
        "paper": {
            "epochs": 25,
            "choice": {"lrs": _FINE_LRS, "epochs": 25, "fraction": 0.2},
        },
        "long": {
            "epochs": 25,
            "choice": {"lrs": _FINE_LRS, "epochs": 25, "fraction": 0.2},
        },
    },
    seeds={"quick": 6, "paper": 10, "long": 30},
    minutes={"quick": 0.6, "paper": 1.2, "long": 1.2},
)
LONG = Experiment(
    "spectral row digits, longer",
    run_long,
    settings={
        "quick": {"epochs": 60, "choice": {"lrs": _LRS, "epochs": 30, "fraction": 0.2}},
        "paper": {
            "epochs": 60,
            "choice": {"lrs": _FINE_LRS, "epochs": 60, "fraction": 0.2},
        },
        "long": {
            "epochs": 200,
            "choice": {"lrs": _FINE_LRS, "epochs": 200, "fraction": 0.2},
        },
    },
    seeds={"quick": 6, "paper": 10, "long": 10},
    minutes={"quick": 0.3, "paper": 1.0, "long": 3.3},
)

_DRAWS = "Each seed is the mean of several matrices, ten of 100 units."
_SCALE = (
    "The paper reads MNIST in 28 rows for 47,000 updates; here it is digits of 8 rows of 8"
    " pixels, {updates:,} updates in batches of 32, the gradient's norm clipped at 10 over"
    " all parameters. Each arm's rate is the one of a common grid with the lowest"
    " validation error, on a fifth of the training images."
)
_SHORT = _SCALE.format(updates=1125)
_TRANSPLANT = (
    "Recurrent, input and read-out weights are all transplanted, and biases are then zero."
    " Signs are kept synapse by synapse, those of the transplanted matrices."
)


def _entropy(name: str, label: str, expected: float) -> Check:
    return Check(
        f"{name} entropy, {UNITS}", f"normalised SVD entropy of {label}, {UNITS} units",
        at_least=round(expected - 0.02, 3), at_most=round(expected + 0.02, 3),
    )  # fmt: skip


PAPER = Paper(
    "spectral",
    "P. Li, J. Cornford, A. Ghosh & B. A. Richards (2023) Learning better with Dale's law:"
    " a spectral perspective. NeurIPS.",
    (
        Claim(
            "2a",
            "As initialised, a column-EI circuit has a lower SVD entropy than a recurrent"
            " DANN, which has that of an RNN.",
            "released code, SVD_entropy_analysis.ipynb",
            SPECTRA,
            (
                _entropy("column_ei 0.1", "column EI with 10 % inhibitory units", 0.80),
                _entropy("dann", "the DANN", 0.95),
                _entropy("rnn", "the RNN", 0.95),
                Check(
                    "dann - column_ei entropy",
                    "entropy of the DANN less that of column EI",
                    at_least=0.11,
                    no_effect=0.0,
                ),
            ),
            f"{_DRAWS} Column EI has a spectral radius of 1.5 and no autapses. The least"
            " difference is what the tolerances of the two entropies leave.",
        ),
        Claim(
            "2b",
            "The SVD entropy of column EI rises with the number of units and with the"
            " fraction that is inhibitory.",
            "released code, Entropy_predictive.ipynb",
            SPECTRA,
            (
                Check(
                    "least rise with size",
                    "least rise of entropy from one size to the next, at any fraction",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "least rise with inhibition",
                    "least rise of entropy from one fraction to the next, at any size",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "farthest from table",
                    "largest distance of an entropy from another implementation's",
                    at_most=0.02,
                ),
            ),
            f"{_DRAWS} Fractions are 1, 10, 20 and 50 %; sizes 100 and 300 in the quick"
            " budget, and 1,000 in the others. That entropy rises is checked as a"
            " direction; its size by the distance from reference values.",
        ),
        Claim(
            "2c",
            "A column-EI circuit learns worse than an RNN, and the worse the fewer its"
            " inhibitory units.",
            "abstract; released code, experiments on the fraction of inhibitory units",
            ROWS,
            (
                Check(
                    "column_ei_10 - rnn",
                    "test error of column EI with 10 % less the RNN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_1 - column_ei_10",
                    "test error of column EI with 1 % less that with 10 %, percentage"
                    " points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_10 - column_ei_50",
                    "test error of column EI with 10 % less that with 50 %, percentage"
                    " points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} Claimed without sizes, and checked as directions: reference"
            " measurements on digits, by another implementation, gave 8.5, 12.2 and 6.2"
            " points.",
        ),
        Claim(
            "2d",
            "The spectrum matters more than the signs: column EI's singular vectors learn"
            " as well as an RNN once they have an RNN's singular values, and its signs cost"
            " less than its spectrum.",
            "released code, SVD_transplant.ipynb",
            ROWS,
            (
                Check(
                    "transplanted - rnn",
                    "test error of column EI's vectors with an RNN's values, signs free,"
                    " less the RNN's, percentage points",
                    at_most=1.0,
                ),
                Check(
                    "spectrum over signs, from column_ei",
                    "what the RNN's values spare column EI, signs kept, less "
                    "what free signs spare it, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} {_TRANSPLANT} 'As well' is read as within 1 point: on MNIST the"
            " paper's notebook prints 2.32 % against 1.65 %. The other is checked as a"
            " direction; the notebook's numbers give 0.90 points. The same seen from the"
            " RNN's side is 2h.",
        ),
        Claim(
            "2e",
            "As initialised, column EI's largest singular value stands far out; an RNN's"
            " and a DANN's do not.",
            "released code, SVD_entropy_analysis.ipynb",
            SPECTRA,
            (
                Check(
                    "column_ei 0.1 largest / median, 100",
                    "largest over median singular value of column EI with 10 % inhibitory"
                    " units, 100 units",
                    at_least=20.0,
                    no_effect=2.5,
                ),
                Check(
                    "rnn largest / median, 100",
                    "largest over median singular value of the RNN, 100 units",
                    at_least=2.25,
                    at_most=2.75,
                ),
                Check(
                    "dann largest / median, 100",
                    "largest over median singular value of the DANN, 100 units",
                    at_least=2.25,
                    at_most=2.75,
                ),
            ),
            f"{_DRAWS} 'About 2.5' is read as within a tenth.",
        ),
        Claim(
            "2f",
            "A DANN whose interneurons are drawn independently has one singular value that"
            " stands out, about 2, and still the entropy of an RNN.",
            "released code, option random=True",
            SPECTRA,
            (
                Check(
                    "independent entropy, 100",
                    "normalised SVD entropy, 100 units",
                    at_least=0.945,
                    no_effect=0.80,
                ),
                Check(
                    "independent largest, 100",
                    "largest singular value, 100 units",
                    at_least=1.8,
                    at_most=2.2,
                    no_effect=1.15,
                ),
                Check(
                    "independent largest / second, 100",
                    "largest over second singular value, 100 units",
                    at_least=1.5,
                    no_effect=1.0,
                ),
            ),
            f"{_DRAWS} 'About 2' is read as within a tenth. That only one stands out, by"
            " half of the next at least, is our own bound.",
        ),
        Claim(
            "2g",
            "Given more than 2,500 updates, a recurrent DANN ends level with the RNN;"
            " column EI stays worse.",
            "abstract; figures on row-sequential MNIST",
            LONG,
            (
                Check(
                    "dann - rnn",
                    "test error of the DANN less the RNN's, percentage points",
                    at_least=-1.0,
                    at_most=1.0,
                ),
                Check(
                    "column_ei_10 - rnn",
                    "test error of column EI less the RNN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "column_ei_10 - dann",
                    "test error of column EI less the DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE.format(updates=2700)} 'Level' is read as within 1 point. That column"
            " EI stays worse is checked as a direction: reference measurements on digits,"
            " by another implementation, gave 4.8 and 5.4 points.",
        ),
        Claim(
            "2h",
            "An RNN, too, loses more by the singular values of column EI than by keeping"
            " the sign of every synapse.",
            "released code, SVD_transplant.ipynb",
            ROWS,
            (
                Check(
                    "spectrum over signs, from rnn",
                    "what column EI's values cost an RNN, signs free, less what kept signs"
                    " cost it, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SHORT} {_TRANSPLANT} Checked as a direction; the notebook's numbers give"
            " 0.57 points, 1.40 against 0.82. Here we depart from the paper: in 1,125"
            " updates of 8 steps, column EI's values cost the RNN about nothing once each"
            " arm has its own rate; reference measurements by another implementation gave"
            " 3.0 points against 0.7. Tried: choosing rates after 15 epochs instead of 25,"
            " for 4 seeds, gave 1.3 points, with an interval from -0.2 to 2.8; what kept"
            " signs cost, 0.5 points on average, varies by more than that from seed to"
            " seed.",
        ),
        Claim(
            "2i",
            "Column EI is worse, and the DANN level with the RNN, on the adding problem and"
            " on Penn Treebank too.",
            "figures on the adding problem and Penn Treebank",
            None,
            (),
            "Not tested: the learning curves are in figures only, so there is no size to"
            " expect; Penn Treebank is not shipped with daleml, and needs word vectors that"
            " would have to be downloaded.",
        ),
        Claim(
            "2j",
            "A small circuit of high SVD entropy beats a large one of low entropy: 200"
            " units, half of them inhibitory, against 1,000 with 1 %.",
            "released code, Entropy_predictive.ipynb: 2.52 % against 3.64 %",
            None,
            (),
            "Not tested: it is printed for 100 epochs of MNIST, and a thousand recurrent"
            " units take hours here. The entropies themselves are those of 2b.",
        ),
        Claim(
            "2k",
            "Column EI is worse, and the DANN level with the RNN, on naturalistic object"
            " tracking too.",
            "not in the released code",
            None,
            (),
            "Not tested: neither the task nor its numbers could be found in what the"
            " authors released.",
        ),
    ),
)
