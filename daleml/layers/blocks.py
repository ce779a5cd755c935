"""Blocks: one number for each pathway between named populations, such as "E->PV"."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from daleml import require
from daleml._support import type_names
from daleml._support.keyword_names import Keywords
from daleml.populations import Populations

ARROW = "->"
"""What stands between the presynaptic and the postsynaptic side of a pathway."""


class Entry(NamedTuple):
    """One entry of :class:`Blocks`, its sides as keys: names, areas or patterns."""

    pre: str
    post: str
    value: float

    @property
    def pathway(self) -> str:
        """The key as it is written."""
        return f"{self.pre}{ARROW}{self.post}"


class Blocks(Keywords):
    r"""One number for each pathway between named populations, such as a connection probability.

    .. math:: B_{ij} = b_{p(j) \to q(i)}

    for a synapse of unit :math:`j` of population :math:`p` onto unit :math:`i` of :math:`q`.

    Args:
        given: The numbers, in one of three forms. A mapping of pathways, ``{"E->PV": 0.4}``,
            from the presynaptic to the postsynaptic side. A mapping of presynaptic populations
            to mappings of postsynaptic ones, ``{"E": {"PV": 0.4}}``. Or a pandas ``DataFrame``
            whose rows are postsynaptic and whose columns are presynaptic, as the rows and
            columns of a weight. Each side is the name of a population, an area ("V1" for
            "V1.E" and "V1.I"), or a pattern (``"*.E"``). ``True`` and ``False`` are 1 and 0.
        default: The number of every pathway that no entry covers; None to refuse those.

    Raises:
        TypeError: If ``given`` is of another form, or a number is none.
        ValueError: If a key is no pathway, stands twice, or a number is not finite.

    Example:
        >>> from daleml import Populations
        >>> pops = Populations.of(exc={"E": 2}, inh={"PV": 1})
        >>> blocks = Blocks({"E->*": 0.1, "E->PV": 0.4, "PV->*": 0.5})
        >>> blocks.matrix(pops, pops)
        tensor([[0.1000, 0.1000, 0.5000],
                [0.1000, 0.1000, 0.5000],
                [0.4000, 0.4000, 0.5000]])
        >>> print(blocks)
        to \ from    E   PV
        *          0.1  0.5
        PV         0.4    -
        every other pathway: 0

    Notes:
        Where two entries cover one pathway, the more exact one counts. A name is more exact
        than an area, an area more than a pattern, and a pattern more than ``"*"`` alone; what
        counts is the sum over both sides. Two entries that are equally exact are refused, as
        ``"E->*"`` beside ``"*->PV"`` is, which ``"E->PV"`` decides.
    """

    def __init__(self, given: Any, default: float | None = 0) -> None:
        found: dict[tuple[str, str], float] = {}
        for pre, post, value in _read(given):
            entry = Entry(_side(pre, given), _side(post, given), 0.0)
            if (entry.pre, entry.post) in found:
                raise ValueError(
                    f"`given` must have each pathway once; got {entry.pathway!r} twice."
                )
            found[entry.pre, entry.post] = _number(f"given[{entry.pathway!r}]", value)
        if default is not None:
            default = _number("default", default)
        self._found, self._default = found, default

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, in the order in which they were given."""
        return tuple(
            Entry(pre, post, value) for (pre, post), value in self._found.items()
        )

    @property
    def default(self) -> float | None:
        """The number of every pathway that no entry covers; None if there is none."""
        return self._default

    def matrix(
        self,
        post: Populations,
        pre: Populations,
        *,
        argument: str = "blocks",
        device: torch.device | str | None = "cpu",
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return the number of every synapse between two groups of populations.

        Args:
            post: The postsynaptic populations.
            pre: The presynaptic populations.
            argument: What an error calls the blocks.
            device: Where the matrix is.
            dtype: Its type; default: torch's default type.

        Shape:
            ``(post, pre)``, as a weight.

        Raises:
            ValueError: If an entry covers no population of its side, two entries cover a
                pathway equally exactly, or none covers it and there is no default.

        Example:
            >>> from daleml import Populations
            >>> readout, units = Populations(1), Populations(2, 1)
            >>> Blocks({"E->E": 1}).matrix(readout, units)
            tensor([[1., 1., 0.]])
        """
        chosen = self._by_pathway(post, pre, argument)
        filled = torch.empty(post.size, pre.size, device=device, dtype=dtype)
        for (source, target), value in chosen.items():
            filled[post[target], pre[source]] = value
        return filled

    def by_pathway(
        self, post: Populations, pre: Populations, *, argument: str = "blocks"
    ) -> dict[str, float]:
        """Return the number of each pathway between single populations, by its name.

        Args:
            post: The postsynaptic populations.
            pre: The presynaptic populations.
            argument: What an error calls the blocks.

        Returns:
            A mapping such as ``{"E->E": 0.1, "E->PV": 0.4, ...}``, all pathways of it.

        Raises:
            ValueError: As :meth:`matrix`.

        Example:
            >>> from daleml import Populations
            >>> units = Populations(2, 1)
            >>> Blocks({"*->*": 0.1, "E->I": 0.4}).by_pathway(units, units)
            {'E->E': 0.1, 'E->I': 0.4, 'I->E': 0.1, 'I->I': 0.1}
        """
        chosen = self._by_pathway(post, pre, argument)
        return {
            f"{source}{ARROW}{target}": one for (source, target), one in chosen.items()
        }

    def _by_pathway(
        self, post: Populations, pre: Populations, argument: str
    ) -> dict[tuple[str, str], float]:
        """Return what the most exact entry says of each pathway, by its two populations."""
        best: dict[tuple[str, str], tuple[int, Entry]] = {}
        tied: dict[tuple[str, str], Entry] = {}
        for entry in self.entries:
            told = f"{argument}[{entry.pathway!r}]"
            sources = pre.matching(entry.pre, argument=told)
            targets = post.matching(entry.post, argument=told)
            exactness = _exactness(entry.pre, pre) + _exactness(entry.post, post)
            for pathway in ((one, other) for one in sources for other in targets):
                known = best.get(pathway)
                if known is not None and known[0] > exactness:
                    continue
                tied.pop(pathway, None)
                if known is not None and known[0] == exactness:
                    tied[pathway] = known[1]
                best[pathway] = exactness, entry
        for pathway, other in tied.items():
            exact = ARROW.join(pathway)
            raise ValueError(
                f"`{argument}` must say one number for {exact!r}; got"
                f" {other.pathway!r} and {best[pathway][1].pathway!r}, which are equally"
                f" exact: add an entry {exact!r}."
            )
        return self._completed(best, post, pre, argument)

    def _completed(
        self,
        best: Mapping[tuple[str, str], tuple[int, Entry]],
        post: Populations,
        pre: Populations,
        argument: str,
    ) -> dict[tuple[str, str], float]:
        """Return the numbers of all pathways, those that no entry covers by the default."""
        numbers_of = {}
        for source in pre.names:
            for target in post.names:
                pathway = source, target
                if pathway in best:
                    numbers_of[pathway] = best[pathway][1].value
                elif self._default is None:
                    raise ValueError(
                        f"`{argument}` must have a number for every pathway, since its"
                        f" `default` is None; got none for {ARROW.join(pathway)!r}."
                    )
                else:
                    numbers_of[pathway] = self._default
        return numbers_of

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`from_dict` reads, ready for JSON."""
        entries = {entry.pathway: entry.value for entry in self.entries}
        return {"entries": entries, "default": self._default}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Blocks:
        """Return the blocks that :meth:`to_dict` described, by way of JSON or not.

        Args:
            content: What ``to_dict`` gave.

        Raises:
            TypeError: If it is no mapping.
            ValueError: If it has other entries than ``"entries"`` and ``"default"``.

        Example:
            >>> blocks = Blocks({"E->E": 0.1}, default=None)
            >>> Blocks.from_dict(blocks.to_dict()) == blocks
            True
        """
        if not isinstance(content, Mapping):
            raise TypeError(
                f"`content` must be a mapping, as of `to_dict`; got {content!r}."
            )
        if set(content) != {"entries", "default"}:
            raise ValueError(
                "`content` must have 'entries' and 'default', as of `to_dict`; got"
                f" {', '.join(map(repr, content)) or 'neither'}."
            )
        return cls(content["entries"], content["default"])

    def __setattr__(self, name: str, value: Any) -> None:
        """Set what the constructor sets, and nothing after it."""
        if "_default" in vars(self) or name not in ("_found", "_default"):
            raise AttributeError(f"`{name}` cannot be set: Blocks do not change.")
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        """Whether other blocks have the same entries, in whatever order, and default."""
        if not isinstance(other, Blocks):
            return NotImplemented
        return (self._found, self._default) == (other._found, other._default)

    def __hash__(self) -> int:
        return hash((frozenset(self._found.items()), self._default))

    def __repr__(self) -> str:
        """Write the call that builds them."""
        entries = {entry.pathway: entry.value for entry in self.entries}
        return f"Blocks({entries}, default={self._default})"

    def __str__(self) -> str:
        """Write a table: rows are postsynaptic, columns presynaptic."""
        sources = list(dict.fromkeys(pre for pre, _ in self._found))
        targets = list(dict.fromkeys(post for _, post in self._found))
        rows = [[r"to \ from", *sources]]
        for target in targets:
            cells = [_cell(self._found.get((source, target))) for source in sources]
            rows.append([target, *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for first, *cells in rows:
            line = first.ljust(widths[0])
            for cell, width in zip(cells, widths[1:], strict=True):
                line += "  " + cell.rjust(width)
            lines.append(line)
        rest = "refused" if self._default is None else f"{self._default:g}"
        return "\n".join([*lines, f"every other pathway: {rest}"])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


# -- what was given --------------------------------------------------------------------------------


def _read(given: Any) -> Iterator[tuple[Hashable, Hashable, Any]]:
    """Yield presynaptic side, postsynaptic side and number, of whichever form was given.

    Raises:
        TypeError: If it has none of the three forms.
        ValueError: If a key is no pathway.
    """
    # A table of pandas, which is known by what it has: nothing here imports pandas.
    if hasattr(given, "columns") and hasattr(given, "index"):
        values = given.to_numpy()
        for row, post in enumerate(given.index):
            for column, pre in enumerate(given.columns):
                yield pre, post, values[row, column]
        return
    if not isinstance(given, Mapping):
        raise TypeError(
            "`given` must be a mapping of pathways to numbers, such as {'E->PV': 0.4}, or a"
            f" table with a row for each postsynaptic population; got {given!r}."
        )
    for key, value in given.items():
        if isinstance(value, Mapping):
            for post, number in value.items():
                yield key, post, number
            continue
        require.text("given", key)
        sides = key.split(ARROW)
        if len(sides) != 2:
            raise ValueError(
                "`given` must name pathways as 'E->PV', from the presynaptic to the"
                f" postsynaptic population; got {key!r}."
            )
        yield sides[0], sides[1], value


def _side(name: Hashable, given: Any) -> str:
    """Return one side of a pathway without the spaces around it."""
    if not isinstance(name, str):
        raise TypeError(
            f"`given` must name populations by strings; got {name!r} in a"
            f" {type(given).__name__}."
        )
    side = name.strip()
    if not side or ARROW in side:
        raise ValueError(
            f"`given` must name a population on each side of a pathway; got {name!r}."
        )
    return side


def _number(name: str, value: Any) -> float:
    """Return a number as a finite float; True is 1 and False is 0."""
    # Numbers of numpy and of torch come as arrays without dimensions.
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, numbers.Real) and math.isnan(value):
        raise ValueError(f"`{name}` must be a number; got NaN.")
    return require.number(name, value)


def _exactness(key: str, populations: Populations) -> int:
    """Return how exactly a key names a population: a name 3, an area 2, a pattern 1, all 0."""
    if key == "*":
        return 0
    if type_names.is_pattern(key):
        return 1
    return 3 if key in populations.names else 2
