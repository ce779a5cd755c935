"""How circuits decide after learning: how well, how fast, by which units and which synapses."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml import Populations, signs
from daleml._support import seeds
from daleml.analysis import activity
from daleml.layers import EIRNN, lesion
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.decision_song2016.networks import (
    WIRING,
    build,
    decision_task,
    learn,
    populations,
)
from daleml.tasks import PerceptualDecision, Trials

# The keys of the streams of random numbers of one seed, beside those of learning.
_TEST, _GUESSES = 3, 4


class Answers(NamedTuple):
    """What a circuit did in trials that it had not seen."""

    trials: Trials
    rates: Tensor
    outputs: Tensor
    accuracy: float


@torch.no_grad()
def answers(
    model: nn.Sequential, task: PerceptualDecision, seed: int, key: int, n: int
) -> Answers:
    """Show new trials to a circuit.

    Args:
        model: The circuit and its readout.
        task: What it learned.
        seed: Of the trials, with ``key``.
        key: Of the stream of random numbers.
        n: Number of trials.
    """
    model.eval()
    trials = task.sample(n, seeds.generator(seed, 0, key))
    rates, _ = model[0](trials.inputs)
    outputs = model[1](rates)
    return Answers(trials, rates, outputs, task.score(outputs, trials))


# -- stimuli of variable duration


def run_decisions(seed: int, settings: Settings) -> Numbers:
    """Train a circuit with the law and one without, from the same weights, on the same trials."""
    task = decision_task(settings, reaction_time=False)
    lawful = build(seed, settings, task)
    # The same weights, and a generator of its own in the same state.
    free = copy.deepcopy(lawful)
    learn(lawful, task, seed, settings)
    learn(free, task, seed, settings, lawful=False)
    numbers: Numbers = {}
    for arm, model in (("lawful", lawful), ("free", free)):
        found = answers(model, task, seed, _TEST, settings["tests"])
        report = signs.check(model)
        numbers |= {
            f"{arm}/accuracy": found.accuracy,
            f"{arm}/wrong signs": report.n_violations / report.n_synapses,
        }
        for name, value in _behaviour(found, settings).items():
            numbers[f"{arm}/{name}"] = value
    ideal = task.ideal
    assert ideal is not None
    numbers["shortfall"] = numbers["lawful/accuracy"] - ideal
    numbers["cost of the law"] = numbers["free/accuracy"] - numbers["lawful/accuracy"]
    return numbers | _mechanism(lawful, task, seed, settings)


def _behaviour(found: Answers, settings: Settings) -> Numbers:
    """Return what the psychometric curve is, and how accuracy depends on duration."""
    made = activity.signed_choices(found.outputs, found.trials)
    curve = activity.psychometric(
        made.strengths, made.choices, shape="gaussian", n_lapses=1
    )
    residuals = np.abs(curve.fractions - curve.predict(curve.strengths))
    numbers: Numbers = {
        "bias": curve.bias,
        "absolute bias": abs(curve.bias),
        "threshold": curve.threshold,
        "lapse": curve.lapse_low,
        "misfit": float(residuals.max()),
        "missed": made.n_missed / made.n,
    }
    for strength, fraction in zip(curve.strengths, curve.fractions, strict=True):
        numbers[f"choice 1 at {strength:g}"] = float(fraction)
    lasted = found.trials.offsets["stimulus"] - found.trials.onsets["stimulus"]
    lasted_ms = lasted.double().numpy()
    weak = np.isin(np.abs(made.strengths).round(4), settings["weak"])
    edges = settings["durations_ms"]
    for start, end in zip(edges, [*edges[1:], np.inf], strict=True):
        here = weak & (lasted_ms >= start) & (lasted_ms < end)
        numbers[f"correct from {start:g} ms"] = float(np.nanmean(made.correct[here]))
    first, last = (numbers[f"correct from {edges[at]:g} ms"] for at in (0, -1))
    return numbers | {"gain by duration": last - first}


# -- the mechanism


def _mechanism(
    model: nn.Sequential, task: PerceptualDecision, seed: int, settings: Settings
) -> Numbers:
    """Return which units tell choices without evidence, and which synapses join those alike."""
    guessed = decision_task({**settings, "coherences": [0.0]}, reaction_time=False)
    found = answers(model, guessed, seed, _GUESSES, settings["guesses"])
    pops = populations(settings["units"])
    selective = _selectivity(found, pops)
    numbers: Numbers = {}
    preferred = np.zeros(pops.size)
    for name in pops.names:
        numbers[f"selective/{name}"] = math.nan
    # A circuit that always chooses the same has no preferences.
    if selective is not None:
        for name, fraction in selective.fractions.items():
            numbers[f"selective/{name}"] = fraction
        preferred = np.where(selective.selective, np.sign(selective.d_prime), 0.0)
    alike = preferred[:, None] * preferred
    circuit = cast("EIRNN", model[0])
    weights = circuit.effective_weights()[0].recurrent.detach().numpy()
    exc = np.arange(len(weights)) < pops.exc.stop
    # Pairs without a synapse, such as a unit and itself, are no weak synapses.
    exists = WIRING.matrix(pops, pops).numpy().astype(bool) & ~np.eye(
        pops.size, dtype=bool
    )
    blocks = {
        "E to E": np.outer(exc, exc) & exists,
        "I to E": np.outer(exc, ~exc) & exists,
    }
    for name, block in blocks.items():
        like, unlike = (block & (alike * sign > 0) for sign in (1, -1))
        numbers[f"{name}/like to unlike"] = math.nan
        if like.any() and weights[unlike].any():
            ratio = np.abs(weights[like]).mean() / np.abs(weights[unlike]).mean()
            numbers[f"{name}/like to unlike"] = float(ratio)
    whole = answers(model, task, seed, _TEST, settings["guesses"]).accuracy
    for name, synapses in _lesions(blocks["E to E"], alike, seed).items():
        # A circuit without preferences has no such pairs, and to cut none costs nothing.
        if not synapses.any():
            numbers[f"lesion/{name}"] = 0.0
            continue
        with lesion(model, synapses):
            left = answers(model, task, seed, _TEST, settings["guesses"]).accuracy
        numbers[f"lesion/{name}"] = whole - left
    numbers["lesion/difference"] = numbers["lesion/like"] - numbers["lesion/unlike"]
    return numbers


def _selectivity(found: Answers, pops: Populations) -> activity.Selectivity | None:
    """Return how well units tell choices apart while the answer is given."""
    made = activity.signed_choices(found.outputs, found.trials)
    is_made = ~np.isnan(made.choices)
    n_first = np.nansum(made.choices)
    if min(n_first, is_made.sum() - n_first) < 2:
        return None
    during = found.trials.during("decision")[..., None]
    means = (found.rates * during).sum(0) / during.sum(0)
    return activity.selectivity(
        means[torch.from_numpy(is_made)],
        made.choices[is_made],
        populations=pops,
        n_shuffles=199,
    )


def _lesions(
    block: NDArray[np.bool_], alike: NDArray[np.float64], seed: int
) -> dict[str, Tensor]:
    """Return equal numbers of synapses between units that prefer the same choice, or not."""
    rng = np.random.default_rng(seed)
    places = {
        "like": np.argwhere(block & (alike > 0)),
        "unlike": np.argwhere(block & (alike < 0)),
    }
    n = min(len(found) for found in places.values())
    lesions = {}
    for name, found in places.items():
        chosen = rng.permutation(found)[:n]
        mask = torch.zeros(block.shape, dtype=torch.bool)
        mask[tuple(torch.from_numpy(chosen).T)] = True
        lesions[name] = mask
    return lesions


# -- reaction times


def run_reaction_times(seed: int, settings: Settings) -> Numbers:
    """Train a circuit to answer as soon as it can, and measure when an output is sure enough."""
    task = decision_task(settings, reaction_time=True)
    model = build(seed, settings, task)
    learn(model, task, seed, settings)
    found = answers(model, task, seed, _TEST, settings["tests"])
    probabilities = found.outputs.softmax(-1)
    times = activity.reaction_times(probabilities, found.trials, settings["sure"])
    right = times.choices == found.trials.conditions["choice"].numpy()
    correct = np.where(times.choices > 0, right, np.nan)
    coherence = found.trials.conditions["coherence"].double().numpy()
    curve = activity.chronometric(coherence, times.times_ms, correct, only_correct=True)
    numbers: Numbers = {
        "missed": times.n_missed / times.n,
        "accuracy": float(np.nanmean(correct)),
        "non-decision ms": curve.non_decision_ms,
        "bound": curve.bound,
    }
    rows = zip(curve.strengths, curve.means_ms, curve.fractions_correct, strict=True)
    for strength, mean, fraction in rows:
        numbers[f"ms at {strength:.4g}"] = mean
        numbers[f"correct at {strength:.4g}"] = fraction
    weak, strong = settings["compared"]
    numbers["slowing"] = numbers[f"ms at {weak:g}"] - numbers[f"ms at {strong:g}"]
    return numbers


# -- the experiments

_SETTINGS: dict[str, Any] = {
    "units": 100,
    "dt_ms": 20,
    "tau_ms": 100,
    "noise": 0.15,
    "noise_sd": 0.1,
    "coherences": [0.0, 0.032, 0.064, 0.128, 0.256, 0.512],
    "lr": 0.005,
    "batch": 64,
    "updates": 400,
    "rate_cost": 0.02,
    "shaped_until": 0.95,
    "tests": 3000,
}
_DECISIONS = _SETTINGS | {
    "tests": 6000,
    "guesses": 1000,
    "weak": [0.064, 0.128],
    "durations_ms": [200, 350, 500, 650],
    "signed": [-0.512, -0.256, -0.128, -0.064, -0.032, 0, 0.032, 0.064, 0.128, 0.256, 0.512],
}  # fmt: skip
_TIMES = _SETTINGS | {"sure": 0.8, "compared": [0.064, 0.512]}

DECISIONS = Experiment(
    "decisions of E and I units",
    run_decisions,
    settings=dict.fromkeys(BUDGETS, _DECISIONS),
    seeds={"quick": 5, "paper": 14, "long": 20},
    minutes=dict.fromkeys(BUDGETS, 0.25),
)
TIMES = Experiment(
    "reaction times of E and I units",
    run_reaction_times,
    settings=dict.fromkeys(BUDGETS, _TIMES),
    seeds={"quick": 5, "paper": 6, "long": 20},
    minutes=dict.fromkeys(BUDGETS, 0.13),
)
