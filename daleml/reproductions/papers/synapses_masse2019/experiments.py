"""Where a circuit holds the sample during the delay: in its activity, or in its synapses.

One experiment: circuits learn to say whether a direction of motion is the one before the delay
(DMS), or that direction turned by 90 degrees (DMRS90). Then the sample is read from the rates of
the units and from the efficacies of their synapses, and either is exchanged between trials when
the test begins.
"""

from __future__ import annotations

from typing import Any

import torch

from daleml._support import seeds
from daleml.analysis.activity import decode
from daleml.reproductions.claim import Experiment, Numbers, Settings
from daleml.reproductions.papers.synapses_masse2019.networks import (
    MemoryCircuit,
    Remembered,
    accuracy,
    build_task,
    train_circuit,
)
from daleml.tasks import DirectionMatch, Trials

RULES = ("DMS", "DMRS90")

# As few shuffles as `decode` allows: chance is known, one in eight.
_SHUFFLES = 19


def run_memory(seed: int, settings: Settings) -> Numbers:
    """Train a circuit on each task, and find where it holds the sample."""
    numbers: Numbers = {}
    for rule in RULES:
        circuit, learned = train_circuit(rule, seed, settings)
        found = {"learned": learned, **_found_in(circuit, rule, seed, settings)}
        numbers |= {f"{rule}_{name}": number for name, number in found.items()}
    at = f"{settings['times_ms'][-1]:g}"
    numbers["rates_gap"] = numbers[f"DMRS90_rates_{at}"] - numbers[f"DMS_rates_{at}"]
    return numbers


@torch.no_grad()
def _found_in(
    circuit: MemoryCircuit, rule: str, seed: int, settings: Settings
) -> Numbers:
    """Return what can be read from a trained circuit, and what it does without it."""
    task = build_task(rule, settings)
    generator = seeds.generator(seed, 3)
    trials = task.sample(settings["probes"], generator=generator)
    states, outputs = _through_delay(circuit, task, trials, settings)
    numbers: Numbers = {}
    for ms, state in states.items():
        numbers[f"rates_{ms:g}"] = _decoded(state.rates, trials)
        numbers[f"synapses_{ms:g}"] = _decoded(state.efficacy, trials)
    held = list(states.values())[-1]
    numbers["delay_hz"] = float(held.rates.mean())
    # Trials exchange their memories, whatever their samples were.
    order = torch.randperm(settings["probes"], generator=generator)
    intact = _judged(circuit, task, trials, outputs, held)
    numbers["accuracy"] = intact
    for what in ("rates", "synapses"):
        exchanged = held.shuffled(what, order)
        cost = intact - _judged(circuit, task, trials, outputs, exchanged)
        # Points of 100, as the paper counts them.
        numbers[f"cost_{what}"] = 100 * cost
    numbers["cost_gap"] = numbers["cost_synapses"] - numbers["cost_rates"]
    # Near chance is less than twice chance.
    last = f"{settings['times_ms'][-1]:g}"
    numbers["silent"] = float(numbers[f"rates_{last}"] < 2 / task.n_directions)
    return numbers


def _through_delay(
    circuit: MemoryCircuit, task: DirectionMatch, trials: Trials, settings: Settings
) -> tuple[dict[float, Remembered], torch.Tensor]:
    """Return what is held at times after the sample's onset, and the outputs until the last."""
    onset = task.steps("sample").start
    states: dict[float, Remembered] = {}
    outputs = []
    state, done = None, 0
    for ms in settings["times_ms"]:
        until = onset + round(ms / task.dt_ms)
        output, state = circuit.remember(trials.inputs[done:until], state)
        states[ms] = state
        outputs.append(output)
        done = until
    return states, torch.cat(outputs)


def _decoded(activity: torch.Tensor, trials: Trials) -> float:
    """Return how often a linear reader tells the sample, cross-validated."""
    found = decode(activity, trials.conditions["sample"], n_shuffles=_SHUFFLES)
    return float(found.accuracy[0])


def _judged(
    circuit: MemoryCircuit,
    task: DirectionMatch,
    trials: Trials,
    outputs: torch.Tensor,
    held: Remembered,
) -> float:
    """Return the accuracy in the test, from what is held at its onset."""
    onset = task.steps("test").start
    answers, _ = circuit.remember(trials.inputs[onset:], held)
    return accuracy(torch.cat([outputs, answers]), trials)


_QUICK: dict[str, Any] = {
    "units": 100,
    "dt_ms": 50.0,
    "fixation_ms": 100.0,
    "grace_ms": 50.0,
    "batch": 128,
    "updates": 350,
    "lr": 0.02,
    "last": 20,
    "probes": 400,
    # From the onset of the sample: its end is at 500 ms, that of the delay at 1,500 ms.
    "times_ms": [250.0, 500.0, 750.0, 1000.0, 1250.0, 1500.0],
}
_LONG = _QUICK | {
    "dt_ms": 10.0,
    "fixation_ms": 500.0,
    "batch": 256,
    "updates": 2000,
    "probes": 800,
}
MEMORY = Experiment(
    "memory in synapses",
    run_memory,
    settings={"quick": _QUICK, "paper": _QUICK, "long": _LONG},
    seeds={"quick": 6, "paper": 12, "long": 20},
    minutes={"quick": 0.45, "paper": 0.45, "long": 40.0},
)
