"""What a file of weights was found to be: one frozen result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

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
from daleml.analysis.distributions.observed_sample import (
    ObservationOptions,
    lists_observation_options,
)
from daleml.analysis.distributions.recording import (
    LOOKED_AT,
    hints_on_sample,
    recording_hints,
)
from daleml.weight_study.input_data import Gathered

if TYPE_CHECKING:
    from daleml.analysis.distributions.families.family import Array

Ends = Mapping[str, tuple[float, float]]
Progress = Callable[[str, int, int], object]

_FEW = 10
"""With fewer weights, no interval means much."""

STANDARD = "lognormal"
"""The family that the field reports, whatever ranks first."""


@dataclass(frozen=True)
class Study:
    """The comparisons, tests and intervals of one file's weights.

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
        """A comparison per group; without groups, the one there is, under an empty name."""
        return comparisons_of(self.result)

    def title(self, group: str) -> str:
        """Return what to call a group: ``layer 5`` instead of ``5``; nothing without groups."""
        return f"{self.gathered.by} {group}" if group else ""

    def headed(self, group: str, text: str) -> str:
        """Return a sentence, which begins with its group where there are groups."""
        if not group:
            return text
        return f"{self.title(group)}: {text[0].lower()}{text[1:]}"

    @property
    def n(self) -> int:
        """How many weights were fitted."""
        return sum(comparison.best.n for comparison in self.comparisons.values())

    @property
    def left_out(self) -> str:
        """What was left out, in words."""
        bests = [comparison.best for comparison in self.comparisons.values()]
        zeros = sum(best.n_zero for best in bests)
        dropped = sum(best.n_dropped for best in bests)
        text = f"{zeros:,} zeros and {dropped:,} others left out"
        # With `zeros="hurdle"`, zeros are pairs of cells without a connection.
        if all(best.connection for best in bests):
            said = f"; {bests[0].connection}" if len(bests) == 1 else ""
            text = (
                f"{zeros:,} zeros, pairs without a connection{said}; {dropped:,} others"
                " left out"
            )
        if isinstance(self.result, GroupComparison) and self.result.n_unlabelled:
            text += f", and {self.result.n_unlabelled:,} values of no group"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        measured: dict[str, Any] = {}
        for group, one in self.comparisons.items():
            distance = one.best.ks_distance()
            measured[group] = {
                "ks_distance": distance,
                "median": median_magnitude(one.best),
            }
        ends: dict[str, Any] = {}
        for group, fits in self.intervals.items():
            # Tuples would come back from JSON as lists.
            ends[group] = {}
            for family, found in fits.items():
                pairs = {name: list(pair) for name, pair in found.items()}
                ends[group][family] = pairs
        beside = {group: one.to_dict() for group, one in self.resemblances.items()}
        return {
            "weights": self.gathered.name,
            "label": self.gathered.label,
            "unit": self.gathered.unit or None,
            "notes": list(self.gathered.notes),
            "hints": list(self.hints),
            **self.result.to_dict(),
            "best_fits": self._shown(measured),
            "intervals": {
                "method": self.method,
                "level": 0.95,
                "parameters": self._shown(ends),
            },
            "reference": self.reference or None,
            "resemblance": self._shown(beside),
        }

    def _shown(self, by_group: Mapping[str, Any]) -> Any:
        """Return values by group, or the one there is without groups."""
        if isinstance(self.result, GroupComparison):
            return dict(by_group)
        return by_group.get("")


@lists_observation_options
def study(
    gathered: Gathered,
    families: str | Sequence[str] = SIMPLE,
    *,
    sign: int | None = None,
    pool: bool = False,
    observation: Observation | None = None,
    gof: int = 0,
    intervals: str = "profile",
    n_boot: int = 1000,
    reference: tuple[str, WeightSample] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[ObservationOptions],
) -> Study:
    """Fit families to weights, compare them, and test how well they describe the weights.

    Args:
        gathered: What to fit.
        families: The families to compare, by name, or ``"all"``.
        sign: +1 to take the positive weights, -1 the negative ones; default: those there are,
            if of one sign.
        pool: Whether to take the magnitudes of all weights together.
        observation: How the weights were observed.
        gof: Number of bootstrap samples of a goodness-of-fit test of each family; 0 for none.
        intervals: ``"profile"``, ``"bootstrap"`` or ``"none"``.
        n_boot: Number of bootstrap samples of the intervals.
        reference: What to compare the weights to, and its magnitudes.
        seed: Of all bootstraps.
        jobs: Processes to use where the work is long. Default: one per core.
        progress: Called with what is being done, the number done and the number of all.
        **options: How the weights were observed, option by option: the fields of an
            ``Observation``.

    Raises:
        ValueError: If nothing can be fitted.
    """
    progress = progress or _no_progress
    # Parameters far off the data are tried too, and rejected: overflow there says nothing.
    with np.errstate(all="ignore"):
        result = _compared(
            gathered,
            families,
            sign=sign,
            pool=pool,
            observation=one_observation(observation, **options),
            gof=gof,
            rng=seed,
            jobs=jobs,
            progress=functools.partial(progress, "goodness of fit"),
        )
        comparisons = comparisons_of(result)
        how = {"method": intervals, "n_boot": n_boot, "rng": seed, "jobs": jobs}
        how["progress"] = functools.partial(progress, "intervals")
        ends: dict[str, dict[str, Ends]] = {}
        missed: list[str] = []
        if intervals != "none":
            for group, comparison in comparisons.items():
                ends[group], failed = _intervals(comparison, how)
                of = f"{gathered.by} {group}, " if group else ""
                missed += [
                    f"Intervals of {of}{family} were not found." for family in failed
                ]
        name, resemblances = "", {}
        if reference is not None:
            name, other = reference
            for group, comparison in comparisons.items():
                sample = comparison.best.sample
                resemblances[group] = compare_to(sample, other, rng=seed)
        said = (*_hints_on(comparisons), *missed)
    return Study(gathered, result, ends, intervals, name, resemblances, said)


