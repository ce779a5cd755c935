"""CellTypeTable: cell types, and what a paper measured of the pathways between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from daleml.datasets.cell_type_checks import (
    QUANTITIES,
    Quantity,
    require_pathways,
    require_types,
)
from daleml.datasets.unit_counts import cells_of, sizes_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from daleml.populations import Populations


@dataclass(frozen=True, eq=False)
class CellTypeTable:
    r"""The pathways between cell types: how probable a synapse is, and how strong it is.

    The pathway ``"E->PV"`` leads from the presynaptic type E to the postsynaptic type PV. Of
    each, a table may know a probability :math:`p_{\text{post},\text{pre}}`, a mean strength
    :math:`w_{\text{post},\text{pre}} \ge 0`, or both; the sign of a synapse is that of its
    presynaptic type. Whatever the source wrote, a matrix is ``(post, pre)`` here.

    Args:
        name: What was measured.
        types: One row per type: ``type``, its name; ``sign``, +1 or -1; ``count``, the number of
            its cells, where that is known; then whatever else is known of it.
        pathways: One row per ordered pair of types: ``pre``, ``post``, and ``probability``,
            ``strength`` or both; then further columns. A pair without a row, and a cell without
            a value, were not measured: that is not 0.
        source: Where the numbers come from.
        licence: Terms under which they are shared.
        citation: What to cite.
        probability_means: What kind of probability it is; kinds cannot be mixed.
        strength_means: What the strength is, with its unit.

    Raises:
        TypeError: If ``types`` or ``pathways`` is no ``DataFrame``.
        ValueError: If a column is missing, a type or a pair is listed twice, a pathway names a
            type that is not listed, a sign is neither +1 nor -1, a probability is outside
            [0, 1], or a strength is negative.

    Example:
        >>> from daleml.datasets import potjans_diesmann
        >>> table = potjans_diesmann()
        >>> table.names
        ('23E', '4E', '5E', '6E', '23I', '4I', '5I', '6I')
        >>> table.probability["4E->23E"], table.probability["23E->4E"]
        (0.0437, 0.0077)

    Notes:
        ``Blocks`` of ``daleml.layers`` takes ``probability`` and ``strength`` as they are.
    """

    name: str
    types: DataFrame = field(repr=False)
    pathways: DataFrame = field(repr=False)
    source: str = ""
    licence: str = ""
    citation: str = ""
    probability_means: str = ""
    strength_means: str = ""

    def __post_init__(self) -> None:
        require_types(self.types)
        require_pathways(self.pathways, tuple(self.types["type"]))

    def __str__(self) -> str:
        known = []
        for quantity in QUANTITIES:
            if quantity in self.pathways.columns:
                known.append(f"{len(self.known(quantity))} of {quantity}")
        n_pairs = len(self.names) ** 2
        counts = f"{len(self.names)} cell types, {n_pairs} pathways"
        return f"{self.name}: {counts} ({', '.join(known)})\n{self.citation}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the types: excitatory ones first, as in ``Populations``."""
        # The order of `Populations`, whatever that of the source.
        inhibitory = self.types["sign"] < 0
        types = self.types["type"]
        return (*types[~inhibitory], *types[inhibitory])

    @property
    def signs(self) -> dict[str, int]:
        """The sign of each type, +1 or -1, in the order of ``names``."""
        sign = dict(zip(self.types["type"], self.types["sign"], strict=True))
        return {name: int(sign[name]) for name in self.names}

    @property
    def counts(self) -> dict[str, int]:
        """The number of cells of each type in the tissue, in the order of ``names``.

        Raises:
            ValueError: If the source gives none, or not of every type.
        """
        return cells_of(self.types, self.names, self.name)

    @property
    def probability(self) -> dict[str, float]:
        """The probability of every pathway, as ``{"pre->post": number}``, for ``Blocks``.

        Raises:
            ValueError: If the table lacks it for a pathway.
        """
        return self._whole("probability")

    @property
    def strength(self) -> dict[str, float]:
        """The mean strength of every pathway, as ``{"pre->post": number}``, for ``Blocks``.

        Raises:
            ValueError: If the table lacks it for a pathway.
        """
        return self._whole("strength")

    def _whole(self, quantity: Quantity) -> dict[str, float]:
        known = self.known(quantity)
        every = [f"{pre}->{post}" for pre in self.names for post in self.names]
        missing = [pathway for pathway in every if pathway not in known]
        # A pathway left out would be 0 in `Blocks`, without a word.
        if missing:
            raise ValueError(
                f"`{quantity}` must be known for every pathway; got none for {missing[0]}"
                f" ({len(missing)} of {len(every)}) in {self.name}: take some types by"
                f' select(...), or known("{quantity}") with numbers of yours for the rest.'
            )
        return {pathway: known[pathway] for pathway in every}

    def known(self, quantity: Quantity) -> dict[str, float]:
        """Return what is known of a quantity, as ``{"pre->post": number}``.

        Args:
            quantity: "probability" or "strength".

        Returns:
            A new dictionary without the pathways that were not measured.

        Raises:
            ValueError: If there is no such quantity, or the table has none of it.

        Example:
            >>> from daleml.datasets import campagnola
            >>> strength = campagnola().known("strength")
            >>> strength["PV->23E"], "VIP->23E" in strength
            (0.405, False)
        """
        self._require_quantity(quantity)
        # A pathway that was not measured is left out: it would read as 0 elsewhere.
        rows = self.pathways.dropna(subset=[quantity])
        found = {}
        for pre, post, value in zip(
            rows["pre"], rows["post"], rows[quantity], strict=True
        ):
            found[f"{pre}->{post}"] = float(value)
        return found

    def matrix(self, quantity: Quantity) -> DataFrame:
        """Return a quantity as a matrix with a row per receiver and a column per sender.

        Args:
            quantity: "probability" or "strength".

        Returns:
            A new table, ``(post, pre)``, in the order of ``names``; NaN where nothing is known.

        Raises:
            ValueError: If there is no such quantity, or the table has none of it.

        Example:
            >>> from daleml.datasets import garcia_del_molino
            >>> weights = garcia_del_molino().matrix("strength")
            >>> float(weights.loc["PV", "E"]), float(weights.loc["E", "PV"])
            (2.9706, 0.3329)
        """
        self._require_quantity(quantity)
        # As in a weight, a column is what one type sends.
        wide = self.pathways.pivot(index="post", columns="pre", values=quantity)
        names = list(self.names)
        return wide.reindex(index=names, columns=names).astype("float64")

    def _require_quantity(self, quantity: str) -> None:
        if quantity not in QUANTITIES:
            raise ValueError(
                f'`quantity` must be "probability" or "strength"; got {quantity!r}.'
            )
        if quantity not in self.pathways.columns:
            (other,) = {*QUANTITIES} - {quantity}
            advice = ""
            if quantity == "strength":
                advice = "; take those of another table by with_strength(...)"
            raise ValueError(
                f"`{quantity}` must be in the table; got {other} only in {self.name}"
                f"{advice}."
            )

    def to_frame(self) -> DataFrame:
        """Return the pathways as a tidy table of your own, with the sign of each sender.

        Returns:
            One row per measured pair: ``pre``, ``post``, ``sign``, then the other columns.

        Example:
            >>> from daleml.datasets import pfeffer
            >>> print(pfeffer().to_frame().head(2).to_string(index=False))
            pre post  sign  strength
             PV    E    -1      1.00
             PV   PV    -1      1.01
        """
        frame = self.pathways.copy()
        frame.insert(2, "sign", frame["pre"].map(self.signs).astype("int64"))
        return frame

    def populations(
        self, n: int, counts: Mapping[str, float] | None = None
    ) -> Populations:
        """Return populations of ``n`` units that divide among the types as the cells do.

        Args:
            n: Number of units, at least one for each type.
            counts: Number of cells of each type, or any numbers in the same proportion; the
                table's own by default, where it has them. One unit for each type needs none.

        Returns:
            Named populations, in the order of ``names``. Every type has at least one unit; the
            others are divided by largest remainders.

        Raises:
            TypeError: If ``n`` is not an integer, or ``counts`` no mapping.
            ValueError: If ``n`` is below the number of types, or counts are needed and not
                given, name another type, leave one out, or are not positive.

        Example:
            >>> from daleml.datasets import potjans_diesmann
            >>> potjans_diesmann().populations(200).sizes["5I"]
            3
        """
        from daleml.populations import Populations

        if counts is None and n == len(self.names):
            # One unit for each type is the one answer, whatever the numbers of cells.
            counts = dict.fromkeys(self.names, 1.0)
        sizes = sizes_of(n, self.names, self.counts if counts is None else counts)
        signs = self.signs
        exc = {name: size for name, size in sizes.items() if signs[name] > 0}
        inh = {name: size for name, size in sizes.items() if signs[name] < 0}
        return Populations.of(exc=exc, inh=inh)

    def select(self, *names: str) -> CellTypeTable:
        """Keep some types, and the pathways between them.

        Args:
            names: Names, or patterns such as ``"23*"``.

        Returns:
            A table of those types, in the order they had.

        Raises:
            ValueError: If there is none, or one fits no type.

        Example:
            >>> from daleml.datasets import v1dd
            >>> v1dd().select("23*").names
            ('23E', '23PV', '23SST', '23VIP')
        """
        if not names:
            raise ValueError("`names` must name at least one type; got none.")
        kept: set[str] = set()
        for name in names:
            fitting = {one for one in self.names if fnmatchcase(one, str(name))}
            if not fitting:
                raise ValueError(
                    f"`names` must fit types of {', '.join(self.names)}; got {name!r}."
                )
            kept |= fitting
        types = self.types[self.types["type"].isin(kept)]
        # Both ends have to be kept.
        ends = self.pathways[["pre", "post"]].isin(kept).all(axis="columns")
        return self._with(types, self.pathways[ends])

    def rename(self, names: Mapping[str, str]) -> CellTypeTable:
        """Call types by other names, so that two tables can be used for one circuit.

        Args:
            names: New names by old ones; other types keep theirs.

        Returns:
            The same numbers under the new names.

        Raises:
            ValueError: If there is no such type, or two would have one name.

        Example:
            >>> from daleml.datasets import campagnola
            >>> campagnola().rename({"23E": "E"}).names
            ('E', 'PV', 'SST', 'VIP')
        """
        for old in names:
            if old not in self.names:
                raise ValueError(
                    f"`names` must rename types of {', '.join(self.names)}; got {old!r}."
                )
        renamed = dict(names)
        types = self.types.replace({"type": renamed})
        return self._with(
            types, self.pathways.replace({"pre": renamed, "post": renamed})
        )

    def with_strength(self, other: CellTypeTable) -> CellTypeTable:
        """Join the probabilities of this table and the strengths of another.

        Args:
            other: A table that has every type of this one, by the same name and sign.

        Returns:
            A table that has both; its source, licence and citation name both.

        Raises:
            TypeError: If ``other`` is no such table.
            ValueError: If the other lacks a type or has it with the other sign, or one lacks
                the quantity.

        Example:
            >>> from daleml.datasets import campagnola, v1dd
            >>> layer = {"23PV": "PV", "23SST": "SST", "23VIP": "VIP"}
            >>> both = v1dd().select("23*").rename(layer).with_strength(campagnola())
            >>> both.probability["PV->SST"], both.known("strength")["PV->SST"]
            (0.380009, 0.52)
        """
        if not isinstance(other, CellTypeTable):
            raise TypeError(
                f"`other` must be a CellTypeTable; got {type(other).__name__}."
            )
        self._require_quantity("probability")
        other._require_quantity("strength")
        # The sign is not measured anew, so that another one is another cell type.
        theirs = other.signs
        for name, sign in self.signs.items():
            if theirs.get(name) != sign:
                raise ValueError(
                    f"`other` must have the types {', '.join(self.names)} with their signs;"
                    f" got {', '.join(other.names)}."
                )
        # Each quantity comes from one source.
        own = self.pathways.drop(columns="strength", errors="ignore")
        strengths = other.pathways.drop(columns="probability", errors="ignore")
        pathways = own.merge(
            strengths, how="left", on=["pre", "post"], suffixes=("", "_of_strength")
        )
        return dataclasses.replace(
            self,
            name=f"{self.name}, strengths of {other.name}",
            pathways=pathways,
            source=f"{self.source}; {other.source}",
            licence=f"{self.licence}; {other.licence}",
            citation=f"{self.citation}; {other.citation}",
            strength_means=other.strength_means,
        )

    def _with(self, types: DataFrame, pathways: DataFrame) -> CellTypeTable:
        return dataclasses.replace(
            self,
            types=types.reset_index(drop=True),
            pathways=pathways.reset_index(drop=True),
        )

    def to_dict(self) -> dict[str, Any]:
        """The numbers and where they come from, as JSON can hold them.

        Returns:
            ``name``, ``source``, ``licence``, ``citation``, ``probability_means``,
            ``strength_means``, ``names``, ``signs``; ``counts``, ``probability`` and
            ``strength``, what is known of each, empty where nothing is.
        """
        # JSON has no tables, and no NaN.
        facts: dict[str, Any] = {}
        for one in dataclasses.fields(self):
            if one.name not in ("types", "pathways"):
                facts[one.name] = getattr(self, one.name)
        facts["names"] = list(self.names)
        facts["signs"] = self.signs
        facts["counts"] = self.counts if "count" in self.types.columns else {}
        facts["probability"] = {}
        facts["strength"] = {}
        if "probability" in self.pathways.columns:
            facts["probability"] = self.known("probability")
        if "strength" in self.pathways.columns:
            facts["strength"] = self.known("strength")
        return facts
