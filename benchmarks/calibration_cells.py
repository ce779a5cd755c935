"""One row of the table of calibration: how often a verdict was given, over many samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml.analysis.distributions.families import find
from daleml.analysis.distributions.fit import fit_sample
from daleml.analysis.distributions.group_tests import judge_strengths
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.weights.sampling import weight_sample

# The level of every verdict.
LEVEL = 0.05

# Labels are shuffled less often than by default, to save time.
SHUFFLES = 199

Draw = Callable[[np.random.Generator, int], Any]

FAMILIES: dict[str, Draw] = {
    "lognormal": lambda rng, n: rng.lognormal(-2, 0.8, n),
    "gamma": lambda rng, n: rng.gamma(1.5, 1.0, n),
    "weibull": lambda rng, n: rng.weibull(0.6, n),
    "exponential": lambda rng, n: rng.exponential(1.0, n),
    "inversegaussian": lambda rng, n: rng.wald(1.0, 1.0, n),
}


@dataclass(frozen=True)
class Cell:
    """One row of the table.

    Attributes:
        verdict: Which verdict.
        case: Of what, in words.
        wrong: Whether the verdict is wrong: else the row is of power.
        trial: From a seed to whether the verdict was given.
        n: Number of samples.
    """

    verdict: str
    case: str
    wrong: bool
    trial: Callable[[np.random.Generator], bool]
    n: int

    def run(self, share: float = 1.0) -> dict[str, Any]:
        """Count verdicts, each of its own seed."""
        n = max(round(self.n * share), 1)
        key = sum(
            ord(letter) * (i + 1) for i, letter in enumerate(self.verdict + self.case)
        )
        found = sum(
            bool(self.trial(np.random.default_rng([key, seed]))) for seed in range(n)
        )
        row = {
            "verdict": self.verdict,
            "case": self.case,
            "wrong": self.wrong,
            "n": n,
            "share": found / n,
        }
        return row | {"error": math.sqrt(max(found, 1) * (1 - found / n)) / n}


def groups_differ(
    weights: Any,
    labels: Any,
    family: str,
    within: Any = None,
    observation: Observation | None = None,
) -> bool:
    """Say whether groups are found to differ, by the test alone.

    A fit of each takes time, and is not judged.
    """
    observation = observation or Observation()
    order = np.argsort(labels, kind="stable")
    weights, labels = (
        np.asarray(weights, dtype=float)[order],
        np.unique(labels[order], return_inverse=True)[1],
    )
    fit = fit_sample(ObservedSample(weight_sample(weights), observation), find(family))
    clusters = None
    if within is not None:
        from daleml.analysis.distributions.clusters import find_clusters

        clusters = find_clusters(
            np.asarray(within, dtype=object)[order], labels, "animal"
        )
    apart = [None] * int(labels.max() + 1)
    chance = np.random.default_rng(int(weights.sum() * 1e6) % 2**32)
    counts = np.ones(weights.size)
    found = judge_strengths(
        [fit], weights, counts, labels, apart, clusters, SHUFFLES, chance
    )
    return found[family].p_value < LEVEL
