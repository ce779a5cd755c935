"""Verdicts outside the fits: how often they are wrong where nothing is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from daleml.analysis import infer_geometry
from daleml.analysis.plasticity.normality import normal_distance, sampling_floor
from daleml.potentials import Euclidean
from daleml.reproductions.verdict import mean_interval


def _no_potential(n: int) -> Any:
    """A change that is normal under Euclidean descent is said to be normal under none."""

    def trial(rng: np.random.Generator) -> bool:
        before = rng.lognormal(0, 0.5, n)
        after = before + rng.normal(0, 0.01, n)
        return not infer_geometry(before, after, (Euclidean(),), n_boot=20, rng=0).fits

    return trial


def _above_floor(n: int) -> Any:
    def trial(rng: np.random.Generator) -> bool:
        z = rng.normal(size=n)
        return normal_distance(z / z.std()) > sampling_floor(n).upper

    return trial


def _claimed(n: int) -> Any:
    """A mean that lies on the bound of a claim is said to lie inside it."""

    def trial(rng: np.random.Generator) -> bool:
        return mean_interval(rng.normal(size=n).tolist())[0] >= 0

    return trial


_CLAIM = "claims of papers, one side (2.5 %)"
_BOUND = "holds, where the mean lies on the bound"
ROWS = [
    *(
        (
            "geometry of plasticity",
            f"normal under none, n = {n}",
            True,
            _no_potential(n),
            400,
        )
        for n in (20, 50, 300)
    ),
    *(
        ("normal distance", f"above the floor, n = {n}", True, _above_floor(n), 1000)
        for n in (20, 50)
    ),
    *((_CLAIM, f"{_BOUND}, {n} seeds", True, _claimed(n), 400) for n in (3, 5, 10, 36)),
]
"""Verdict, case, whether it is wrong, the trial, number of samples."""
