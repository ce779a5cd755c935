"""Cornford et al. 2021: networks under Dale's law that learn as well as those without."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, relu

from daleml import Populations
from daleml._support import seeds
from daleml.datasets import digits
from daleml.layers import DANNLinear, EILinear, init
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

PIXELS, HIDDEN, LAYERS, CLASSES, N_INH = 64, 100, 3, 10, 10
EARLY = 5
USABLE_ERROR = 0.1
RATE = 0.1
"""At which networks with and without corrections are compared."""


# -- the networks
# ------------------------------------------------------------------------------------------------------


def build_mlp(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build an ordinary network, He-initialised, with a gain of 1 for the first layer."""
    layers = []
    for i, (n_in, n_out) in enumerate(_sizes()):
        layer = nn.Linear(n_in, n_out, device="meta").to_empty(
            device="cpu"
        )  # torch would draw from its global source
        nn.init.normal_(
            layer.weight, std=math.sqrt((2 if i else 1) / n_in), generator=generator
        )
        nn.init.zeros_(layer.bias)
        layers.append(layer)
    return _stack(layers)


def build_column_ei(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build a column-EI network.

    Excitatory pixels, and one inhibitory hidden unit to ten excitatory ones.
    """
    hidden = Populations(HIDDEN, HIDDEN // 10)
    first = EILinear(PIXELS, hidden.size, generator=generator)
    signs = first.populations.signs()
    init.column_ei_(
        first.weight, signs, first.bias, input_mean=mean, generator=generator
    )
    sizes = [hidden.size] * (LAYERS - 1) + [CLASSES]
    return _stack(
        [first, *(EILinear(hidden, n_out, generator=generator) for n_out in sizes)]
    )


def build_dann(
    mean: float, generator: torch.Generator, *, shunting: bool = True
) -> nn.Sequential:
    """Build a Dale's ANN with shunting inhibition, initialised as in the paper."""
    return _stack(
        [
            _dann_layer(
                n_in,
                n_out,
                N_INH if n_out == HIDDEN else 1,
                generator,
                shunting=shunting,
                first=i == 0,
            )
            for i, (n_in, n_out) in enumerate(_sizes())
        ]
    )


def build_subtractive(mean: float, generator: torch.Generator) -> nn.Sequential:
    """Build a Dale's ANN whose inhibition only subtracts."""
    return build_dann(mean, generator, shunting=False)


def _dann_layer(
    n_in: int,
    n_out: int,
    n_inh: int,
    generator: torch.Generator,
    *,
    shunting: bool = True,
    first: bool = False,
) -> DANNLinear:
    layer = DANNLinear(n_in, n_out, n_inh, shunting=shunting, generator=generator)
    weights = layer.weight_ex, layer.weight_ix, layer.weight_ei
    init.dann_iclr2021_(*weights, layer.alpha, first=first, generator=generator)
    return layer


def _sizes() -> list[tuple[int, int]]:
    return list(itertools.pairwise([PIXELS, *[HIDDEN] * LAYERS, CLASSES]))


def _stack(layers: Sequence[nn.Module]) -> nn.Sequential:
    """Put a ReLU between layers."""
    return nn.Sequential(
        *[part for layer in layers for part in (layer, nn.ReLU())][:-1]
    )


ARMS = (
    Arm("mlp", build_mlp),
    Arm("dann", build_dann),
    Arm("uncorrected", build_dann, corrected=False),
    Arm("column_ei", build_column_ei),
    Arm("subtractive", build_subtractive),
)


# -- the experiments
# ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def run_initialisation(seed: int, settings: Settings) -> Numbers:
    """Give one layer of one interneuron rectified unit Gaussians, before it has learned anything."""
    generator, size = seeds.generator(seed), settings["units"]
    layer = _dann_layer(
        size, size, 1, generator
    ).double()  # what is exact should be seen to be
    x = relu(
        torch.randn(settings["inputs"], size, generator=generator, dtype=torch.float64)
    )
    drive = x @ layer.effective_weight().T
    assert layer.alpha is not None
    shunt = x @ layer.weight_ix.T @ (layer.weight_ei * layer.alpha.exp()).T
    return {
        "offset": float(drive.mean(dim=1).abs().max()),
        "shunt": float(shunt.mean()),
        "spread": float(drive.std(dim=1).mean()),
    }


def run_gradients(seed: int, settings: Settings) -> Numbers:
    """Measure per-example gradients of one layer, as its number of outputs grows, on labels it believes in."""
    sizes = settings["outputs"]
    rms = [
        _gradient_rms(seed, settings["inputs"], n_out, settings["examples"])
        for n_out in sizes
    ]
    numbers = {}
    for name in ("weight_ix", "weight_ei", "alpha"):
        ratios = [one[name] / one["weight_ex"] for one in rms]
        numbers[f"{name}/slope"] = float(
            np.polyfit(np.log(sizes), np.log(ratios), 1)[0]
        )
        numbers |= {
            f"{name}/ratio_{n_out}": ratio
            for n_out, ratio in zip(sizes, ratios, strict=True)
        }
    return numbers


def _gradient_rms(seed: int, n_in: int, n_out: int, examples: int) -> dict[str, float]:
    """Return the root mean square gradient of each parameter.

    Of the diagonal of the Fisher information, the root.
    """
    generator = seeds.generator(seed, n_out)
    layer = _dann_layer(n_in, n_out, N_INH, generator)
    x = relu(torch.randn(examples, n_in, generator=generator))
    labels = torch.multinomial(
        layer(x).detach().softmax(dim=1), 1, generator=generator
    )[:, 0]
    parameters = {
        name: parameter.detach() for name, parameter in layer.named_parameters()
    }

    def loss(parameters: dict[str, Tensor], x: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(functional_call(layer, parameters, (x,)), label)

    per_example = vmap(grad(loss), in_dims=(None, 0, 0))
    squares = dict.fromkeys(parameters, 0.0)
    for some_x, some_labels in zip(
        torch.split(x, 32), torch.split(labels, 32), strict=True
    ):
        for name, gradient in per_example(parameters, some_x, some_labels).items():
            squares[name] += float(gradient.double().square().sum())
    return {
        name: math.sqrt(square / examples / parameters[name].numel())
        for name, square in squares.items()
    }


def run_digits(seed: int, settings: Settings) -> Numbers:
    """Train every arm on digits, at the rate that its validation chose, and two of them at given rates."""
    data, epochs = digits(), settings["epochs"]
    shown, judged = harness.train_images(data), harness.test_images(data)
    numbers: Numbers = {}
    courses: dict[str, harness.Course] = {}
    for arm in ARMS:
        choice = harness.choose_lr(arm, shown, seed, **settings["choice"])
        course = courses[arm.name] = harness.learn(
            arm, choice.lr, seed, shown, judged, epochs
        )
        numbers |= {
            f"{arm.name}/lr": choice.lr,
            f"{arm.name}/largest_usable_lr": choice.largest_usable(USABLE_ERROR),
            f"{arm.name}/error": 100 * course.error,
            f"{arm.name}/early_error": 100 * course.errors[min(EARLY, epochs) - 1],
            f"{arm.name}/train_loss": course.train_loss,
        }
    for name in ("dann", "subtractive"):
        numbers[f"{name} - mlp"] = numbers[f"{name}/error"] - numbers["mlp/error"]
    for name in ("column_ei", "uncorrected"):
        numbers[f"{name} - dann"] = numbers[f"{name}/error"] - numbers["dann/error"]
    for name, other in (
        ("column_ei", "dann"),
        ("uncorrected", "dann"),
        ("dann", "mlp"),
    ):
        ratio = numbers[f"{name}/train_loss"] / numbers[f"{other}/train_loss"]
        numbers[f"log10 train loss {name} / {other}"] = math.log10(ratio)
    numbers["early error column_ei / mlp"] = (
        numbers["column_ei/early_error"] / numbers["mlp/early_error"]
    )

    arms = {arm.name: arm for arm in ARMS}
    for name, lr in (("dann", RATE), ("uncorrected", RATE), ("uncorrected", RATE / 10)):
        course = harness.learn(arms[name], lr, seed, shown, judged, epochs)
        courses[f"{name} at {lr:g}"] = course
        numbers[f"{name}/error at {lr:g}"] = 100 * course.error
    corrected = numbers[f"dann/error at {RATE:g}"]
    for lr in (RATE, RATE / 10):
        numbers[f"uncorrected at {lr:g} - dann at {RATE:g}"] = (
            numbers[f"uncorrected/error at {lr:g}"] - corrected
        )

    lawful = [course for name, course in courses.items() if name != "mlp"]
    numbers["lowest"] = min(course.lowest for course in lawful)
    numbers["mixed"] = _mixed(courses["dann"].model)
    numbers["column_ei/mixed"] = _mixed(courses["column_ei"].model)
    return numbers


@torch.no_grad()
def _mixed(model: nn.Module) -> float:
    """Return the fraction of presynaptic units whose effective synapses are some positive and some negative."""
    weights = [
        layer.effective_weight() if isinstance(layer, DANNLinear) else layer.weight
        for layer in model.modules()
        if isinstance(layer, (DANNLinear, EILinear))
    ]
    both = torch.cat(
        [(weight > 0).any(dim=0) & (weight < 0).any(dim=0) for weight in weights]
    )
    return float(both.double().mean())


# -- the claims
# --------------------------------------------------------------------------------------------------------

_LRS = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
_FINE_LRS = [0.003, 0.006, 0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.3, 0.6, 1.0]

INITIALISATION = Experiment(
    "dann initialisation",
    run_initialisation,
    settings={
        "quick": {"units": 500, "inputs": 1000},
        "paper": {"units": 500, "inputs": 4000},
        "long": {"units": 500, "inputs": 16000},
    },
    seeds={"quick": 10, "paper": 20, "long": 50},
    minutes={"quick": 0.01, "paper": 0.01, "long": 0.02},
)
GRADIENTS = Experiment(
    "dann gradients",
    run_gradients,
    settings={
        "quick": {
            "inputs": 200,
            "outputs": [25, 50, 100, 200, 400, 800],
            "examples": 256,
        },
        "paper": {
            "inputs": 200,
            "outputs": [25, 50, 100, 200, 400, 800],
            "examples": 1024,
        },
        "long": {
            "inputs": 784,
            "outputs": [25, 50, 100, 200, 400, 800],
            "examples": 1024,
        },
    },
    seeds={"quick": 5, "paper": 10, "long": 10},
    minutes={"quick": 0.02, "paper": 0.06, "long": 0.3},
)
DIGITS = Experiment(
    "dann digits",
    run_digits,
    settings={
        "quick": {"epochs": 30, "choice": {"lrs": _LRS, "epochs": 15, "fraction": 0.2}},
        "paper": {
            "epochs": 30,
            "choice": {"lrs": _FINE_LRS, "epochs": 30, "fraction": 0.2},
        },
        "long": {
            "epochs": 50,
            "choice": {"lrs": _FINE_LRS, "epochs": 50, "fraction": 0.2},
        },
    },
    seeds={"quick": 6, "paper": 10, "long": 30},
    minutes={"quick": 0.4, "paper": 1.0, "long": 1.8},
)

_FACTS = "reference measurements on digits, by another implementation,"
_SCALE = (
    "The paper trains on MNIST and its kin; here it is 8 x 8 digits, three hidden layers of"
    " 100 units instead of 500, batches of 32, 30 epochs. Each arm's rate is the one of a"
    " common grid with the lowest validation error, on a fifth of the training images."
)


PAPER = Paper(
    "dann",
    "J. Cornford, D. Kalajdzievski, M. Leite, A. Lamarquette, D. M. Kullmann & B. A."
    " Richards (2021) Learning to live with Dale's principle: ANNs with separate excitatory"
    " and inhibitory units. ICLR.",
    (
        Claim(
            "1a",
            "As initialised, a layer's inhibition centres its excitation exactly, and its"
            " divisor is about 1.",
            "released code, ariamis/ei_models.py: initialisation with one interneuron",
            INITIALISATION,
            (
                Check(
                    "offset",
                    "largest |mean over units of the centred drive|",
                    at_most=1e-5,
                ),
                Check("shunt", "mean divisor", at_least=0.98, at_most=1.02),
                Check(
                    "spread",
                    "standard deviation over units of the centred drive",
                    at_least=0.74,
                    at_most=0.80,
                ),
            ),
            "500 units read 500 rectified unit Gaussians. The paper aims at a deviation of"
            " 1; its scale leaves 0.77 of it, since inhibition removes what the units"
            " share. That is what is expected here.",
        ),
        Claim(
            "1b",
            "With corrections, a DANN learns as well as an MLP; a column-EI network, and a"
            " DANN without corrections, learn worse.",
            "abstract",
            DIGITS,
            (
                Check(
                    "dann - mlp",
                    "test error of DANN less MLP's, percentage points",
                    at_most=1.0,
                ),
                Check(
                    "column_ei - dann",
                    "test error of column EI less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "uncorrected - dann",
                    "test error of DANN without corrections less DANN's, percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check(
                    "log10 train loss dann / mlp",
                    "log10 of final training loss, DANN over MLP",
                    at_most=0.3,
                ),
                Check(
                    "log10 train loss column_ei / dann",
                    "log10 of final training loss, column EI over DANN",
                    at_least=1.0,
                    no_effect=0.0,
                ),
                Check(
                    "log10 train loss uncorrected / dann",
                    "log10 of final training loss, DANN without corrections over DANN",
                    at_least=1.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE} That others are worse is claimed without a size, and checked as a"
            f" direction: {_FACTS} gave 0.9 and 1.5 points. Of training losses, 'about"
            " equal' is read as at most twice, and 'much larger' as ten times. Errors and"
            " losses are means of the last five epochs.",
        ),
        Claim(
            "1c",
            "Corrections raise the usable learning rate more than tenfold.",
            "released code, exp_configs: rates of 0.11 with and 0.004 without corrections"
            " on MNIST",
            DIGITS,
            (
                Check(
                    f"dann/error at {RATE:g}",
                    "test error at 0.1 with corrections, %",
                    at_most=5.0,
                ),
                Check(
                    f"uncorrected at {RATE:g} - dann at {RATE:g}",
                    "test error at 0.1 without corrections less that with them, percentage"
                    " points",
                    at_least=23.4,
                    no_effect=0.0,
                ),
                Check(
                    f"uncorrected at {RATE / 10:g} - dann at {RATE:g}",
                    "test error at 0.01 without corrections less that at 0.1 with them,"
                    " percentage points",
                    at_least=0.0,
                    no_effect=0.0,
                ),
            ),
            f"{_SCALE} Usable is read as: at 0.1 it trains with corrections and fails"
            f" without them, by no less than {_FACTS} gave (1.5 % against 24.9 %), and"
            " without them even a tenth of the rate ends worse. What counts as training,"
            " at most 5 %, is our own bound. A ratio of the largest rates below some error"
            " was tried, and depends on which error: without corrections no rate of the"
            " grid stays below 10 % for every seed.",
        ),
        Claim(
            "1d",
            "The more outputs a layer has, the larger are the gradients of its"
            " interneurons' weights beside those of its excitatory ones.",
            "rationale of the released code's corrections, cSGD_Mixin",
            GRADIENTS,
            (
                Check(
                    "weight_ix/slope",
                    "exponent of RMS gradient of Wix over Wex in the number of outputs",
                    at_least=0.4,
                    at_most=0.6,
                    no_effect=0.0,
                ),
                Check(
                    "alpha/slope",
                    "exponent of RMS gradient of alpha over Wex in the number of outputs",
                    at_least=0.4,
                    at_most=0.6,
                    no_effect=0.0,
                ),
            ),
            "One DANN layer with ten interneurons and a softmax, labels sampled from the"
            " model: the root of the diagonal of the Fisher information. The exponent is of"
            " a log-log fit over 25 to 800 outputs.",
        ),
        Claim(
            "1e",
            "A DANN's weights never change sign, and what they amount to has both signs.",
            "released code, ariamis/ei_models.py: projected gradient descent",
            DIGITS,
            (
                Check(
                    "lowest",
                    "least weight along its sign, after any step of any lawful network",
                    at_least=0.0,
                ),
                Check(
                    "mixed",
                    "fraction of a DANN's presynaptic units with effective synapses of both"
                    " signs",
                    at_least=0.9,
                    no_effect=0.0,
                ),
            ),
            "Every step of every DANN and column-EI network of 1b and 1c is looked at. How"
            " many units should have mixed effective signs the paper does not say; nine"
            " tenths is our bound, and of column EI it is none.",
        ),
        Claim(
            "1f",
            "Column EI starts slowly.",
            "reference measurements on the same digits; the paper compares with column EI",
            DIGITS,
            (
                Check(
                    "early error column_ei / mlp",
                    "test error after 5 epochs, column EI over MLP",
                    at_least=4.0,
                    no_effect=1.0,
                ),
            ),
            f"{_SCALE} Each at its own chosen rate.",
        ),
        Claim(
            "1g",
            "A DANN whose inhibition only subtracts learns about as well as an MLP too.",
            "released code, ariamis/ei_models.py: EiDense; and Li et al. 2023, who use no"
            " other",
            DIGITS,
            (
                Check(
                    "subtractive - mlp",
                    "test error of subtractive DANN less MLP's, percentage points",
                    at_most=1.0,
                ),
            ),
            _SCALE,
        ),
        Claim(
            "1h",
            "On MNIST, Kuzushiji-MNIST and Fashion-MNIST a DANN reaches the test error of a"
            " standard network.",
            "abstract",
            None,
            (),
            "Not tested: the tables of test error could not be retrieved, so there is no"
            " size to expect, and the images are not shipped with daleml.",
        ),
        Claim(
            "1i",
            "On CIFAR-10 a convolutional DANN learns as well as a standard VGG network.",
            "abstract; released code, conv/",
            None,
            (),
            "Not tested: the numbers could not be retrieved, the released convolutional"
            " code does not run as it is, and training VGG networks is beyond a laptop.",
        ),
        Claim(
            "1j",
            "The corrections are those that the diagonal of the Fisher information"
            " prescribes.",
            "rationale of the released code's corrections, cSGD_Mixin",
            None,
            (),
            "Listed as a negative: the Fisher information of Wix grows in proportion to the"
            " number of outputs, while the released correction is one over its root. daleml"
            " takes the constants from the released code, and derives nothing. Descent"
            " along the diagonal natural gradient itself was not rebuilt.",
        ),
    ),
)
