"""The twenty rules of Yang et al.: what is shown in a trial of each, when, and what is right."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

PERIODS = ("fixation", "stimulus", "delay", "test", "decision")
"""The periods that a trial may have, in order."""


@dataclass(frozen=True)
class Rule:
    """What happens in trials of a rule.

    Attributes:
        name: What it is called.
        periods: The periods it has.
        first: The periods in which the first stimulus is shown.
        second: Those in which the second one is.
        kind: What the answer depends on: "direction", "strength", "match" or "category".
        rings: The rings by which it is judged: 0, 1 or both; of a direction, either.
        shown: The rings in which stimuli are shown.
        opposite: Whether the answer is the opposite direction, or is given if there is no match.
        cue_stays: Whether the fixation cue stays on to the end.
    """

    name: str
    periods: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...] = ()
    kind: str = "direction"
    rings: tuple[int, ...] = (0, 1)
    shown: tuple[int, ...] = (0, 1)
    opposite: bool = False
    cue_stays: bool = False


@dataclass(frozen=True, eq=False)
class Contents:
    """What was drawn for trials of one rule.

    Attributes:
        directions: Of the first and the second stimulus, in radians, (trials, 2).
        strengths: Of both stimuli in both rings, (trials, 2, 2); 0 where nothing is shown.
        target: The direction to answer, in radians, (trials,).
        answers: Whether to answer at all, (trials,), bool.
        evidence: By how much the first stimulus is the stronger one, (trials,).
    """

    directions: Tensor
    strengths: Tensor
    target: Tensor
    answers: Tensor
    evidence: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Contents], order: Tensor) -> Contents:
        """Return the trials of several parts, in another order."""
        found = {}
        for part in fields(cls):
            together = torch.cat([getattr(one, part.name) for one in parts])
            found[part.name] = together[order]
        return cls(**found)


def _of_one(opposite: bool) -> list[Rule]:
    """Return the rules by which a direction, or its opposite, is answered."""
    name = "Anti" if opposite else "Go"
    wait, on = ("fixation", "stimulus", "decision"), ("stimulus", "decision")
    slow = ("fixation", "stimulus", "delay", "decision")
    return [
        Rule(name, wait, on, opposite=opposite),
        Rule(
            f"RT {name}",
            ("fixation", "decision"),
            ("decision",),
            opposite=opposite,
            cue_stays=True,
        ),
        Rule(f"Dly {name}", slow, ("stimulus",), opposite=opposite),
    ]


def _of_two(delayed: bool) -> list[Rule]:
    """Return the rules by which the stronger of two stimuli is answered."""
    periods: tuple[str, ...] = ("fixation", "stimulus", "decision")
    second: tuple[str, ...] = ("stimulus",)
    name = "DM"
    if delayed:
        periods, second, name = PERIODS, ("test",), "Dly DM"
    both = (0, 1)
    cases = [
        (f"{name} 1", (0,), (0,)),
        (f"{name} 2", (1,), (1,)),
        (f"Ctx {name} 1", (0,), both),
        (f"Ctx {name} 2", (1,), both),
        (f"MultSen {name}", both, both),
    ]
    found = []
    for title, rings, shown in cases:
        found.append(
            Rule(
                title,
                periods,
                ("stimulus",),
                second,
                "strength",
                rings=rings,
                shown=shown,
            )
        )
    return found


def _of_matches() -> list[Rule]:
    """Return the rules by which the second stimulus is answered if it matches, or if not."""
    periods = ("fixation", "stimulus", "delay", "decision")
    found = []
    for name, kind, opposite in (
        ("DMS", "match", False),
        ("DNMS", "match", True),
        ("DMC", "category", False),
        ("DNMC", "category", True),
    ):
        found.append(
            Rule(name, periods, ("stimulus",), ("decision",), kind, opposite=opposite)
        )
    return found


_ALL = [
    *_of_one(False),
    *_of_one(True),
    *_of_two(False),
    *_of_two(True),
    *_of_matches(),
]
RULES = {rule.name: rule for rule in _ALL}
"""The rules by name, in the order of their inputs."""


def named(argument: str, name: object) -> Rule:
    """Return the rule of a name, or raise."""
    if isinstance(name, str) and name in RULES:
        return RULES[name]
    near = difflib.get_close_matches(str(name), RULES, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else "."
    raise ValueError(
        f"`{argument}` must be one of {', '.join(RULES)}; got {name!r}{hint}"
    )


@functools.cache
def visible() -> Tensor:
    """Return whether each rule shows each stimulus in each period, (rules, stimuli, periods)."""
    # Made once: every sample looks it up.
    found = torch.zeros(len(RULES), 2, len(PERIODS), dtype=torch.bool)
    for number, rule in enumerate(RULES.values()):
        for place, period in enumerate(PERIODS):
            found[number, 0, place] = period in rule.first
            found[number, 1, place] = period in rule.second
    return found


def draw(
    rule: Rule,
    n: int,
    coherences: Sequence[float],
    n_categories: int,
    generator: torch.Generator | None,
) -> Contents:
    """Draw what is shown in ``n`` trials of a rule, and what is right.

    Args:
        rule: The rule.
        n: How many trials.
        coherences: By how much one of two stimuli may be the stronger one.
        n_categories: How many directions there are in each of the two categories.
        generator: Source of randomness.
    """
    if rule.kind == "direction":
        return _draw_direction(rule, n, generator)
    if rule.kind == "strength":
        return _draw_strength(rule, n, coherences, generator)
    return _draw_match(rule, n, n_categories, generator)


def _circle(n: int, generator: torch.Generator | None) -> Tensor:
    return 2 * math.pi * torch.rand(n, generator=generator)


def _elsewhere(directions: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw directions at least a quarter of a turn away from others."""
    apart = torch.rand(len(directions), generator=generator)
    return torch.remainder(directions + math.pi * (0.5 + apart), 2 * math.pi)


