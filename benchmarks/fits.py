"""Fits of distributions beside numpy and scipy, and beside fitter where it is installed.

The package fitter has the GPL, and is never a dependency.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.timing import Case
from daleml.analysis import compare_families, fit_weights

FITTERS_NAMES = {
    "lognormal": "lognorm",
    "gamma": "gamma",
    "weibull": "weibull_min",
    "exponential": "expon",
    "halfnormal": "halfnorm",
    "truncatednormal": "truncnorm",
    "inversegaussian": "invgauss",
    "lomax": "lomax",
    "stretchedexponential": "halfgennorm",
    "generalizedgamma": "gengamma",
}

Pair = tuple[Callable[[], object], Callable[[], object]]


def lognormal(
    n: int, dtype: type, baseline: Callable[[np.ndarray], object]
) -> Callable[[], Pair]:
    """Compare a log-normal fit with another way to spend time on as many weights."""

    def setup() -> Pair:
        x = np.random.default_rng(0).lognormal(-2, 1, n).astype(dtype)
        return lambda: fit_weights(x), lambda: baseline(x)

    return setup


def ten_families(n: int) -> Pair:
    """Compare ten families with the same ten by fitter, which frees the location.

    Where it finds 0, they agree.
    """
    from fitter import Fitter

    x = np.random.default_rng(0).gamma(1.7, 0.3, n)

    def fitters() -> None:
        Fitter(x, distributions=list(FITTERS_NAMES.values()), timeout=3600).fit(
            progress=False
        )

    return lambda: compare_families(x, tuple(FITTERS_NAMES)), fitters


CASES = [
    Case(
        "log-normal fit, 10M weights",
        "np.log(x).sum()",
        lognormal(10_000_000, np.float64, lambda x: np.log(x).sum()),
    ),
    Case(
        "log-normal fit, 10M weights, float32",
        "np.log(x).sum()",
        lognormal(10_000_000, np.float32, lambda x: np.log(x).sum()),
    ),
    Case(
        "log-normal fit, 10M weights",
        "scipy lognorm.fit(floc=0)",
        lognormal(10_000_000, np.float32, lambda x: stats.lognorm.fit(x, floc=0)),
        rounds=5,
    ),
]
if importlib.util.find_spec("fitter"):
    CASES.append(
        Case(
            "ten families, 1M weights",
            "fitter",
            lambda: ten_families(1_000_000),
            rounds=1,
        )
    )
