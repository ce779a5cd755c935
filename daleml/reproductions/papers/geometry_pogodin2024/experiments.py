"""The change of weights in the dual of every candidate potential: how far it is from normal.

Two experiments. Weights moved by normal numbers in a known dual, which says what the test can
tell at all; and linear regressions, over-parameterised, trained under a known potential, in
which nothing is normal by design.

``ne`` is the negative entropy, ``l2`` the Euclidean potential, ``l3`` the 3-norm.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daleml._support import seeds
from daleml.analysis.plasticity.dual_geometry import DualChange, infer_geometry
from daleml.analysis.plasticity.normality import sampling_floor
from daleml.potentials import Euclidean, NegativeEntropy, PNorm, Potential
from daleml.reproductions.claim import BUDGETS, Experiment, Numbers, Settings
from daleml.reproductions.papers.geometry_pogodin2024.networks import (
    interpolating_weights,
    moved_weights,
)

TRUE_POTENTIALS: dict[str, Potential] = {
    "ne": NegativeEntropy(),
    "l2": Euclidean(),
    "l3": PNorm(3),
}
"""The potentials under which weights move, by their names in the numbers."""

_CANDIDATES = (NegativeEntropy(), PNorm(1.5), Euclidean(), PNorm(2.5), PNorm(3))


def _changes(before: Tensor, after: Tensor) -> dict[Potential, DualChange]:
    """Return the change in the dual of every candidate."""
    # The fewest resamples that are allowed: no interval of a single change is read.
    found = infer_geometry(before, after, _CANDIDATES, n_boot=20)
    return {one.potential: one for one in found.changes}


# -- weights moved by normal numbers


def run_robustness(seed: int, settings: Settings) -> Numbers:
    """Move weights by normal numbers in each dual, several times; return medians of distances.

    ``apart`` is the distance in the nearest other potential's dual, over that in the true one's.
    For log-normal weights and the 3-norm, 2.5 is no other potential: the two cannot be told
    apart there. For normal weights it is one.
    """
    generator = seeds.generator(seed, 1)
    numbers: Numbers = {}
    for kind in ("lognormal", "normal"):
        for name, true in TRUE_POTENTIALS.items():
            medians = _median_distances(true, kind, settings, generator)
            tied = {true}
            if (kind, name) == ("lognormal", "l3"):
                tied.add(PNorm(2.5))
            others = [medians[one] for one in _CANDIDATES if one not in tied]
            numbers[f"matched_{name}_{kind}"] = medians[true]
            numbers[f"apart_{name}_{kind}"] = min(others) / medians[true]
    return numbers


def _median_distances(
    true: Potential, kind: str, settings: Settings, generator: torch.Generator
) -> dict[Potential, float]:
    """Return the median distance from normal over several draws, for every candidate."""
    drawn = []
    for _ in range(settings["draws"]):
        changes = _changes(*moved_weights(true, kind, settings["n"], generator))
        drawn.append([changes[candidate].distance for candidate in _CANDIDATES])
    medians = np.median(drawn, axis=0).tolist()
    return dict(zip(_CANDIDATES, medians, strict=True))


_ROBUSTNESS: dict[str, Any] = {"n": 1_000, "draws": 10}
ROBUSTNESS = Experiment(
    "robustness of the geometry",
    run_robustness,
    settings=dict.fromkeys(BUDGETS, _ROBUSTNESS),
    seeds={"quick": 24, "paper": 60, "long": 100},
    minutes=dict.fromkeys(BUDGETS, 0.02),
)

# -- regressions


def run_regression(seed: int, settings: Settings) -> Numbers:
    """Train regressions of several sizes under each potential; return means over them.

    A regression whose loss stays too large does not count.
    """
    numbers: Numbers = {}
    for n, repeats in zip(settings["sizes"], settings["repeats"], strict=True):
        for name, true in TRUE_POTENTIALS.items():
            rows = []
            for repeat in range(repeats):
                generator = seeds.generator(seed, n, repeat)
                weights = interpolating_weights(true, n, generator, settings)
                if weights is not None:
                    rows.append(_told(true, _changes(*weights)))
            # Claims fail on NaN: a regression that never learns supports nothing.
            means = np.mean(rows, axis=0) if rows else np.full(len(_TOLD), math.nan)
            for what, mean in zip(_TOLD, means.tolist(), strict=True):
                numbers[f"{what}_{name}_{n}"] = mean
            numbers[f"converged_{name}_{n}"] = len(rows) / repeats
    for n in settings["sizes"]:
        matched = _mean_over_potentials("matched", n, numbers)
        numbers[f"matched_{n}"] = matched
        numbers[f"floors_{n}"] = matched / sampling_floor(n).mean
        numbers[f"right_{n}"] = _mean_over_potentials("right", n, numbers)
    for smaller, larger in itertools.pairwise(settings["sizes"]):
        fall = numbers[f"matched_{smaller}"] / numbers[f"matched_{larger}"]
        numbers[f"fall_{larger}"] = fall
        for name in TRUE_POTENTIALS:
            moved = [numbers[f"moved_{name}_{n}"] for n in (smaller, larger)]
            numbers[f"shrink_{name}_{larger}"] = moved[0] / moved[1]
    return numbers


_TOLD = ("matched", "other", "moved", "right")


def _told(true: Potential, changes: dict[Potential, DualChange]) -> list[float]:
    """Return what one regression tells, in the order of ``_TOLD``.

    The distance in the true dual and in the nearest other one, the relative change in the true
    one, and whether the true one is the nearest of all.
    """
    others = [one.distance for one in changes.values() if one.potential != true]
    nearest = min(others)
    own = changes[true]
    right = float(own.distance < nearest)
    return [own.distance, nearest, own.relative_change, right]


def _mean_over_potentials(what: str, n: int, numbers: Numbers) -> float:
    found = [numbers[f"{what}_{name}_{n}"] for name in TRUE_POTENTIALS]
    return math.fsum(found) / len(found)


_REGRESSION: dict[str, Any] = {
    "sizes": [100, 1_000, 10_000],
    "repeats": [8, 4, 2],
    "epochs": 2_000,
    "momentum": 0.9,
    "loss": 1e-3,
}
REGRESSION = Experiment(
    "regression under a potential",
    run_regression,
    settings=dict.fromkeys(BUDGETS, _REGRESSION),
    seeds={"quick": 24, "paper": 60, "long": 100},
    minutes=dict.fromkeys(BUDGETS, 0.05),
)
