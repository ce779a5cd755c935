"""Names of cell types: which ones are allowed, and which ones a key covers.

A name may begin with that of an area and a dot, as in "V1.E". A key is a name, an area ("V1"),
or a pattern (``"*.E"``) in the sense of :mod:`fnmatch`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeGuard

from daleml import require

Types = tuple[tuple[str, int], ...]
"""Names of types, each with its number of units, in order."""

_PATTERN = "*?[]"
"""The characters that make a pattern of a key."""
_LISTED = 12
"""How many names an error lists: a connectome can have hundreds."""


def read_counts(argument: str, given: Any) -> Types:
    """Read a mapping of names to numbers of units.

    Raises:
        TypeError: If it is no mapping, or a name or number is of the wrong kind.
        ValueError: If a name is not allowed, or a number is below 1.
    """
    if given is None:
        return ()
    if not is_mapping(given):
        raise TypeError(
            f"`{argument}` must be a mapping of names to numbers of units, such as"
            f" {{'E': 80}}; got {given!r}."
        )
    return checked(argument, given.items())


def is_mapping(given: Any) -> bool:
    """Whether something is a dict, or a table's column with its index, as of pandas."""
    return isinstance(given, Mapping) or (
        hasattr(given, "keys") and hasattr(given, "items")
    )


def alike_but_for_blanks(names: Iterable[Any]) -> tuple[str, str] | None:
    """Return two names that only blanks around them tell apart, as "B " and "B"; None if none do.

    Example:
        >>> alike_but_for_blanks(["A", "B ", 3, "B"])
        ('B ', 'B')
    """
    found: dict[str, str] = {}
    for name in names:
        if isinstance(name, str) and found.setdefault(name.strip(), name) != name:
            return found[name.strip()], name
    return None


def checked(argument: str, pairs: Iterable[Any]) -> Types:
    """Return pairs of a name and a number of units as tuples, or raise."""
    types = []
    for pair in pairs:
        try:
            name, count = pair
        except (TypeError, ValueError):
            raise TypeError(
                f"`{argument}` must hold pairs of a name and a number of units; got"
                f" {pair!r}."
            ) from None
        _require_name(argument, name)
        n_units = require.integer(f"{argument}[{str(name)!r}]", count, minimum=1)
        # As a plain string: numpy has a subclass, which JSON and pickles would carry on.
        types.append((str(name), n_units))
    return tuple(types)


def _require_name(argument: str, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"`{argument}` must have strings as names; got {name!r}.")
    padded = name != name.strip() or not name
    special = "->" in name or any(character in name for character in _PATTERN)
    # A name that begins or ends with a dot would have an area or a type without a name.
    if padded or special or "" in name.split("."):
        raise ValueError(
            f"`{argument}` must have names without '->', '*', '?', '[', ']', spaces around"
            f" them, or a dot that no letter precedes or follows; got {name!r}."
        )


def require_distinct(argument: str, names: Sequence[str]) -> None:
    """Raise if a name stands twice, or is also the area of another."""
    seen = set()
    for name in names:
        if name in seen:
            raise ValueError(
                f"`{argument}` must name each type once; got {name!r} twice."
            )
        seen.add(name)
    # Else a key would mean one type, or all of an area.
    for name in names:
        for area in areas_of(name):
            if area in seen:
                raise ValueError(
                    f"`{argument}` must not name a type as the area of another; got"
                    f" {area!r} and {name!r}."
                )


def require_content(content: Any) -> Mapping[str, Any]:
    """Return what describes a partition, or raise if it is no mapping."""
    if isinstance(content, Mapping):
        return content
    raise TypeError(f"`content` must be a mapping, as of `to_dict`; got {content!r}.")


