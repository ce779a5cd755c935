"""The founding claims of the field, each measured again by one command: ``daleml reproduce``.

================  ==============================================================================
``dann``          Cornford et al. 2021: networks under Dale's law that learn as well as others
``spectral``      Li et al. 2023: why column EI learns worse, told by singular values
``eg``            Cornford et al. 2024: exponentiated gradient keeps signs and log-normal weights
``geometry``      Pogodin et al. 2024: the geometry of plasticity, read off the change of weights
``regimes``       Liu et al. 2024: the rank of the start makes learning rich or lazy
``oja``           Shervani-Tabar et al. 2024: Oja's rule beside learning from errors
``equilibrium``   Laborieux & Zenke 2022: exact gradients from oscillations of a network
``evolution``     Hazelden et al. 2023: evolution of networks of biophysical neurons
``interneurons``  Garcia del Molino et al. 2017: E, PV, SST and VIP, and what VIP does to SST
``synapses``      Masse et al. 2019: synapses that hold a memory which activity does not
``decision``      Song, Yang & Wang 2016: circuits of E and I units that learn to decide
================  ==============================================================================

A new paper is a folder in :mod:`daleml.reproductions.papers`, with its networks, its
experiments and its claims, and a row of the table there. What papers share lies here:

=====================  =========================================================================
``claim``              a claim as a value: an experiment, what is expected of it, and whose it is
``verdict``            whether a claim holds, computed from all seeds by one rule
``power``              how many seeds decide, and the smallest effect that some decide
``prospects``          what some seeds can decide about one expectation
``pilot``              what the quick run gave, by which the seeds of longer ones are planned
``seed_plan``          what the seeds of a budget can decide, before any of them is run
``sweep``              figures of papers: numbers against a swept parameter
``running_claims``     run the experiments behind some claims where seeds are missing; judge
``absent_files``       what to tell where files that an experiment needs are absent
``kept_claims``        the results that ship, a file for each budget, into which runs are merged
``rejudging``          kept numbers judged by the present claims, without a run
``owner_counts``       how many claims hold, apart by whose they are
``definitions``        the words in which claims are judged
``claim_documents``    the pages of claims on the site, of ``claim_sections``, ``claim_figures``
``tables``             the tables of claims in the README and the docs
``harness``            arms that learn from images
``validation_choice``  the choice of learning rates by validation, one rule for all papers
``digit_networks``     networks that tell digits apart, at once or row by row
=====================  =========================================================================

How experiments are run, kept and resumed is the same for any study: see
:mod:`daleml.experiments`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from daleml.reproductions import papers
from daleml.reproductions.claim import (
    AGAINST,
    BOUND_OWNERS,
    BUDGETS,
    BY_CONSTRUCTION,
    CLAIM_OWNERS,
    OURS,
    PAPER_DIRECTION,
    PAPER_NUMBER,
    RELEASED_CODE,
    THE_PAPERS,
    Check,
    Claim,
    Experiment,
    Paper,
)
from daleml.reproductions.running_claims import Reproduction, reproduce
from daleml.reproductions.sweep import Panel, Sweep, Swept
from daleml.reproductions.verdict import Outcome, judge

__all__ = [
    "AGAINST",
    "BOUND_OWNERS",
    "BUDGETS",
    "BY_CONSTRUCTION",
    "CLAIM_OWNERS",
    "OURS",
    "PAPER_DIRECTION",
    "PAPER_NUMBER",
    "RELEASED_CODE",
    "THE_PAPERS",
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
        names: Names of papers and claims, such as ``["dann", "3b"]``.

    Returns:
        The claims, in the order of the papers, each once.

    Raises:
        ValueError: If a name is neither that of a paper nor that of a claim.

    Example:
        >>> [claim.id for claim in find(["geometry", "3b"])]
        ['3b', '4a', '4b', '4c', '4d', '4e', '4f']
    """
    listed: list[Claim] = []
    for paper in papers.all_papers():
        listed += paper.claims
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
    """Return the names most like one that is not known: those that begin like it come first."""

    def likeness(other: str) -> tuple[bool, float]:
        return name[:1] == other[:1], difflib.SequenceMatcher(None, name, other).ratio()

    return sorted(known, key=likeness, reverse=True)[:most]


def sweeps_of(claims: Sequence[Claim]) -> list[Sweep]:
    """Return the figures of every paper all of whose claims are among these.

    Args:
        claims: The claims that are asked for.

    Returns:
        The figures, in the order of the papers.

    Example:
        >>> [sweep.name for sweep in sweeps_of(find(["oja", "h1"]))]
        ['depth']
    """
    asked = {claim.id for claim in claims}
    found: list[Sweep] = []
    for paper in papers.all_papers():
        if asked >= {claim.id for claim in paper.claims}:
            found += paper.sweeps
    return found
