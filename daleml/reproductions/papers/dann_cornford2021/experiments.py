"""Digits learned with and without Dale's law, and layers looked at before they learn anything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, relu

from daleml._support import seeds
from daleml.datasets import digits
from daleml.layers import DANNLinear, EILinear
from daleml.reproductions import harness
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.digit_networks import N_INH
from daleml.reproductions.papers.dann_cornford2021.networks import ARMS, dann_layer

EARLY = 5
"""The epoch after which it is seen who starts slowly."""

USABLE_ERROR = 0.1
"""Of the rates of a grid, the largest that ends with at most this validation error is told."""

RATE = 0.1
"""The learning rate at which a network with corrections has to learn."""

WITHOUT = (0.01, 0.03, 0.1)
"""Rates from a tenth of that one on, at none of which one without corrections may learn."""

# -- one layer, as initialised


@torch.no_grad()
def run_initialisation(seed: int, settings: Settings) -> Numbers:
    """Show rectified unit Gaussians to one layer of one interneuron that has learned nothing."""
    generator, size = seeds.generator(seed), settings["units"]
    # In double precision, what is exact is seen to be exact.
    layer = dann_layer(size, size, 1, generator).double()
    shape = settings["inputs"], size
    x = relu(torch.randn(shape, generator=generator, dtype=torch.float64))
    drive = x @ layer.effective_weight().T
    assert layer.alpha is not None
    shunt = x @ layer.weight_ix.T @ (layer.weight_ei * layer.alpha.exp()).T
    return {
        "offset": float(drive.mean(dim=1).abs().max()),
        "shunt": float(shunt.mean()),
        "spread": float(drive.std(dim=1).mean()),
    }


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

# -- gradients of one layer


def run_gradients(seed: int, settings: Settings) -> Numbers:
    """Measure per-example gradients of one layer, as it has more outputs, or more inputs.

    Labels are drawn from what the layer believes.
    """
    numbers: Numbers = {}
    n_in, n_out, examples = (settings[name] for name in ("n_in", "n_out", "examples"))
    for along, sizes in (
        ("outputs", [(n_in, size) for size in settings["outputs"]]),
        ("inputs", [(size, n_out) for size in settings["inputs"]]),
    ):
        grown = settings[along]
        rms = [_gradient_rms(seed, *size, examples) for size in sizes]
        for name in ("weight_ix", "weight_ei", "alpha"):
            ratios = [one[name] / one["weight_ex"] for one in rms]
            # The exponent of a power law is the slope of a line on logarithmic axes.
            slope, _ = np.polyfit(np.log(grown), np.log(ratios), 1)
            numbers[f"{name}/slope in {along}"] = float(slope)
            for size, ratio in zip(grown, ratios, strict=True):
                numbers[f"{name}/ratio at {size} {along}"] = ratio
    # The Fisher information is the square of what was measured.
    fisher = 2 * numbers["weight_ix/slope in outputs"]
    return numbers | {"weight_ix/Fisher slope in outputs": fisher}


def _gradient_rms(seed: int, n_in: int, n_out: int, examples: int) -> dict[str, float]:
    """Return the root mean square gradient of each parameter.

    It is the root of the diagonal of the Fisher information.
    """
    generator = seeds.generator(seed, n_out)
    layer = dann_layer(n_in, n_out, N_INH, generator)
    x = relu(torch.randn(examples, n_in, generator=generator))
    beliefs = layer(x).detach().softmax(dim=1)
    labels = torch.multinomial(beliefs, 1, generator=generator)[:, 0]
    parameters = {name: one.detach() for name, one in layer.named_parameters()}

    def loss(parameters: dict[str, Tensor], x: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(functional_call(layer, parameters, (x,)), label)

    per_example = vmap(grad(loss), in_dims=(None, 0, 0))
    squares = dict.fromkeys(parameters, 0.0)
    # In chunks: per-example gradients of all examples would take much memory.
    chunks = zip(torch.split(x, 32), torch.split(labels, 32), strict=True)
    for some_x, some_labels in chunks:
        for name, gradient in per_example(parameters, some_x, some_labels).items():
            squares[name] += float(gradient.double().square().sum())
    return {
        name: math.sqrt(square / examples / parameters[name].numel())
        for name, square in squares.items()
    }


_SIZES = {
    "n_in": 200,
    "outputs": [25, 50, 100, 200, 400, 800],
    "n_out": 100,
    "inputs": [50, 100, 200, 400, 800],
}
GRADIENTS = Experiment(
    "dann gradients",
    run_gradients,
    settings={
        "quick": _SIZES | {"examples": 256},
        "paper": _SIZES | {"examples": 1024},
        "long": _SIZES | {"examples": 4096},
    },
    seeds={"quick": 5, "paper": 10, "long": 10},
    minutes={"quick": 0.04, "paper": 0.12, "long": 0.5},
)

# -- digits


def run_digits(seed: int, settings: Settings) -> Numbers:
    """Train every arm on digits at the rate that validation chose, and two at given rates."""
    data, epochs = digits(), settings["epochs"]
    shown, judged = harness.train_images(data), harness.test_images(data)
    given = {"dann": (RATE,), "uncorrected": WITHOUT}
    numbers: Numbers = {}
    chosen: dict[str, harness.Course] = {}
    lowest = []
    for arm in ARMS:
        if "choice" in settings:
            choice = harness.choose_lr(arm, shown, seed, **settings["choice"])
            chosen_lr = choice.lr
            largest = choice.largest_usable(USABLE_ERROR)
            numbers[f"{arm.name}/largest_usable_lr"] = largest
        else:
            chosen_lr = settings["lrs"][arm.name]
        # The chosen rate may be among the given ones.
        lrs = list(dict.fromkeys((chosen_lr, *given.get(arm.name, ()))))
        courses = harness.train_rates(arm, lrs, seed, shown, judged, epochs)
        for lr, course in zip(lrs, courses, strict=True):
            numbers[f"{arm.name}/error at {lr:g}"] = 100 * course.error
            # An MLP has no signs to keep: of it, infinity is told.
            lowest.append(course.lowest)
        course = chosen[arm.name] = courses[0]
        numbers |= {
            f"{arm.name}/lr": chosen_lr,
            f"{arm.name}/error": 100 * course.error,
            f"{arm.name}/early_error": 100 * course.errors[min(EARLY, epochs) - 1],
            f"{arm.name}/train_loss": course.train_loss,
        }
    numbers |= _comparisons(numbers)
    numbers["lowest"] = min(lowest)
    numbers["mixed"] = _mixed(chosen["dann"].model)
    numbers["column_ei/mixed"] = _mixed(chosen["column_ei"].model)
    return numbers


def choose_rates(
    seeds: Sequence[int], lrs: Sequence[float], epochs: int
) -> dict[str, float]:
    """Return the rate of each arm whose validation error is least on average over seeds.

    Args:
        seeds: The seeds, none of which needs to be judged later.
        lrs: The grid.
        epochs: How long each network learns.
    """
    images = harness.train_images(digits())
    chosen = {}
    for arm in ARMS:
        courses = []
        for seed in seeds:
            shown, held = harness.hold_out(images, 0.2, seed)
            courses.append(harness.train_rates(arm, lrs, seed, shown, held, epochs))
        scores = {}
        for lr, of_seeds in zip(lrs, zip(*courses, strict=True), strict=True):
            error = math.fsum(course.error for course in of_seeds)
            loss = math.fsum(course.loss for course in of_seeds)
            scores[lr] = harness.ValidationScore(error, loss)
        chosen[arm.name] = harness.best_by_validation(scores)
    return chosen


def _comparisons(numbers: Numbers) -> Numbers:
    """Return differences and ratios between arms, each at its own learning rate."""
    compared: Numbers = {}

    def subtract(name: str, other: str) -> None:
        difference = numbers[f"{name}/error"] - numbers[f"{other}/error"]
        compared[f"{name} - {other}"] = difference

    def divide(name: str, other: str) -> None:
        ratio = numbers[f"{name}/train_loss"] / numbers[f"{other}/train_loss"]
        compared[f"log10 train loss {name} / {other}"] = math.log10(ratio)

    subtract("dann", "mlp")
    subtract("subtractive", "mlp")
    subtract("column_ei", "dann")
    subtract("uncorrected", "dann")
    divide("column_ei", "dann")
    divide("uncorrected", "dann")
    divide("dann", "mlp")
    early = numbers["column_ei/early_error"] / numbers["mlp/early_error"]
    mlp = numbers["mlp/error"]
    without = min(numbers[f"uncorrected/error at {lr:g}"] for lr in WITHOUT)
    return compared | {
        "log10 early error column_ei / mlp": math.log10(early),
        f"dann at {RATE:g} - mlp": numbers[f"dann/error at {RATE:g}"] - mlp,
        "best uncorrected - mlp": without - mlp,
    }


@torch.no_grad()
def _mixed(model: nn.Module) -> float:
    """Return the fraction of presynaptic units whose effective synapses have both signs."""
    both = []
    for layer in model.modules():
        if isinstance(layer, DANNLinear):
            weight = layer.effective_weight()
        elif isinstance(layer, EILinear):
            weight = layer.weight
        else:
            continue
        both.append((weight > 0).any(dim=0) & (weight < 0).any(dim=0))
    return float(torch.cat(both).double().mean())


# What `choose_rates(range(3), [0.003, 0.01, 0.03, 0.1, 0.3], 30)` returns.
_CHOSEN = {
    "mlp": 0.3,
    "dann": 0.1,
    "uncorrected": 0.003,
    "column_ei": 0.1,
    "subtractive": 0.1,
}
_FINE_LRS = [0.003, 0.006, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3]
_FINE = {"lrs": _FINE_LRS, "fraction": 0.2, "epochs": 50}
DIGITS = Experiment(
    "dann digits",
    run_digits,
    settings={
        "quick": {"epochs": 30, "lrs": _CHOSEN},
        "paper": {"epochs": 30, "lrs": _CHOSEN},
        "long": {"epochs": 50, "choice": _FINE},
    },
    seeds={"quick": 12, "paper": 30, "long": 30},
    minutes={"quick": 0.25, "paper": 0.25, "long": 1.8},
)
