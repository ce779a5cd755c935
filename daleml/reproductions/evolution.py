"""Hazelden et al. 2023: can losses alone teach biophysical networks what gradients through spikes cannot?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from daleml import _seeds
from daleml.learning import (
    EvidenceIntegration,
    EvolutionStrategy,
    MorrisLecar,
    MorrisLecarNetwork,
    Silencing,
    Spiral,
    SpiralODE,
    rk4,
)
from daleml.reproductions.claim import Check, Claim, Experiment, Numbers, Paper, Settings
from daleml.reproductions.sweep import Panel, Sweep
from daleml.tasks import Trials

# -- E1: the neuron ----------------------------------------------------------------------------------------------------


def firing(seed: int, settings: Settings) -> Numbers:
    """Sweep the current: where firing begins, how fast, where it is blocked.

    The cell has no chance in it; a seed shifts the grid of currents within one spacing, so seeds bracket the onsets.
    """
    spacing = float(settings["spacing"])
    shift = spacing * float(torch.rand((), generator=_seeds.generator(seed)))
    low = torch.arange(30.0, 50.0, spacing, dtype=torch.float64) + shift
    high = torch.arange(105.0, 125.0, spacing, dtype=torch.float64) + shift
    currents = torch.cat([low, high, torch.tensor([100.0], dtype=torch.float64)])
    rates = MorrisLecar().firing_rate(currents, settle_ms=settings["settle_ms"], duration_ms=settings["duration_ms"])
    at_low, at_high = rates[: len(low)], rates[len(low) : -1]
    first = int((at_low > 0).nonzero()[0])
    blocked = int((at_high == 0).nonzero()[0])
    return {
        "rheobase": float(low[first]),
        "onset_hz": float(at_low[first]),
        "block": float(high[blocked]),
        "at_100_hz": float(rates[-1]),
    }


# -- E2: one neuron, one weight ----------------------------------------------------------------------------------------


def silencing(seed: int, settings: Settings) -> Numbers:
    """Compare gradients of one neuron's activity: by backpropagation, by pairs, and as the slope of the loss itself."""
    generator = _seeds.generator(seed)
    n, worst_sign, least_spread, low, high = int(settings["n_weights"]), 0.0, math.inf, math.inf, -math.inf
    weights = 0.55 + 0.05 * torch.rand(n, generator=generator, dtype=torch.float64)
    numbers: Numbers = {}
    for duration_ms in settings["horizons_ms"]:
        neurons = Silencing(weights, cell=MorrisLecar(), width_mv=settings["width_mv"])
        neurons(duration_ms).sum().backward()
        assert neurons.weight.grad is not None
        gradient = neurons.weight.grad
        grid = torch.linspace(0.55, 0.60, 201, dtype=torch.float64)
        with torch.no_grad():
            losses = Silencing(grid, cell=MorrisLecar(), width_mv=settings["width_mv"])(duration_ms)
        centred = grid - grid.mean()
        slope = float(
            centred @ losses / centred.square().sum()
        )  # a line through all: single spikes make it a staircase
        one = Silencing(torch.tensor(0.575, dtype=torch.float64), cell=MorrisLecar(), width_mv=settings["width_mv"])
        strategy = EvolutionStrategy(one, population=int(settings["population"]), sigma=0.1, generator=generator)
        strategy.backward(lambda neuron, ms: neuron(ms), duration_ms)
        assert one.weight.grad is not None
        found = float(one.weight.grad)
        positive = float((gradient > 0).double().mean())
        numbers |= {
            f"slope_{duration_ms:g}": slope,
            f"bp_positive_{duration_ms:g}": positive,
            f"bp_sd_{duration_ms:g}": float(gradient.std()),
            f"es_{duration_ms:g}": found,
            f"es_positive_{duration_ms:g}": float(found > 0),
        }
        worst_sign = max(worst_sign, positive)
        least_spread = min(least_spread, float(gradient.std()) / max(abs(slope), 1e-12))
        low, high = min(low, found), max(high, found)
    return numbers | {"bp_positive": worst_sign, "bp_spread": least_spread, "es_least": low, "es_most": high}


# -- E3: horizons ------------------------------------------------------------------------------------------------------


def horizons(seed: int, settings: Settings) -> Numbers:
    """Measure the gradient's norm at the initial weights, for phrases that last longer."""
    found = {}
    for horizon_ms in settings["horizons_ms"]:
        generator = _seeds.generator(seed)  # the same weights and the same words
        task = EvidenceIntegration(dt_ms=horizon_ms / 50)
        net = _network(task, settings, generator)
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


# -- E4: the spiral ----------------------------------------------------------------------------------------------------


_N_POINTS = 10
"""Of a segment to learn from."""


