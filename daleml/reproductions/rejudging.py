"""Kept numbers judged again: by the claims as they stand in the code now, without a run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daleml.experiments.experiment import Experiment, Numbers
from daleml.reproductions.claim import Claim
from daleml.reproductions.sweep import Sweep, Swept, measure
from daleml.reproductions.verdict import judge


def rejudged(
    kept: Mapping[str, Any], claims: Sequence[Claim]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Judge what is kept by the present claims: their sentences, bounds, owners and notes.

    Args:
        kept: What is kept of a budget.
        claims: All claims, in the order of the papers.

    Returns:
        What is to be kept, in that order; and by the code of each claim that needs a run, why.
        What is kept of those stays as it was. Claims that are no more are left out.
    """
    budget = kept["budget"]
    earlier = {claim["id"]: claim for claim in kept["claims"]}
    listed, stale = [], {}
    for claim in claims:
        before = earlier.get(claim.id)
        why = needs_run(claim, before, budget)
        if why:
            stale[claim.id] = why
            if before is not None:
                listed.append(dict(before))
            continue
        listed.append(_judged(claim, before))
    return dict(kept) | {"claims": listed}, stale


def needs_run(claim: Claim, before: Mapping[str, Any] | None, budget: str) -> str:
    """Return why a claim cannot be judged by what is kept of it; nothing if it can.

    Args:
        claim: The claim.
        before: What is kept of it; None if nothing is.
        budget: The budget that it is kept of.
    """
    experiment = claim.experiment
    # What another budget alone tests has no seeds here.
    if experiment is None or not experiment.seeds[budget]:
        return ""
    if before is None:
        return "it was not run"
    if not before["measured"]:
        # Without its files it could not be run, which is no fault of what is kept.
        return "" if before.get("absent") else "it was not run"
    values = _values(before)
    missing = [check.number for check in claim.checks if check.number not in values]
    if missing:
        return f"nothing is kept of {', '.join(map(repr, missing))}"
    # Files that were written before settings were named have none.
    if before.get("settings") not in (None, experiment.digest(budget)):
        return "its settings are others now"
    # Seeds are planned before a run: another number of them is another plan.
    n_kept, n_seeds = _n_seeds(before), experiment.seeds[budget]
    if n_kept != n_seeds:
        return f"{n_kept} seeds are kept, and {n_seeds} are to be run"
    return ""


def redrawn(
    kept: Mapping[str, Any], sweeps: Sequence[Sweep]
) -> tuple[list[Swept], dict[str, str]]:
    """Read the figures of papers from what is kept of them.

    Args:
        kept: What is kept of a budget.
        sweeps: All figures, in the order of the papers.

    Returns:
        The figures; and by the name of each that needs a run, why.
    """
    budget = kept["budget"]
    earlier = {sweep["name"]: sweep for sweep in kept["sweeps"]}
    found, stale = [], {}
    for sweep in sweeps:
        before = earlier.get(sweep.name)
        if before is None:
            stale[sweep.name] = "it was not run"
            continue
        seeds = _seeds_of(sweep, before, budget)
        if seeds is None:
            stale[sweep.name] = "its curves or their values are others now"
            continue
        swept = measure(sweep, budget, _from(seeds))
        if swept is not None:
            found.append(swept)
    return found, stale


def _from(
    seeds: Mapping[str, list[Numbers]],
) -> Callable[[Experiment], list[Numbers]]:
    """Return what looks up the numbers of an experiment."""
    return lambda experiment: seeds[experiment.name]


def _judged(claim: Claim, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a claim as it is to be kept."""
    seeds: list[Numbers] = []
    if before is not None and before["measured"]:
        values = _values(before)
        for place in range(_n_seeds(before)):
            seeds.append({number: every[place] for number, every in values.items()})
    outcome = judge(claim, seeds)
    if before is None:
        return outcome.to_dict() | {"settings": None}
    outcome = dataclasses.replace(
        outcome, absent=before.get("absent", ""), minutes=before.get("minutes")
    )
    # What the run alone knows.
    own = {name: before.get(name) for name in ("settings", "machine")}
    return outcome.to_dict() | own


def _values(before: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return what every seed gave, by the name of the number."""
    found = {}
    for one in before["measured"]:
        # A number that could not be had is null in the file.
        values = [math.nan if value is None else value for value in one["values"]]
        found[one["number"]] = values
    return found


def _n_seeds(before: Mapping[str, Any]) -> int:
    return min(len(one["values"]) for one in before["measured"])


def _seeds_of(
    sweep: Sweep, before: Mapping[str, Any], budget: str
) -> dict[str, list[Numbers]] | None:
    """Return the numbers of every seed, by experiment; None if the curves are others now."""
    by_experiment: dict[str, list[Numbers]] = {}
    if len(before["panels"]) != len(sweep.panels):
        return None
    for panel, kept in zip(sweep.panels, before["panels"], strict=True):
        swept = panel.values(budget)
        seeds = by_experiment.setdefault(panel.experiment.name, [])
        curves = {curve["label"]: curve for curve in kept["curves"]}
        if curves.keys() != panel.curves.keys():
            return None
        for label, name in panel.curves.items():
            curve = curves[label]
            if tuple(curve["x"]) != swept:
                return None
            for place, values in enumerate(curve["values"]):
                if place == len(seeds):
                    seeds.append({})
                named = [name.format(x=x) for x in swept]
                seeds[place] |= dict(zip(named, values, strict=True))
    return by_experiment
