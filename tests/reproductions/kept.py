"""Made-up claims as files keep them, and the papers that they are of."""

from daleml.reproductions import Claim, Paper
from tests.reproductions.toys import claim, experiment

MACHINE = {"processor": "abacus", "commit": "1111111", "torch": "2"}
OTHER = {"processor": "slide rule", "commit": "2222222"}


def check(**words):
    """Return a check as a file keeps it."""
    usual = {
        "number": "gap",
        "label": "log |gap|",
        "expected": "at least 0",
        "at_least": 0.0,
        "at_most": None,
        "no_effect": 0.0,
        "owner": "the paper's direction",
        "by_construction": False,
        "verdict": "holds",
        "mean": 2.0,
        "low": 1.0,
        "high": 3.0,
        "smallest_effect": 0.5,
        "seeds_needed": 4,
        "values": [1.5, 2.0, 2.5],
    }
    return usual | words


def kept_claim(code="9a", *checks, **words):
    """Return a claim as a file keeps it."""
    usual = {
        "id": code,
        "paper": "toy",
        "sentence": "There is a gap.",
        "source": "figure 1",
        "owner": "the paper's",
        "verdict": "holds",
        "absent": "",
        "note": "Smaller than theirs.",
        "earlier": "",
        "tried": "",
        "minutes": None,
        "machine": MACHINE,
        "measured": list(checks) or [check()],
    }
    return usual | words


def untested(code="9z", **words):
    """Return a claim that nothing measures, as a file keeps it."""
    return kept_claim(code, verdict="not tested", **words) | {"measured": []}


def file_of(*claims, budget="quick", **words):
    """Return what a file of a budget holds."""
    return {"budget": budget, "claims": list(claims), "sweeps": []} | words


def paper(*claims, name="toy"):
    """Return a paper, of claims that say nothing where none are given."""
    said = claims or (Claim("9a", "Said.", "nowhere", None, note="No data."),)
    return Paper(name, "N. Body & A. N. Other (1900) On nothing", said)


def measured_claim(**options):
    """Return a claim of a toy experiment whose every budget has other settings."""
    return claim(of=experiment(**options))
