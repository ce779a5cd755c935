"""An experiment: a function of a seed and of settings, with its seeds and settings by budget."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

BUDGETS = ("quick", "paper", "long")
"""How much time an experiment may take: minutes, about an hour, a night."""

FIRST_SEEDS = {"quick": 0, "paper": 1_000, "long": 2_000}
"""The first seed of each budget: no budget sees a seed by which another one was planned."""

Numbers: TypeAlias = dict[str, float]
"""What one run measured, by name."""

Settings: TypeAlias = Mapping[str, Any]
"""What one run is given, by name."""


@dataclass(frozen=True)
class Experiment:
    """Something to run once per seed; several claims may read its numbers.

    Attributes:
        name: Short, for the journal.
        run: Takes a seed and the settings, and returns every number that a claim reads, and
            others worth keeping. It draws all chance from the seed, and computes on one thread.
        settings: By budget, what ``run`` is given: plain values, ready for JSON.
        seeds: By budget, how many seeds are run.
        minutes: By budget, about how long a seed takes on one core; long ones are begun first.
        absent: Returns a sentence that says which file is not on this machine and how to get it,
            or nothing where all are there; None for an experiment that needs no files.
        absent_at: The budgets whose settings need these files.

    Example:
        >>> def mean_of_squares(seed, settings):
        ...     return {"mean": sum((seed + i) ** 2 for i in range(settings["n"]))}
        >>> experiment = Experiment(
        ...     "squares", mean_of_squares, settings={"quick": {"n": 3}}, seeds={"quick": 2}
        ... )
        >>> experiment.run(1, experiment.settings["quick"])
        {'mean': 14}
        >>> experiment.digest("quick")
        '389d42d9a576'
    """

    name: str
    run: Callable[[int, Settings], Numbers] = field(repr=False)
    settings: Mapping[str, Settings]
    seeds: Mapping[str, int]
    minutes: Mapping[str, float] = field(default_factory=dict)
    absent: Callable[[], str | None] | None = field(default=None, repr=False)
    absent_at: tuple[str, ...] = field(default=BUDGETS, repr=False)

    def seed_numbers(self, budget: str) -> range:
        """Return the seeds that are run at a budget; no two budgets share one.

        Args:
            budget: The budget whose seeds are meant.
        """
        first = FIRST_SEEDS.get(budget, 0)
        return range(first, first + self.seeds[budget])

    def absence(self, budget: str) -> str:
        """Return which file it needs and lacks on this machine; nothing if it lacks none.

        Args:
            budget: The budget whose settings are meant.
        """
        if self.absent is None or budget not in self.absent_at:
            return ""
        return self.absent() or ""

    def digest(self, budget: str) -> str:
        """Return a short name of the settings: results of other settings are other results.

        Args:
            budget: The budget whose settings are meant.
        """
        # Sorted: the order of the settings does not make other results.
        text = json.dumps(self.settings[budget], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
