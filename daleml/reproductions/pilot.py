"""The pilot: what a quick run gave, by which the seeds of longer runs are planned.

``python -m daleml.reproductions --pilot docs/claims.json`` writes it from a run's claims. The
seeds of a pilot are never judged with those of the run that it planned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from daleml.reproductions.prospects import standard_deviation

FILE = "pilot.json"
"""The file in this package."""


class Pilot(NamedTuple):
    """What a quick run gave for one expectation.

    Attributes:
        mean: The mean over its seeds.
        sd: Their standard deviation; NaN if it had one seed, or a value is not finite.
        seeds: How many there were.
    """

    mean: float
    sd: float
    seeds: int


def pilot_of(found: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the means and the spreads of a run, by claim and number, ready for JSON.

    Args:
        found: What ``claims.json`` of the run holds.

    Returns:
        By claim and by number its ``mean``, ``sd`` and ``seeds``, where it has a spread.
    """
    pilots: dict[str, dict[str, dict[str, Any]]] = {}
    for claim in found["claims"]:
        own = {}
        for one in claim["measured"]:
            values = [value for value in one["values"] if value is not None]
            sd = standard_deviation(values)
            # A number that a seed could not give, and one seed alone, plan nothing.
            if sd == sd and len(values) == len(one["values"]):
                number = {"mean": one["mean"], "sd": sd, "seeds": len(values)}
                own[one["number"]] = number
        if own:
            pilots[claim["id"]] = own
    return pilots


@cache
def known_pilots() -> Mapping[str, Mapping[str, Pilot]]:
    """Return the pilots that the package ships, by claim and number."""
    path = resources.files("daleml.reproductions") / FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        claim: {name: Pilot(**pilot) for name, pilot in numbers.items()}
        for claim, numbers in content.items()
    }