def _either_ring(n: int, generator: torch.Generator | None) -> Tensor:
    """Draw one of the two rings for each trial, as strengths of both stimuli, (n, 2, 2)."""
    ring = torch.randint(2, (n,), generator=generator)
    coded = torch.nn.functional.one_hot(ring, 2).to(torch.get_default_dtype())
    return coded[:, None].repeat(1, 2, 1)


def _draw_direction(rule: Rule, n: int, generator: torch.Generator | None) -> Contents:
    first = _circle(n, generator)
    strengths = _either_ring(n, generator)
    # There is one stimulus only.
    strengths[:, 1] = 0
    turn = math.pi if rule.opposite else 0.0
    target = torch.remainder(first + turn, 2 * math.pi)
    answers = torch.ones(n, dtype=torch.bool)
    directions = torch.stack([first, torch.zeros_like(first)], dim=1)
    return Contents(directions, strengths, target, answers, torch.zeros(n))


def _draw_strength(
    rule: Rule,
    n: int,
    coherences: Sequence[float],
    generator: torch.Generator | None,
) -> Contents:
    first = _circle(n, generator)
    directions = torch.stack([first, _elsewhere(first, generator)], dim=1)
    which = torch.randint(len(coherences), (2, n), generator=generator)
    side = 2 * torch.randint(2, (2, n), generator=generator) - 1
    evidence = torch.tensor(coherences)[which] * side
    if len(rule.rings) == 2:
        # Both rings are evidence for the same, one of them for more than the other.
        unequal = torch.rand(n, generator=generator) - 0.5
        evidence = evidence[0] * torch.stack([1 + unequal, 1 - unequal])
    # Their mean varies, so that one stimulus alone does not tell which is the stronger one.
    mean = 0.8 + 0.4 * torch.rand(n, generator=generator)
    strengths = torch.zeros(n, 2, 2)
    for ring in rule.shown:
        strengths[:, 0, ring] = mean + evidence[ring] / 2
        strengths[:, 1, ring] = mean - evidence[ring] / 2
    # In a context, the other ring says something as well, which is to be ignored.
    judged = evidence[list(rule.rings)].mean(0)
    target = torch.where(judged > 0, directions[:, 0], directions[:, 1])
    return Contents(
        directions, strengths, target, torch.ones(n, dtype=torch.bool), judged
    )


def _draw_match(
    rule: Rule, n: int, n_categories: int, generator: torch.Generator | None
) -> Contents:
    matches = torch.randint(2, (n,), generator=generator).bool()
    first = _circle(n, generator)
    second = torch.where(matches, first, _elsewhere(first, generator))
    if rule.kind == "category":
        # Half of the directions are one category; none lies on the boundary.
        place = torch.randint(n_categories, (2, n), generator=generator)
        half = torch.randint(2, (n,), generator=generator)
        other = torch.where(matches, half, 1 - half)
        step = math.pi / n_categories
        first = math.pi * half + step * (place[0] + 0.5)
        second = math.pi * other + step * (place[1] + 0.5)
    strengths = _either_ring(n, generator)
    directions = torch.stack([first, second], dim=1)
    return Contents(
        directions, strengths, second, matches != rule.opposite, torch.zeros(n)
    )
