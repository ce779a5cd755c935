"""From the text of cells to numbers, whichever way a hand or a program wrote them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from daleml.reading.table_options import shown

EMPTY = frozenset({"", "NA", "NaN", "nan"})
"""Cells without a value that need no word."""

MISSING = EMPTY | {
    "NAN", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "#N/A N/A", "<NA>", "NULL", "Null", "null", "None", "none",
    "missing", "-", "--", "\u2013", "\u2014", ".", "-nan", "NaT", "n.d.", "nd", "ND",
}  # fmt: skip
"""Cells of a column of numbers that have no value."""

MISSING_LABELS = EMPTY | {"N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null"}
"""Cells of a column of names that have none: fewer, for a cell type may well be called "-"."""

_PLAIN = frozenset("0123456789+-.eE")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BOUND = re.compile(
    r"([<>\u2264\u2265])\s*=?\s*([\d.,eE+-]+)\s*([A-Za-z\u00b5\u03bc%].*)?"
)
_MEASURED = re.compile(
    r"([+-]?[\d.,'\u2019"
    r" ]*\d(?:\.|,)?(?:[eE][+-]?\d+)?)\s*(?![eE][+-]?\d)([%A-Za-z\u00b5\u03bc\u00b0\u03a9\u00c5].*)"
)
_FORTRAN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)$")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_ERROR = re.compile(r"#(DIV/0|VALUE|REF|NAME|NUM|NULL)[!?]?")
_BLANKS = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_EXACT = 2**53


class NotNumbersError(ValueError):
    """Cells that are no numbers: the sentence's middle, and the first such cell."""


@dataclass
class Numbers:
    """A column read as numbers.

    Attributes:
        values: float64, NaN where a cell has no value.
        notes: What was taken for what.
        bounded: Cells such as ``<0.01``, read as their bound, by their direction.
    """

    values: NDArray[np.float64]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Hints:
    """What the table says of its numbers.

    Attributes:
        decimal: The decimal mark, if the user gave it.
        comma: Whether numbers elsewhere in the table have a decimal comma.
        separator: What stands between cells; None if they are typed.
        missing: Cells that have no value, beside the usual ones; None if nothing was said.
        censor_below: The bound below which magnitudes are known only to be no larger, if the
            user gave it.
    """

    decimal: str | None = None
    comma: bool = False
    separator: str | None = None
    missing: tuple[str, ...] | None = None
    censor_below: float | None = None


def to_numbers(cells: Iterable[str], name: str, hints: Hints) -> Numbers:
    """Read the cells of a column as numbers.

    Args:
        cells: Their text, blanks around it taken off.
        name: The column's.
        hints: What the table says of its numbers.

    Raises:
        NotNumbersError: If they are none; the sentence is "must hold numbers; got ..." and what
            follows.
    """
    import pandas as pd

    codes, found = pd.factorize(np.asarray(cells, dtype=object))
    texts = [str(text) for text in found]
    counts = np.bincount(codes, minlength=len(texts))
    gone = [_is_gone(text, hints) for text in texts]
    kept = [text for text, is_gone in zip(texts, gone, strict=True) if not is_gone]
    how_often = {text: int(count) for text, count in zip(texts, counts, strict=True)}
    first = (
        dict(zip(texts, np.unique(codes, return_index=True)[1].tolist(), strict=True))
        if texts
        else {}
    )
    column = _Column(name, how_often, first, hints)
    values, notes = column.read(kept)
    numbers = dict(zip(kept, values, strict=True))
    table = np.array([numbers.get(text, math.nan) for text in texts], dtype=np.float64)
    said = Counter(
        {
            text: how_often[text]
            for text, is_gone in zip(texts, gone, strict=True)
            if is_gone
        }
    )
    for text in list(said):
        if text in EMPTY or text not in MISSING:  # or the user named it
            del said[text]
    if said:
        what = ", ".join(shown(text) for text, _ in said.most_common(3))
        n = sum(said.values())
        notes.insert(
            0,
            f"{n:,} cell{'s' if n > 1 else ''} of {shown(name)} that say {what} were taken"
            " as missing.",
        )
    return Numbers(table[codes] if len(texts) else np.empty(0), notes)


