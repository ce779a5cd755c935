"""The tables of the demo: what each network did, and every population of synapses, fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis import family_label

if TYPE_CHECKING:
    import pandas as pd

_FITTED = ("log-normal behind by (AICc)", "σ of ln|w|", "KS from log-normal")
"""The columns that are empty where no family was fitted."""


def networks(arms: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per network that sees a digit at once."""
    import pandas as pd

    rows = []
    for arm in arms.values():
        rows.append(
            {
                "network": arm["label"],
                **_errors_and_loss(arm),
                "synapses checked": _checked(arm),
                **_kept_law(arm),
                "weights at zero": f"{np.mean(arm['fraction_at_zero']):.1%}",
                "KS from log-normal, before": (
                    f"{np.mean(arm['ks_lognormal_before']):.4f}"
                ),
                "after": f"{np.mean(arm['ks_lognormal']):.4f}",
            }
        )
    return pd.DataFrame(rows)


def recurrent_networks(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per network that sees a digit row by row."""
    import pandas as pd

    rows = []
    for key, arm in found["arms"].items():
        before, after = (found["spectra"][key][when] for when in ("before", "after"))
        rows.append(
            {
                "network": arm["label"],
                **_errors_and_loss(arm),
                **_kept_law(arm),
                "H before": f"{mean_of(before, 'svd_entropy'):.3f}",
                "H after": f"{mean_of(after, 'svd_entropy'):.3f}",
                "spectral radius before": f"{mean_of(before, 'spectral_radius'):.2f}",
                "after": f"{mean_of(after, 'spectral_radius'):.2f}",
            }
        )
    return pd.DataFrame(rows)


def mean_of(spectra: Iterable[Mapping[str, Any]], measure: str) -> float:
    """Return the mean of one measure over the spectra of several seeds."""
    return float(np.mean([spectrum[measure] for spectrum in spectra]))


def _errors_and_loss(arm: Mapping[str, Any]) -> dict[str, str]:
    errors = arm["test_error"]
    return {
        "test error": f"{np.mean(errors):.2%}",
        "lowest, highest seed": f"{min(errors):.1%}, {max(errors):.1%}",
        "training loss": f"{np.mean(arm['train_loss']):.4f}",
    }


def _kept_law(arm: Mapping[str, Any]) -> dict[str, str]:
    # An ordinary network was not judged: 0 broken steps would praise it for nothing.
    broke = "no law"
    if arm["sign_violations"]:
        broke = f"{arm['lawless_steps']:,} of {arm['steps']:,}"
    return {
        "steps that broke the law": broke,
        "changed sign": f"{np.mean(arm['sign_flips']):.2%}",
    }


def _checked(arm: Mapping[str, Any]) -> str:
    """Say how many synapses were judged, of how many."""
    if not arm["sign_violations"]:
        return "no law"
    return f"{arm['n_synapses']:,} of {arm['n_synapses'] + arm['n_unjudged']:,}"


def synapses(rows: Iterable[Mapping[str, Any]], title: str) -> pd.DataFrame:
    """Return one row per population of synapses, under the title of what they belong to."""
    import pandas as pd

    cells = []
    for row in rows:
        counted = {"n": f"{row['n']:,}", "zeros": f"{row['zeros']:,}"}
        cells.append({title: row["synapses"], **counted, **_fitted_cells(row)})
    return pd.DataFrame(cells)


def _fitted_cells(row: Mapping[str, Any]) -> dict[str, str]:
    if row["not fitted"]:
        return {"best family": row["not fitted"], **dict.fromkeys(_FITTED, "–")}
    best = family_label(row["best family"])
    difference = row["log-normal behind by (AICc)"]
    cells = (
        behind(difference, ranks_first=row["best family"] == "lognormal"),
        f"{row['sigma of ln|w|']:.3f} ± {row['± s.e.']:.3f}",
        f"{row['KS from log-normal']:.3f}",
    )
    return {"best family": best, **dict(zip(_FITTED, cells, strict=True))}


def behind(difference: float, *, ranks_first: bool) -> str:
    """Return how far behind the log-normal is, in AICc: 0 only where it ranks first."""
    if ranks_first:
        return "0"
    # Rounded to 0.0 it would read as if the log-normal ranked first.
    if difference < 0.05:
        return "< 0.1"
    if difference < 10:
        return f"{difference:,.1f}"
    return f"{difference:,.0f}"
