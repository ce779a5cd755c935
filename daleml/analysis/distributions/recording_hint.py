"""A hint: what looks wrong in how weights were recorded, and what to pass if it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daleml.analysis.distributions.observation import Observation


@dataclass(frozen=True)
class Hint:
    """A remark on what looks wrong, with the change that would be right if it is.

    Attributes:
        said: What looks wrong: a sentence without what to do about it.
        changes: What to change of the observation, by the names of its fields.

    Example:
        >>> hint = Hint("The values look like counts; if they are", {"discrete": True})
        >>> hint.in_python
        'The values look like counts; if they are, pass `discrete=True`.'
        >>> hint.in_options
        'The values look like counts; if they are, pass `--discrete`.'
    """

    said: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def followed(self, observation: Observation) -> Observation:
        """Return the observation changed as the hint says."""
        return replace(observation, **self.changes)

    @property
    def in_python(self) -> str:
        """The sentence for those who call a function."""
        words = []
        for name, value in self.changes.items():
            argument = f"{name}={_plain(value)}"
            if name == "significant":
                argument = f"observation=Observation({argument})"
            words.append(argument)
        return self._sentence(words)

    @property
    def in_options(self) -> str:
        """The sentence for those who give a command."""
        words: list[str] = []
        for name, value in self.changes.items():
            if name == "truncation":
                words += _bound_options("truncate", value, shorten=True)
            elif name == "censoring":
                bounds = value if isinstance(value, tuple) else (value, None)
                words += _bound_options("censor", bounds, shorten=False)
            elif value is True:
                words.append(f"--{name}")
            elif isinstance(value, str):
                words.append(f"--{name} {value}")
            else:
                words.append(f"--{name} {_plain(value)}")
        return self._sentence(words)

    def _sentence(self, words: list[str]) -> str:
        if not words:
            return f"{self.said}."
        quoted = " and ".join(f"`{word}`" for word in words)
        return f"{self.said}, pass {quoted}."


def _bound_options(
    stem: str, bounds: tuple[float | None, float | None], *, shorten: bool
) -> list[str]:
    """Return the options of the command for a lower and an upper bound."""
    low, high = bounds
    words = []
    if low:
        words.append(f"--{stem}-below {_short(low) if shorten else _plain(low)}")
    if high:
        words.append(f"--{stem}-above {_plain(high)}")
    return words


def _plain(value: object) -> str:
    """Return a value as Python would read it, to the last digit.

    A bound that is rounded may miss the values at it.
    """
    if isinstance(value, tuple):
        return f"({', '.join(_plain(one) for one in value)})"
    if isinstance(value, float):
        return repr(float(value)).removesuffix(".0")
    return repr(value)


def _short(bound: float) -> str:
    """Return a bound in few digits.

    The command leaves out a value that then lies below it, and says so.
    """
    exact = f"{bound:.12g}"
    return exact if len(exact) < 10 else f"{bound:g}"
