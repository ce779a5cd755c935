"""Rows of the table of calibration that compare groups, of rows and of clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.calibration_cells import (
    FAMILIES,
    SHUFFLES,
    Cell,
    Draw,
    groups_differ,
)
from daleml.analysis import compare_groups
from daleml.analysis.distributions.observation import Observation


def group_cells() -> list[Cell]:
    """Groups of one distribution, at the sizes that people have."""
    cells = []
    sizes = [(2, 5), (2, 20), (2, 200), (5, 5), (10, 10), (40, 5)]
    for family, draw in FAMILIES.items():
        for n_groups, n in sizes:

            def trial(
                rng: Any,
                family: str = family,
                draw: Draw = draw,
                n_groups: int = n_groups,
                n: int = n,
            ) -> bool:
                return groups_differ(
                    draw(rng, n_groups * n), np.repeat(np.arange(n_groups), n), family
                )

            cells.append(
                Cell(
                    "compare_groups",
                    f"{family}, {n_groups} groups of {n}",
                    True,
                    trial,
                    400,
                )
            )
    labels = np.repeat(np.arange(11), [200] + [2] * 10)
    cells.append(
        Cell(
            "compare_groups", "lognormal, one group of 200 and 10 of 2", True,
            lambda rng: groups_differ(rng.lognormal(size=220), labels, "lognormal"), 400,
        )
    )  # fmt: skip
    hundred = np.repeat(np.arange(100), 4)
    cells.append(
        Cell(
            "compare_groups", "lognormal, 100 groups of 4", True,
            lambda rng: groups_differ(rng.lognormal(size=400), hundred, "lognormal"), 400,
        )
    )  # fmt: skip
    cells.append(
        Cell(
            "compare_groups", "log-normal weights under the exponential (a wrong family), 2 groups of 50", True,
            lambda rng: groups_differ(rng.lognormal(0, 1.2, 100), np.repeat([0, 1], 50), "exponential"), 400,
        )
    )  # fmt: skip
    return cells


def observed_cells() -> list[Cell]:
    """Groups seen through a threshold, counted, rounded, with zeros."""

    def truncated(rng: Any) -> bool:
        w = rng.lognormal(0, 0.8, 400)
        w = w[w > 0.7][:160]
        return groups_differ(
            w, np.arange(w.size) % 4, "lognormal", observation=Observation((0.7, None))
        )

    def counted(rng: Any) -> bool:
        w = np.ceil(rng.lognormal(0.3, 0.8, 150))
        return groups_differ(
            w, np.arange(150) % 15, "lognormal", observation=Observation(discrete=True)
        )

    def rounded(rng: Any) -> bool:
        w = np.maximum(np.round(rng.lognormal(-2.9, 0.85, 100), 2), 0.01)
        return groups_differ(
            w, np.arange(100) % 5, "lognormal", observation=Observation(resolution=0.01)
        )

    def censored(rng: Any) -> bool:
        w = np.maximum(rng.lognormal(0, 0.8, 120), 0.6)
        return groups_differ(
            w, np.arange(120) % 6, "lognormal", observation=Observation(censoring=0.6)
        )

    def hurdle(rng: Any, second: float = 0.2, factor: float = 1.0) -> bool:
        there = rng.random(300) < np.repeat([0.2, second], 150)
        w = rng.lognormal(0, 0.8, 300) * there * np.repeat([1.0, factor], 150)
        found = compare_groups(
            w,
            np.repeat(["a", "b"], 150),
            "lognormal",
            zeros="hurdle",
            n_shuffles=SHUFFLES,
        )
        return found.verdict.value == "differ"

    name = "compare_groups"
    return [
        Cell(name, "lognormal seen above 0.7, 4 groups of 40", True, truncated, 300),
        Cell(name, "counts (--discrete), 15 groups of 10", True, counted, 300),
        Cell(
            name, "rounded to 0.01 (--resolution), 5 groups of 20", True, rounded, 300
        ),
        Cell(name, "censored at 0.6, 6 groups of 20", True, censored, 300),
        Cell(name, "hurdle, both halves, 2 groups of 150 pairs", True, hurdle, 300),
        Cell(
            name,
            "hurdle, probability 0.2 against 0.35",
            False,
            lambda rng: hurdle(rng, second=0.35),
            200,
        ),
        Cell(
            name,
            "hurdle, strengths times 1.8",
            False,
            lambda rng: hurdle(rng, factor=1.8),
            200,
        ),
    ]


def power_cells() -> list[Cell]:
    """Groups that do differ."""

    def scaled(n: int, factor: float) -> Callable[[Any], bool]:
        labels = np.repeat([0, 1], n)
        return lambda rng: groups_differ(
            np.r_[rng.lognormal(0, 0.8, n), factor * rng.lognormal(0, 0.8, n)],
            labels,
            "lognormal",
        )

    def wider(n: int) -> Callable[[Any], bool]:
        labels = np.repeat([0, 1], n)
        return lambda rng: groups_differ(
            np.r_[rng.lognormal(0, 0.6, n), rng.lognormal(0, 1.0, n)],
            labels,
            "lognormal",
        )

    def one_of_ten(rng: Any) -> bool:
        w = rng.lognormal(0, 0.8, 200)
        w[:20] *= 2
        return groups_differ(w, np.repeat(np.arange(10), 20), "lognormal")

    name = "compare_groups"
    return [
        Cell(name, "2 groups of 10, one twice as large", False, scaled(10, 2.0), 300),
        Cell(
            name, "2 groups of 50, one 1.5 times as large", False, scaled(50, 1.5), 300
        ),
        Cell(name, "2 groups of 50, sigma 0.6 against 1.0", False, wider(50), 300),
        Cell(name, "10 groups of 20, one twice as large", False, one_of_ten, 300),
    ]


def nested(
    rng: Any, n_animals: int, n_spines: int, icc: float, factor: float = 1.0
) -> tuple[Any, Any, Any]:
    """Draw spines of animals of two groups.

    The variance between animals is ``icc`` of all of it.
    """
    total = 0.8
    animals = np.repeat(np.arange(2 * n_animals), n_spines)
    between = rng.normal(0, total * math.sqrt(icc), 2 * n_animals)[animals]
    groups = (animals >= n_animals).astype(int)
    logs = (
        between
        + rng.normal(0, total * math.sqrt(1 - icc), animals.size)
        + math.log(factor) * groups
    )
    return np.exp(logs), groups, animals


def nested_cells() -> list[Cell]:
    """Spines in animals: equal groups, with ``within`` and without."""
    cells = []
    for n_animals, n_spines in ((3, 10), (3, 50), (4, 50), (6, 10), (6, 200)):
        for icc in (0.0, 0.05, 0.2):

            def trial(
                rng: Any,
                n_animals: int = n_animals,
                n_spines: int = n_spines,
                icc: float = icc,
            ) -> bool:
                w, groups, animals = nested(rng, n_animals, n_spines, icc)
                return groups_differ(w, groups, "lognormal", animals)

            case = (
                f"{n_animals} animals of {n_spines} spines in either group, ICC {icc:g}"
            )
            cells.append(Cell("compare_groups, within", case, True, trial, 400))

    def crossed(rng: Any) -> bool:
        w, _, animals = nested(rng, 3, 30, 0.2)
        return groups_differ(w, np.arange(w.size) % 2, "lognormal", animals)

    def uneven(rng: Any) -> bool:
        w, groups, animals = nested(rng, 5, 200, 0.1)
        kept = np.arange(w.size) % 200 < np.array([10, 200, 50, 20, 100] * 2)[animals]
        return groups_differ(w[kept], groups[kept], "lognormal", animals[kept])

    def unaware(rng: Any) -> bool:
        w, groups, _ = nested(rng, 4, 50, 0.1)
        return groups_differ(w, groups, "lognormal")

    def larger(rng: Any) -> bool:
        w, groups, animals = nested(rng, 6, 50, 0.1, 1.8)
        return groups_differ(w, groups, "lognormal", animals)

    name = "compare_groups, within"
    return [
        *cells,
        Cell(
            name,
            "5 animals of 10 to 200 spines in either group, ICC 0.1",
            True,
            uneven,
            400,
        ),
        Cell(
            name,
            "6 animals of 30 spines, each in both groups, ICC 0.2",
            True,
            crossed,
            400,
        ),
        Cell(
            "compare_groups, without within",
            "4 animals of 50 spines in either group, ICC 0.1",
            True,
            unaware,
            200,
        ),
        Cell(
            name,
            "6 animals of 50 spines, one group 1.8 times as large, ICC 0.1",
            False,
            larger,
            300,
        ),
    ]