def _is_gone(text: str, hints: Hints) -> bool:
    return text in MISSING or (
        hints.missing is not None and is_named(text, hints.missing)
    )


def is_named(text: str, missing: tuple[str, ...]) -> bool:
    """Whether a cell is one of those said to have no value, as text or as a number.

    -9999 names -9999.0 too.
    """
    if text in missing:
        return True
    if not _DECIMAL.fullmatch(text):
        return False
    return any(
        _DECIMAL.fullmatch(given) and float(given) == float(text) for given in missing
    )


class _Column:
    """The different cells of one column, and how to read them all alike."""

    def __init__(
        self, name: str, counts: dict[str, int], rows: dict[str, int], hints: Hints
    ) -> None:
        self.name, self.counts, self.rows, self.hints = name, counts, rows, hints

    def read(self, texts: list[str]) -> tuple[list[float], list[str]]:
        if (
            self.hints.decimal != ","
            and set().union(*texts) <= _PLAIN
            and all(map(_DECIMAL.fullmatch, texts))
        ):
            self._refuse_thousands(texts)
            return [self._exact(float(text), text) for text in texts], []
        texts = self._renamed(texts, [text.translate(_BLANKS) for text in texts])
        self._refuse_words(texts)
        texts = self._renamed(texts, [_FORTRAN.sub(r"\1e\2", text) for text in texts])
        texts, notes = self._without_bounds(texts)
        texts, unit = self._without_unit(texts)
        values, how = self._by_style(texts)
        notes += how
        if unit == "%":
            values = [value / 100 for value in values]
            notes.append(
                f"The cells of {shown(self.name)} are in percent, and were divided by 100."
            )
        elif unit:
            notes.append(
                f"The unit {shown(unit)} was taken off the cells of {shown(self.name)}."
            )
        return values, notes

    def _renamed(self, old: list[str], new: list[str]) -> list[str]:
        """Return the new texts, whose rows are those of the old."""
        for before, after in zip(old, new, strict=True):
            self.counts.setdefault(after, self.counts.get(before, 1))
            self.rows.setdefault(after, self.rows.get(before, 0))
        return new

    def _exact(self, value: float, text: str) -> float:
        if math.isinf(
            value
        ):  # first: it is more than a number can hold, and no whole number can be made of it
            raise self._wrong([text])
        if (
            abs(value) >= _EXACT
            and text.lstrip("+-").isdigit()
            and int(value) != int(text)
        ):
            raise NotNumbersError(
                f"must hold sizes; it holds whole numbers such as {text}, which are ids and"
                " would be rounded"
            )
        return value

    def _refuse_thousands(self, texts: list[str]) -> None:
        """Refuse 1.234 where the rest of the table has decimal commas.

        It may be a thousand and more.
        """
        grouped = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
        if (
            self.hints.comma
            and self.hints.decimal is None
            and texts
            and all(map(grouped.fullmatch, texts))
        ):
            raise NotNumbersError(
                "must say what its points are, `--decimal .` or `--decimal ,`: other"
                f" columns have decimal commas; got {shown(texts[0])}"
            )

    def _refuse_words(self, texts: list[str]) -> None:
        for text in texts:
            if _INFINITE.fullmatch(text) or _ERROR.fullmatch(text):
                what = (
                    "infinite"
                    if _INFINITE.fullmatch(text)
                    else "an error of a spreadsheet"
                )
                n = self.counts.get(text, 1)
                raise NotNumbersError(
                    f"must hold finite numbers; got {shown(text)} in row {self._row(text)},"
                    f" {what}"
                    + (f", and {n - 1} more" if n > 1 else "")
                    + f": pass `--missing {text}` to leave such cells out"
                )

    def _without_bounds(self, texts: list[str]) -> tuple[list[str], list[str]]:
        """Take cells such as ``<0.01`` for their bound where the user says that they are censored there."""
        bounds = {text: match for text in texts if (match := _BOUND.fullmatch(text))}
        if not bounds:
            return texts, []
        limit = self.hints.censor_below
        worst = next(iter(bounds))
        n = sum(self.counts.get(text, 1) for text in bounds)
        below = all(match[1] in "<\u2264" for match in bounds.values())
        if limit is None or not below:
            bound = next(iter(bounds.values()))[2]
            advice = (
                f"pass `--censor-below {bound}`"
                if below
                else (
                    "censored data are read where every bound is a lower one, with"
                    " `--censor-below`"
                )
            )
            raise NotNumbersError(
                f"must hold numbers; got {shown(worst)} in row {self._row(worst)}, a bound"
                " and no value (censored)"
                + (f", and {n - 1} more such values" if n > 1 else "")
                + f": {advice}, or `--missing '{worst}'` to leave such cells out"
            )
        beyond = next(
            (text for text, match in bounds.items() if _bound(match[2]) > limit), None
        )
        if beyond is not None:
            raise NotNumbersError(
                f"must be censored at `--censor-below` {limit:g} or below; got"
                f" {shown(beyond)}"
            )
        bare = [
            bounds[text][2] + (bounds[text][3] or "") if text in bounds else text
            for text in texts
        ]
        note = (
            f"{n:,} cells of {shown(self.name)} such as {shown(worst)} were taken as"
            " censored at their bound."
        )
        return self._renamed(texts, bare), [note]

    def _without_unit(self, texts: list[str]) -> tuple[list[str], str]:
        """Take a unit off that all cells have, and the same."""
        matches = [_MEASURED.fullmatch(text) for text in texts]
        if not any(matches):
            return texts, ""
        units = Counter(match[2].strip() if match else "" for match in matches)
        if len(units) > 1:
            usual = units.most_common(1)[0][0]
            odd = [
                text
                for text, match in zip(texts, matches, strict=True)
                if (match[2].strip() if match else "") != usual
            ]
            raise self._wrong(
                odd,
                (
                    "; the others are without a unit"
                    if not usual
                    else f"; the others are in {usual}"
                ),
            )
        bare = [match[1].strip() for match in matches if match]
        return self._renamed(texts, bare), next(iter(units))

    def _by_style(self, texts: list[str]) -> tuple[list[float], list[str]]:
        fitting = [style for style in _STYLES if all(map(style.fits, texts))]
        if self.hints.decimal is not None:
            fitting = [
                style for style in fitting if style.decimal == self.hints.decimal
            ]
        if not fitting:
            raise self._no_style(texts)
        style = fitting[0]
        different = [
            one
            for one in fitting
            if [one.value(t) for t in texts] != [style.value(t) for t in texts]
        ]
        if different:
            style = self._decide(style, different[0], texts)
        note = style.note(self.name, texts)
        return [self._exact(style.value(text), text) for text in texts], (
            [note] if note else []
        )

    def _decide(self, style: _Style, other: _Style, texts: list[str]) -> _Style:
        """Choose between a thousand's comma and a decimal comma, by how the table is written."""
        if not self.hints.comma and not any("," in text for text in texts):
            return style  # points alone are decimal marks
        comma = next((one for one in (style, other) if one.decimal == ","), None)
        point = next((one for one in (style, other) if one.decimal == "."), None)
        if (
            comma is not None
            and point is not None
            and not (self.hints.separator == ";" and _may_be_thousands(texts))
        ):
            if self.hints.separator == ";" or self.hints.comma:
                return comma
            if (
                self.hints.separator == ","
            ):  # the cells were quoted for their commas, as English spreadsheets do
                return point
        mark = next(text for text in texts if "," in text or "." in text)
        raise NotNumbersError(
            "must say what its commas and points are, `--decimal .` or `--decimal ,`; got"
            f" {shown(mark)}, which may be {style.value(mark):g} or {other.value(mark):g}"
        )

    def _no_style(self, texts: list[str]) -> NotNumbersError:
        odd = [text for text in texts if not any(style.fits(text) for style in _STYLES)]
        if odd:
            return self._wrong(odd)
        comma = next((text for text in texts if "," in text), texts[0])
        point = next(
            (text for text in texts if "." in text and text != comma), texts[-1]
        )
        if self.hints.decimal is not None:
            wrong = [
                t
                for t in texts
                if not any(
                    s.fits(t) for s in _STYLES if s.decimal == self.hints.decimal
                )
            ]
            return self._wrong(
                wrong or texts, f"; `--decimal` is {self.hints.decimal!r}"
            )
        return NotNumbersError(
            f"must write its numbers one way; got {shown(comma)} in row {self._row(comma)}"
            f" and {shown(point)} in row {self._row(point)}: pass `--decimal .` or"
            " `--decimal ,`"
        )

    def _wrong(self, texts: list[str], more: str = "") -> NotNumbersError:
        texts = sorted(texts, key=self._row)
        n = sum(self.counts.get(text, 1) for text in texts) - 1
        return NotNumbersError(
            f"must hold numbers; got {shown(texts[0])} in row {self._row(texts[0])}"
            + (f", and {n} more such values" if n else "")
            + more
        )

    def _row(self, text: str) -> int:
        return self.rows.get(text, 0) + 1


