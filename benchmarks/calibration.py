"""How often the verdicts of daleml are wrong where nothing is there, and right where something is.

``python -m benchmarks.calibration`` draws the samples of every cell below, counts the verdicts,
and writes ``docs/calibration.json`` and from it ``docs/calibration.md``. ``--only NAME`` runs
the cells whose name holds it and keeps the others; ``--share 0.1`` takes a tenth of the
samples.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration_cells import (
    FAMILIES,
    LEVEL,
    SHUFFLES,
    Cell,
    Draw,
)
from benchmarks.calibration_of_groups import (
    group_cells,
    nested_cells,
    observed_cells,
    power_cells,
)
from daleml.analysis import (
    compare_families,
    compare_to,
    fit_weights,
    goodness_of_fit,
)
from daleml.analysis.weights.sampling import weight_sample

DOCS = Path(__file__).parent.parent / "docs"


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
