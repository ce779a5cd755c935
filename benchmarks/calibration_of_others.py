"""Verdicts outside the fits: how often they are wrong where nothing is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from daleml.analysis import infer_geometry
from daleml.analysis.plasticity.normality import normal_distance, sampling_floor
from daleml.potentials import Euclidean
from daleml.reproductions import Check, Claim, Experiment, judge
from daleml.reproductions.power import smallest_effect
from daleml.reproductions.verdict import FAILS, HOLDS


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


def _claimed(n: int, checks: tuple[Check, ...], verdict: str, mean: float = 0.0) -> Any:
    """Normal numbers of some mean and a spread of 1 are judged; whether the verdict is this one."""
    claim = Claim("9a", "Said.", "nowhere", _TOY, checks)
    names = [check.number for check in checks]

    def trial(rng: np.random.Generator) -> bool:
        drawn = rng.normal(mean, size=(n, len(names))).tolist()
        seeds = [dict(zip(names, values, strict=True)) for values in drawn]
        return judge(claim, seeds).verdict == verdict

    return trial


_TOY = Experiment("toy", lambda seed, settings: {}, {}, {})
_CLAIM = "claims of papers (2.5 %, and 80 % at the smallest effect)"
_ONE = (Check("0", "", at_least=0.0),)
_FIVE = tuple(Check(str(i), "", at_least=0.0) for i in range(5))
# The mean lies on the upper end.
_CLOSE = (Check("0", "", -1.0, 0.0, no_effect=-0.5),)


def _of_claims(n: int) -> list[tuple[str, str, bool, Any, int]]:
    """Return the cells of claims that are judged by so many seeds."""
    effect = smallest_effect(1.0, n)
    cases = [
        ("holds, where the mean lies on the bound", True, _ONE, HOLDS, 0.0),
        ("does not hold, where the mean lies on the bound", True, _ONE, FAILS, 0.0),
        ("holds, where the mean lies on an end of two", True, _CLOSE, HOLDS, 0.0),
        ("holds, where five means lie on their bounds", True, _FIVE, HOLDS, 0.0),
        ("does not hold, where five means do", True, _FIVE, FAILS, 0.0),
        ("holds, at the smallest effect inside", False, _ONE, HOLDS, effect),
        ("does not hold, at the smallest effect outside", False, _ONE, FAILS, -effect),
    ]
    rows = []
    for case, wrong, checks, verdict, mean in cases:
        trial = _claimed(n, checks, verdict, mean)
        rows.append((_CLAIM, f"{case}, {n} seeds", wrong, trial, 2000))
    return rows


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
    *(row for n in (3, 5, 10, 36) for row in _of_claims(n)),
]
"""Verdict, case, whether it is wrong, the trial, number of samples."""
