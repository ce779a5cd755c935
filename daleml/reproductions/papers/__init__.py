"""One folder per paper: its networks, its experiments, its claims.

A new paper is a folder here with these three files, and a row in ``FOLDERS``:

``networks``     what is built
``experiments``  what is run once per seed, and which numbers come out
``claims``       what the paper says, as bounds on those numbers, and ``PAPER``
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from daleml.reproductions.claim import Paper

FOLDERS = {
    "dann": "dann_cornford2021",
    "spectral": "spectra_li2023",
    "eg": "eg_cornford2024",
    "geometry": "geometry_pogodin2024",
    "regimes": "regimes_liu2024",
    "oja": "oja_shervanitabar2024",
    "equilibrium": "equilibrium_laborieux2022",
    "evolution": "evolution_hazelden2023",
    "interneurons": "interneurons_garciadelmolino2017",
    "synapses": "synapses_masse2019",
    "decision": "decision_song2016",
}
"""The name of each paper on the command line, and its folder."""


def all_papers() -> tuple[Paper, ...]:
    """Return the papers with their claims."""
    names = [f"{__name__}.{folder}.claims" for folder in FOLDERS.values()]
    return tuple(importlib.import_module(name).PAPER for name in names)


class _Papers(ModuleType):
    """This folder. It can be called, as ``papers()`` was a function in the first edition."""

    def __call__(self) -> tuple[Paper, ...]:
        return all_papers()


sys.modules[__name__].__class__ = _Papers
