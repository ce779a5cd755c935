"""How often the verdicts of daleml are wrong where nothing is there, and right where something is.

``python -m benchmarks.calibration`` draws the samples of every cell below, counts the verdicts,
and writes ``docs/calibration.json`` and from it ``docs/calibration.md``. ``--only NAME`` runs
the cells whose name holds it and keeps the others; ``--share 0.1`` takes a tenth of the
samples.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daleml.analysis import (
    compare_families,
    compare_groups,
    compare_to,
    fit_weights,
    goodness_of_fit,
)
from daleml.analysis.distributions.families import find
from daleml.analysis.distributions.fit import fit_sample
from daleml.analysis.distributions.group_tests import judge_strengths
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.weights.sampling import weight_sample

DOCS = Path(__file__).parent.parent / "docs"
LEVEL = 0.05
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


# -- cells
# -------------------------------------------------------------------------------------------------------------


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


def shape_cells() -> list[Cell]:
    """Weights beside a reference of the same shape, and of another."""
    draws: dict[str, Draw] = {
        **FAMILIES,
        "counts": lambda rng, n: np.ceil(rng.lognormal(1, 0.8, n)),
        "rounded to 0.01": lambda rng, n: np.maximum(
            np.round(rng.lognormal(-2.9, 0.85, n), 2), 0.01
        ),
    }
    cells = []
    for name, draw in draws.items():
        for n in (10, 60, 300):

            def trial(rng: Any, draw: Draw = draw, n: int = n) -> bool:
                found = compare_to(
                    draw(rng, n), 3 * draw(rng, n), n_boot=2, n_shuffles=SHUFFLES, rng=1
                )
                return bool(found.differ)

            cells.append(
                Cell(
                    "compare_to",
                    f"{name}, {n} and {n}",
                    True,
                    trial,
                    300 if n < 300 else 200,
                )
            )

    def wider(rng: Any) -> bool:
        given = rng.lognormal(0, 0.6, 100), rng.lognormal(0, 0.9, 100)
        return bool(compare_to(*given, n_boot=2, n_shuffles=SHUFFLES, rng=1).differ)

    def other(rng: Any) -> bool:
        given = rng.lognormal(0, 0.8, 200), rng.gamma(1.5, 1.0, 200)
        return bool(compare_to(*given, n_boot=2, n_shuffles=SHUFFLES, rng=1).differ)

    return [
        *cells,
        Cell("compare_to", "100 and 100, sigma 0.6 against 0.9", False, wider, 200),
        Cell("compare_to", "200 and 200, log-normal against gamma", False, other, 200),
    ]


def fit_cells() -> list[Cell]:
    """Samples of a family that is fitted to them, whole and rounded; and of another."""

    def rejected(
        draw: Draw, n: int, family: str, **options: Any
    ) -> Callable[[Any], bool]:
        def trial(rng: Any) -> bool:
            fit = fit_weights(draw(rng, n), family, **options)
            return (
                goodness_of_fit(fit, 19, rng=int(rng.integers(2**31)), jobs=1).p_value
                <= LEVEL
            )

        return trial

    def rounded(rng: Any, n: int) -> Any:
        return np.maximum(np.round(rng.lognormal(-2.9, 0.85, n), 2), 0.01)

    def counted(rng: Any, n: int) -> Any:
        counts = np.round(rng.lognormal(1, 0.8, 2 * n))
        return counts[counts > 0][:n]

    name = "goodness of fit"
    return [
        *(Cell(name, f"{family}, n = 60", True, rejected(draw, 60, family), 200) for family, draw in FAMILIES.items()),
        Cell(name, "lognormal, n = 500", True, rejected(FAMILIES["lognormal"], 500, "lognormal"), 200),
        Cell(
            name, "lognormal rounded to 0.01 (--resolution), n = 200", True,
            rejected(rounded, 200, "lognormal", resolution=0.01), 150,
        ),
        Cell(
            name, "lognormal counts (--discrete), n = 60", True,
            rejected(counted, 60, "lognormal", discrete=True), 150,
        ),
        Cell(name, "gamma weights under the lognormal, n = 200", False,
             rejected(FAMILIES["gamma"], 200, "lognormal"), 100),
    ]  # fmt: skip


def ranking_cells() -> list[Cell]:
    """Families of which one is true, and a larger one that holds it is claimed to be better."""

    def claims(draw: Draw, n: int, *families: str) -> Callable[[Any], bool]:
        def trial(rng: Any) -> bool:
            found = compare_families(draw(rng, n), families)
            return (
                found.best.family != families[0]
                and families[0] not in found.cannot_tell
            )

        return trial

    pairs = [
        ("exponential", "gamma", 100), ("exponential", "weibull", 20), ("lognormal", "generalizedgamma", 100),
        ("lognormal", "gamma", 20), ("gamma", "weibull", 50), ("exponential", "lomax", 100),
        ("exponential", "truncatednormal", 100),
    ]  # fmt: skip
    return [
        Cell(
            "compare_families", f"{true} weights, n = {n}: {other} is told to be better", True,
            claims(FAMILIES[true], n, true, other), 100 if other == "generalizedgamma" else 300,
        )
        for true, other, n in pairs
    ]  # fmt: skip


def interval_cells() -> list[Cell]:
    """Intervals of effects that miss the truth."""

    def median(n: int) -> Callable[[Any], bool]:
        def trial(rng: Any) -> bool:
            from daleml.analysis.distributions.effects import median_ratio

            low, high = median_ratio(
                [weight_sample(rng.lognormal(0, 0.8, n)) for _ in range(2)]
            )[1:]
            return not low <= 1 <= high

        return trial

    def factor(n: int, low: float | None) -> Callable[[Any], bool]:
        def trial(rng: Any) -> bool:
            from daleml.analysis.distributions.effects import scaling

            drawn = [rng.lognormal(0, 0.8, 4 * n), 1.5 * rng.lognormal(0, 0.8, 4 * n)]
            seen = [w[w > (low or 0)][:n] for w in drawn]
            fits = [
                fit_weights(w, truncation=None if low is None else (low, None))
                for w in seen
            ]
            interval, _ = scaling(*fits)
            return not interval.low <= 1.5 <= interval.high

        return trial

    def shape(rng: Any) -> bool:
        from daleml.analysis.distributions.effects import scaling

        fits = [fit_weights(scale * rng.lognormal(0, 0.8, 40)) for scale in (1, 2)]
        return scaling(*fits)[1] < LEVEL

    return [
        *(
            Cell(
                "95 % interval of the ratio of medians",
                f"2 groups of {n}",
                True,
                median(n),
                400,
            )
            for n in (5, 20, 200)
        ),
        Cell(
            "95 % interval of the scaling",
            "2 groups of 40, seen whole",
            True,
            factor(40, None),
            300,
        ),
        Cell(
            "95 % interval of the scaling",
            "2 groups of 80, seen above 0.7",
            True,
            factor(80, 0.7),
            200,
        ),
        Cell(
            "no one factor describes it",
            "2 groups of 40, one twice the other",
            True,
            shape,
            400,
        ),
    ]


def other_cells() -> list[Cell]:
    """Verdicts elsewhere in the package."""
    from benchmarks import calibration_of_others

    return [Cell(*row) for row in calibration_of_others.ROWS]


def cells() -> list[Cell]:
    """Return every cell."""
    makers = (
        group_cells, observed_cells, power_cells, nested_cells, shape_cells, fit_cells, ranking_cells, interval_cells,
        other_cells,
    )  # fmt: skip
    return [cell for make in makers for cell in make()]


# -- the page
# ----------------------------------------------------------------------------------------------------------

INTRODUCTION = """# How often verdicts are wrong

