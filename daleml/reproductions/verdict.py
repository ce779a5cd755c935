"""The verdict on a claim, from the numbers of all seeds, by one rule for every claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daleml._support.student_intervals import LEVEL
from daleml.experiments.experiment import Numbers
from daleml.experiments.seed_intervals import mean_interval as mean_interval
from daleml.reproductions.claim import Check, Claim
from daleml.reproductions.power import MOST_SEEDS
from daleml.reproductions.prospects import Prospect, prospect, standard_deviation

HOLDS = "holds"
FAILS = "does not hold"
CANNOT_TELL = "cannot tell"
NOT_TESTED = "not tested"

UNKNOWN = 0
"""A number of seeds that nobody worked out, as in results of an earlier version."""

RULE = (
    "A claim holds if, for each thing it expects, the whole 95 % interval of the mean over seeds"
    " (Student's t) lies where it should. It does not hold if for one of them the whole interval"
    " lies elsewhere; of a claim that expects several things, that interval is wider, of 100 % -"
    " 5 % / m for m numbers that vary between seeds, so that many chances to fail by chance do"
    " not add up. Otherwise the seeds cannot tell, and the number that would is named. Where all"
    " seeds give one number, that number is its own interval; one seed alone cannot tell."
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
        fail_level: How often the interval covers the mean that has to lie elsewhere for it not
            to hold.
    """

    check: Check
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    verdict: str
    fail_level: float = LEVEL

    @property
    def prospect(self) -> Prospect:
        """What so many seeds decide, and how many would, if a run were to begin now."""
        return prospect(
            self.check,
            self.mean,
            standard_deviation(self.values),
            len(self.values),
            fail_level=self.fail_level,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        check = self.check
        found = self.prospect
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
            "sd": _plain(standard_deviation(self.values)),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "fail_level": self.fail_level,
            "distance": _plain(found.distance),
            "smallest_effect": _plain(found.smallest_effect),
            "power": _plain(found.power),
            "seeds_needed": found.seeds_needed,
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
        >>> judge(claim, [{"gap": 1.0}, {"gap": 1.1}]).verdict
        'holds'
        >>> judge(claim, [{"gap": 1.0}, {"gap": 2.0}]).verdict
        'cannot tell'
    """
    if claim.experiment is None or not seeds:
        return Outcome(claim, (), NOT_TESTED)
    columns = [[numbers[check.number] for numbers in seeds] for check in claim.checks]
    # A number that is the same for all seeds cannot fail by chance.
    n_varying = sum(standard_deviation(values) > 0 for values in columns)
    measured = []
    for check, values in zip(claim.checks, columns, strict=True):
        measured.append(measure(check, values, n_varying))
    verdicts = {one.verdict for one in measured}
    # One expectation that fails decides; then, one of which the seeds cannot tell.
    verdict = HOLDS
    for worse in (FAILS, CANNOT_TELL):
        if worse in verdicts:
            verdict = worse
            break
    return Outcome(claim, tuple(measured), verdict)


def measure(check: Check, values: Sequence[float], n_varying: int = 1) -> Measured:
    """Compare the values of all seeds with an expectation.

    Args:
        check: What is expected.
        values: The number that it is expected of, one value per seed.
        n_varying: How many numbers of the claim vary between seeds. Each may fail by chance, and
            one of them is enough for the claim to fail: to fail, each has to do so at a level of
            :math:`1 - 0.05 / m`, after Bonferroni. To hold takes all of them at once, which
            chance does not make more likely.
    """
    low, high = mean_interval(values)
    fail_level = 1 - (1 - LEVEL) / max(n_varying, 1)
    widest = mean_interval(values, fail_level)
    least = -math.inf if check.at_least is None else check.at_least
    most = math.inf if check.at_most is None else check.at_most
    if not all(math.isfinite(value) for value in values):
        # A number that could not be had supports nothing.
        verdict = FAILS
    elif least <= low and high <= most and not _is_nothing(check, low, high):
        verdict = HOLDS
    elif widest[1] < least or widest[0] > most or _is_nothing(check, *widest):
        verdict = FAILS
    else:
        verdict = CANNOT_TELL
    mean = float(np.mean(values))
    return Measured(check, tuple(values), mean, low, high, verdict, fail_level)


def _is_nothing(check: Check, low: float, high: float) -> bool:
    """Whether all seeds gave exactly no effect, where the bound is that there is one."""
    bounds = (check.at_least, check.at_most)
    return low == high == check.no_effect and check.no_effect in bounds


def in_words(verdict: str, seeds_needed: int | None) -> str:
    """Say a verdict, and of "cannot tell" how many seeds would.

    Args:
        verdict: The verdict on one expectation.
        seeds_needed: How many seeds decide in four runs of five, if the mean and the spread are
            those that were measured; None if :data:`~daleml.reproductions.power.MOST_SEEDS` are
            too few.

    Example:
        >>> in_words("cannot tell", 23), in_words("holds", 2)
        ('cannot tell; about 23 seeds would', 'holds')
    """
    if verdict != CANNOT_TELL or seeds_needed == UNKNOWN:
        return verdict
    if seeds_needed is None:
        return f"{verdict}; {seeds_in_words(None)} would"
    return f"{verdict}; about {seeds_needed:,} seeds would"


def seeds_in_words(seeds_needed: int | None) -> str:
    """Say how many seeds are needed; more than anyone counts where the mean is at a bound.

    Args:
        seeds_needed: How many; None if :data:`~daleml.reproductions.power.MOST_SEEDS` are too
            few.

    Example:
        >>> seeds_in_words(34), seeds_in_words(None)
        ('34', 'more than 1,000,000')
    """
    return f"more than {MOST_SEEDS:,}" if seeds_needed is None else f"{seeds_needed:,}"


def _plain(value: float) -> float | None:
    # JSON has neither NaN nor infinity.
    return float(value) if math.isfinite(value) else None
