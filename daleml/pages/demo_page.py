"""The demo's page: the words around its figures, which say what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.pages import demo_rows_page, demo_tables, demo_words, html_page, page_words

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing
    from daleml.datasets import Connectome

_SECOND_LAYER = 2
"""The second layer's place in the stack: the first layer that reads learned units."""

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
        _spectra(results["arms"], drawings),
    ]
    if "recurrent" in results:
        sections.append(demo_rows_page.section(results, drawings))
    sections.append(_connectomes(results, drawings))
    return html_page.page(
        "Four networks learn digits under Dale's law, and without it",
        demo_words.lead(results["arms"]),
        _facts(results["arms"]),
        sections,
        _footer(results, brains),
        page_words.OF_NETWORKS,
    )


# -- the parts


def _facts(arms: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    checks, broken = demo_words.checked_steps(arms)
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
            f"{ratio:.0f} times" if ratio >= 2 else f"{ratio:.1f} times",
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
        f" {settings['seeds']} seeds. The MLP has {units} units in each layer and no"
        f" law. The network of column EI splits each layer into {units} excitatory units and"
        f" {settings['n_inh']} inhibitory ones. A Dale's ANN (DANN) has {units} excitatory"
        f" units in each layer, between which {settings['n_inh']} interneurons subtract and"
        " divide. The first three learn by gradient descent (SGD), two of them guarded:"
        " weights that cross zero are put back to zero after each step. The fourth learns by"
        " exponentiated gradient (EG), under which no weight can cross."
    )
    return html_page.Section(
        "Learning",
        [networks, demo_words.errors(results["arms"])],
        [demo_tables.networks(results["arms"])],
        [drawings["learning"], drawings["flips"]],
    )


def _weights(
    arms: Mapping[str, dict[str, Any]], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    names = ("dann_sgd", "dann_eg", "dann_sgd_qq", "dann_eg_qq")
    return html_page.Section(
        "What learning leaves of the weights",
        demo_words.kept_shape(arms),
        drawings=[drawings[f"weights_{name}"] for name in names],
    )


def _synapses(results: Mapping[str, Any]) -> html_page.Section:
    rivals = demo_words.rivals(results["families"])
    said = (
        "By role, excitatory (E) and inhibitory (I) apart, in the networks of seed 0."
        " `weight_ex` runs from input to unit, `weight_ix` from input to interneuron,"
        " `weight_ei` from interneuron to unit; the number is the layer's place in the"
        f" network. The log-normal is compared by AICc with {rivals}; 0"
        f" means that it ranks first. {demo_words.unfitted(results['synapses'])}"
    )
    tables = [
        demo_tables.synapses(rows, SHORT_NAMES[key])
        for key, rows in results["synapses"].items()
        # An ordinary network has no excitatory and inhibitory synapses.
        if key != "mlp"
    ]
    return html_page.Section("Every population of synapses, fitted", [said], tables)


def _spectra(
    arms: Mapping[str, dict[str, Any]], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    said = demo_words.spectra(arms, _SECOND_LAYER)
    shown = [drawings["spectra_before"], drawings["spectra_after"]]
    return html_page.Section("Spectra", [said], drawings=shown)


def _connectomes(
    results: Mapping[str, Any], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    said = (
        "Strengths in two connectomes, not recorded currents."
        f" {demo_words.how_fitted(results['counts'])}"
        f" {demo_words.first_of_brains(results['brains'])}"
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
            " Networks learn in double precision, so that those that see a digit at once give"
            " the same numbers on processors that add in different orders. Every number on"
            " this page is also in `results.json`."
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
