"""The tables of a study's page: ranks, parameters, groups, and how alike two shapes are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.p_values import bare_p
from daleml.analysis.distributions.vuong import FEW
from daleml.weight_study.fit_study import STANDARD, median_magnitude, reported

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis import Comparison, GroupComparison, Resemblance, WeightFit
    from daleml.weight_study import Study

_MEASURES = {
    "log_sd": "σ of ln w",
    "gini": "Gini coefficient",
    "log_skewness": "skewness of ln w",
}
_NONE = "–"


def standard_fit(comparison: Comparison) -> WeightFit | None:
    """Return the fit of the log-normal, or None if it was not fitted."""
    return next((fit for fit in comparison.fits if fit.family == STANDARD), None)


def ranking(comparison: Comparison) -> pd.DataFrame:
    """Return how families rank, as the page shows it: one row per family, best first."""
    table = comparison.table()
    shown = {
        "family": table["family"].map(family_label),
        "AICc": table["aicc"].map("{:,.1f}".format),
        "behind": table["delta"].map("{:,.1f}".format),
        "weight": table["weight"].map("{:.3f}".format),
        "ln L": table["log_likelihood"].map("{:,.1f}".format),
        "p, as good": table["p_as_good"].map(short_p),
    }
    # Only where goodness of fit was tested.
    if "p_fits" in table:
        shown["p, fits"] = table["family"].map(comparison.p_fits_text)
    # What is missing was written as nan, and an AICc of too few weights as inf.
    for name, column in shown.items():
        shown[name] = column.replace({"nan": _NONE, "inf": _NONE})
    return table[[]].assign(**shown)


def parameter_table(study: Study, group: str) -> pd.DataFrame:
    """Return the parameters of the best family and of the log-normal, as the page shows them."""
    import pandas as pd

    rows = []
    for fit in reported(study.comparisons[group]):
        ends = study.intervals.get(group, {}).get(fit.family, {})
        for name, value in fit.params.items():
            error = fit.stderr[name]
            row = {
                "family": family_label(fit.family),
                "parameter": name,
                "estimate": f"{value:.4g}",
                "standard error": f"{error:.2g}" if math.isfinite(error) else _NONE,
            }
            if study.method != "none":
                row["95 % interval"] = _NONE
            if study.method != "none" and ends:
                low, high = ends[name]
                row["95 % interval"] = f"{low:.4g} to {high:.4g}"
            rows.append(row)
    return pd.DataFrame(rows)


def groups(result: GroupComparison, unit: str = "") -> pd.DataFrame:
    """Return one row per group: its size, its median, and the family that ranks first."""
    import pandas as pd

    median = f"median ({unit})" if unit else "median"
    rows = []
    for name, comparison in result.groups.items():
        best = comparison.best
        row = {
            "group": name,
            "n": f"{best.n:,}",
            median: f"{median_magnitude(best):.4g}",
        }
        standard = standard_fit(comparison)
        if standard:
            sigma, error = standard.params["sigma"], standard.stderr["sigma"]
            row["σ of ln w, log-normal"] = f"{sigma:.3f} ± {error:.2g}"
        family, rivals = "too few", ""
        # Of few weights, which family ranks first is chance.
        if best.total >= FEW:
            family = family_label(best.family)
            rivals = ", ".join(map(family_label, comparison.cannot_tell)) or "none"
        row |= {"best family": family, "cannot be told from": rivals}
        rows.append(row)
    return pd.DataFrame(rows)


def tests_of_one_distribution(result: GroupComparison) -> pd.DataFrame:
    """Return one row per family: whether one set of its parameters does for all groups."""
    import pandas as pd

    rows = []
    for name, test in result.same.items():
        ratio = f"{test.statistic:,.1f}" if math.isfinite(test.statistic) else _NONE
        rows.append(
            {
                "family": family_label(name),
                "likelihood ratio": ratio,
                "degrees of freedom": test.freedom,
                "p, one distribution": bare_p(
                    test.p_strengths, test.n_shuffles or None
                ),
                "by": test.method,
            }
        )
    return pd.DataFrame(rows)


def resemblance(beside: Resemblance) -> pd.DataFrame:
    """Return the measures of two shapes side by side."""
    table = beside.table().replace("", _NONE)
    # Whatever is not in `_MEASURES` is the distance, the one measure of both together.
    names = dict.fromkeys(table["measure"], "mean distance of quantiles")
    table["measure"] = table["measure"].map(names | _MEASURES)
    return table


def short_p(value: float) -> str:
    """Return a p-value as short as it deserves; a dash where there is none."""
    if math.isnan(value):
        return _NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def with_unit(value: float, unit: str) -> str:
    """Return a value with its unit, if it is known."""
    return f"{value:.4g} {unit}".rstrip()
