"""The demo's figures of the networks that see a digit at once, beside connectomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from daleml.analysis import (
    Comparison,
    compare_families,
    fit_weights,
    plots,
    spectrum,
    weight_samples,
)
from daleml.analysis.plots.drawing import Drawing
from daleml.demo.demo_results import are_counts
from daleml.pages.demo_page import SHORT_NAMES

if TYPE_CHECKING:
    import pandas as pd

    from daleml.datasets import Connectome
    from daleml.demo.demo_training import Trained

LAYER = 2
"""The second layer's place in the stack: the first layer that reads learned units."""

_ERRORS = "fraction of test digits missed"
_FLIPS = "fraction of weights that changed sign"


def draw(
    runs: Mapping[str, list[Trained]], brains: list[Connectome]
) -> Iterator[tuple[str, Drawing]]:
    """Draw every figure, by its file's name.

    Args:
        runs: The trained networks of each arm, a seed each.
        brains: The worm's connectome, then the fly's.
    """
    history = _history(runs)
    # Weights are shown of the first seed, since a mean of matrices is none of them.
    first = {key: arm[0] for key, arm in runs.items()}
    fits = {
        key: compare_families(weight_samples(first[key].after)[f"{LAYER}.weight_ex"])
        for key in ("dann_sgd", "dann_eg")
    }
    yield from _learning(history)
    yield from _weights(fits)
    yield from _spectra(first)
    yield from _connectomes(brains)
    shapes = {
        f"{SHORT_NAMES[key]} (network)": one["lognormal"] for key, one in fits.items()
    }
    for brain in brains:
        shapes[brain.name.partition(",")[0]] = fit_weights(brain.weights())
    caption = (
        "Shapes without scale: cumulative distributions of z-scored ln|w|, networks beside"
        " connectomes."
    )
    yield "shapes", drawn(caption, plots.shapes, shapes)
    yield "overview", _overview(first["column_ei"], history, shapes)


def drawn(caption: str, plot: Callable[..., Any], *args: Any, **kwargs: Any) -> Drawing:
    """Draw one plot in a figure of its own."""
    with plots.style():
        figure, axes = plots.figure()
        plot(*args, ax=axes[0, 0], **kwargs)
    return Drawing(figure, caption)


def _history(runs: Mapping[str, list[Trained]]) -> pd.DataFrame:
    """Return the epochs of all networks in one table, its columns named for axes."""
    import pandas as pd

    tables = []
    for arm in runs.values():
        tables += [run.history.assign(network=run.arm.label) for run in arm]
    names = {"test/error": _ERRORS, "sign_flips": _FLIPS}
    return pd.concat(tables, ignore_index=True).rename(columns=names)


def _learning(history: pd.DataFrame) -> Iterator[tuple[str, Drawing]]:
    # Before the first epoch all networks guess, and an axis that shows it shows nothing else.
    learned = history[history.epoch > 0]
    caption = "Test error by epoch: mean of the seeds, and their range."
    yield (
        "learning",
        drawn(caption, plots.learning_curves, learned, _ERRORS, hue="network"),
    )
    caption = "Weights whose sign is no longer the one they began with."
    together = _zeros_together(history, _FLIPS)
    if together is not history:
        caption += " Networks whose weights all kept it are one line, at 0."
    yield (
        "flips",
        drawn(caption, plots.learning_curves, together, _FLIPS, hue="network"),
    )


def _zeros_together(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Give the networks that stay at zero one name: their curves would hide each other."""
    largest = history.groupby("network", sort=False)[column].max()
    at_zero = list(largest.index[largest == 0])
    if len(at_zero) < 2:
        return history
    one_name = f"{len(at_zero)} others, at 0 throughout"
    return history.replace({"network": dict.fromkeys(at_zero, one_name)})


def _weights(fits: Mapping[str, Comparison]) -> Iterator[tuple[str, Drawing]]:
    captions = {
        "dann_sgd": "Guarded SGD: excitatory weights onto the second hidden layer.",
        "dann_eg": "EG: the same weights of the same network from the same start.",
    }
    for key, caption in captions.items():
        yield f"weights_{key}", drawn(caption, plots.families, fits[key])
        lognormal = fits[key]["lognormal"]
        caption = f"{SHORT_NAMES[key]}: on the line is log-normal."
        yield f"weights_{key}_qq", drawn(caption, plots.qq, lognormal)


def _spectra(first: Mapping[str, Trained]) -> Iterator[tuple[str, Drawing]]:
    # Two figures: eight spectra on one axis could not be told apart.
    for when in ("before", "after"):
        spectra = {
            SHORT_NAMES[key]: spectrum(getattr(run, when)[LAYER])
            for key, run in first.items()
        }
        caption = (
            f"Singular values of the second layer's effective weight, {when} learning; H is"
            " their normalised entropy."
        )
        yield f"spectra_{when}", drawn(caption, plots.spectrum, spectra)


def _connectomes(brains: list[Connectome]) -> Iterator[tuple[str, Drawing]]:
    for brain, name in zip(brains, ("celegans", "fly"), strict=True):
        comparison = compare_families(brain.weights(), discrete=are_counts(brain))
        caption = f"{brain.name}: {brain.weight_unit}."
        yield f"brain_{name}", drawn(caption, plots.families, comparison)


def _overview(
    trained: Trained, history: pd.DataFrame, shapes: Mapping[str, Any]
) -> Drawing:
    """Draw the package in one picture: signs, learning, and what it leaves of the weights."""
    weight = trained.after.get_parameter(f"{LAYER}.weight").detach()
    learned = history[history.epoch > 0]
    with plots.style():
        figure, axes = plots.figure(3, width=4.4)
        signs, curves, distributions = axes[0]
        plots.matrix(weight, signs)
        signs.set_title("column EI learned: each column has one colour")
        plots.learning_curves(learned, _ERRORS, curves, hue="network")
        curves.set_title("learning")
        plots.shapes(shapes, distributions)
        distributions.set_title("shapes of weight distributions")
    return Drawing(
        figure,
        "Column-EI weights, learning curves, and shapes of weight distributions.",
    )
