"""The founding claims of the field, each measured again by one command: ``daleml reproduce``.

===============  ===================================================================================================
``dann``         Cornford et al. 2021: networks under Dale's law that learn as well as those without
``spectral``     Li et al. 2023: why column EI learns worse, told by singular values
``eg``           Cornford et al. 2024: exponentiated gradient keeps signs and log-normal weights, and learns as well
``geometry``     Pogodin et al. 2024: the geometry of plasticity can be read off the change of the weights
``regimes``      Liu et al. 2024: how the rank of the initial connectivity makes learning rich or lazy
``oja``          Shervani-Tabar et al. 2024: Oja's rule beside learning from errors
``equilibrium``  Laborieux & Zenke 2022: exact gradients from oscillations of a network that settles
``evolution``    Hazelden et al. 2023: evolution of networks of biophysical neurons
===============  ===================================================================================================

A claim is a value: see :mod:`daleml.reproductions.claim`. Its verdict is computed from all
seeds by one rule, see :mod:`daleml.reproductions.verdict`; nothing is typed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from daleml.reproductions import papers
from daleml.reproductions.claim import BUDGETS, Check, Claim, Experiment, Paper
from daleml.reproductions.running_claims import Reproduction, reproduce
from daleml.reproductions.sweep import Panel, Sweep, Swept
from daleml.reproductions.verdict import Outcome, judge

__all__ = [
    "BUDGETS",
    "Check",
    "Claim",
    "Experiment",
    "Outcome",
    "Panel",
    "Paper",
    "Reproduction",
    "Sweep",
    "Swept",
    "find",
    "judge",
    "papers",
    "reproduce",
    "sweeps_of",
]


def find(names: Sequence[str] = ()) -> list[Claim]:
    """Return claims by the names of papers or their own, in order; without names, all.

    Args:
        names: Such as ``["dann", "3b"]``.

    Raises:
        ValueError: If there is no paper and no claim of a name.
    """
    listed = [claim for paper in papers.all_papers() for claim in paper.claims]
    known = {claim.id for claim in listed} | {claim.paper for claim in listed}
    for name in names:
        if name.lower() not in known:
            ids = f"{listed[0].id} to {listed[-1].id}"
            meant = ", ".join(_nearest(name.lower(), sorted(known)))
            raise ValueError(
                f"`claims` must name papers ({', '.join(papers.FOLDERS)}) or claims ({ids}); got"
                f" {name!r}. The nearest names are {meant}."
            )
    wanted = {name.lower() for name in names}
    return [claim for claim in listed if not wanted or {claim.id, claim.paper} & wanted]


def _nearest(name: str, known: Sequence[str], most: int = 3) -> list[str]:
    """Return the names most like one that is not known.

    First those that begin alike, then those spelt alike.
    """

    def likeness(other: str) -> tuple[bool, float]:
        return name[:1] == other[:1], difflib.SequenceMatcher(None, name, other).ratio()

    return sorted(known, key=likeness, reverse=True)[:most]


def sweeps_of(claims: Sequence[Claim]) -> list[Sweep]:
    """Return the figures of every paper all of whose claims are among these."""
    asked = {claim.id for claim in claims}
    return [
        sweep
        for paper in papers.all_papers()
        for sweep in paper.sweeps
        if asked >= {claim.id for claim in paper.claims}
    ]
