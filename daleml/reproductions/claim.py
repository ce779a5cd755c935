"""A claim of a paper, as a value that can be measured: an experiment and what is expected of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from daleml.experiments.experiment import BUDGETS as BUDGETS
from daleml.experiments.experiment import Experiment as Experiment
from daleml.experiments.experiment import Numbers as Numbers
from daleml.experiments.experiment import Settings as Settings
from daleml.reproductions.sweep import Sweep

OURS = "ours"
"""The owner of a bound that no source has, and of a claim that nobody else made."""

PAPER_NUMBER = "the paper's number"
"""The owner of a bound that the paper prints."""

PAPER_DIRECTION = "the paper's direction"
"""The owner of a bound of no effect: the paper says which arm has more, not by how much."""

RELEASED_CODE = "released code"
"""The owner of a bound that stands in the authors' code or in what they saved."""

BOUND_OWNERS = (PAPER_NUMBER, PAPER_DIRECTION, RELEASED_CODE, OURS)
"""Whose the bound of a check can be."""

THE_PAPERS = "the paper's"
"""The owner of a claim that the paper makes."""

AGAINST = "against the paper"
"""The owner of a claim of ours that says other than the paper does."""

BY_CONSTRUCTION = "by construction"
"""The owner of a claim that the equations leave no other outcome, which tests the code alone."""

CLAIM_OWNERS = (THE_PAPERS, OURS, AGAINST, BY_CONSTRUCTION)
"""Whose a claim can be."""


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
        owner: Whose the bound is, one of :data:`BOUND_OWNERS`. A direction is a bound of no
            effect.
        by_construction: Whether the equations, or a constant that was copied, leave no other
            outcome.

    Raises:
        ValueError: If there is no bound or no value between the two, the owner is none of those,
            or a direction has another bound than no effect.

    Example:
        >>> Check("gap", "gap between the arms, %", at_least=1.0, no_effect=0.0).bound()
        'at least 1'
    """

    number: str
    label: str
    at_least: float | None = None
    at_most: float | None = None
    no_effect: float | None = None
    owner: str = ""
    by_construction: bool = False

    def __post_init__(self) -> None:
        low, high = self.at_least, self.at_most
        if low is None and high is None:
            raise ValueError(
                f"`at_least` or `at_most` must be given; {self.number!r} has neither."
            )
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"`at_least` must be at most `at_most`; got {low:g} and {high:g} of"
                f" {self.number!r}."
            )
        _require_owner(self.owner, BOUND_OWNERS, self.number)
        bounds = {bound for bound in (low, high) if bound is not None}
        if self.owner == PAPER_DIRECTION and bounds != {self.no_effect}:
            raise ValueError(
                f"`no_effect` must be the one bound of a direction; {self.number!r} has"
                f" {self.bound()} and a `no_effect` of {self.no_effect}."
            )

    @property
    def is_equivalence(self) -> bool:
        """Whether it expects the number to be close to no effect, from both sides."""
        low, high, none = self.at_least, self.at_most, self.no_effect
        if low is None or high is None or none is None:
            return False
        return low < none < high

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
        owner: Whose claim it is, one of :data:`CLAIM_OWNERS`.
        earlier: How it was stated before, and what became of that statement.
        tried: What was tried, where it does not hold or cannot be told.

    Raises:
        ValueError: If the owner is none of those.

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
    owner: str = ""
    earlier: str = ""
    tried: str = ""

    def __post_init__(self) -> None:
        _require_owner(self.owner, CLAIM_OWNERS, self.id)


def _require_owner(owner: str, owners: tuple[str, ...], of: str) -> None:
    # Nobody's yet is allowed while papers are being gone through; a test names those.
    if owner and owner not in owners:
        raise ValueError(
            f"`owner` must be one of {', '.join(owners)}; got {owner!r} of {of!r}."
        )


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
