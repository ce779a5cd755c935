"""The plan of a run: what the seeds of a budget can decide, before any of them is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daleml._support.student_intervals import LEVEL
from daleml.reproductions.claim import Check, Claim
from daleml.reproductions.pilot import Pilot, known_pilots
from daleml.reproductions.power import POWER
from daleml.reproductions.prospects import Prospect, prospect


@dataclass(frozen=True)
class Planned:
    """One expectation of a claim, and what its seeds can decide.

    Attributes:
        claim: The claim.
        check: The expectation.
        seeds: How many seeds the budget runs.
        pilot: What a quick run gave; None if there was none of this number.
        prospect: What the seeds decide if mean and spread are the pilot's; None without one.
    """

    claim: Claim
    check: Check
    seeds: int
    pilot: Pilot | None
    prospect: Prospect | None

    @property
    def suffices(self) -> bool:
        """Whether the seeds decide in four runs of five; True where there was no pilot."""
        return self.prospect is None or self.prospect.power >= POWER


def plan(
    claims: Sequence[Claim],
    budget: str,
    pilots: Mapping[str, Mapping[str, Pilot]] | None = None,
) -> list[Planned]:
    """Return what the seeds of a budget can decide about each expectation of some claims.

    Args:
        claims: The claims.
        budget: ``"quick"``, ``"paper"`` or ``"long"``.
        pilots: By claim and number; default: those that the package ships.

    Example:
        >>> from daleml.reproductions import find
        >>> from daleml.reproductions.pilot import Pilot
        >>> claims, pilots = find(["n6"]), {"n6": {"model_SST_0": Pilot(-1.0, 2.0, 5)}}
        >>> first = plan(claims, "paper", pilots)[0]
        >>> first.prospect.distance, first.prospect.seeds_needed
        (1.0, 34)
    """
    known = known_pilots() if pilots is None else pilots
    planned = []
    for claim in claims:
        if claim.experiment is None:
            continue
        own = known.get(claim.id, {})
        seeds = claim.experiment.seeds[budget]
        level = _fail_level(claim, own)
        for check in claim.checks:
            pilot = own.get(check.number)
            expected = None
            if pilot is not None:
                mean, sd = pilot.mean, pilot.sd
                expected = prospect(check, mean, sd, seeds, fail_level=level)
            planned.append(Planned(claim, check, seeds, pilot, expected))
    return planned


def planned_minutes(claims: Sequence[Claim], budget: str) -> float:
    """Return about how many processor minutes the experiments of some claims take.

    Args:
        claims: The claims, which may share experiments.
        budget: ``"quick"``, ``"paper"`` or ``"long"``.
    """
    experiments = {
        claim.experiment.name: claim.experiment for claim in claims if claim.experiment
    }
    return math.fsum(
        one.seeds[budget] * one.minutes.get(budget, 0.0) for one in experiments.values()
    )


def _fail_level(claim: Claim, own: Mapping[str, Pilot]) -> float:
    """Return the level at which an expectation fails, as a verdict has it."""
    spreads = [own[check.number].sd for check in claim.checks if check.number in own]
    n_varying = sum(sd > 0 for sd in spreads)
    return 1 - (1 - LEVEL) / max(n_varying, 1)
