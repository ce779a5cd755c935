"""From the numbers of all seeds to a verdict, by one rule for every claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml.reproductions.claim import Check, Claim, Numbers

HOLDS, FAILS, CANNOT_TELL, NOT_TESTED = (
    "holds",
    "does not hold",
    "cannot tell",
    "not tested",
)
RULE = (
    "A claim holds if, for each thing it expects, the whole 95 % bootstrap interval of the"
    " mean over seeds lies where it should; it does not hold if for one of them the whole"
    " interval lies elsewhere; otherwise the seeds cannot tell."
)
_RESAMPLES = 10_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Measured:
    """One expectation of a claim beside what was measured.

    Attributes:
        check: The expectation.
        values: One a seed, in the seeds' order.
        mean: Of the values.
        low: Lower end of the interval of the mean.
        high: Upper end.
        verdict: ``"holds"``, ``"does not hold"`` or ``"cannot tell"``.
    """

    check: Check
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Outcome:
    """A claim with its verdict.

    Attributes:
        claim: The claim.
        measured: One an expectation.
        verdict: Of the whole claim.
    """

    claim: Claim
    measured: tuple[Measured, ...]
    verdict: str

    @property
    def excludes_no_effect(self) -> bool:
        """Whether every interval leaves out the value of no effect."""
        return all(
            one.check.no_effect is None
            or not one.low <= one.check.no_effect <= one.high
            for one in self.measured
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        claim = self.claim
        return {
            "id": claim.id,
            "paper": claim.paper,
            "sentence": claim.sentence,
            "source": claim.source,
            "verdict": self.verdict,
            "excludes_no_effect": self.excludes_no_effect if self.measured else None,
            "note": claim.note,
            "measured": [
                {
                    "number": one.check.number,
                    "label": one.check.label,
                    "expected": one.check.bound(),
                    "at_least": one.check.at_least,
                    "at_most": one.check.at_most,
                    "no_effect": one.check.no_effect,
                    "verdict": one.verdict,
                    "mean": _plain(one.mean),
                    "low": _plain(one.low),
                    "high": _plain(one.high),
                    "values": [_plain(value) for value in one.values],
                }
                for one in self.measured
            ],
        }


def judge(claim: Claim, seeds: Sequence[Numbers]) -> Outcome:
    """Judge a claim by the numbers of every seed.

    Raises:
        KeyError: If a seed lacks a number that the claim expects.
    """
    if claim.experiment is None or not seeds:
        return Outcome(claim, (), NOT_TESTED)
    measured = tuple(
        measure(check, [numbers[check.number] for numbers in seeds])
        for check in claim.checks
    )
    verdicts = {one.verdict for one in measured}
    verdict = (
        FAILS
        if FAILS in verdicts
        else CANNOT_TELL
        if CANNOT_TELL in verdicts
        else HOLDS
    )
    return Outcome(claim, measured, verdict)


def measure(check: Check, values: Sequence[float]) -> Measured:
    """Compare the values of all seeds with an expectation."""
    low, high = mean_interval(values)
    least = -math.inf if check.at_least is None else check.at_least
    most = math.inf if check.at_most is None else check.at_most
    if any(not math.isfinite(value) for value in values):
        verdict = FAILS  # a number that was not to be had is no support
    elif least <= low and high <= most:
        verdict = HOLDS
    elif high < least or low > most:
        verdict = FAILS
    else:
        verdict = CANNOT_TELL
    return Measured(check, tuple(values), float(np.mean(values)), low, high, verdict)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean; of one value, the value itself."""
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or np.ptp(array) == 0 or not np.isfinite(array).all():
        return float(array.mean()), float(array.mean())
    drawn = (
        np.random.default_rng(0).choice(array, (_RESAMPLES, array.size)).mean(axis=1)
    )
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
