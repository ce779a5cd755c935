"""Calibration of what is said of weights that were rounded.

False alarms, bias, and the coverage of intervals.

``python -m benchmarks.calibrate_observations`` measures and writes
``docs/calibration_observations.json``; with ``--page`` it only writes the page,
``docs/calibration_observations.md``, from the numbers that are there.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from daleml.analysis import confidence_intervals, fit_weights, goodness_of_fit
from daleml.analysis.distributions.families import find

DOCS = Path(__file__).parent.parent / "docs"
NUMBERS, PAGE = (
    DOCS / "calibration_observations.json",
    DOCS / "calibration_observations.md",
)

TRUTHS = {
    "lognormal": (-2.9, 0.85),
    "gamma": (1.7, 0.05),
    "weibull": (1.3, 0.09),
    "exponential": (0.08,),
    "inversegaussian": (0.09, 0.08),
}
"""Sizes of synapses in square micrometres, about, each family with its parameters."""
STEPS = {100: 0.01, 500: 0.01, 2000: 0.05}
"""To what weights are rounded, by their number: finely and coarsely, beside a median near 0.06."""
N_BOOT = 19  # p is then at most 0.05 in exactly 5 % of true families
SMALL = (8, 15, 40)


def false_alarms(family: str, n: int, step: float, repeats: int) -> dict[str, float]:
    """Return how often the true family is rejected at 5 %, and how far sigma or shape is off.

    The fit is told the step to which values were rounded.
    """
    rule, rejected, estimates = find(family), 0, []
    for i in range(repeats):
        rng = np.random.default_rng([n, i])
        w = np.round(rule.sample(TRUTHS[family], n, rng) / step) * step
        fit = fit_weights(w, family, resolution=step)
        estimates.append(fit.values)
        rejected += goodness_of_fit(fit, N_BOOT, rng=i, jobs=1).p_value <= 0.05
    errors = np.mean(estimates, axis=0) - np.array(TRUTHS[family])
    spread = np.std(estimates, axis=0)
    return {
        "rejected": rejected / repeats,
        "bias": float(np.abs(errors / spread).max()),
        "repeats": repeats,
    }


def coverage(family: str, n: int, repeats: int) -> dict[str, float]:
    """Return by parameter how often 95 % intervals, and two standard errors, hold the truth."""
    rule, truth = find(family), TRUTHS[family]
    profile, errors = np.zeros(len(truth)), np.zeros(len(truth))
    for i in range(repeats):
        fit = fit_weights(
            rule.sample(truth, n, np.random.default_rng([n, i, 1])), family
        )
        for j, (name, (low, high)) in enumerate(confidence_intervals(fit).items()):
            profile[j] += low <= truth[j] <= high
            errors[j] += abs(fit.params[name] - truth[j]) <= 2 * fit.stderr[name]
    names = rule.parameters
    return {
        f"{name}, profile": float(profile[j] / repeats) for j, name in enumerate(names)
    } | {
        f"{name}, two standard errors": float(errors[j] / repeats)
        for j, name in enumerate(names)
    }


def measure(repeats: int) -> dict[str, Any]:
    """Measure everything."""
    start = time.process_time()
    alarms = {
        f"{family}, {n}": false_alarms(family, n, step, repeats)
        for family in TRUTHS
        for n, step in STEPS.items()
    }
    held = {
        f"{family}, {n}": coverage(family, n, 4 * repeats)
        for family in ("lognormal", "gamma")
        for n in SMALL
    }
    return {
        "false_alarms": alarms,
        "coverage": held,
        "seconds": time.process_time() - start,
    }


def page(found: dict[str, Any]) -> str:
    """Return the page that says what was measured."""
    lines = [
        "# Calibration: rounded weights, and few",
        "",
        (
            "Written by `python -m benchmarks.calibrate_observations --repeats 160`; the"
            " numbers are in `calibration_observations.json`."
        ),
        "",
        "## False alarms of the goodness of fit",
        "",
        (
            "Weights are drawn from a family, rounded, and fitted with `resolution=`. At 5"
            " % the true family should be rejected in 5 % of the samples; the last row, of"
            " all samples, says how sure that is. Without `resolution=` nothing is judged:"
            " the rounding is noticed, and said. `bias` is the mean error of the worst"
            " parameter, in standard deviations of the estimates."
        ),
        "",
        "| family | n | step | samples | rejected | bias |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in found["false_alarms"].items():
        family, n = name.split(", ")
        shown = f"{100 * row['rejected']:.1f} % | {row['bias']:.2f}"
        lines.append(
            f"| {family} | {n} | {STEPS[int(n)]:g} | {row['repeats']} | {shown} |"
        )
    total = sum(row["repeats"] for row in found["false_alarms"].values())
    share = (
        sum(row["repeats"] * row["rejected"] for row in found["false_alarms"].values())
        / total
    )
    error = math.sqrt(share * (1 - share) / total)
    lines += [
        f"| all | | | {total} | {100 * share:.1f} % ± {100 * error:.1f} % | |",
        "",
        "## Intervals of few weights",
        "",
        (
            "How often 95 % intervals hold the truth. Plus or minus two standard errors is"
            " too narrow below about 50 weights, most for sigma and shapes; profile"
            " intervals of the log-normal are corrected to hold what they say."
        ),
        "",
        "| family | n | parameter | profile | ± 2 standard errors |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in found["coverage"].items():
        family, n = name.split(", ")
        for parameter in find(family).parameters:
            shares = (
                row[f"{parameter}, profile"],
                row[f"{parameter}, two standard errors"],
            )
            lines.append(
                f"| {family} | {n} | {parameter} | {shares[0]:.3f} | {shares[1]:.3f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, or only write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--page",
        action="store_true",
        help="write the page from the numbers that are there",
    )
    parser.add_argument("--repeats", type=int, default=160, help="samples of each kind")
    options = parser.parse_args()
    if not options.page:
        NUMBERS.write_text(json.dumps(measure(options.repeats), indent=1) + "\n")
    PAGE.write_text(page(json.loads(NUMBERS.read_text())))


if __name__ == "__main__":
    main()
