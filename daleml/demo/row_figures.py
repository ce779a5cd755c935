"""The demo's figures of the networks that see a digit row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from daleml.analysis import plots
from daleml.analysis.plots.drawing import Drawing
from daleml.demo.demo_results import recurrent_spectrum
from daleml.demo.dense_figures import drawn
from daleml.demo.row_networks import SIDE
from daleml.tasks import RowSequentialImages

if TYPE_CHECKING:
    from daleml.datasets import ImageSplit
    from daleml.demo.demo_training import Trained

_SHORT_NAMES = {"rnn": "RNN", "rnn_column_ei": "column EI", "rnn_dann": "DANN"}
_ERRORS = "fraction of test digits missed"


def draw(
    runs: Mapping[str, list[Trained]], data: ImageSplit
) -> Iterator[tuple[str, Drawing]]:
    """Draw every figure, by its file's name.

    Args:
        runs: The trained networks of each arm, a seed each.
        data: The digits; the first one of the test set is shown.
    """
    yield "rows_trial", _trial(data)
    yield "rows_learning", _learning(runs)
    for when in ("before", "after"):
        spectra = {
            _SHORT_NAMES[key]: recurrent_spectrum(getattr(arm[0], when))
            for key, arm in runs.items()
        }
        caption = (
            f"Singular values of the effective recurrent weight, {when} learning, seed 0; H"
            " is their entropy."
        )
        yield f"rows_spectra_{when}", drawn(caption, plots.spectrum, spectra)


def _trial(data: ImageSplit) -> Drawing:
    trials = RowSequentialImages(data.test_x, data.test_y).batch(torch.tensor([0]))
    with plots.style():
        figure, axes = plots.figure(1, 2, height=2.6)
        plots.trial(trials, axes=tuple(axes[:, 0]))
    return Drawing(
        figure, f"A digit as these networks see it: {SIDE} rows, one per step."
    )


def _learning(runs: Mapping[str, list[Trained]]) -> Drawing:
    import pandas as pd

    tables = []
    for arm in runs.values():
        tables += [run.history.assign(network=run.arm.label) for run in arm]
    history = pd.concat(tables, ignore_index=True)
    history = history.rename(columns={"test/error": _ERRORS})
    learned = history[history.epoch > 0]
    caption = "Test error by epoch: mean of the seeds, and their range."
    return drawn(caption, plots.learning_curves, learned, _ERRORS, hue="network")
