"""Gradients of biophysical cells and what they teach: evolution beside backpropagation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.learning import (
    EvidenceIntegration,
    EvolutionStrategy,
    MorrisLecar,
    Silencing,
    Spiral,
    SpiralODE,
    rk4,
)
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.papers.evolution_hazelden2023.networks import (
    network,
    train_backpropagated,
    train_evolved,
    train_readout,
)

SEEDS = {"quick": 3, "paper": 5, "long": 10}
"""How many seeds most of the experiments have, by budget."""

SMALL = {"cells": 32, "batch": 32, "dt_ms": 0.5}
"""A network that a laptop can train.

Steps of second order, which are nearer to the equations than the published ones of 0.1 ms.
"""

PUBLISHED_SIZE = {"cells": 128, "batch": 50, "phrases": 3200}
"""The published number of cells, of phrases in a step of learning, and of phrases in all."""


def budgets(
    quick: Settings, paper: Settings, long: Settings | None = None
) -> dict[str, Settings]:
    """Return the settings by budget.

    Args:
        quick: The settings of the quick budget.
        paper: The settings of the paper's budget.
        long: The settings of the long budget; default: those of the paper's.
    """
    return {"quick": quick, "paper": paper, "long": long or paper}


# -- e1: the neuron


def firing(seed: int, settings: Settings) -> Numbers:
    """Measure at which currents a cell begins to fire, how fast, and where it is blocked.

    The cell is deterministic. A seed shifts the grid of currents within one spacing, so that
    the seeds bracket the onsets.
    """
    spacing = float(settings["spacing"])
    shift = spacing * float(torch.rand((), generator=seeds.generator(seed)))
    low = torch.arange(30.0, 50.0, spacing, dtype=torch.float64) + shift
    high = torch.arange(105.0, 125.0, spacing, dtype=torch.float64) + shift
    currents = torch.cat([low, high, torch.tensor([100.0], dtype=torch.float64)])
    rates = MorrisLecar().firing_rate(
        currents,
        settle_ms=settings["settle_ms"],
        duration_ms=settings["duration_ms"],
        # The suite compares steps of 0.1 and 0.5 ms with an accurate solver.
        check_step=False,
    )
    at_low, at_high = rates[: len(low)], rates[len(low) : -1]
    first = int((at_low > 0).nonzero()[0])
    blocked = int((at_high == 0).nonzero()[0])
    return {
        "rheobase": float(low[first]),
        "onset_hz": float(at_low[first]),
        "block": float(high[blocked]),
        "at_100_hz": float(rates[-1]),
    }


# -- e2: one neuron, one weight


def silencing(seed: int, settings: Settings) -> Numbers:
    """Compare gradients of one neuron's activity with the slope of the loss itself.

    Gradients are those of backpropagation and of evolution in pairs.
    """
    generator = seeds.generator(seed)
    n_weights = int(settings["n_weights"])
    drawn = torch.rand(n_weights, generator=generator, dtype=torch.float64)
    weights = 0.45 + 0.1 * drawn
    numbers: Numbers = {}
    for duration_ms in settings["horizons_ms"]:
        gradient = _backpropagated(weights, duration_ms, settings)
        slope = _slope(duration_ms, settings)
        estimate = _evolved(duration_ms, settings, generator)
        positive = float((gradient > 0).double().mean())
        spread = float(gradient.std()) / max(abs(slope), 1e-12)
        numbers |= {
            f"slope_{duration_ms:g}": slope,
            f"bp_positive_{duration_ms:g}": positive,
            f"bp_sd_{duration_ms:g}": float(gradient.std()),
            # In decades: a gradient through one more spike may be a thousand times as large.
            f"bp_spread_{duration_ms:g}": math.log10(max(spread, 1e-12)),
            f"es_{duration_ms:g}": estimate,
            f"es_positive_{duration_ms:g}": float(estimate > 0),
        }
    # The figure's own horizon is the longest.
    last = f"{settings['horizons_ms'][-1]:g}"
    names = ("slope", "bp_positive", "bp_spread", "es")
    return numbers | {name: numbers[f"{name}_{last}"] for name in names}


def _neurons(weights: Tensor, settings: Settings) -> Silencing:
    """Build neurons of the figure's cell, which begin and are sampled as there."""
    return Silencing(
        weights,
        width_mv=settings["width_mv"],
        v_mv=-40.0,
        gate=0.5,
        sample_ms=1.0,
    )


def _backpropagated(weights: Tensor, duration_ms: float, settings: Settings) -> Tensor:
    """Return the gradient through the spikes, at every weight."""
    neurons = _neurons(weights, settings)
    neurons(duration_ms).sum().backward()
    assert neurons.weight.grad is not None
    return neurons.weight.grad


@torch.no_grad()
def _slope(duration_ms: float, settings: Settings) -> float:
    """Return the slope of a line through the losses: single spikes make them a staircase."""
    grid = torch.linspace(0.45, 0.55, 201, dtype=torch.float64)
    losses = _neurons(grid, settings)(duration_ms)
    centred = grid - grid.mean()
    return float(centred @ losses / centred.square().sum())