def is_content(given: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether something is what describes a partition, as a hub's config gives it back."""
    return isinstance(given, Mapping) and "n_exc" in given


def default(n_exc: int, n_inh: int) -> Types:
    """Return the types of a partition that names none: of both signs, where they have units."""
    sides = ("E", n_exc), ("I", n_inh)
    return tuple((name, count) for name, count in sides if count)


def n_units(types: Types) -> int:
    """Return the number of units of several types."""
    return sum(count for _, count in types)


def written(types: Types, n_exc: int) -> str:
    """Return the arguments of ``Populations.of`` that give these types."""
    excitatory, inhibitory = by_side(types, n_exc)
    given = []
    if excitatory:
        given.append(f"exc={dict(excitatory)}")
    if inhibitory:
        given.append(f"inh={dict(inhibitory)}")
    return ", ".join(given)


def by_side(types: Types, n_exc: int) -> tuple[Types, Types]:
    """Divide types into the excitatory ones and the inhibitory ones."""
    n_types = 0
    while n_types < len(types) and n_units(types[:n_types]) < n_exc:
        n_types += 1
    return types[:n_types], types[n_types:]


def dividing(given: Any, n_exc: int, n_inh: int) -> Types:
    """Return types that divide the excitatory units, then the inhibitory ones, or raise."""
    if isinstance(given, (str, Mapping)):
        raise TypeError(
            f"`types` must hold pairs of a name and a number of units; got {given!r}."
        )
    types = checked("types", given)
    require_distinct("types", [name for name, _ in types])
    excitatory, inhibitory = by_side(types, n_exc)
    if (n_units(excitatory), n_units(inhibitory)) != (n_exc, n_inh):
        raise ValueError(
            f"`types` must have {n_exc} excitatory units, then {n_inh} inhibitory ones;"
            f" got {types}."
        )
    return types


def areas_of(name: str) -> list[str]:
    """Return the areas that a name begins with: of "cortex.V1.E", "cortex" and "cortex.V1"."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def is_pattern(key: str) -> bool:
    """Whether a key has a character that makes a pattern of it."""
    return any(character in key for character in _PATTERN)


def covered(argument: str, key: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a key covers, or raise if there are none."""
    if not isinstance(key, str):
        raise TypeError(
            f"`{argument}` must name populations by strings; got {type(key).__name__}"
            f" {key!r}."
        )
    if is_pattern(key):
        found = [name for name in names if fnmatchcase(name, key)]
    else:
        found = [name for name in names if name == key or key in areas_of(name)]
    if not found:
        raise ValueError(
            f"`{argument}` must name one of the populations {listed(names)}, an area or a"
            f" pattern of them; got {key!r}{_hint(key, names)}."
        )
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    """Return names as an error lists them."""
    shown = ", ".join(map(repr, names[:_LISTED]))
    if len(names) > _LISTED:
        return f"{shown}, ... ({len(names)} in all)"
    return shown


def _hint(key: str, names: Sequence[str]) -> str:
    # Capitals are what is mistyped most, and count as much as other letters for difflib.
    near = difflib.get_close_matches(key, names, n=1)
    if not near:
        near = [name for name in names if name.lower() == key.lower()]
    return f" (did you mean {near[0]!r}?)" if near else ""


def where(argument: str, name: str, sizes: Mapping[str, int]) -> slice:
    """Return where the units of one type are, or raise if ``name`` is none."""
    names = list(sizes)
    if name not in names:
        # What covers no type raises here.
        covered(argument, name, names)
        raise ValueError(
            f"`{argument}` must be the name of one population, one of {listed(names)}; got"
            f" {name!r}: write `index({name!r})` for the units of several."
        )
    counts = list(sizes.values())
    position = names.index(name)
    start = sum(counts[:position])
    return slice(start, start + counts[position])


def units(argument: str, key: Any, sizes: Mapping[str, int]) -> list[int]:
    """Return the units of every type that a key covers."""
    found: list[int] = []
    for name in covered(argument, key, list(sizes)):
        spot = where(argument, name, sizes)
        found += range(spot.start, spot.stop)
    return found


def per_unit(
    argument: str, given: Mapping[Any, Any], sizes: Mapping[str, int]
) -> list[Any]:
    """Return one value for each unit, from a mapping whose keys cover every name once.

    Raises:
        TypeError: If ``given`` is no mapping.
        ValueError: If a key is unknown, or a name is covered twice or not at all.
    """
    if not is_mapping(given):
        raise TypeError(
            f"`{argument}` must be a mapping of populations to values; got"
            f" {type(given).__name__}."
        )
    # A column of a table goes through its values, not its keys.
    given = dict(given.items())
    # Keys of one value overlap too: which one was meant would be a guess.
    key_of: dict[str, Any] = {}
    for key in given:
        for name in covered(argument, key, list(sizes)):
            if name in key_of:
                raise ValueError(
                    f"`{argument}` must give each population one value; got"
                    f" {key_of[name]!r} and {key!r}, which both cover {name!r}."
                )
            key_of[name] = key
    missing = [name for name in sizes if name not in key_of]
    if missing:
        raise ValueError(
            f"`{argument}` must have a value for every population; got none for"
            f" {listed(missing)}."
        )
    values = []
    for name, count in sizes.items():
        values += [given[key_of[name]]] * count
    return values


def require_no_pair(name: str, given: object) -> None:
    """Raise if two counts are given in a tuple where a partition was meant.

    Args:
        name: What the caller calls the argument.
        given: Its value.

    Raises:
        TypeError: If it is a pair of integers.
    """
    if not isinstance(given, tuple) or len(given) != 2:
        return
    if all(isinstance(count, int) for count in given):
        raise TypeError(
            f"`{name}` must be a Populations or an integer; got {given}: write"
            f" Populations({given[0]}, {given[1]})."
        )
