"""The demo's figures and the words around them: what was found is worded by what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.pages import demo_rows_page, html_page

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing
    from daleml.datasets import Connectome

SHORT_NAMES = {
    "mlp": "MLP",
    "column_ei": "column EI",
    "dann_sgd": "DANN, SGD",
    "dann_eg": "DANN, EG",
}
_FITTED_COLUMNS = ("log-normal behind by (AICc)", "σ of ln|w|", "KS from log-normal")


def compose(
    results: dict[str, Any],
    drawings: Mapping[str, Drawing],
    brains: list[Connectome],
) -> str:
    """Compose the page from ``results.json`` and the figures."""
    arms, settings = results["arms"], results["settings"]
    lawful = {key: arm for key, arm in arms.items() if arm["sign_violations"]}
    checks, broken = (
        sum(arm[key] for arm in lawful.values()) for key in ("steps", "lawless_steps")
    )
    ratio = np.mean(arms["dann_sgd"]["ks_lognormal"]) / np.mean(
        arms["dann_eg"]["ks_lognormal"]
    )
    flips = np.mean(arms["mlp"]["sign_flips"])
    error = {key: np.mean(arm["test_error"]) for key, arm in arms.items()}

    def show(*names: str) -> list[Drawing]:
        return [drawings[name] for name in names]

    law = (
        "no synapse of any of them had the wrong sign, ever"
        if broken == 0
        else f"{broken:,} of those steps left a synapse with the wrong sign"
    )
    by_rows = (
        [demo_rows_page.section(results, drawings)] if "recurrent" in results else []
    )
    return html_page.page(
        "Four networks learn digits under Dale's law, and without it",
        "Neurons excite or inhibit, never both. Three networks learned under that law;"
        f" after each of {checks:,} steps of learning all their signs were checked, and"
        f" {law}. An ordinary network's weights changed sign in {flips:.1%} of cases.",
        [
            (
                f"{broken:,} of {checks:,}",
                "learning steps that broke the law, in the three lawful networks",
            ),
            (f"{flips:.1%}", "of the MLP's weights changed sign"),
            (
                f"{error['dann_sgd']:.1%}, {error['dann_eg']:.1%} and {error['mlp']:.1%}",
                (
                    "test error of the DANN by gradient descent, of the DANN by EG, and of"
                    " the MLP"
                ),
            ),
            (
                f"{ratio:.0f} times",
                (
                    "the distance from log-normal after gradient descent, over that after"
                    " EG, same network and start"
                ),
            ),
        ],
        [
            html_page.Section(
                "Learning",
                [
                    (
                        f"Hand-written digits, 8 x 8 pixels: {settings['n_train']:,} to"
                        f" learn from, {settings['n_test']} to judge by. Each network has"
                        f" {len(settings['hidden'])} hidden layers and learns for"
                        f" {settings['epochs']} epochs, from {settings['seeds']} seeds. The"
                        f" `MLP` has {settings['hidden'][0]} units a layer and no law."
                        f" `column EI` splits each layer into {settings['hidden'][0]}"
                        " excitatory units and one inhibitory to ten of them. A Dale's ANN"
                        f" (`DANN`) has {settings['hidden'][0]} excitatory units a layer,"
                        f" between which {settings['n_inh']} interneurons subtract and"
                        " divide. The first three learn by gradient descent (SGD), two of"
                        " them with weights that cross zero put back to zero after each"
                        " step; the fourth by exponentiated gradient (EG), under which no"
                        " weight can cross."
                    ),
                    (
                        "The test error is the mean of the last five epochs. Learning rates"
                        " are one of a few that were tried on these same test digits, so"
                        " differences of a point mean little."
                    ),
                ],
                [_arms_table(arms)],
                show("learning", "flips"),
            ),
            html_page.Section(
                "What learning leaves of the weights",
                [
                    (
                        "Both DANNs began with the same log-normal excitatory weights."
                        " Gradient descent adds, so weights that shrink run into zero and"
                        " trail a long lower tail; EG multiplies, which keeps the shape of"
                        " ln|w| nearly as it was."
                    ),
                    (
                        "The distance of z-scored ln|w| from the normal"
                        " (Kolmogorov-Smirnov, mean of the hidden layers) was"
                        f" {np.mean(arms['dann_eg']['ks_lognormal_before']):.4f} at the"
                        f" start; it is {np.mean(arms['dann_sgd']['ks_lognormal']):.4f}"
                        " after gradient descent and"
                        f" {np.mean(arms['dann_eg']['ks_lognormal']):.4f} after EG. The"
                        " other two networks began from other distributions, so only these"
                        " two compare learning rules."
                    ),
                ],
                [],
                show(
                    "weights_dann_sgd",
                    "weights_dann_eg",
                    "weights_dann_sgd_qq",
                    "weights_dann_eg_qq",
                ),
            ),
            html_page.Section(
                "Every population of synapses, fitted",
                [
                    (
                        "By role, excitatory (E) and inhibitory (I) apart, in the networks"
                        " of seed 0. `weight_ex` runs from input to unit, `weight_ix` from"
                        " input to interneuron, `weight_ei` from interneuron to unit; the"
                        " number is the layer's place in the network. The log-normal is"
                        f" compared by AICc with {_rivals(results)}; 0 means that it ranks"
                        f" first. {_unfitted(results)}"
                    ),
                ],
                [
                    _synapses_table(rows, SHORT_NAMES[key])
                    for key, rows in results["synapses"].items()
                    if key != "mlp"
                ],
            ),
            html_page.Section(
                "Spectra",
                [
                    (
                        "The singular values of what multiplies a layer's input. A"
                        " column-EI matrix starts with one direction far above the rest,"
                        " its mean, and with a low entropy H; a DANN's inhibition starts by"
                        " removing the mean exactly, which leaves one singular value at"
                        " zero."
                    ),
                ],
                [],
                show("spectra_before", "spectra_after"),
            ),
            *by_rows,
            html_page.Section(
                "Beside real synapses",
                [
                    (
                        "Strengths in two connectomes, not recorded currents."
                        f" {_how_fitted(results['counts'])}"
                    ),
                ],
                [
                    _synapses_table(rows, name)
                    for name, rows in results["brains"].items()
                ],
                show("brain_celegans", "brain_fly", "shapes"),
            ),
        ],
        [
            f"Made by `daleml demo --epochs {settings['epochs']} --seeds"
            f" {settings['seeds']}{' --recurrent' * bool(by_rows)}` in"
            f" {results['seconds']:.0f} s; daleml {results['versions']['daleml']}, torch"
            f" {results['versions']['torch']}, Python {results['versions']['python']}."
            " Learning rates: "
            + ", ".join(f"{arm['label']} {arm['lr']:g}" for arm in arms.values())
            + ", with cosine decay. Every number on this page is also in `results.json`.",
            "Data: scikit-learn's digits; "
            + "; ".join(f"{brain.name}: {brain.citation}" for brain in brains)
            + ".",
        ],
    )


def summary(results: dict[str, Any]) -> pd.DataFrame:
    """Return what a terminal has room for: one row a network."""
    columns = [
        "network",
        "test error",
        "synapses checked",
        "steps that broke the law",
        "changed sign",
        "KS from log-normal, before",
        "after",
    ]
    return _arms_table(results["arms"])[columns]


def _arms_table(arms: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "network": arm["label"],
            "test error": f"{np.mean(arm['test_error']):.2%}",
            "lowest, highest seed": (
                f"{min(arm['test_error']):.1%}, {max(arm['test_error']):.1%}"
            ),
            "training loss": f"{np.mean(arm['train_loss']):.4f}",
            "synapses checked": _checked(arm),
            "steps that broke the law": (
                f"{arm['lawless_steps']:,} of {arm['steps']:,}"
                if arm["sign_violations"]
                else "no law"
            ),
            "changed sign": f"{np.mean(arm['sign_flips']):.2%}",
            "weights at zero": f"{np.mean(arm['fraction_at_zero']):.1%}",
            "KS from log-normal, before": f"{np.mean(arm['ks_lognormal_before']):.4f}",
            "after": f"{np.mean(arm['ks_lognormal']):.4f}",
        }
        for arm in arms.values()
    )


def _checked(arm: Mapping[str, Any]) -> str:
    """Say how many synapses were judged, of how many."""
    if not arm["sign_violations"]:
        return "no law"
    return f"{arm['n_synapses']:,} of {arm['n_synapses'] + arm['n_unjudged']:,}"


def _synapses_table(rows: list[dict[str, Any]], title: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            title: row["synapses"],
            "n": f"{row['n']:,}",
            "zeros": f"{row['zeros']:,}",
            **_fitted_cells(row),
        }
        for row in rows
    )


def _fitted_cells(row: Mapping[str, Any]) -> dict[str, str]:
    if row["not fitted"]:
        return {"best family": row["not fitted"], **dict.fromkeys(_FITTED_COLUMNS, "–")}
    behind = _behind(
        row["log-normal behind by (AICc)"],
        ranks_first=row["best family"] == "lognormal",
    )
    sigma = f"{row['sigma of ln|w|']:.3f} ± {row['± s.e.']:.3f}"
    cells = (behind, sigma, f"{row['KS from log-normal']:.3f}")
    return {
        "best family": row["best family"],
        **dict(zip(_FITTED_COLUMNS, cells, strict=True)),
    }


def _behind(difference: float, *, ranks_first: bool) -> str:
    """Return how far behind the log-normal is: 0 only where it ranks first."""
    if ranks_first:
        return "0"
    if difference < 0.05:
        return "< 0.1"
    return f"{difference:,.1f}" if difference < 10 else f"{difference:,.0f}"


def _rivals(results: Mapping[str, Any]) -> str:
    """Return the families that the log-normal was compared with."""
    names = [name for name in results["families"] if name != "lognormal"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _unfitted(results: Mapping[str, Any]) -> str:
    """Say which populations no family was fitted to, if any."""
    rows = [
        row for key, rows in results["synapses"].items() if key != "mlp" for row in rows
    ]
    reasons = [
        reason
        for reason in ("too few", "nearly equal")
        if any(row["not fitted"] == reason for row in rows)
    ]
    if not reasons:
        return ""
    which = " or ".join(f"`{reason}`" for reason in reasons)
    return f"Where weights are {which}, no family is named: any would fit."


def _how_fitted(counts: Mapping[str, bool]) -> str:
    """Say which connectomes were fitted as counts, and why the others were not."""
    said = []
    for name, whole in counts.items():
        short = name.partition(",")[0]
        if whole:
            said.append(
                f"Those of {short} are whole numbers, and are fitted as counts, of which"
                " zero is not seen."
            )
        else:
            said.append(
                f"Those of {short} are means of counts, which are no whole numbers: they"
                " cannot be fitted as counts, and a continuous fit describes them without"
                " settling which family they come from."
            )
    return " ".join(said)