@dataclass(frozen=True)
class _Style:
    """One way of writing numbers.

    A decimal mark, and what groups the thousands, if anything does.
    """

    decimal: str
    group: str = ""

    def fits(self, text: str) -> bool:
        return self._pattern().fullmatch(text) is not None

    def value(self, text: str) -> float:
        return float(
            text.replace(self.group, "").replace(self.decimal, ".")
            if self.group
            else self._plain(text)
        )

    def note(self, name: str, texts: list[str]) -> str:
        grouped = bool(self.group) and any(self.group in text for text in texts)
        commas = self.decimal == "," and any("," in text for text in texts)
        if commas:
            also = f" and {_GROUPS[self.group]} between thousands" if grouped else ""
            return f"The numbers of {shown(name)} were read with decimal commas{also}."
        return (
            f"The numbers of {shown(name)} were read with {_GROUPS[self.group]} between"
            " thousands."
            if grouped
            else ""
        )

    def _plain(self, text: str) -> str:
        return text.replace(self.decimal, ".")

    def _pattern(self) -> re.Pattern[str]:
        return _PATTERNS[self]


_GROUPS = {
    ",": "commas",
    ".": "points",
    " ": "blanks",
    "'": "apostrophes",
    "\u2019": "apostrophes",
}
_STYLES = tuple(
    _Style(decimal, group)
    for decimal, group in [
        (".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"), (".", "\u2019"),
    ]
)  # fmt: skip


def _pattern(style: _Style) -> re.Pattern[str]:
    mark = re.escape(style.decimal)
    whole = (
        r"\d+"
        if not style.group
        else rf"(?:[1-9]\d{{0,2}}(?:{re.escape(style.group)}\d{{3}})+|\d{{1,3}})"
    )
    return re.compile(
        rf"[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII
    )


_PATTERNS = {style: _pattern(style) for style in _STYLES}


def _may_be_thousands(texts: list[str]) -> bool:
    """Whether commas stand in the larger numbers only, before three digits each.

    1,234 beside 567.
    """
    grouped = [text for text in texts if "," in text]
    bare = [text for text in texts if "," not in text]
    pattern = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
    return (
        bool(grouped and bare)
        and all(map(pattern.fullmatch, grouped))
        and all(abs(float(t)) < 1000 for t in bare)
    )


def _bound(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.inf
