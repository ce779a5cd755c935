"""Groups of synapses fitted apart: by cell class, layer or area, and whether they are of one distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daleml.analysis.comparison import FEW, Comparison, compare_material
from daleml.analysis.families import SIMPLE, Family, find_all
from daleml.analysis.fit import Material, require_spread
from daleml.analysis.observation import Ends, Observation, one_observation
from daleml.analysis.weights import WeightSample, numbers, weight_sample

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = 0.05


@dataclass(frozen=True)
class SameDistribution:
    r"""The likelihood-ratio test that all groups have the same parameters of one family.

    Attributes:
        family: The family.
        statistic: :math:`2 (\sum_g \ln L_g - \ln L)`, of the groups fitted apart and together.
        freedom: Degrees of freedom: parameters times one less than the number of groups.
        p_value: By the chi-squared distribution.
    """

    family: str
    statistic: float
    freedom: int
    p_value: float


@dataclass(frozen=True)
class GroupComparison:
    """Families compared group by group.

    Attributes:
        groups: A comparison a group, in the order of their names.
        failures: Groups that could not be fitted, each with the sentence that says why.
        pooled: The comparison of the magnitudes of all fitted groups together.
        same: By family, the test that the groups do not differ.
        n_unlabelled: Number of values that belong to no group; left out.
    """

    groups: Mapping[str, Comparison]
    failures: Mapping[str, str]
    pooled: Comparison
    same: Mapping[str, SameDistribution]
    n_unlabelled: int

    def __getitem__(self, group: str) -> Comparison:
        return self.groups[group]

    def table(self) -> pd.DataFrame:
        """Return one row a group: how many, the best family and its parameters, and what cannot be told from it."""
        import pandas as pd

        rows = [
            {
                "group": name,
                "n": comparison.best.n,
                "zeros": comparison.best.n_zero,
                "best": comparison.best.family if comparison.best.total >= FEW else "too few",
                "cannot_tell": ", ".join(comparison.cannot_tell) if comparison.best.total >= FEW else "",
                "connection": str(comparison.best.connection or "").removeprefix("connection probability "),
                "p_fits": comparison.goodness[comparison.best.family].p_value if comparison.goodness else math.nan,
                "parameters": comparison.best.parameters_text(),
                "problem": "",
            }
            for name, comparison in self.groups.items()
        ]
        rows += [{"group": name, "problem": problem} for name, problem in self.failures.items()]
        columns = ["group", "n", "zeros", "connection", "best", "cannot_tell", "p_fits", "parameters", "problem"]
        table = pd.DataFrame(rows, columns=columns)
        table[["n", "zeros"]] = table[["n", "zeros"]].astype("Int64")
        fits = [comparison.best for comparison in self.groups.values()]
        unused = {
            "problem": not self.failures,
            "connection": not any(fit.connection for fit in fits),
            "p_fits": not any(comparison.goodness for comparison in self.groups.values()),
        }
        return table.drop(columns=[name for name, empty in unused.items() if empty])

    def conclusion(self) -> str:
        """Say in one sentence whether the groups differ, under the family that describes them best together."""
        left_out = f"; {_listed(list(self.failures))} could not be fitted" if self.failures else ""
        if len(self.groups) < 2:
            return f"Only the group {next(iter(self.groups))} could be fitted, so nothing was compared{left_out}."
        families = [fit.family for fit in self.pooled.fits if fit.family in self.same]
        if not families:
            return f"No family could be compared over all groups{left_out}."
        test = self.same[families[0]]
        how = f"likelihood ratio {test.statistic:.1f}, {test.freedom} degrees of freedom, p = {test.p_value:.2g}"
        verdict = "differ" if test.p_value < _LEVEL else "cannot be told apart"
        return f"The {len(self.groups)} groups {verdict} under the {test.family} ({how}){left_out}."

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        return {
            "groups": {name: comparison.to_dict() for name, comparison in self.groups.items()},
            "failures": dict(self.failures),
            "pooled": self.pooled.to_dict(),
            "same_distribution": {
                name: {"statistic": test.statistic, "freedom": test.freedom, "p_value": test.p_value}
                for name, test in self.same.items()
            },
            "n_unlabelled": self.n_unlabelled,
            "conclusion": self.conclusion(),
        }

    def __str__(self) -> str:
        return f"{self.table().to_string(index=False)}\n{self.conclusion()}"


def compare_groups(
    weights: ArrayLike,
    by: ArrayLike,
    families: str | Family | Sequence[str | Family] = SIMPLE,
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    truncation: Ends | None = None,
    censoring: float | Ends | None = None,
    discrete: bool = False,
    zeros: str = "exclude",
    sample_weights: ArrayLike | None = None,
    resolution: float | None = None,
    observation: Observation | None = None,
    gof: int = 0,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> GroupComparison:
    r"""Compare families group by group, and test whether the groups are of one distribution.

    A group that cannot be fitted is reported, and does not stop the others.

    Args:
        weights: A tensor or an array of magnitudes.
        by: The group of each: a column of cell classes, layers or areas. None, NaN and empty text are no group.
        families: As for :func:`compare_families`.
        sign: As for :func:`fit_weights`, within each group.
        pool: As for :func:`fit_weights`, within each group.
        drop_missing: As for :func:`fit_weights`.
        truncation: As for :func:`fit_weights`.
        censoring: As for :func:`fit_weights`.
        discrete: As for :func:`fit_weights`.
        zeros: As for :func:`fit_weights`.
        sample_weights: As for :func:`fit_weights`.
        resolution: As for :func:`fit_weights`.
        observation: As for :func:`fit_weights`.
        gof: As for :func:`compare_families`, of each group.
        rng: As for :func:`compare_families`.
        jobs: As for :func:`compare_families`.
        progress: As for :func:`compare_families`; called anew for each group.

    Raises:
        ValueError: If ``by`` does not fit the weights, or no group can be fitted.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> sizes = np.r_[rng.lognormal(0, 1, 500), rng.lognormal(0.5, 1, 500), 1.0]
        >>> layer = ["L2"] * 500 + ["L5"] * 500 + ["L6"]
        >>> result = compare_groups(sizes, layer, "lognormal")
        >>> result.failures
        {'L6': '`weights` must hold at least 2 values other than zero; got 1, with 0 zeros and 0 values left out.'}
        >>> result.same["lognormal"].p_value < 0.001
        True

    Notes:
        Magnitudes are pooled over groups, whatever their sign, for the test that they are of one distribution, and
        only for it.
    """
    chosen = find_all(families)
    observation = one_observation(
        observation,
        truncation=truncation,
        censoring=censoring,
        discrete=discrete,
        zeros=zeros,
        resolution=resolution,
    )
    values = numbers(weights).reshape(-1)
    labels = _labels(by, values.size)
    counts = None if sample_weights is None else numbers(sample_weights, "sample_weights").reshape(-1)
    if counts is not None and counts.size != values.size:
        raise ValueError(f"`sample_weights` must be as many as the weights, {values.size}; got {counts.size}.")
    groups: dict[str, Comparison] = {}
    failures: dict[str, str] = {}
    samples: list[WeightSample] = []
    for name in sorted({label for label in labels if label}, key=_natural):
        chosen_values = labels == name
        try:
            sample = weight_sample(
                values[chosen_values],
                sign=sign,
                pool=pool,
                drop_missing=drop_missing,
                sample_weights=None if counts is None else counts[chosen_values],
            )
            material = Material(require_spread(sample), observation)
            groups[name] = compare_material(material, chosen, gof=gof, rng=rng, jobs=jobs, progress=progress)
            samples.append(sample)
        except ValueError as problem:
            failures[name] = str(problem)
    if not groups:
        first = next(iter(failures.items()), None)
        why = f", {first[0]}: {first[1]}" if first else ": every value is without a group."
        raise ValueError(f"`by` must name a group that can be fitted; got none{why}")
    pooled = compare_material(Material(_together(samples), observation), chosen)
    same = {}
    everywhere = [fit for fit in pooled.fits if not any(fit.family in one.failures for one in groups.values())]
    for fit in everywhere if len(groups) > 1 else ():
        same[fit.family] = _same_distribution(fit.family, fit.log_likelihood, len(fit.params), list(groups.values()))
    return GroupComparison(groups, failures, pooled, same, int(np.count_nonzero(labels == "")))


def _same_distribution(family: str, together: float, n_params: int, apart: Sequence[Comparison]) -> SameDistribution:
    from scipy.stats import chi2

    ratio = max(2 * (sum(comparison[family].log_likelihood for comparison in apart) - together), 0.0)
    freedom = n_params * (len(apart) - 1)
    return SameDistribution(family, ratio, freedom, float(chi2.sf(ratio, freedom)))


def _together(samples: Sequence[WeightSample]) -> WeightSample:
    counts = [sample.counts() for sample in samples]
    weighted = None if counts[0] is None else np.concatenate([part for part in counts if part is not None])
    zeros = np.zeros(sum(sample.n_zero for sample in samples))  # pairs without a connection, where they count as such
    values = np.concatenate([*(sample.values() for sample in samples), zeros])
    if weighted is not None and zeros.size:
        share = sum(sample.zero_weight for sample in samples) / zeros.size
        weighted = np.append(weighted, np.full(zeros.size, share))
    return weight_sample(values, sample_weights=weighted)


def _labels(by: ArrayLike, size: int) -> NDArray[Any]:
    import pandas as pd

    given = np.asarray(by, dtype=object).reshape(-1)
    if given.size != size:
        raise ValueError(f"`by` must name the group of each of the {size} weights; got {given.size} names.")
    missing = pd.isna(given)
    return np.array(["" if gone else _name(label) for label, gone in zip(given, missing, strict=True)], dtype=object)


def _name(label: Any) -> str:
    whole = isinstance(label, (float, np.floating)) and math.isfinite(label) and label == int(label)
    return str(int(label)) if whole else str(label)  # a column of integers with gaps comes as floats


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
