"""What a paper claims, as something that can be measured.

An experiment, and what is expected of its numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from daleml.experiments.journal import Numbers as Numbers

if TYPE_CHECKING:
    from daleml.reproductions.sweep import Sweep

BUDGETS = ("quick", "paper", "long")

Settings: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Experiment:
    """Something to run once a seed; several claims may read its numbers.

    Attributes:
        name: Short, for the journal.
        run: Takes a seed and the settings, and returns every number that a claim reads, and
            others worth keeping. It draws all chance from the seed, and computes on one thread.
        settings: By budget, what ``run`` is given: plain values, ready for JSON.
        seeds: By budget, how many.
        minutes: By budget, about how long a seed takes on one core; long ones are begun first.
    """

    name: str
    run: Callable[[int, Settings], Numbers] = field(repr=False)
    settings: Mapping[str, Settings]
    seeds: Mapping[str, int]
    minutes: Mapping[str, float] = field(default_factory=dict)

    def digest(self, budget: str) -> str:
        """Return a short name of the settings: results of other settings are other results."""
        text = json.dumps(self.settings[budget], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Check:
    """What is expected of one number, averaged over seeds.

    Attributes:
        number: Its name among those that the experiment returns.
        label: What it is, with its unit, as a reader would say it.
        at_least: The least that the claim allows, if it does.
        at_most: The most.
        no_effect: What the number would be if there were nothing to the claim; None where that
            has no meaning, as for an identity.
    """

    number: str
    label: str
    at_least: float | None = None
    at_most: float | None = None
    no_effect: float | None = None

    def bound(self) -> str:
        """Return the expectation in words."""
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"{self.at_least:g} to {self.at_most:g}"


@dataclass(frozen=True)
class Claim:
    """A claim of a paper.

    Attributes:
        id: Number of the paper and a letter: ``"1a"``.
        sentence: What is claimed, in one sentence.
        source: Where: paper, figure, section or file.
        experiment: What measures it; None if it cannot be, and ``note`` says why.
        checks: What is expected. The claim holds if all of it does.
        note: Where setting or bound depart from the paper's, why, and what was tried.
        paper: Short name of the paper: ``"dann"``. Its :class:`Paper` writes it.
    """

    id: str
    sentence: str
    source: str
    experiment: Experiment | None
    checks: tuple[Check, ...] = ()
    note: str = ""
    paper: str = ""


@dataclass(frozen=True)
class Paper:
    """A paper and its claims.

    Attributes:
        name: Short, as typed on the command line.
        citation: Authors, year, title, where.
        claims: In order.
        sweeps: Figures of their own, drawn where all its claims are asked for.
    """

    name: str
    citation: str
    claims: tuple[Claim, ...]
    sweeps: tuple[Sweep, ...] = ()

    def __post_init__(self) -> None:
        for name in ("claims", "sweeps"):
            own = tuple(
                dataclasses.replace(one, paper=self.name) for one in getattr(self, name)
            )
            object.__setattr__(self, name, own)