def spiral(seed: int, settings: Settings) -> Numbers:
    """Train the same network on the spiral by backpropagation, by pairs, and one-sided, with the same population."""
    field, times = Spiral(), torch.linspace(0, 25, 1000)
    whole = rk4(field, field.initial, times)
    numbers: Numbers = {}
    for arm in ("bp", "pairs", "one_sided"):
        generator = _seeds.generator(seed)
        model = SpiralODE(int(settings["hidden"]), generator=generator)
        optimizer = torch.optim.RMSprop(model.parameters(), lr=settings["lr"])
        strategy = EvolutionStrategy(
            model,
            population=int(settings["population"]),
            sigma=0.01,
            antithetic=arm == "pairs",
            generator=_seeds.generator(seed, 1),
        )
        recent = []
        for _ in range(int(settings["iterations"])):
            starts = torch.randint(len(times) - _N_POINTS, (20,), generator=generator)
            true = torch.stack([whole[starts + i] for i in range(_N_POINTS)])

            def loss(model: nn.Module, true: Tensor = true) -> Tensor:
                return (rk4(model, true[0], times[:_N_POINTS]) - true).abs().mean()

            optimizer.zero_grad()
            value = loss(model)
            if arm == "bp":
                value.backward()  # type: ignore[no-untyped-call]
            else:
                strategy.backward(loss)
            optimizer.step()
            recent.append(float(value.detach()))
        numbers[f"mae_{arm}"] = sum(recent[-5:]) / len(recent[-5:])  # each batch is another; five calm that
    return numbers | {"ratio": numbers["mae_one_sided"] / numbers["mae_pairs"]}


# -- E5 and E6: integration of evidence --------------------------------------------------------------------------------


def integration(seed: int, settings: Settings) -> Numbers:
    """Train the network by evolution, by backpropagation, and its readout alone."""
    task = EvidenceIntegration(vocabulary=seed)
    test = task.sample(int(settings["test"]), _seeds.generator(seed, 9))
    numbers: Numbers = {}
    for arm, train in (("readout", _train_readout), ("es", _train_evolved), ("bp", _train_backpropagated)):
        net = _network(task, settings, _seeds.generator(seed))
        train(task, net, settings, seed)
        with torch.no_grad():
            state = net.initial_state(len(test), _seeds.generator(seed, 8))
            numbers[arm] = task.score(net(test.inputs, state), test)
    return numbers | {
        "es_minus_readout": numbers["es"] - numbers["readout"],
        "es_minus_bp": numbers["es"] - numbers["bp"],
    }


def _network(task: EvidenceIntegration, settings: Settings, generator: torch.Generator) -> MorrisLecarNetwork:
    return MorrisLecarNetwork(
        task.n_inputs,
        int(settings["cells"]),
        task.n_outputs,
        dt_ms=settings["dt_ms"],
        input_ms=task.dt_ms,
        generator=generator,
    )


def _batches(task: EvidenceIntegration, n: int, settings: Settings, seed: int) -> Callable[[], Trials]:
    """Draw from a fixed set of training phrases, as published."""
    generator = _seeds.generator(seed, 2)
    phrases = task.sample(int(settings["phrases"]), generator)

    def draw() -> Trials:
        which = torch.randint(len(phrases), (n,), generator=generator)
        parts = {name: getattr(phrases, name)[:, which] for name in ("inputs", "targets", "mask")}
        return Trials(**parts, dt_ms=task.dt_ms, input_names=task.input_names, output_names=task.output_names)

    return draw


def _train_readout(task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int) -> None:
    """Train the readout to the end, on the activity of the initial network to as many phrases as any arm may see."""
    draw = _batches(task, int(settings["phrases"]), settings, seed)
    trials = draw()
    with torch.no_grad():
        seen = net.activity(trials.inputs)
    optimizer = torch.optim.Adam(net.readout.parameters(), lr=0.02)
    for _ in range(int(settings["readout_iterations"])):
        optimizer.zero_grad()
        task.loss(net.readout(seen), trials).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _train_evolved(task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int) -> None:
    """Alternate between the two matrices, as published, in antithetic pairs; the readout follows its own gradient."""
    generator = _seeds.generator(seed, 3)
    strategies = [
        EvolutionStrategy(net, population=int(settings["population"]), names=[name], generator=generator)
        for name in ("weight_ih", "weight_hh")
    ]
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    draw = _batches(task, int(settings["batch"]), settings, seed)

    def loss(net: MorrisLecarNetwork, trials: Trials, state: tuple[Tensor, Tensor]) -> Tensor:
        return task.loss(net(trials.inputs, state), trials)

    for iteration in range(int(settings["es_iterations"])):
        trials = draw()
        state = net.initial_state(len(trials))
        optimizer.zero_grad()
        strategies[iteration % 2].backward(loss, trials, state)
        with torch.no_grad():
            seen = net.activity(trials.inputs, state)
        task.loss(net.readout(seen), trials).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _train_backpropagated(task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int) -> None:
    """Go through all steps, with the norm of the gradient clipped at 10, as published."""
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    draw = _batches(task, int(settings["batch"]), settings, seed)
    for _ in range(int(settings["bp_iterations"])):
        trials = draw()
        optimizer.zero_grad()
        task.loss(net(trials.inputs), trials).backward()  # type: ignore[no-untyped-call]
        for parameter in net.parameters():
            assert parameter.grad is not None
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()


