"""The conditions of a sweep: a grid of values, a list of mappings, or mappings with names."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daleml._support import safe_text
from daleml.experiments.value_texts import is_plain, text_of

RESERVED = ("condition", "folder", "folders", "problem", "seed", "seeds")
"""Names that a condition must not give to its values: the sweep gives them itself."""

_LONGEST_LABEL = 60


@dataclass(frozen=True)
class Condition:
    """What ``run`` is given beside the seed, the same for several seeds.

    Attributes:
        name: Its name; empty if it has none.
        values: What ``run`` is given, by name.
        plain: Those values that a table can show: numbers, text, truth values, None, and tuples
            of these.
        described: The others as texts, by which a change of them is noticed.
    """

    name: str
    values: Mapping[str, Any]
    plain: Mapping[str, Any]
    described: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A short name of the condition: another one has other results."""
        content: dict[str, Any] = dict(self.plain)
        if self.name:
            content = {"condition": self.name, "values": content}
            content["others"] = dict(self.described)
        # Sorted: the order of the values does not make other results.
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """What messages call it."""
        parts = [self.name] if self.name else []
        parts += [f"{name}={_shown(value)}" for name, value in self.plain.items()]
        return safe_text.shortened(safe_text.shown(", ".join(parts)), _LONGEST_LABEL)

    @property
    def folder(self) -> str:
        """The name of a folder for it: readable, and its own."""
        readable = re.sub(r"[^\w.=+-]+", "_", self.label, flags=re.ASCII).strip("._")
        return f"{readable}-{self.digest}" if readable else self.digest

    def columns(self) -> dict[str, Any]:
        """Return what a table shows of it."""
        named = {"condition": self.name} if self.name else {}
        return {**named, **self.plain}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        return {
            "name": self.name,
            "values": dict(self.plain),
            "others": dict(self.described),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Condition:
        """Return what :meth:`to_dict` was called of, without the values that are not plain."""
        values = {name: _tupled(value) for name, value in content["values"].items()}
        return cls(content["name"], values, values, content["others"])


def conditions_of(
    grid: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    named: Mapping[str, Mapping[str, Any]] | None,
) -> list[Condition]:
    """Return every condition of a sweep, in order.

    Args:
        grid: Values by name, of which all combinations are meant, the last name changing
            fastest; or a list of mappings; None for one condition without values.
        named: Mappings by name, whose values may be anything; each is combined with each of
            ``grid``.

    Raises:
        TypeError: If one is of another form, or a value of ``grid`` is not plain.
        ValueError: If there are none, two are equal, or a name is reserved or given twice.
    """
    points = list(_points(grid))
    for point in points:
        for name, value in point.items():
            _require_name("grid", name)
            _require_plain(name, value)
    made = []
    for title, values in _named(named):
        for point in points:
            both = values.keys() & point.keys()
            if both:
                raise ValueError(
                    f"`conditions` and `grid` must not both set a value; both set"
                    f" {min(both)!r}."
                )
            made.append(_condition(title, {**values, **point}))
    seen: dict[Any, str] = {}
    for condition in made:
        # What a table cannot tell apart, a summary would take for more seeds of one condition.
        row = frozenset(
            item for item in condition.columns().items() if item[1] is not None
        )
        if row in seen:
            differ = seen[row] != condition.digest
            why = ": 1, 1.0 and True are equal, and a value left out is None"
            raise ValueError(
                "`grid` must hold each condition once; it holds"
                f" {condition.label or 'the empty one'} twice{why if differ else ''}."
            )
        seen[row] = condition.digest
    return made


def _points(grid: Any) -> Iterator[dict[str, Any]]:
    """Yield the combinations of a grid, or the mappings of a list."""
    if grid is None:
        yield {}
    elif isinstance(grid, Mapping):
        axes = []
        for name, values in grid.items():
            axes.append([_plain(value) for value in _values_of(name, values)])
        for point in itertools.product(*axes):
            yield dict(zip(grid, point, strict=True))
    elif isinstance(grid, Sequence) and not isinstance(grid, (str, bytes)):
        if not grid:
            raise ValueError("`grid` must hold at least one condition; it is empty.")
        for point in grid:
            if not isinstance(point, Mapping):
                raise TypeError(
                    "`grid` must hold mappings where it is a list; got"
                    f" {type(point).__name__}."
                )
            yield {name: _plain(value) for name, value in point.items()}
    else:
        raise TypeError(
            '`grid` must be a mapping of lists, such as {"lr": [0.1, 0.3]}, or a list of'
            f" mappings; got {type(grid).__name__}."
        )


def _values_of(name: Any, values: Any) -> list[Any]:
    """Return the values of one name of a grid."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"`grid` must hold a list of values for each name; got {values!r} for {name!r}."
        )
    found = list(values)
    if not found:
        raise ValueError(
            f"`grid` must hold at least one value of {name!r}; it is empty."
        )
    return found


def _named(named: Any) -> list[tuple[str, dict[str, Any]]]:
    if named is None:
        return [("", {})]
    if not isinstance(named, Mapping):
        raise TypeError(
            "`conditions` must be a mapping of mappings by name, such as"
            ' {"adam": {"optimizer": Adam}}; got ' + f"{type(named).__name__}."
        )
    if not named:
        raise ValueError("`conditions` must hold at least one condition; it is empty.")
    found = []
    for title, values in named.items():
        if not isinstance(title, str) or not title:
            raise TypeError(
                f"`conditions` must have names that are text; got {title!r}."
            )
        if not isinstance(values, Mapping):
            raise TypeError(
                "`conditions` must be a mapping of mappings by name; got"
                f" {type(values).__name__} for {title!r}."
            )
        for name, value in values.items():
            _require_name("conditions", name)
            _require_no_nan("conditions", name, value)
        found.append((title, {name: _plain(value) for name, value in values.items()}))
    return found


def _condition(title: str, values: dict[str, Any]) -> Condition:
    plain, described = {}, {}
    for name, value in values.items():
        if is_plain(value):
            plain[name] = _tupled(value)
        else:
            described[name] = text_of(value)
    return Condition(title, values, plain, described)


def _require_name(argument: str, name: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(
            f"`{argument}` must name the parameters of `run`; got the name {name!r}."
        )
    if name in RESERVED:
        raise ValueError(
            f"`{argument}` must not name a value {name!r}: the sweep itself does."
        )


def _require_plain(name: str, value: Any) -> None:
    _require_no_nan("grid", name, value)
    if not is_plain(value):
        raise TypeError(
            "`grid` must hold numbers, text, truth values and None, or lists of these; got"
            f" {text_of(value)} for {name!r}. Name such a condition:"
            f' conditions={{"a name": {{{name!r}: ...}}}}.'
        )


def _require_no_nan(argument: str, name: str, value: Any) -> None:
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"`{argument}` must hold no NaN; got one for {name!r}.")


def _plain(value: Any) -> Any:
    """Return numbers of NumPy and torch as Python's, anything else as it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def _tupled(value: Any) -> Any:
    # Tables are grouped by these, for which they must be hashable.
    if isinstance(value, (list, tuple)):
        return tuple(map(_tupled, value))
    return value


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
