"""What VIP and PV do to the others when they are driven or silenced, from low to high baselines.

Two experiments. The model itself, a unit for each population, beside scipy's integration of the
same equations; and 200 units that are wired at random with the connection probabilities of mouse
V1, whose strengths are the model's or measured ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from daleml import layers
from daleml._support import seeds
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.interneurons_garciadelmolino2017.networks import (
    Currents,
    InterneuronCircuit,
    drawn,
    measured,
    published,
)

# -- the model


def run_model(seed: int, settings: Settings) -> Numbers:
    """Step the current of VIP and of PV in the published circuit, at every baseline."""
    circuit = published()
    numbers = _responses(circuit, settings)
    # The background makes up for it, so that SST receives a constant current in its place.
    lesioned = published(lesion="E->SST")
    for name, number in _responses(lesioned, settings).items():
        # Without it E may run away, and only SST's rate stays bounded: it falls silent.
        if name.startswith(("SST", "whole")):
            numbers[f"lesioned_{name}"] = number
    numbers["returns"] = _distance_after(circuit, seed, settings)
    numbers["printed"] = _distance_from_printed_currents(circuit)
    numbers["scipy"] = _distance_from_scipy(circuit, settings)
    return numbers


def _responses(circuit: InterneuronCircuit, settings: Settings) -> Numbers:
    """Return what a current to VIP, one to PV, and silence of VIP do at every baseline."""
    baselines: list[float] = settings["baselines"]
    steps: list[Currents] = [{name: settings["step_pa"]} for name in ("VIP", "PV")]
    changes = circuit.responses(baselines, steps, ms=settings["ms"])
    with layers.silence(circuit.rnn, "VIP"):
        silenced = circuit.responses(baselines, [{}], ms=settings["ms"])
    numbers: Numbers = {}
    for trial, between in enumerate(baselines):
        to_vip, to_pv = changes[trial]
        at = f"{between:g}"
        numbers[f"silent_E_{at}"] = float(silenced[trial, 0, 0])
        numbers[f"silent_SST_{at}"] = float(silenced[trial, 0, 2])
        for name, hz in zip(circuit.populations.names, to_vip.tolist(), strict=True):
            numbers[f"{name}_{at}"] = hz
        numbers[f"pv_to_e_{at}"] = float(to_pv[0])
        numbers[f"pv_to_pv_{at}"] = float(to_pv[1])
        # Of the mean currents between types, what inhibits E.
        numbers[f"inhibition_{at}"] = -float(circuit.mean_weights()[0, 1:] @ to_pv[1:])
        numbers[f"alone_{at}"] = circuit.largest_eigenvalue(between, "E")
        numbers[f"whole_{at}"] = circuit.largest_eigenvalue(between)
    return numbers


def _distance_after(
    circuit: InterneuronCircuit, seed: int, settings: Settings
) -> float:
    """Return how far from the baselines the rates end that begin a fifth away at most."""
    rates = torch.stack([circuit.baseline(0), circuit.baseline(1)])
    drawn = torch.rand(rates.shape, generator=seeds.generator(seed, 1))
    start = rates * (1 + settings["away"] * (2 * drawn - 1))
    end = circuit.run(rates, [{}], ms=settings["ms"], start=start)[-1, :, 0]
    return float((end - rates).abs().max())


def _distance_from_printed_currents(circuit: InterneuronCircuit) -> float:
    """Return how far the currents of the low baseline are from the printed ones, in pA."""
    printed = torch.tensor(circuit.table.types["low_current_pa"].to_numpy())
    found = circuit.background(circuit.baseline(0))
    return float((found - printed).abs().max())


def _distance_from_scipy(circuit: InterneuronCircuit, settings: Settings) -> float:
    """Return how far the response to VIP ends from that of scipy's integration, in Hz."""
    step: Currents = {"VIP": settings["step_pa"]}
    rates = torch.stack([circuit.baseline(0), circuit.baseline(1)])
    ours = circuit.run(rates, [step], ms=settings["ms"])[-1, :, 0]
    scipys = [_by_scipy(circuit, one, step, settings["ms"]) for one in rates]
    return float((ours - torch.stack(scipys)).abs().max())


def _by_scipy(
    circuit: InterneuronCircuit, rates: Tensor, step: Currents, ms: float
) -> Tensor:
    """Return the rates in the end, by the equations written with NumPy alone."""
    types = circuit.table.types
    strengths = circuit.table.matrix("strength").to_numpy()
    weights = strengths * types["sign"].to_numpy()
    leak, tau_ms = types["leak_ns"].to_numpy(), types["tau_ms"].to_numpy()
    currents = circuit.background(rates).numpy().copy()
    for name, amount in step.items():
        currents[list(types["type"]).index(name)] += amount

    def velocity(_: float, r: NDArray[np.float64]) -> NDArray[np.float64]:
        above = -20 + (weights @ r + currents) / leak
        # Far below threshold the exponential overflows, and the rate is 0.
        with np.errstate(over="ignore"):
            driven = above / (tau_ms / 1000 * 10 * (1 - np.exp(-above)))
        found: NDArray[np.float64] = (driven - r) / 2
        return found

    solved = solve_ivp(
        velocity, (0, ms), rates.numpy(), method="LSODA", rtol=1e-10, atol=1e-10
    )
    return torch.tensor(solved.y[:, -1])


_MODEL: dict[str, Any] = {
    "baselines": [0.0, 0.25, 0.5, 0.75, 1.0],
    "step_pa": 10.0,
    "ms": 200.0,
    "away": 0.2,
}
MODEL = Experiment(
    "interneurons, the model",
    run_model,
    settings=dict.fromkeys(BUDGETS, _MODEL),
    # Nothing is drawn but where one check begins.
    seeds=dict.fromkeys(BUDGETS, 2),
    minutes=dict.fromkeys(BUDGETS, 0.03),
)

# -- many units


def run_drawn(seed: int, settings: Settings) -> Numbers:
    """Step the current of VIP and of PV in circuits of many units, at every baseline."""
    sizes = settings["sizes"]
    spread = settings["spread"]
    circuits = {
        "model": drawn(sizes, spread, seeds.generator(seed, 2)),
        "measured": measured(
            sizes, spread, settings["excitation"], seeds.generator(seed, 3)
        ),
    }
    numbers: Numbers = {}
    for kind, circuit in circuits.items():
        for name, number in _responses(circuit, settings).items():
            numbers[f"{kind}_{name}"] = number
    return numbers


_DRAWN: dict[str, Any] = {
    "sizes": {"E": 160, "PV": 20, "SST": 12, "VIP": 8},
    "baselines": [0.0, 0.25, 0.5, 0.75, 1.0],
    "step_pa": 10.0,
    "ms": 100.0,
    "spread": 0.5,
    "excitation": 0.5,
}
_LARGER = {"E": 800, "PV": 100, "SST": 60, "VIP": 40}
DRAWN = Experiment(
    "interneurons, many units",
    run_drawn,
    settings={
        "quick": _DRAWN,
        "paper": _DRAWN | {"sizes": _LARGER, "ms": 200.0},
        "long": _DRAWN | {"sizes": _LARGER, "ms": 200.0},
    },
    seeds={"quick": 10, "paper": 8, "long": 40},
    minutes={"quick": 0.02, "paper": 0.25, "long": 0.25},
)