# -- the claims --------------------------------------------------------------------------------------------------------


def _budgets(quick: Settings, paper: Settings, long: Settings | None = None) -> dict[str, Settings]:
    return {"quick": quick, "paper": paper, "long": long or paper}


_SEEDS = {"quick": 3, "paper": 5, "long": 10}
_SMALL = {"cells": 32, "batch": 32, "dt_ms": 0.5}

FIRING = Experiment(
    "evolution, f-I curve",
    firing,
    _budgets(
        {"spacing": 0.5, "settle_ms": 500.0, "duration_ms": 1000.0},
        {"spacing": 0.25, "settle_ms": 1000.0, "duration_ms": 3000.0},
    ),
    _SEEDS,
    {"quick": 0.05, "paper": 0.15, "long": 0.15},
)
SILENCING = Experiment(
    "evolution, one neuron",
    silencing,
    _budgets(
        {"n_weights": 400, "horizons_ms": [100, 200, 400, 800], "population": 400, "width_mv": 0.01},
        {"n_weights": 2000, "horizons_ms": [100, 200, 400, 800], "population": 1000, "width_mv": 0.01},
    ),
    _SEEDS,
    {"quick": 0.2, "paper": 0.3, "long": 0.3},
)
HORIZONS = Experiment(
    "evolution, horizons",
    horizons,
    _budgets(
        _SMALL | {"horizons_ms": [100, 200, 400, 600, 800, 1200]},
        _SMALL | {"horizons_ms": [100, 200, 400, 600, 800, 1200], "cells": 64},
    ),
    {"quick": 10, "paper": 20, "long": 20},
    {"quick": 0.25, "paper": 0.5, "long": 0.5},
)
SPIRAL = Experiment(
    "evolution, spiral",
    spiral,
    _budgets(
        {"hidden": 200, "population": 200, "iterations": 50, "lr": 5e-3},
        {"hidden": 1000, "population": 200, "iterations": 50, "lr": 1e-3},
        {"hidden": 1000, "population": 500, "iterations": 200, "lr": 1e-3},
    ),
    _SEEDS,
    {"quick": 0.4, "paper": 4, "long": 40},
)
INTEGRATION = Experiment(
    "evolution, integration",
    integration,
    _budgets(
        _SMALL
        | {
            "population": 32,
            "phrases": 1000,
            "test": 1000,
            "readout_iterations": 1000,
            "es_iterations": 120,
            "bp_iterations": 120,
        },
        _SMALL
        | {
            "population": 32,
            "phrases": 3200,
            "test": 2000,
            "readout_iterations": 3000,
            "es_iterations": 1000,
            "bp_iterations": 1000,
        },
        {
            "cells": 128,
            "batch": 50,
            "dt_ms": 0.1,
            "population": 100,
            "phrases": 3200,
            "test": 2000,
            "readout_iterations": 3000,
            "es_iterations": 2000,
            "bp_iterations": 2000,
        },
    ),
    {"quick": 3, "paper": 5, "long": 5},
    {"quick": 0.7, "paper": 12, "long": 600},
)

_TIME = "time that the gradient goes through, ms"
_SWEEP = Sweep(
    name="horizon",
    paper="evolution",
    title="Sign and size of the gradient against the horizon.",
    caption="Left and middle, one neuron to be silenced, as in e2: its loss rises with the weight, and half would be "
    "right by chance; a gradient by evolution is one estimate a seed. Right, the network of e3 before it learns.",
    panels=(
        Panel(
            SILENCING,
            "horizons_ms",
            {"backpropagation": "bp_positive_{x:g}", "evolution": "es_positive_{x:g}"},
            _TIME,
            "share of gradients of the right sign",
            y_limits=(0, 1.03),
            reference=0.5,
            reference_label="by chance",
        ),
        Panel(
            SILENCING,
            "horizons_ms",
            {"backpropagation, s.d.": "bp_sd_{x:g}", "evolution": "es_{x:g}", "slope of the loss": "slope_{x:g}"},
            _TIME,
            "gradient of one neuron",
            log_y=True,
        ),
        Panel(
            HORIZONS,
            "horizons_ms",
            {"backpropagation": "norm_{x:g}"},
            _TIME,
            "norm of the network's gradient",
            log_y=True,
        ),
    ),
)

_PREPRINT = "arXiv 2311.10869 v2"

