"""What a file of weights was found to be: one frozen result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daleml.analysis import (
    Comparison,
    GroupComparison,
    Resemblance,
    WeightFit,
    WeightSample,
    compare_families,
    compare_groups,
    compare_to,
    confidence_intervals,
)
from daleml.analysis.distributions.families import SIMPLE
from daleml.analysis.distributions.observation import Observation, one_observation
from daleml.fit_report.fit_hints import hints
from daleml.fit_report.input_data import Gathered

Ends = Mapping[str, tuple[float, float]]
Progress = Callable[[str, int, int], object]

_FEW = 10  # weights, below which no interval means much
_STANDARD = "lognormal"  # the family that the field reports, whatever ranks first


@dataclass(frozen=True)
class Study:
    """What was found.

    Attributes:
        gathered: What was fitted.
        result: The comparison of families, or of groups.
        intervals: By group, then by family, 95 % intervals of the parameters; of the best and
            of the log-normal.
        method: How the intervals were found: ``"profile"``, ``"bootstrap"`` or ``"none"``.
        reference: What the weights were compared to, or "".
        resemblances: By group, how they compare.
        hints: What looks wrong, a sentence each.
    """

    gathered: Gathered
    result: Comparison | GroupComparison
    intervals: Mapping[str, Mapping[str, Ends]]
    method: str = "none"
    reference: str = ""
    resemblances: Mapping[str, Resemblance] = field(default_factory=dict)
    hints: tuple[str, ...] = ()

    @property
    def comparisons(self) -> Mapping[str, Comparison]:
        """A comparison a group; without groups, the one there is, under an empty name."""
        return (
            self.result.groups
            if isinstance(self.result, GroupComparison)
            else {"": self.result}
        )

    def title(self, group: str) -> str:
        """Return what to call a group: ``layer 5`` instead of ``5``; nothing without groups."""
        return f"{self.gathered.by} {group}" if group else ""

    @property
    def n(self) -> int:
        """How many weights were fitted."""
        return sum(comparison.best.n for comparison in self.comparisons.values())

    @property
    def left_out(self) -> str:
        """What was left out, in words."""
        bests = [comparison.best for comparison in self.comparisons.values()]
        zeros, dropped = (
            sum(best.n_zero for best in bests),
            sum(best.n_dropped for best in bests),
        )
        text = f"{zeros:,} zeros and {dropped:,} others left out"
        if all(best.connection for best in bests):
            said = f"; {bests[0].connection}" if len(bests) == 1 else ""
            text = (
                f"{zeros:,} zeros, pairs without a connection{said}; {dropped:,} others"
                " left out"
            )
        unlabelled = (
            self.result.n_unlabelled if isinstance(self.result, GroupComparison) else 0
        )
        return text + (f", and {unlabelled:,} values of no group" if unlabelled else "")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        grouped = isinstance(self.result, GroupComparison)

        def shown(by_group: Mapping[str, Any]) -> Any:
            return dict(by_group) if grouped else by_group.get("")

        ends = {
            group: {
                family: {name: list(pair) for name, pair in found.items()}
                for family, found in fits.items()
            }
            for group, fits in self.intervals.items()
        }
        measured = {
            group: {"ks_distance": one.best.ks_distance(), "median": median(one.best)}
            for group, one in self.comparisons.items()
        }
        beside = {group: one.to_dict() for group, one in self.resemblances.items()}
        return {
            "weights": self.gathered.name,
            "notes": list(self.gathered.notes),
            "hints": list(self.hints),
            **self.result.to_dict(),
            "best_fits": shown(measured),
            "intervals": {
                "method": self.method,
                "level": 0.95,
                "parameters": shown(ends),
            },
            "reference": self.reference or None,
            "resemblance": shown(beside),
        }


def study(
    gathered: Gathered,
    families: str | Sequence[str] = SIMPLE,
    *,
    sign: int | None = None,
    pool: bool = False,
    truncation: tuple[float | None, float | None] | None = None,
    censoring: float | tuple[float | None, float | None] | None = None,
    discrete: bool = False,
    zeros: str = "exclude",
    resolution: float | None = None,
    observation: Observation | None = None,
    gof: int = 0,
    intervals: str = "profile",
    n_boot: int = 1000,
    reference: tuple[str, WeightSample] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Study:
    """Fit, compare, test.

    Args:
        gathered: What to fit.
        families: As for :func:`~daleml.analysis.compare_families`.
        sign: As for :func:`~daleml.analysis.fit_weights`.
        pool: Likewise.
        truncation: Likewise.
        censoring: Likewise.
        discrete: Likewise.
        zeros: Likewise.
        resolution: Likewise.
        observation: Likewise.
        gof: Number of bootstrap samples of a goodness-of-fit test of each family; 0 for none.
        intervals: ``"profile"``, ``"bootstrap"`` or ``"none"``.
        n_boot: Number of bootstrap samples of the intervals.
        reference: What to compare the weights to, and its magnitudes.
        seed: Of all bootstraps.
        jobs: Processes to use where the work is long. Default: one a core.
        progress: Called with what is being done, the number done and the number of all.

    Raises:
        ValueError: If nothing can be fitted.
    """
    say = progress or (lambda *_: None)
    observed = one_observation(
        observation,
        truncation=truncation,
        censoring=censoring,
        discrete=discrete,
        zeros=zeros,
        resolution=resolution,
    )
    options: dict[str, Any] = {
        "sign": sign, "pool": pool, "drop_missing": gathered.from_table, "observation": observed,
        "sample_weights": gathered.counts,
        "gof": gof, "rng": seed, "jobs": jobs, "progress": lambda done, of: say("goodness of fit", done, of),
    }  # fmt: skip
    with np.errstate(
        all="ignore"
    ):  # parameters far off the data are tried, and rejected
        return _study(gathered, families, options, intervals, n_boot, reference, say)


def _study(
    gathered: Gathered,
    families: str | Sequence[str],
    options: dict[str, Any],
    intervals: str,
    n_boot: int,
    reference: tuple[str, WeightSample] | None,
    say: Progress,
) -> Study:
    import pandas as pd

    result: Comparison | GroupComparison
    seed, jobs = options["rng"], options["jobs"]
    if gathered.groups is not None:
        clusters = None
        if gathered.clusters is not None:
            clusters = pd.Series(gathered.clusters, name=gathered.clustered_by)
        result = compare_groups(
            gathered.weights, gathered.groups, families, within=clusters, **options
        )
    else:
        taken = isinstance(gathered.weights, WeightSample)
        options |= {"sign": None, "pool": False} if taken else {}
        result = compare_families(gathered.weights, families, **options)
    comparisons = result.groups if isinstance(result, GroupComparison) else {"": result}
    ends: dict[str, dict[str, Ends]] = {}
    problems: list[str] = []
    for group, comparison in comparisons.items() if intervals != "none" else ():
        ends[group] = {}
        for fit in reported(comparison) if comparison.best.n >= _FEW else ():
            try:
                ends[group][fit.family] = confidence_intervals(
                    fit, method=intervals, n_boot=n_boot, rng=seed, jobs=jobs,
                    progress=lambda done, of: say("intervals", done, of),
                )  # fmt: skip
            # a likelihood too ragged to be followed, as a mixture's can be: the fit still
            # stands
            except ValueError:
                problems.append(
                    f"Intervals of {f'{gathered.by} {group}, ' * bool(group)}{fit.family}"
                    " were not found."
                )
    beside = {}
    if reference:
        beside = {
            group: compare_to(comparison.best.sample, reference[1], rng=seed)
            for group, comparison in comparisons.items()
        }
    samples = [comparison.best.sample for comparison in comparisons.values()]
    values = np.concatenate([sample.values() for sample in samples])
    negative = np.concatenate([sample.others() for sample in samples])
    n_zero = sum(comparison.best.n_zero for comparison in comparisons.values())
    observation = next(iter(comparisons.values())).best.observation
    return Study(
        gathered,
        result,
        ends,
        intervals,
        reference[0] if reference else "",
        beside,
        (*hints(values, observation, n_zero=n_zero, negative=negative), *problems),
    )


def median(fit: WeightFit) -> float:
    """Return the median of the magnitudes, as they were."""
    return float(np.median(fit.sample.values()))


def reported(comparison: Comparison) -> list[WeightFit]:
    """Return the fits whose parameters are reported.

    The best, and the log-normal if it was fitted.
    """
    return [
        fit
        for fit in comparison.fits
        if fit is comparison.best or fit.family == _STANDARD
    ]
