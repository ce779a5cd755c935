"""Weights that others are compared to: of a data set that daleml ships, or of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from daleml.analysis import WeightSample, weight_sample
from daleml.weight_study.input_data import gather


def gather_reference(text: str, *, pool: bool = False) -> tuple[str, WeightSample]:
    """Read what weights are compared to.

    A data set by its name, or a file, with its column after a colon.

    Returns:
        What it is, and its magnitudes.

    Raises:
        ValueError: If it can be neither.
        OSError: If its file cannot be opened.
    """
    if text in _DATA_SETS:
        what, load = _DATA_SETS[text]
        return what, weight_sample(load())
    file, column = Path(text), None
    # A file may have a colon in its name, and then is no FILE:COLUMN.
    if not file.exists() and ":" in text:
        before, _, after = text.rpartition(":")
        file, column = Path(before), after
    if not file.exists():
        names = ", ".join(_DATA_SETS)
        raise FileNotFoundError(
            f"`--compare-to` must be one of {names}, or a file, FILE:COLUMN; got {text!r}."
        )
    found = gather(file, column, pool=pool)
    # Of a sample, pooling was decided when it was taken.
    pool = pool and not isinstance(found.weights, WeightSample)
    sample = weight_sample(found.weights, pool=pool, drop_missing=found.from_table)
    return found.name, sample


def _celegans() -> Any:
    from daleml.datasets import celegans

    return celegans().weights()


def _fly() -> Any:
    from daleml.datasets import fly_visual

    return fly_visual().weights()


def _kasthuri() -> Any:
    from daleml.datasets import kasthuri

    return kasthuri().values("psd_px", axon_type="E")


def _microns() -> Any:
    from daleml.datasets import microns_l23

    return microns_l23().values("spine_vol_um3")


_DATA_SETS: dict[str, tuple[str, Callable[[], Any]]] = {
    "celegans": ("C. elegans, EM sections", _celegans),
    "fly": ("fly visual system, synapse counts", _fly),
    "kasthuri": ("mouse cortex, excitatory PSD sizes (Kasthuri 2015)", _kasthuri),
    "microns": ("mouse cortex, spine volumes (MICrONS)", _microns),
}