PAPER = Paper(
    "evolution",
    "J. Hazelden, Y. H. Liu, E. Shlizerman, E. Shea-Brown (2023) Evolutionary algorithms as an alternative to "
    "backpropagation for supervised training of biophysical neural networks and neural ODEs, arXiv 2311.10869 v2",
    (
        Claim(
            "e1",
            "evolution",
            "The Morris-Lecar neuron of the network is of type I: it begins to fire at a low rate.",
            f"{_PREPRINT}, constants of the network's cells",
            FIRING,
            (
                Check("rheobase", "current at which firing begins, µA/cm²", at_least=39.5, at_most=40.5),
                Check("onset_hz", "firing rate there, Hz", at_most=5.0),
                Check("block", "current of depolarisation block, µA/cm²", at_least=110.0, at_most=120.0),
                Check("at_100_hz", "firing rate at 100 µA/cm², Hz", at_least=23.0, at_most=25.0),
            ),
            "Spikes are counted after the onset's transient; a cell that will rest may fire once before.",
        ),
        Claim(
            "e2",
            "evolution",
            "Where spikes are all or none, backpropagation's gradient misleads, and evolution's does not.",
            f"{_PREPRINT}, figure 1: turn a neuron off",
            SILENCING,
            (
                Check("bp_positive", "share of gradients with the slope's sign, at the best horizon", at_most=0.5),
                Check("bp_spread", "their spread over the slope, at the calmest horizon", at_least=30.0, no_effect=1.0),
                Check("es_least", "smallest slope by evolution over the horizons", at_least=0.125, no_effect=0.0),
                Check("es_most", "largest slope by evolution over the horizons", at_most=0.5),
            ),
            "The network's cell, by the semi-implicit step: the figure's own cell leaves its capacitance out. Horizons "
            "of 100, 200, 400 and 800 ms, weights in [0.55, 0.60]; evolution smooths over 0.1, more widely than that. "
            "The slope is that of a line through 201 weights: spikes make the loss a staircase, and at 200 ms one step "
            "of it lies within that range.",
        ),
        Claim(
            "e3",
            "evolution",
            "The gradient through the network grows with the time it goes through.",
            f"{_PREPRINT}, why backpropagation fails",
            HORIZONS,
            (
                Check("decades_800", "growth of its norm from 200 to 800 ms, decades", at_least=1.3, no_effect=0.0),
                Check("decades_1200", "growth from 200 to 1,200 ms, decades", at_least=2.0, no_effect=0.0),
            ),
            "At the initial weights, 32 cells, 0.5 ms steps; a longer phrase is one of longer words. Growth is "
            "averaged in decades, since norms differ by orders of magnitude from seed to seed.",
        ),
        Claim(
            "e4",
            "evolution",
            "Antithetic pairs learn far better than the published one-sided estimate, at the same population.",
            f"{_PREPRINT}, spiral neural ODE",
            SPIRAL,
            (Check("ratio", "error one-sided over error in pairs, after 50 steps", at_least=5.0, no_effect=1.0),),
            "The paper's own estimator is the one-sided. The same initial weights and batches for both; Runge-Kutta at "
            "the data's times; 200 hidden units in the quick budget, the published 1,000 in the paper's.",
        ),
        Claim(
            "e5",
            "evolution",
            "Evolution teaches the network to integrate evidence, beyond what its readout alone could.",
            f"{_PREPRINT}, figure 3",
            INTEGRATION,
            (
                Check("es", "accuracy by evolution", at_least=0.6, no_effect=1 / 3),
                Check("es_minus_readout", "less that of the readout alone", at_least=0.1, no_effect=0.0),
            ),
            "32 cells, 0.5 ms steps, 32 members in pairs. The readout alone is trained to the end on as many phrases, "
            "which favours it. The quick budget gives evolution 120 steps, far fewer than it needs.",
        ),
        Claim(
            "e6",
            "evolution",
            "Evolution succeeds at integrating evidence where backpropagation fails.",
            f"{_PREPRINT}, abstract and figure 3",
            INTEGRATION,
            (
                Check("es_minus_bp", "accuracy by evolution less that by backpropagation", at_least=0.0, no_effect=0.0),
                Check("bp", "accuracy by backpropagation", at_most=0.45),
            ),
            "As many steps of both, one optimiser, the norm clipped at 10, no NaN met. In the authors' saved runs "
            "backpropagation rises to 0.45 to 0.63 and falls back to chance within 200 steps.",
        ),
        Claim(
            "e7",
            "evolution",
            "Evolution trains a stiff neural ODE that backpropagation cannot.",
            f"{_PREPRINT}, abstract",
            None,
            (),
            "The paper's text at hand names neither the equation nor a number. The usual benchmark, Robertson's "
            "reaction, is in daleml.learning, with a solver that either gradient can go through.",
        ),
    ),
    (_SWEEP,),
)
