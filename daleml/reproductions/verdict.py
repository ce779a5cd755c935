"""The verdict on a claim, from the numbers of all seeds, by one rule for every claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml.experiments.experiment import Numbers
from daleml.experiments.seed_intervals import mean_interval as mean_interval
from daleml.reproductions.claim import Check, Claim

HOLDS = "holds"
FAILS = "does not hold"
CANNOT_TELL = "cannot tell"
NOT_TESTED = "not tested"

RULE = (
    "A claim holds if, for each thing it expects, the whole 95 % bootstrap interval of the"
    " mean over seeds lies where it should; it does not hold if for one of them the whole"
    " interval lies elsewhere; otherwise the seeds cannot tell."
)
"""How a verdict is reached, in words."""


@dataclass(frozen=True)
class Measured:
    """One expectation of a claim beside what was measured.

    Attributes:
        check: The expectation.
        values: One value per seed, in the seeds' order.
        mean: The mean of the values.
        low: The lower end of the 95 % interval of the mean.
        high: The upper end.
        verdict: ``"holds"``, ``"does not hold"`` or ``"cannot tell"``.
    """

    check: Check
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        check = self.check
        return {
            "number": check.number,
            "label": check.label,
            "expected": check.bound(),
            "at_least": check.at_least,
            "at_most": check.at_most,
            "no_effect": check.no_effect,
            "owner": check.owner,
            "by_construction": check.by_construction,
            "verdict": self.verdict,
            "mean": _plain(self.mean),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "values": [_plain(value) for value in self.values],
        }


@dataclass(frozen=True)
class Outcome:
    """A claim with its verdict.

    Attributes:
        claim: The claim.
        measured: What was measured, one per expectation.
        verdict: The verdict on the whole claim.
        absent: Which file is not on this machine, where that is why it was not tested.
        minutes: Processor minutes that all seeds of its experiment took together; None where
            nobody took the time.

    Example:
        >>> from daleml.reproductions import Claim, judge
        >>> claim = Claim("9a", "Nobody knows.", "nowhere", None, note="Not tested: no data.")
        >>> outcome = judge(claim, [])
        >>> outcome.verdict, outcome.to_dict()["measured"]
        ('not tested', [])
    """

    claim: Claim
    measured: tuple[Measured, ...]
    verdict: str
    absent: str = ""
    minutes: float | None = None

    @property
    def excludes_no_effect(self) -> bool:
        """Whether every interval leaves out the value of no effect."""
        for one in self.measured:
            no_effect = one.check.no_effect
            if no_effect is not None and one.low <= no_effect <= one.high:
                return False
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        claim = self.claim
        experiment = claim.experiment
        return {
            "id": claim.id,
            "paper": claim.paper,
            "sentence": claim.sentence,
            "source": claim.source,
            "owner": claim.owner,
            "verdict": self.verdict,
            "absent": self.absent,
            "excludes_no_effect": self.excludes_no_effect if self.measured else None,
            "note": claim.note,
            "earlier": claim.earlier,
            "tried": claim.tried,
            "experiment": None if experiment is None else experiment.name,
            "minutes": self.minutes,
            "measured": [one.to_dict() for one in self.measured],
        }


def judge(claim: Claim, seeds: Sequence[Numbers]) -> Outcome:
    """Judge a claim by the numbers of every seed.

    Args:
        claim: The claim.
        seeds: What its experiment measured, one mapping per seed.

    Returns:
        The claim with its verdict; without an experiment or seeds, it is not tested.

    Raises:
        KeyError: If a seed lacks a number that the claim expects.

    Example:
        >>> from daleml.reproductions import Check, Claim, Experiment
        >>> experiment = Experiment("toy", lambda seed, settings: {}, {}, {})
        >>> check = Check("gap", "gap between the arms", at_least=0.0)
        >>> claim = Claim("9a", "There is a gap.", "nowhere", experiment, (check,))
        >>> judge(claim, [{"gap": 1.0}, {"gap": 2.0}]).verdict
        'holds'
        >>> judge(claim, [{"gap": -1.0}, {"gap": 2.0}]).verdict
        'cannot tell'
    """
    if claim.experiment is None or not seeds:
        return Outcome(claim, (), NOT_TESTED)
    measured = []
    for check in claim.checks:
        values = [numbers[check.number] for numbers in seeds]
        measured.append(measure(check, values))
    verdicts = {one.verdict for one in measured}
    # One expectation that fails decides; then, one of which the seeds cannot tell.
    verdict = HOLDS
    for worse in (FAILS, CANNOT_TELL):
        if worse in verdicts:
            verdict = worse
            break
    return Outcome(claim, tuple(measured), verdict)


def measure(check: Check, values: Sequence[float]) -> Measured:
    """Compare the values of all seeds with an expectation.

    Args:
        check: What is expected.
        values: The number that it is expected of, one value per seed.
    """
    low, high = mean_interval(values)
    least = -math.inf if check.at_least is None else check.at_least
    most = math.inf if check.at_most is None else check.at_most
    if not all(math.isfinite(value) for value in values):
        # A number that could not be had supports nothing.
        verdict = FAILS
    elif least <= low and high <= most:
        verdict = HOLDS
    elif high < least or low > most:
        verdict = FAILS
    else:
        verdict = CANNOT_TELL
    return Measured(check, tuple(values), float(np.mean(values)), low, high, verdict)


def _plain(value: float) -> float | None:
    # JSON has neither NaN nor infinity.
    return float(value) if math.isfinite(value) else None
