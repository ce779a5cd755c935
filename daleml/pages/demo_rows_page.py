"""The section of the demo's page about networks that see a digit row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daleml.pages import demo_tables, demo_words, html_page

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing


def section(
    results: dict[str, Any], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    """Compose the section from ``results.json`` and the figures."""
    found = results["recurrent"]
    settings = found["settings"]
    units, n_inh = settings["units"], settings["n_inh"]
    # These networks learn for longer than the others, which a comparison must say.
    epochs = settings["times"] * results["settings"]["epochs"]
    names = {"rnn": "RNN", "rnn_column_ei": "column EI", "rnn_dann": "DANN"}
    entropy = {
        name: demo_tables.mean_of(found["spectra"][key]["before"], "svd_entropy")
        for key, name in names.items()
    }
    networks = (
        "The same digits, one row of pixels a step; the class is asked for after the last."
        f" Each network has {units} units, and learns for {epochs} epochs with the norm of"
        f" the gradient held to {settings['clip_norm']:g}. The RNN knows no law. Column"
        f" EI splits its units into {units - n_inh} excitatory and {n_inh} inhibitory"
        f" ones. The recurrent DANN has {units} excitatory units, and {n_inh} interneurons"
        " that subtract between time steps. Learning of column EI amplifies rounding: on"
        " another processor its test error may differ by a point or two."
    )
    figures = ("trial", "learning", "spectra_before", "spectra_after")
    return html_page.Section(
        "Row by row: recurrent networks",
        [networks, demo_words.row_spectra(entropy)],
        [demo_tables.recurrent_networks(found)],
        [drawings[f"rows_{name}"] for name in figures],
    )


def summary(results: dict[str, Any]) -> pd.DataFrame:
    """Return what a terminal has room for: one row per network."""
    table = demo_tables.recurrent_networks(results["recurrent"])
    return table[
        ["network", "test error", "steps that broke the law", "H before", "H after"]
    ]
