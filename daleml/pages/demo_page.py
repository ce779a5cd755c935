"""The demo's page: the words around its figures, which say what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.pages import demo_rows_page, demo_tables, html_page

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


def compose(
    results: dict[str, Any],
    drawings: Mapping[str, Drawing],
    brains: list[Connectome],
) -> str:
    """Compose the page from ``results.json`` and the figures.

    Args:
        results: What the demo found, as ``results.json`` holds it.
        drawings: Its figures, by the name of their file.
        brains: The connectomes, which are cited.
    """
    sections = [
        _learning(results, drawings),
        _weights(results["arms"], drawings),
        _synapses(results),
        _spectra(drawings),
    ]
    if "recurrent" in results:
        sections.append(demo_rows_page.section(results, drawings))
    sections.append(_connectomes(results, drawings))
    return html_page.page(
        "Four networks learn digits under Dale's law, and without it",
        _lead(results["arms"]),
        _facts(results["arms"]),
        sections,
        _footer(results, brains),
    )


# -- the parts


def _checked_steps(arms: Mapping[str, dict[str, Any]]) -> tuple[int, int]:
    """Return how many steps were judged by the law, and how many of them broke it."""
    steps = lawless = 0
    for arm in arms.values():
        # Only networks under the law have been judged by it.
        if arm["sign_violations"]:
            steps += arm["steps"]
            lawless += arm["lawless_steps"]
    return steps, lawless


def _lead(arms: Mapping[str, dict[str, Any]]) -> str:
    checks, broken = _checked_steps(arms)
    # The page must not claim what this run did not find, whatever runs before it did.
    law = f"{broken:,} of those steps left a synapse with the wrong sign"
    if broken == 0:
        law = "no synapse of any of them had the wrong sign, ever"
    flips = np.mean(arms["mlp"]["sign_flips"])
    return (
        "Neurons excite or inhibit, never both. Three networks learned under that law;"
        f" after each of {checks:,} steps of learning all their signs were checked, and"
        f" {law}. An ordinary network's weights changed sign in {flips:.1%} of cases."
    )


def _facts(arms: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    checks, broken = _checked_steps(arms)
    flips = np.mean(arms["mlp"]["sign_flips"])
    error = {key: np.mean(arm["test_error"]) for key, arm in arms.items()}
    distance = {key: np.mean(arm["ks_lognormal"]) for key, arm in arms.items()}
    # Both began with the same weights, so this ratio compares learning rules alone.
    ratio = distance["dann_sgd"] / distance["dann_eg"]
    return [
        (
            f"{broken:,} of {checks:,}",
            "learning steps that broke the law, in the three lawful networks",
        ),
        (f"{flips:.1%}", "of the MLP's weights changed sign"),
        (
            f"{error['dann_sgd']:.1%}, {error['dann_eg']:.1%} and {error['mlp']:.1%}",
            (
                "test error of the DANN by gradient descent, of the DANN by EG, and of the"
                " MLP"
            ),
        ),
        (
            f"{ratio:.0f} times",
            (
                "the distance from log-normal after gradient descent, over that after EG,"
                " same network and start"
            ),
        ),
    ]


def _learning(
    results: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    settings = results["settings"]
    units = settings["hidden"][0]
    networks = (
        f"Hand-written digits, 8 x 8 pixels: {settings['n_train']:,} to learn from,"
        f" {settings['n_test']} to judge by. Each network has {len(settings['hidden'])}"
        f" hidden layers and learns for {settings['epochs']} epochs, from"
        f" {settings['seeds']} seeds. The `MLP` has {units} units a layer and no law."
        f" `column EI` splits each layer into {units} excitatory units and one inhibitory"
        f" to ten of them. A Dale's ANN (`DANN`) has {units} excitatory units a layer,"
        f" between which {settings['n_inh']} interneurons subtract and divide. The first"
        " three learn by gradient descent (SGD), two of them with weights that cross zero"
        " put back to zero after each step; the fourth by exponentiated gradient (EG),"
        " under which no weight can cross."
    )
    errors = (
        "The test error is the mean of the last five epochs. Learning rates are one of a"
        " few that were tried on these same test digits, so differences of a point mean"
        " little."
    )
    return html_page.Section(
        "Learning",
        [networks, errors],
        [demo_tables.networks(results["arms"])],
        [drawings["learning"], drawings["flips"]],
    )


def _weights(
    arms: Mapping[str, dict[str, Any]], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    start = np.mean(arms["dann_eg"]["ks_lognormal_before"])
    after_sgd = np.mean(arms["dann_sgd"]["ks_lognormal"])
    after_eg = np.mean(arms["dann_eg"]["ks_lognormal"])
    said = [
        (
            "Both DANNs began with the same log-normal excitatory weights. Gradient descent"
            " adds, so weights that shrink run into zero and trail a long lower tail; EG"
            " multiplies, which keeps the shape of ln|w| nearly as it was."
        ),
        (
            "The distance of z-scored ln|w| from the normal (Kolmogorov-Smirnov, mean of"
            f" the hidden layers) was {start:.4f} at the start; it is {after_sgd:.4f} after"
            f" gradient descent and {after_eg:.4f} after EG. The other two networks began"
            " from other distributions, so only these two compare learning rules."
        ),
    ]
    names = ("dann_sgd", "dann_eg", "dann_sgd_qq", "dann_eg_qq")
    return html_page.Section(
        "What learning leaves of the weights",
        said,
        drawings=[drawings[f"weights_{name}"] for name in names],
    )


def _synapses(results: Mapping[str, Any]) -> html_page.Section:
    said = (
        "By role, excitatory (E) and inhibitory (I) apart, in the networks of seed 0."
        " `weight_ex` runs from input to unit, `weight_ix` from input to interneuron,"
        " `weight_ei` from interneuron to unit; the number is the layer's place in the"
        f" network. The log-normal is compared by AICc with {_rivals(results)}; 0 means"
        f" that it ranks first. {_unfitted(results)}"
    )
    tables = [
        demo_tables.synapses(rows, SHORT_NAMES[key])
        for key, rows in results["synapses"].items()
        # An ordinary network has no excitatory and inhibitory synapses.
        if key != "mlp"
    ]
    return html_page.Section("Every population of synapses, fitted", [said], tables)


def _spectra(drawings: Mapping[str, Drawing]) -> html_page.Section:
    said = (
        "The singular values of what multiplies a layer's input. A column-EI matrix starts"
        " with one direction far above the rest, its mean, and with a low entropy H; a"
        " DANN's inhibition starts by removing the mean exactly, which leaves one singular"
        " value at zero."
    )
    shown = [drawings["spectra_before"], drawings["spectra_after"]]
    return html_page.Section("Spectra", [said], drawings=shown)


def _connectomes(
    results: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    said = (
        "Strengths in two connectomes, not recorded currents."
        f" {_how_fitted(results['counts'])}"
    )
    tables = [
        demo_tables.synapses(rows, name) for name, rows in results["brains"].items()
    ]
    shown = [drawings[name] for name in ("brain_celegans", "brain_fly", "shapes")]
    return html_page.Section("Beside real synapses", [said], tables, shown)


def _footer(results: Mapping[str, Any], brains: list[Connectome]) -> list[str]:
    settings, versions = results["settings"], results["versions"]
    command = f"daleml demo --epochs {settings['epochs']} --seeds {settings['seeds']}"
    if "recurrent" in results:
        command += " --recurrent"
    rates = [f"{arm['label']} {arm['lr']:g}" for arm in results["arms"].values()]
    cited = [f"{brain.name}: {brain.citation}" for brain in brains]
    return [
        (
            f"Made by `{command}` in {results['seconds']:.0f} s; daleml"
            f" {versions['daleml']}, torch {versions['torch']}, Python"
            f" {versions['python']}. Learning rates: {', '.join(rates)}, with cosine decay."
            " Every number on this page is also in `results.json`."
        ),
        f"Data: scikit-learn's digits; {'; '.join(cited)}.",
    ]


def summary(results: dict[str, Any]) -> pd.DataFrame:
    """Return what a terminal has room for: one row per network."""
    columns = [
        "network",
        "test error",
        "synapses checked",
        "steps that broke the law",
        "changed sign",
        "KS from log-normal, before",
        "after",
    ]
    return demo_tables.networks(results["arms"])[columns]


# -- words that hang on what was found


def _rivals(results: Mapping[str, Any]) -> str:
    """Return the families that the log-normal was compared with."""
    names = [name for name in results["families"] if name != "lognormal"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _unfitted(results: Mapping[str, Any]) -> str:
    """Say which populations no family was fitted to, if any."""
    met = set()
    for key, rows in results["synapses"].items():
        # The reasons are looked for in the tables that the page shows, and no others.
        if key != "mlp":
            met |= {row["not fitted"] for row in rows}
    reasons = [f"`{reason}`" for reason in ("too few", "nearly equal") if reason in met]
    if not reasons:
        return ""
    which = " or ".join(reasons)
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