Made by `python -m benchmarks.calibration`; the numbers are in `calibration.json`. Each row is of samples drawn from
known distributions. *Wrong* is the share of verdicts that say what is not so, at the 5 % level: groups of one
distribution that "differ", weights drawn from a family that it "does not describe". *Right* is the share that say what
is so. ± is one standard error of the share, by the number of samples. Labels are shuffled 399 times here and 999 times
by default, which moves no share by more than its error.

A test of animals needs 3 in each group: of 2 and 2 no test at 5 % is possible, and the verdict says so. Verdicts that
have no row here, such as rich and lazy, are rules stated with them, and no tests at a level.
"""


def page(rows: list[dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    parts = [INTRODUCTION]
    for verdict in dict.fromkeys(row["verdict"] for row in rows):
        parts.append(
            f"## {verdict}\n\n| of | samples | wrong | right |\n| --- | ---: | ---: |"
            " ---: |"
        )
        for row in rows:
            if row["verdict"] != verdict:
                continue
            share = f"{row['share']:.3f} ± {row['error']:.3f}"
            columns = (share, "") if row["wrong"] else ("", share)
            parts[-1] += (
                f"\n| {row['case']} | {row['n']} | {columns[0]} | {columns[1]} |"
            )
    parts.append(
        f"{about['samples']:,} samples, {about['seconds']:,} seconds of one processor."
    )
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run the cells, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="run the cells whose name holds this"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the samples")
    parser.add_argument("--folder", type=Path, default=DOCS)
    options = parser.parse_args()
    options.folder.mkdir(
        parents=True, exist_ok=True
    )  # before the work, which would be lost
    file = options.folder / "calibration.json"
    known = json.loads(file.read_text())["rows"] if file.exists() else []
    before = {(row["verdict"], row["case"]): row for row in known}
    rows = []
    for cell in cells():
        key = cell.verdict, cell.case
        if options.only not in f"{cell.verdict}: {cell.case}":
            rows += [before[key]] if key in before else []
            continue
        start = time.process_time()
        with np.errstate(all="ignore"):
            rows.append(cell.run(options.share) | {"seconds": 0.0})
        rows[-1]["seconds"] = round(time.process_time() - start, 1)
        print(
            f"{cell.verdict}: {cell.case}: {rows[-1]['share']:.3f}"
            f" ({rows[-1]['seconds']} s)",
            flush=True,
        )
    about = {
        "samples": sum(row["n"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows)),
    }
    file.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    (options.folder / "calibration.md").write_text(page(rows, about))


if __name__ == "__main__":
    main()
