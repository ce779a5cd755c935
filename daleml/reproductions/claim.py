"""A claim of a paper, as a value that can be measured: an experiment and what is expected of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from daleml.experiments.experiment import BUDGETS as BUDGETS
from daleml.experiments.experiment import Experiment as Experiment
from daleml.experiments.experiment import Numbers as Numbers
from daleml.experiments.experiment import Settings as Settings
from daleml.reproductions.sweep import Sweep


@dataclass(frozen=True)
class Check:
    """What is expected of one number, averaged over seeds.

    Attributes:
        number: Its name among those that the experiment returns.
        label: What the number is, with its unit, for a reader.
        at_least: The smallest value that the claim allows; None for no bound.
        at_most: The largest value that the claim allows; None for no bound.
        no_effect: What the number would be if there were nothing to the claim; None where that
            has no meaning, as for an identity.

    Example:
        >>> Check("gap", "gap between the arms, %", at_least=1.0, no_effect=0.0).bound()
        'at least 1'
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
        id: The number of the paper and a letter: ``"1a"``.
        sentence: What is claimed, in one sentence.
        source: Where it is claimed: paper, figure, section or file.
        experiment: What measures it; None if it cannot be measured, and ``note`` says why.
        checks: What is expected. The claim holds if every check does.
        note: Where the settings or a bound depart from the paper's, why, and what was tried.
        paper: Short name of the paper: ``"dann"``. Its :class:`Paper` writes it.

    Example:
        >>> claim = Claim("9a", "Nobody knows.", "nowhere", None, note="Not tested: no data.")
        >>> Paper("toy", "Nobody (1900)", (claim,)).claims[0].paper
        'toy'
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
        citation: Authors, year, title, and where it was published.
        claims: The claims, in order.
        sweeps: Its figures, drawn where all of its claims are asked for.

    Example:
        >>> from daleml.reproductions import papers
        >>> [paper.name for paper in papers()][:3]
        ['dann', 'spectral', 'eg']
    """

    name: str
    citation: str
    claims: tuple[Claim, ...]
    sweeps: tuple[Sweep, ...] = ()

    def __post_init__(self) -> None:
        for name in ("claims", "sweeps"):
            own = [
                dataclasses.replace(one, paper=self.name) for one in getattr(self, name)
            ]
            # The only way to set a field of a frozen dataclass.
            object.__setattr__(self, name, tuple(own))
