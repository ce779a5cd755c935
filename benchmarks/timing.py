"""A case is timed beside its baseline: in turns, in one process, as the median of the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Something that daleml does, and what it is measured against.

    Attributes:
        name: What is measured.
        against: What it is measured against.
        setup: Returns two calls, of the case and of its baseline.
        rounds: How many times both are called.
    """

    name: str
    against: str
    setup: Callable[[], tuple[Callable[[], object], Callable[[], object]]]
    rounds: int = 15
    clock: Callable[[], float] = time.perf_counter
    """For calls on one thread its processor time, which other programs hardly change."""


@dataclass(frozen=True)
class Timing:
    """What was measured of a case.

    Attributes:
        name: What was measured.
        against: What it was measured against.
        ratio: The median of the rounds' own ratios.
        low: Their lower quartile.
        high: Their upper quartile.
        seconds: The median of the case; it drifts with the machine.
        baseline_seconds: The median of its baseline.
    """

    name: str
    against: str
    ratio: float
    low: float
    high: float
    seconds: float
    baseline_seconds: float


def measure(case: Case) -> Timing:
    """Time a case and its baseline in turns, after one unmeasured turn each."""
    ours, baseline = case.setup()
    ours()
    baseline()
    pairs = []
    for i in range(case.rounds):
        # Whoever is second may find a warmer cache, or a hotter processor.
        order = (ours, baseline) if i % 2 else (baseline, ours)
        took = {call: _seconds(call, case.clock) for call in order}
        pairs.append((took[ours], took[baseline]))
    ratios = sorted(one / other for one, other in pairs)
    return Timing(
        case.name,
        case.against,
        statistics.median(ratios),
        ratios[len(ratios) // 4],
        ratios[-1 - len(ratios) // 4],
        statistics.median(one for one, _ in pairs),
        statistics.median(other for _, other in pairs),
    )


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
