"""Checks of tables of cell types and of the pathways between them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pandas import DataFrame

Quantity = Literal["probability", "strength"]
"""The name of a quantity that a table has for each pathway."""

ARROW = "->"
"""What stands between the sender and the receiver of a pathway."""

QUANTITIES: tuple[Quantity, ...] = ("probability", "strength")
"""The names of all of them."""


def require_types(types: DataFrame) -> None:
    """Raise if a table of types lacks a name or a sign, or lists one type twice.

    Args:
        types: A row per type.

    Raises:
        TypeError: If it is no table.
        ValueError: If it does; or if there is none, a name is no text, or a sign is neither +1
            nor -1.
    """
    # In this order, since each check relies on those before it.
    _require_columns("types", types, ("type", "sign"))
    if not len(types):
        raise ValueError("`types` must list at least one type; got none.")
    for name in types["type"]:
        # The arrow separates the two types of a pathway.
        if not isinstance(name, str) or not name or ARROW in name:
            raise ValueError(
                f"`types` must have names of text without {ARROW!r}; got {name!r}."
            )
    _require_once("types", types, ["type"])
    others = set(types["sign"]) - {1, -1}
    if others:
        raise ValueError(f"`types` must have signs of +1 or -1; got {others.pop()}.")


def require_pathways(pathways: DataFrame, names: tuple[str, ...]) -> None:
    """Raise if a table of pathways lacks what is needed, or has numbers that cannot be.

    Args:
        pathways: A row per ordered pair of types.
        names: The types.

    Raises:
        TypeError: If it is no table.
        ValueError: If a column is missing, a pair is listed twice, a type is not one of
            ``names``, or a value is no number or out of its range.
    """
    _require_columns("pathways", pathways, ("pre", "post"))
    if not {*QUANTITIES} & {*pathways.columns}:
        raise ValueError(
            "`pathways` must have the column probability or strength; got"
            f" {', '.join(map(str, pathways.columns))}."
        )
    _require_once("pathways", pathways, ["pre", "post"])
    strangers = {*pathways["pre"], *pathways["post"]} - {*names}
    if strangers:
        raise ValueError(
            f"`pathways` must join the types {', '.join(names)}; got {min(strangers)!r}."
        )
    _require_range(pathways, "probability", 1.0, "in [0, 1]")
    _require_range(pathways, "strength", math.inf, "finite and at least 0")


def _require_range(
    pathways: DataFrame, quantity: Quantity, largest: float, rule: str
) -> None:
    if quantity not in pathways.columns:
        return
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = pathways[quantity]
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        raise ValueError(f"`{quantity}` must hold numbers; got {column.iloc[0]!r}.")
    # A missing value was not measured, and is in no range.
    values = column.dropna().astype("float64")
    outside = values[(values < 0) | (values > largest) | (values == math.inf)]
    if len(outside):
        raise ValueError(f"`{quantity}` must be {rule}; got {outside.iloc[0]:g}.")


def _require_columns(
    argument: str, frame: DataFrame, required: tuple[str, ...]
) -> None:
    from pandas import DataFrame

    if not isinstance(frame, DataFrame):
        raise TypeError(
            f"`{argument}` must be a pandas DataFrame; got {type(frame).__name__}."
        )
    missing = [column for column in required if column not in frame.columns]
    if missing:
        raise ValueError(
            f"`{argument}` must have the columns {', '.join(required)}; got none called"
            f" {', '.join(missing)}."
        )


def _require_once(argument: str, frame: DataFrame, columns: list[str]) -> None:
    repeated = frame[frame.duplicated(columns)]
    if len(repeated):
        one = "->".join(map(str, repeated[columns].iloc[0]))
        raise ValueError(f"`{argument}` must list each once; got {one} again.")
