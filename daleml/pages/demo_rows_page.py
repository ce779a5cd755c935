"""The part of the report about networks that see a digit row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.pages import html_page

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing


def section(
    results: dict[str, Any], drawings: Mapping[str, Drawing]
) -> html_page.Section:
    """Compose the section from ``results.json`` and the figures."""
    found, settings = results["recurrent"], results["recurrent"]["settings"]
    epochs = settings["times"] * results["settings"]["epochs"]
    entropy = {
        key: np.mean([s["svd_entropy"] for s in spectra["before"]])
        for key, spectra in found["spectra"].items()
    }
    return html_page.Section(
        "Row by row: recurrent networks",
        [
            (
                "The same digits, one row of pixels a step; the class is asked for after"
                f" the last. Each network has {settings['units']} units, and learns for"
                f" {epochs} epochs with the norm of the gradient held to"
                f" {settings['clip_norm']:g}. The `RNN` knows no law. `column EI` splits"
                f" its units into {settings['units'] - settings['n_inh']} excitatory and"
                f" {settings['n_inh']} inhibitory ones. The recurrent `DANN` has"
                f" {settings['units']} excitatory units, and {settings['n_inh']}"
                " interneurons that subtract between time steps."
            ),
            (
                "Before learning, the singular values of the DANN's effective recurrent"
                " weight are spread like the RNN's, with an entropy H of"
                f" {entropy['rnn_dann']:.3f} beside {entropy['rnn']:.3f}; column EI starts"
                f" at {entropy['rnn_column_ei']:.3f}, one direction far above the rest."
                " These learning rates, too, are one of a few that were tried on the same"
                " test digits."
            ),
        ],
        [_table(found)],
        [
            drawings[name]
            for name in (
                "rows_trial",
                "rows_learning",
                "rows_spectra_before",
                "rows_spectra_after",
            )
        ],
    )


def summary(results: dict[str, Any]) -> pd.DataFrame:
    """Return what a terminal has room for: one row a network."""
    table = _table(results["recurrent"])
    return table[
        ["network", "test error", "steps that broke the law", "H before", "H after"]
    ]


def _table(found: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    def mean(key: str, when: str, measure: str) -> float:
        return float(np.mean([one[measure] for one in found["spectra"][key][when]]))

    return pd.DataFrame(
        {
            "network": arm["label"],
            "test error": f"{np.mean(arm['test_error']):.2%}",
            "lowest, highest seed": (
                f"{min(arm['test_error']):.1%}, {max(arm['test_error']):.1%}"
            ),
            "training loss": f"{np.mean(arm['train_loss']):.4f}",
            "steps that broke the law": (
                f"{arm['lawless_steps']:,} of {arm['steps']:,}"
                if arm["sign_violations"]
                else "no law"
            ),
            "changed sign": f"{np.mean(arm['sign_flips']):.2%}",
            "H before": f"{mean(key, 'before', 'svd_entropy'):.3f}",
            "H after": f"{mean(key, 'after', 'svd_entropy'):.3f}",
            "spectral radius before": f"{mean(key, 'before', 'spectral_radius'):.2f}",
            "after": f"{mean(key, 'after', 'spectral_radius'):.2f}",
        }
        for key, arm in found["arms"].items()
    )