def _no_progress(what: str, done: int, of: int) -> None:
    """Tell nobody."""


def _compared(
    gathered: Gathered,
    families: str | Sequence[str],
    *,
    sign: int | None,
    pool: bool,
    **options: Any,
) -> Comparison | GroupComparison:
    """Compare the families; where there are groups, in each of them."""
    options |= {
        "drop_missing": gathered.from_table,
        "sample_weights": gathered.counts,
    }
    if gathered.groups is not None:
        clusters = None
        if gathered.clusters is not None:
            import pandas as pd

            # A named series, so that sentences can say what rows lie in.
            clusters = pd.Series(gathered.clusters, name=gathered.clustered_by)
        return compare_groups(
            gathered.weights,
            gathered.groups,
            families,
            within=clusters,
            sign=sign,
            pool=pool,
            **options,
        )
    # Of a sample, sign and pooling were decided when it was taken.
    if not isinstance(gathered.weights, WeightSample):
        options |= {"sign": sign, "pool": pool}
    return compare_families(gathered.weights, families, **options)


def comparisons_of(
    result: Comparison | GroupComparison,
) -> Mapping[str, Comparison]:
    """Return a comparison per group; without groups, the one there is, under an empty name."""
    if isinstance(result, GroupComparison):
        return result.groups
    return {"": result}


def _intervals(
    comparison: Comparison, options: Mapping[str, Any]
) -> tuple[dict[str, Ends], list[str]]:
    """Return the intervals by family, and the families of which none were found."""
    ends: dict[str, Ends] = {}
    failed: list[str] = []
    # Neither profile nor bootstrap means much then.
    if comparison.best.n < _FEW:
        return ends, failed
    for fit in reported(comparison):
        try:
            ends[fit.family] = confidence_intervals(fit, **options)
        # A likelihood may be too ragged to be followed, as a mixture's can be. The fit still
        # stands.
        except ValueError:
            failed.append(fit.family)
    return ends, failed


def _hints_on(comparisons: Mapping[str, Comparison]) -> tuple[str, ...]:
    """Return hints on the weights of all groups together."""
    bests = [comparison.best for comparison in comparisons.values()]
    if len(bests) == 1:
        best = bests[0]
        found = hints_on_sample(best.sample, best.observation, n_zero=best.n_zero)
        return tuple(hint.in_options for hint in found)
    most = LOOKED_AT // len(bests)
    return hints(
        np.concatenate([best.sample.some_values(most) for best in bests]),
        bests[0].observation,
        n_zero=sum(best.n_zero for best in bests),
        negative=np.concatenate([best.sample.others() for best in bests]),
    )


def hints(
    values: Array,
    observation: Observation,
    *,
    n_zero: int = 0,
    negative: Array | None = None,
) -> tuple[str, ...]:
    """Return what looks wrong in magnitudes, and which option says so: hints, not verdicts.

    Args:
        values: Magnitudes above zero, of all groups.
        observation: How the caller says they were observed.
        n_zero: Number of exact zeros that were left out.
        negative: Sizes of the values of the other sign that were left out.
    """
    found = recording_hints(values, observation, n_zero=n_zero, negative=negative)
    return tuple(hint.in_options for hint in found)


def median_magnitude(fit: WeightFit) -> float:
    """Return the median of the magnitudes, as they were."""
    if fit.observed.streamed is None:
        return float(np.median(fit.sample.values()))
    # Of very many, to the width of a bin.
    values, counts = fit.observed.counted_values()
    order = np.argsort(values)
    up_to = np.cumsum(counts[order])
    return float(values[order][np.searchsorted(up_to, up_to[-1] / 2)])


def reported(comparison: Comparison) -> list[WeightFit]:
    """Return the fits whose parameters are reported.

    The best, and the log-normal if it was fitted.
    """
    best = comparison.best
    return [fit for fit in comparison.fits if fit is best or fit.family == STANDARD]
