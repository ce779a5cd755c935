"""The plan of a sweep, kept in its folder: what was asked for, to read its journal by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daleml._support import atomic_files
from daleml.experiments.conditions import Condition
from daleml.experiments.journal_entry import RunKey

JOURNAL = "journal.jsonl"
"""The name of the journal in the folder of a sweep."""
PLAN = "sweep.json"
"""The name of the plan there."""

_FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What a sweep was asked for.

    Attributes:
        run: The name of the function.
        conditions: The conditions that were asked for last, in order.
        seeds: The seeds that were asked for last, ascending.
        earlier: Conditions that were asked for before, and not any more.
    """

    run: str
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...]
    earlier: tuple[Condition, ...] = ()

    def after(self, before: Plan | None) -> Plan:
        """Return this plan with the conditions of an earlier one.

        Args:
            before: What the folder was asked for before; None if it is new.
        """
        if before is None:
            return self
        own = {condition.digest for condition in self.conditions}
        earlier = []
        for condition in (*before.earlier, *before.conditions):
            if condition.digest not in own:
                own.add(condition.digest)
                earlier.append(condition)
        return Plan(self.run, self.conditions, self.seeds, tuple(earlier))

    def run_keys(self) -> list[RunKey]:
        """Return the keys of all runs that were asked for, in the order of the table."""
        found = []
        for condition in self.conditions:
            for seed in self.seeds:
                found.append((self.run, condition.digest, seed))
        return found

    def columns(self) -> set[str]:
        """Return the columns of all its conditions, those of earlier ones among them."""
        found: set[str] = set()
        for condition in (*self.conditions, *self.earlier):
            found.update(condition.columns())
        return found

    def write(self, folder: Path) -> None:
        """Write it into the folder of its sweep."""
        content = {
            "format": _FORMAT,
            "run": self.run,
            "seeds": list(self.seeds),
            "conditions": [condition.to_dict() for condition in self.conditions],
            "earlier": [condition.to_dict() for condition in self.earlier],
        }
        # Infinity is a value that a condition may have, and Python reads it back.
        atomic_files.write_text(folder / PLAN, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """Return the plan of a folder; None if it has none.

        Raises:
            ValueError: If it is damaged.
        """
        path = folder / PLAN
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            content = json.loads(text)
            return cls(
                str(content["run"]),
                _conditions(content["conditions"]),
                tuple(map(int, content["seeds"])),
                _conditions(content["earlier"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"`{path}` must be the plan of a sweep; it is damaged"
                f" ({type(error).__name__}). Remove it: the journal beside it stays, and the"
                " next sweep writes it anew."
            ) from None


def _conditions(content: Sequence[Any]) -> tuple[Condition, ...]:
    return tuple(map(Condition.from_dict, content))