def _evolved(
    duration_ms: float, settings: Settings, generator: torch.Generator
) -> float:
    """Return the gradient that evolution estimates, in the middle of the weights."""
    neuron = _neurons(torch.tensor(0.5, dtype=torch.float64), settings)
    strategy = EvolutionStrategy(
        neuron, population=int(settings["population"]), sigma=0.2, generator=generator
    )
    strategy.backward(lambda one, ms: one(ms), duration_ms)
    assert neuron.weight.grad is not None
    return float(neuron.weight.grad)


# -- e3: horizons


def horizons(seed: int, settings: Settings) -> Numbers:
    """Measure the gradient's norm at the initial weights, for longer and longer phrases."""
    found = {}
    for horizon_ms in settings["horizons_ms"]:
        # From the same seed, every horizon has the same weights and the same words.
        generator = seeds.generator(seed)
        task = EvidenceIntegration(dt_ms=horizon_ms / 50)
        net = network(task, settings, generator)
        trials = task.sample(int(settings["batch"]), generator)
        task.loss(net(trials.inputs), trials).backward()  # type: ignore[no-untyped-call]
        assert net.weight_hh.grad is not None
        found[horizon_ms] = float(net.weight_hh.grad.norm())
    numbers = {f"norm_{horizon_ms:g}": norm for horizon_ms, norm in found.items()}
    first = found[200]
    return numbers | {
        "decades_800": math.log10(found[800] / first),
        "decades_1200": math.log10(found[1200] / first),
    }


# -- e4: the spiral

_N_POINTS = 10
"""How many points a segment of the spiral has, to learn from."""


def spiral(seed: int, settings: Settings) -> Numbers:
    """Train the same network on the spiral in three ways.

    By backpropagation, by evolution in pairs, and by the one-sided estimate with the same
    population.
    """
    numbers: Numbers = {}
    for arm in ("bp", "pairs", "one_sided"):
        errors = _spiral_errors(arm, seed, settings)
        # Each batch is another one; the mean of five is calmer.
        last = errors[-5:]
        numbers[f"mae_{arm}"] = sum(last) / len(last)
    return numbers | {"ratio": numbers["mae_one_sided"] / numbers["mae_pairs"]}


def _spiral_errors(arm: str, seed: int, settings: Settings) -> list[float]:
    """Return the mean absolute error in every step of training."""
    field, times = Spiral(), torch.linspace(0, 25, 1000)
    whole = rk4(field, field.initial, times)
    generator = seeds.generator(seed)
    model = SpiralODE(int(settings["hidden"]), generator=generator)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=settings["lr"])
    strategy = EvolutionStrategy(
        model,
        population=int(settings["population"]),
        sigma=0.01,
        antithetic=arm == "pairs",
        generator=seeds.generator(seed, 1),
    )

    def loss(model: nn.Module, true: Tensor) -> Tensor:
        return (rk4(model, true[0], times[:_N_POINTS]) - true).abs().mean()

    errors = []
    for _ in range(int(settings["iterations"])):
        starts = torch.randint(len(times) - _N_POINTS, (20,), generator=generator)
        true = torch.stack([whole[starts + i] for i in range(_N_POINTS)])
        optimizer.zero_grad()
        value = loss(model, true)
        if arm == "bp":
            value.backward()  # type: ignore[no-untyped-call]
        else:
            strategy.backward(loss, true)
        optimizer.step()
        errors.append(float(value.detach()))
    return errors


# -- e5, e6, e8 and e9: integration of evidence

_MOVED = ("weight_ih",)
"""What evolution moved, beside the readout, in the authors' saved runs."""


def _learn(
    task: EvidenceIntegration, arm: str, settings: Settings, seed: int
) -> Numbers:
    """Train one arm, and return its accuracy on phrases that no arm has seen."""
    # The same initial weights for every arm.
    net = network(task, settings, seeds.generator(seed))
    numbers: Numbers = {}
    if arm == "readout":
        train_readout(task, net, settings, seed)
    elif arm == "bp":
        numbers = train_backpropagated(task, net, settings, seed)
    elif arm == "moved":
        train_evolved(task, net, settings, seed, _MOVED)
    else:
        train_evolved(task, net, settings, seed)
    test = task.sample(int(settings["test"]), seeds.generator(seed, 9))
    with torch.no_grad():
        state = net.initial_state(len(test), seeds.generator(seed, 8))
        return numbers | {arm: task.score(net(test.inputs, state), test)}


def integration(seed: int, settings: Settings) -> Numbers:
    """Train by evolution, all weights or those that moved, and the readout alone."""
    task = EvidenceIntegration(vocabulary=seed)
    numbers: Numbers = {}
    for arm in ("readout", "es", "moved"):
        numbers |= _learn(task, arm, settings, seed)
    return numbers | {
        "es_minus_readout": numbers["es"] - numbers["readout"],
        "moved_minus_readout": numbers["moved"] - numbers["readout"],
        "es_minus_moved": numbers["es"] - numbers["moved"],
    }


