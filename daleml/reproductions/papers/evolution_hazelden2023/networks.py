"""What evolution and backpropagation learn.

A spiral, and to integrate evidence with biophysical cells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.learning import (
    EvidenceIntegration,
    EvolutionStrategy,
    MorrisLecarNetwork,
    Spiral,
    SpiralODE,
    rk4,
)
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.tasks import Trials

SEEDS = {"quick": 3, "paper": 5, "long": 10}
SMALL = {"cells": 32, "batch": 32, "dt_ms": 0.1}


def budgets(
    quick: Settings, paper: Settings, long: Settings | None = None
) -> dict[str, Settings]:
    """Return the settings by budget.

    Those of the paper's serve for long ones too, unless there are others.
    """
    return {"quick": quick, "paper": paper, "long": long or paper}


# -- E4: the spiral
# ----------------------------------------------------------------------------------------------------


_N_POINTS = 10
"""Of a segment to learn from."""


def spiral(seed: int, settings: Settings) -> Numbers:
    """Train the same network on the spiral by backpropagation, by pairs, and one-sided, with the same population."""
    field, times = Spiral(), torch.linspace(0, 25, 1000)
    whole = rk4(field, field.initial, times)
    numbers: Numbers = {}
    for arm in ("bp", "pairs", "one_sided"):
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
        numbers[f"mae_{arm}"] = sum(recent[-5:]) / len(
            recent[-5:]
        )  # each batch is another; five calm that
    return numbers | {"ratio": numbers["mae_one_sided"] / numbers["mae_pairs"]}


# -- E5 and E6: integration of evidence
# --------------------------------------------------------------------------------


def integration(seed: int, settings: Settings) -> Numbers:
    """Train the network by evolution, by backpropagation, and its readout alone."""
    task = EvidenceIntegration(vocabulary=seed)
    test = task.sample(int(settings["test"]), seeds.generator(seed, 9))
    numbers: Numbers = {}
    for arm, train in (
        ("readout", _train_readout),
        ("es", _train_evolved),
        ("bp", _train_backpropagated),
    ):
        net = network(task, settings, seeds.generator(seed))
        train(task, net, settings, seed)
        with torch.no_grad():
            state = net.initial_state(len(test), seeds.generator(seed, 8))
            numbers[arm] = task.score(net(test.inputs, state), test)
    return numbers | {
        "es_minus_readout": numbers["es"] - numbers["readout"],
        "es_minus_bp": numbers["es"] - numbers["bp"],
    }


def network(
    task: EvidenceIntegration, settings: Settings, generator: torch.Generator
) -> MorrisLecarNetwork:
    """Build a network for the task, which is shown a word for as long as the task says."""
    return MorrisLecarNetwork(
        task.n_inputs,
        int(settings["cells"]),
        task.n_outputs,
        dt_ms=settings["dt_ms"],
        input_ms=task.dt_ms,
        generator=generator,
    )


def _batches(
    task: EvidenceIntegration, n: int, settings: Settings, seed: int
) -> Callable[[], Trials]:
    """Draw from a fixed set of training phrases, as published."""
    generator = seeds.generator(seed, 2)
    phrases = task.sample(int(settings["phrases"]), generator)

    def draw() -> Trials:
        which = torch.randint(len(phrases), (n,), generator=generator)
        parts = {
            name: getattr(phrases, name)[:, which]
            for name in ("inputs", "targets", "mask")
        }
        return Trials(
            **parts,
            dt_ms=task.dt_ms,
            input_names=task.input_names,
            output_names=task.output_names,
        )

    return draw


def _train_readout(
    task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int
) -> None:
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


def _train_evolved(
    task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int
) -> None:
    """Alternate between the two matrices, as published, in antithetic pairs.

    The readout follows its own gradient.
    """
    generator = seeds.generator(seed, 3)
    strategies = [
        EvolutionStrategy(
            net,
            population=int(settings["population"]),
            names=[name],
            generator=generator,
        )
        for name in ("weight_ih", "weight_hh")
    ]
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    draw = _batches(task, int(settings["batch"]), settings, seed)

    def loss(
        net: MorrisLecarNetwork, trials: Trials, state: tuple[Tensor, Tensor]
    ) -> Tensor:
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


def _train_backpropagated(
    task: EvidenceIntegration, net: MorrisLecarNetwork, settings: Settings, seed: int
) -> None:
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


# -- the experiments
# ---------------------------------------------------------------------------------------------------

SPIRAL = Experiment(
    "evolution, spiral",
    spiral,
    budgets(
        {"hidden": 200, "population": 200, "iterations": 50, "lr": 5e-3},
        {"hidden": 1000, "population": 200, "iterations": 50, "lr": 1e-3},
        {"hidden": 1000, "population": 500, "iterations": 200, "lr": 1e-3},
    ),
    SEEDS,
    {"quick": 0.4, "paper": 4, "long": 40},
)
INTEGRATION = Experiment(
    "evolution, integration",
    integration,
    budgets(
        SMALL
        | {
            "population": 32,
            "phrases": 1000,
            "test": 1000,
            "readout_iterations": 1000,
            "es_iterations": 120,
            "bp_iterations": 120,
        },
        SMALL
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
