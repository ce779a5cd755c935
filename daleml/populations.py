"""Populations: which units excite, which inhibit, and of which cell type they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daleml import require
from daleml._support import type_names, unit_order
from daleml._support.keyword_names import Keywords

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Populations(Keywords):
    r"""A partition of ``n`` units into excitatory units, then inhibitory ones.

    Dale's law: unit :math:`j` has one sign :math:`s_j \in \{+1, -1\}` for every synapse it
    makes, so :math:`\operatorname{sign} w_{ij} = s_j`. Excitatory units come first. Cell types
    within a sign can have names, see :meth:`of`.

    Args:
        n_exc: Number of excitatory units, at least 0.
        n_inh: Number of inhibitory units, at least 0. All-excitatory and all-inhibitory are
            both legal.
        types: Pairs of a name and a number of units, which divide the excitatory units, then
            the inhibitory ones; default: "E" and "I". It is there for what reads a partition's
            fields back; people write :meth:`of`.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If a count is negative, both are 0, or ``types`` do not fit the counts.

    Example:
        >>> pops = Populations(n_exc=3, n_inh=1)
        >>> pops.size
        4
        >>> pops.signs()
        tensor([ 1.,  1.,  1., -1.])
        >>> Populations.split(100, inhibitory=0.2)
        Populations(n_exc=80, n_inh=20)
        >>> Populations.of(exc={"E": 80}, inh={"PV": 12, "SST": 8}).index("PV")[:4]
        tensor([80, 81, 82, 83])

    References:
        Eccles, Fatt & Koketsu 1954, for the law; Song, Yang & Wang 2016, for the partition in
        artificial networks.
    """

    n_exc: int
    n_inh: int = 0
    # None stands for the two default names, so that a plain partition, and a pickle of one
    # from before there were names, equals what `of` builds with those names.
    types: type_names.Types | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        # A slip that is made often: cell types without `of`.
        if isinstance(self.n_exc, Mapping):
            raise TypeError(
                f"`n_exc` must be an integer; got {self.n_exc}: for named cell types write"
                " Populations.of(exc=..., inh=...)."
            )
        # Another slip: a fraction in place of a count.
        if isinstance(self.n_inh, float) and 0 < self.n_inh < 1:
            raise TypeError(
                f"`n_inh` must be an integer; got {self.n_inh}: for a fraction of"
                f" {self.n_exc} units write Populations.split({self.n_exc}, {self.n_inh})."
            )
        for name, count in (("n_exc", self.n_exc), ("n_inh", self.n_inh)):
            # As an int, whichever integer numpy gave; the class is frozen.
            object.__setattr__(self, name, require.integer(name, count))
        if self.size == 0:
            raise ValueError("`n_exc` + `n_inh` must be at least 1; got 0.")
        if self.types is not None:
            types = type_names.dividing(self.types, self.n_exc, self.n_inh)
            plain = types == type_names.default(self.n_exc, self.n_inh)
            object.__setattr__(self, "types", None if plain else types)

    @classmethod
    def of(
        cls,
        exc: Mapping[str, int] | None = None,
        inh: Mapping[str, int] | None = None,
    ) -> Populations:
        """Name the cell types: first the excitatory ones, then the inhibitory ones, in order.

        Args:
            exc: Number of units, at least 1, of each excitatory type, by its name. What comes
                before a dot is its area: "V1.E".
            inh: As ``exc``, of each inhibitory type.

        Returns:
            A partition that knows its types.

        Raises:
            TypeError: If either is no mapping of strings to integers.
            ValueError: If a name stands twice, is the area of another or has a character that
                keys use (``*?[]``, ``->``), or if a number is below 1.

        Example:
            >>> pops = Populations.of(exc={"E": 80}, inh={"PV": 10, "SST": 6, "VIP": 4})
            >>> pops.names
            ('E', 'PV', 'SST', 'VIP')
            >>> pops["SST"]
            slice(90, 96, None)
            >>> Populations.of(exc={"E": 80}, inh={"I": 20}) == Populations(80, 20)
            True
        """
        types = type_names.read_counts("exc", exc)
        n_exc = type_names.n_units(types)
        types += type_names.read_counts("inh", inh)
        if not types:
            raise ValueError("`exc` or `inh` must name a cell type; got none.")
        return cls(n_exc, type_names.n_units(types) - n_exc, types=types)

    @classmethod
    def from_signs(
        cls, signs: Any, names: Sequence[str] | None = None
    ) -> tuple[Populations, Tensor]:
        """Read units that stand in any order, and say how they are sorted into a partition.

        Args:
            signs: +1 or -1 for each unit: a tensor, an array or a sequence.
            names: The cell type of each unit, whose units all have one sign; default: "E" and
                "I". Types stand in the order of their first unit, units of a type in their own.

        Shape:
            ``signs`` (units,) -> order (units,), int64.

        Returns:
            The partition, and the order: unit ``k`` of the partition is the given unit
            ``order[k]``. So ``values[order]`` sorts what stands in the given order, and
            ``sorted[torch.argsort(order)]`` undoes it.

        Raises:
            TypeError: If a name is not a string.
            ValueError: If a sign is neither +1 nor -1, the names are not one per unit, or a
                type has both signs.

        Example:
            >>> signs = [1, -1, 1, -1]
            >>> pops, order = Populations.from_signs(signs, names=["E", "PV", "E", "SST"])
            >>> pops
            Populations.of(exc={'E': 2}, inh={'PV': 1, 'SST': 1})
            >>> order
            tensor([0, 2, 1, 3])
        """
        import torch

        exc, inh = unit_order.by_sign("signs", signs)
        if names is None:
            populations = cls(len(exc), len(inh))
        else:
            unit_order.require_one_index(signs, names)
            cell_types = unit_order.cell_types("names", names, exc, inh)
            exc_counts, exc = unit_order.by_type(cell_types, exc)
            inh_counts, inh = unit_order.by_type(cell_types, inh)
            populations = cls.of(exc_counts, inh_counts)
        return populations, torch.tensor(exc + inh, dtype=torch.int64, device="cpu")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Populations:
        """Return the partition that :meth:`to_dict` described, by way of JSON or not.

        Args:
            content: What ``to_dict`` gave; what describes no partition is refused.

        Example:
            >>> import json
            >>> pops = Populations.of(exc={"E": 8}, inh={"PV": 1, "SST": 1})
            >>> Populations.from_dict(json.loads(json.dumps(pops.to_dict()))) == pops
            True
        """
        if isinstance(content, Mapping):
            return cls(**content)
        raise TypeError(
            f"`content` must be a mapping, as of `to_dict`; got {content!r}."
        )

    @classmethod
    def split(cls, n: int, inhibitory: float = 0.2) -> Populations:
        """Divide ``n`` units so that a fraction of them, rounded to the nearest unit, inhibits.

        Args:
            n: Number of units, at least 1.
            inhibitory: Fraction of inhibitory units in [0, 1]; exactly half a unit rounds up.

        Raises:
            TypeError: If ``n`` is not an integer, or ``inhibitory`` is not a number.
            ValueError: If ``n`` is below 1, or ``inhibitory`` is outside [0, 1].

        Example:
            >>> Populations.split(10, inhibitory=0.25)
            Populations(n_exc=7, n_inh=3)
        """
        n = require.integer("n", n, minimum=1)
        # Not `round`, which rounds half a unit to the even number.
        n_inh = int(n * require.fraction("inhibitory", inhibitory) + 0.5)
        return cls(n - n_inh, n_inh)

    @classmethod
    def coerce(cls, populations: Populations | int | Any) -> Populations:
        """Read an int as that many excitatory units; leave a partition as it is.

        Args:
            populations: A partition, what describes one, or a number of units, at least 1.

        Returns:
            A partition.

        Raises:
            TypeError: If it is neither.
            ValueError: If the number is below 1.

        Example:
            >>> Populations.coerce(3)
            Populations(n_exc=3, n_inh=0)
        """
        # A partition is frozen, so the caller's own can be kept.
        if isinstance(populations, Populations):
            return populations
        if type_names.is_content(populations):
            return cls.from_dict(populations)
        type_names.require_no_pair("populations", populations)
        return cls(require.integer("populations", populations, minimum=1))

    @property
    def size(self) -> int:
        """Number of units, excitatory and inhibitory."""
        return self.n_exc + self.n_inh

    @property
    def exc(self) -> slice:
        """Where the excitatory units are."""
        return slice(0, self.n_exc)

    @property
    def inh(self) -> slice:
        """Where the inhibitory units are."""
        return slice(self.n_exc, self.size)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of units of each type, by name, in the order of the units."""
        if self.types is None:
            return dict(type_names.default(self.n_exc, self.n_inh))
        return dict(self.types)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the types, in the order of the units: without any, "E" and "I"."""
        return tuple(self.sizes)

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        """Whether there is a type of that name."""
        return name in self.names

    def __getitem__(self, name: str) -> slice:
        """Return where the units of one type are; :meth:`index` finds those of several."""
        return type_names.where("name", name, self.sizes)

    def matching(self, key: str, *, argument: str = "key") -> tuple[str, ...]:
        """Return the names of the types that a key covers, in their order.

        Args:
            key: The name of a type; or an area, for every type whose name begins with it and a
                dot; or a pattern such as ``"*.E"``, as in :mod:`fnmatch`.
            argument: What an error calls the key.

        Raises:
            TypeError: If ``key`` is no string.
            ValueError: If it covers no type.

        Example:
            >>> areas = Populations.of(
            ...     exc={"V1.E": 8, "PFC.E": 8}, inh={"V1.I": 2, "PFC.I": 2}
            ... )
            >>> areas.matching("V1")
            ('V1.E', 'V1.I')
            >>> areas.matching("*.I")
            ('V1.I', 'PFC.I')
        """
        return type_names.covered(argument, key, self.names)

    def index(self, key: str, *, argument: str = "key") -> Tensor:
        """Return the units of every type that a key covers, in increasing order.

        Args:
            key: A name, an area or a pattern, as in :meth:`matching`, which may raise.
            argument: What an error calls the key.

        Shape:
            ``(units,)``, int64, on the CPU, whence it indexes a tensor of any device.

        Example:
            >>> Populations.of(exc={"V1.E": 2, "PFC.E": 2}, inh={"V1.I": 1}).index("V1")
            tensor([0, 1, 4])
        """
        import torch

        units = type_names.units(argument, key, self.sizes)
        return torch.tensor(units, dtype=torch.int64, device="cpu")

    def per_unit(self, argument: str, values: Mapping[str, Any]) -> list[Any]:
        """Return one value for each unit, from a value for each population.

        Args:
            argument: What an error calls the values.
            values: A value for each name, area or pattern; they must cover every type once.

        Raises:
            TypeError: If ``values`` is no mapping with strings as keys.
            ValueError: If a key covers no type, or a type has two values or none.

        Example:
            >>> pops = Populations.of(exc={"E": 2}, inh={"PV": 1, "SST": 1})
            >>> pops.per_unit("tau_ms", {"E": 20, "PV": 5, "SST": 10})
            [20, 20, 5, 10]
        """
        return type_names.per_unit(argument, values, self.sizes)

    def excitatory(self) -> Populations:
        """Return the partition of the excitatory units alone."""
        types, _ = type_names.by_side(tuple(self.sizes.items()), self.n_exc)
        return Populations(self.n_exc, types=types)

    def repeat(self, n: int) -> Populations:
        """Return the partition in which every unit stands ``n`` times, as flattened pixels do.

        Args:
            n: How often each unit stands, at least 1.

        Returns:
            The larger partition.

        Raises:
            TypeError: If ``n`` is not an integer.
            ValueError: If ``n`` is below 1.

        Example:
            >>> Populations(24, 8).repeat(49)
            Populations(n_exc=1176, n_inh=392)
        """
        n = require.integer("n", n, minimum=1)
        types = None
        if self.types is not None:
            types = tuple((name, count * n) for name, count in self.types)
        return Populations(self.n_exc * n, self.n_inh * n, types=types)

    def signs(
        self,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return the sign of each unit: +1 for the excitatory ones, then -1.

        Args:
            device: Where the tensor is; default: torch's default device.
            dtype: Its type; default: torch's default type.

        Shape:
            ``(size,)``.

        Example:
            >>> Populations(2, 1).signs().tolist()
            [1.0, 1.0, -1.0]
        """
        # Here, so that a partition can be described without loading torch.
        import torch

        signs = torch.ones(self.size, device=device, dtype=dtype)
        signs[self.inh] = -1
        return signs

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`from_dict` reads, ready for JSON."""
        content: dict[str, Any] = {"n_exc": self.n_exc, "n_inh": self.n_inh}
        if self.types is not None:
            # Pairs, since an object of JSON may be sorted by its keys.
            content["types"] = [list(pair) for pair in self.types]
        return content

    def described(self) -> str:
        """Return the arguments of the call that builds it, as a layer's repr shows them."""
        if self.types is None:
            return f"n_exc={self.n_exc}, n_inh={self.n_inh}"
        return type_names.written(self.types, self.n_exc)

    def __repr__(self) -> str:
        call = "Populations" if self.types is None else "Populations.of"
        return f"{call}({self.described()})"