def published_step(seed: int, settings: Settings) -> Numbers:
    """Train by backpropagation through the published steps."""
    return _learn(EvidenceIntegration(vocabulary=seed), "bp", settings, seed)


def comparison(seed: int, settings: Settings) -> Numbers:
    """Train by backpropagation and by evolution for as many steps, one optimiser step each."""
    task = EvidenceIntegration(vocabulary=seed)
    numbers: Numbers = {}
    for arm in ("bp", "es", "moved"):
        numbers |= _learn(task, arm, settings, seed)
    return numbers | {
        "bp_minus_es": numbers["bp"] - numbers["es"],
        "bp_minus_moved": numbers["bp"] - numbers["moved"],
    }


# -- the experiments

FIRING = Experiment(
    "evolution, f-I curve",
    firing,
    budgets(
        {"spacing": 0.5, "settle_ms": 500.0, "duration_ms": 1000.0},
        {"spacing": 0.25, "settle_ms": 1000.0, "duration_ms": 2000.0},
    ),
    SEEDS,
    {"quick": 0.05, "paper": 0.15, "long": 0.15},
)
_ONE_NEURON = {"horizons_ms": [100, 200, 350, 500], "width_mv": 0.01}
SILENCING = Experiment(
    "evolution, one neuron",
    silencing,
    budgets(
        _ONE_NEURON | {"n_weights": 200, "population": 200},
        _ONE_NEURON | {"n_weights": 300, "population": 300},
    ),
    {"quick": 4, "paper": 5, "long": 10},
    {"quick": 0.15, "paper": 0.2, "long": 0.2},
)
_HORIZONS_MS = [100, 200, 400, 600, 800, 1200]
HORIZONS = Experiment(
    "evolution, horizons",
    horizons,
    budgets(
        SMALL | {"horizons_ms": _HORIZONS_MS},
        SMALL | {"horizons_ms": _HORIZONS_MS, "cells": 64},
        SMALL | {"horizons_ms": _HORIZONS_MS, "cells": 128},
    ),
    {"quick": 5, "paper": 7, "long": 20},
    {"quick": 0.1, "paper": 0.2, "long": 0.5},
)
SPIRAL = Experiment(
    "evolution, spiral",
    spiral,
    budgets(
        {"hidden": 100, "population": 200, "iterations": 50, "lr": 5e-3},
        {"hidden": 300, "population": 100, "iterations": 50, "lr": 3e-3},
        {"hidden": 1000, "population": 500, "iterations": 200, "lr": 1e-3},
    ),
    {"quick": 3, "paper": 5, "long": 10},
    {"quick": 0.15, "paper": 0.5, "long": 40},
)
_PHRASES = SMALL | {
    "population": 32,
    "phrases": 3200,
    "test": 2000,
    "readout_iterations": 1000,
    "es_iterations": 150,
}
INTEGRATION = Experiment(
    "evolution, integration",
    integration,
    budgets(
        _PHRASES | {"phrases": 1000, "test": 1000, "es_iterations": 100},
        _PHRASES,
        _PHRASES
        | PUBLISHED_SIZE
        | {"population": 100, "one_sided": True, "es_iterations": 2000},
    ),
    # Eight, as the quick budget's spread asks for to tell e9.
    {"quick": 3, "paper": 8, "long": 8},
    {"quick": 0.5, "paper": 1, "long": 400},
)
_PUBLISHED_STEP = PUBLISHED_SIZE | {
    "dt_ms": 0.1,
    "first_order": True,
    "compiled": True,
    "test": 1000,
}
PUBLISHED_STEP = Experiment(
    "evolution, published step",
    published_step,
    budgets(
        SMALL | {"phrases": 1000, "test": 1000, "bp_iterations": 60},
        _PUBLISHED_STEP | {"bp_iterations": 50},
        _PUBLISHED_STEP | {"bp_iterations": 300},
    ),
    {"quick": 3, "paper": 3, "long": 5},
    {"quick": 0.4, "paper": 1.5, "long": 6},
)
COMPARISON = Experiment(
    "evolution, comparison",
    comparison,
    budgets(
        SMALL
        | {"phrases": 1000, "test": 1000, "population": 32}
        | {"bp_iterations": 30, "es_iterations": 30},
        SMALL
        | PUBLISHED_SIZE
        | {"test": 1000, "population": 16}
        | {"bp_iterations": 40, "es_iterations": 40},
        PUBLISHED_SIZE
        | {"dt_ms": 0.1, "test": 2000, "population": 100, "one_sided": True}
        | {"bp_iterations": 1000, "es_iterations": 1000},
    ),
    {"quick": 3, "paper": 3, "long": 5},
    {"quick": 0.4, "paper": 3, "long": 400},
)
