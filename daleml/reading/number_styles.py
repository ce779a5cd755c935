"""Numbers that are not written plainly: bounds, units, percents, decimal commas, thousands."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from daleml._support.safe_text import quoted
from daleml.reading.odd_cells import advice_on

LARGEST_EXACT = 2**53
"""From here on float64 does not hold every whole number, so an id would be rounded."""

# Digits stand in one way only: with `\d+\.?\d*` a damaged cell of a million digits is split
# between both at every place, and never read to its end.
_PLAIN = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

# A bound, as of a size below what the microscope resolves: <0.01 um.
_BOUND = re.compile(
    r"([<>\u2264\u2265])\s*=?\s*([\d.,eE+-]+)\s*([A-Za-z\u00b5\u03bc%].*)?"
)

# A number and its unit; an exponent, as in 1e-3, is none.
_MEASURED = re.compile(
    r"([+-]?[\d.,'\u2019 ]*\d(?:\.|,)?(?:[eE][+-]?\d+)?)"
    r"\s*(?![eE][+-]?\d)([%A-Za-z\u00b5\u03bc\u00b0\u03a9\u00c5].*)"
)

# Fortran writes 1.5D-3 for a number in double precision.
_FORTRAN = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))[dD]([+-]?\d+)$")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_ERROR = re.compile(r"#(DIV/0|VALUE|REF|NAME|NUM|NULL)[!?]?")

# A minus sign of typography, and blanks that do not break, as papers and spreadsheets have them.
_BLANKS = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_GROUPED_BY_POINT = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_GROUPED_BY_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


class NotNumbersError(ValueError):
    """Cells that are no numbers: the middle of a sentence, with the first such cell."""


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


@dataclass(frozen=True)
class _Style:
    """One way of writing numbers: a decimal mark, and what groups the thousands, if any."""

    decimal: str
    group: str = ""

    def fits(self, text: str) -> bool:
        return _PATTERNS[self].fullmatch(text) is not None

    def value(self, text: str) -> float:
        if self.group:
            text = text.replace(self.group, "")
        return float(text.replace(self.decimal, "."))

    def values(self, texts: list[str]) -> list[float]:
        return list(map(self.value, texts))

    def note(self, name: str, texts: list[str], *, told: bool = False) -> list[str]:
        """Return what must be said where texts were read in this style: one sentence, or none.

        Whoever has told the decimal mark need not be told of it.
        """
        together = " ".join(texts) if self.group != " " else "".join(texts)
        grouped = bool(self.group) and self.group in together
        commas = self.decimal == "," and "," in together and not told
        if not grouped and not commas:
            return []
        marks = ["decimal commas"] if commas else []
        if grouped:
            marks.append(f"{_GROUPS[self.group]} between thousands")
        return [f"The numbers of {quoted(name)} were read with {' and '.join(marks)}."]


_GROUPS = {
    ",": "commas",
    ".": "points",
    " ": "blanks",
    "'": "apostrophes",
    "\u2019": "apostrophes",
}

# The plain style comes first: it is taken where several give the same numbers.
_STYLES = (
    _Style("."),
    _Style(".", ","),
    _Style(","),
    _Style(",", "."),
    _Style(".", " "),
    _Style(",", " "),
    _Style(".", "'"),
    _Style(",", "'"),
    _Style(".", "\u2019"),
)


def _pattern(style: _Style) -> re.Pattern[str]:
    mark, group = re.escape(style.decimal), re.escape(style.group)
    whole = r"\d+"
    if group:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{group}\d{{3}})+|\d{{1,3}})"
    number = rf"[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?"
    return re.compile(number, re.ASCII)


_PATTERNS = {style: _pattern(style) for style in _STYLES}


class OddColumn:
    """The different cells of one column, and how to read them all alike.

    Args:
        name: The column's.
        counts: How often each text is there.
        rows: The first row of each text, counted from 0.
        hints: What the table says of its numbers.
    """

    def __init__(
        self, name: str, counts: dict[str, int], rows: dict[str, int], hints: Hints
    ) -> None:
        self.name, self.counts, self.rows, self.hints = name, counts, rows, hints

    def read(self, texts: list[str]) -> tuple[list[float], list[str]]:
        """Return the numbers that the texts say, and what was taken for what.

        Raises:
            NotNumbersError: If they are none, or may be read in two ways.
        """
        if self.hints.decimal != "," and all(map(_PLAIN.fullmatch, texts)):
            self._refuse_thousands(texts)
            return list(map(self._exact, map(float, texts), texts)), []
        texts = self._renamed(texts, [text.translate(_BLANKS) for text in texts])
        self._refuse_words(texts)
        texts = self._renamed(texts, [_FORTRAN.sub(r"\1e\2", text) for text in texts])
        texts, notes = self._without_bounds(texts)
        texts, unit = self._without_unit(texts)
        style = self._style(texts)
        values = list(map(self._exact, style.values(texts), texts))
        notes += style.note(self.name, texts, told=self.hints.decimal is not None)
        if unit == "%":
            values = [value / 100 for value in values]
            notes.append(
                f"The cells of {quoted(self.name)} are in percent, and were divided by 100."
            )
        elif unit:
            notes.append(
                f"The unit {quoted(unit)} was taken off the cells of {quoted(self.name)}."
            )
        return values, notes

    def _renamed(self, old: list[str], new: list[str]) -> list[str]:
        """Return the new texts, whose rows are those of the old."""
        for before, after in zip(old, new, strict=True):
            self.counts.setdefault(after, self.counts.get(before, 1))
            self.rows.setdefault(after, self.rows.get(before, 0))
        return new

    def _exact(self, value: float, text: str) -> float:
        # Infinity comes first: no whole number can be made of it.
        if math.isinf(value):
            raise self._wrong([text])
        is_whole = text.lstrip("+-").isdigit()
        if abs(value) >= LARGEST_EXACT and is_whole and int(value) != int(text):
            raise NotNumbersError(
                f"must hold sizes; it holds whole numbers such as {text}, which are ids and"
                " would be rounded"
            )
        return value

    def _refuse_thousands(self, texts: list[str]) -> None:
        """Refuse 1.234 where the rest of the table has decimal commas.

        It may be a thousand and more.
        """
        unsaid = self.hints.comma and self.hints.decimal is None
        if unsaid and texts and all(map(_GROUPED_BY_POINT.fullmatch, texts)):
            raise NotNumbersError(
                "must say what its points are, `--decimal .` or `--decimal ,`: other"
                f" columns have decimal commas; got {quoted(texts[0])}"
            )

    def _refuse_words(self, texts: list[str]) -> None:
        for text in texts:
            if _INFINITE.fullmatch(text):
                what = "infinite"
            elif _ERROR.fullmatch(text):
                what = "an error of a spreadsheet"
            else:
                continue
            n = self.counts.get(text, 1)
            more = f", and {n - 1} more" if n > 1 else ""
            raise NotNumbersError(
                f"must hold finite numbers; got {quoted(text)} in row {self._row(text)},"
                f" {what}{more}: pass `--missing {shlex.quote(text)}` to leave such cells"
                " out"
            )

    def _without_bounds(self, texts: list[str]) -> tuple[list[str], list[str]]:
        """Take cells such as ``<0.01`` for their bound where the user says that it is one."""
        bounds: dict[str, re.Match[str]] = {}
        for text in texts:
            match = _BOUND.fullmatch(text)
            if match:
                bounds[text] = match
        if not bounds:
            return texts, []
        limit = self.hints.censor_below
        if limit is None or not all(map(_is_upper, bounds.values())):
            raise self._censored(bounds)
        for text, match in bounds.items():
            if _bound(match[2]) > limit:
                raise NotNumbersError(
                    f"must be censored at `--censor-below` {limit:g} or below; got"
                    f" {quoted(text)}"
                )
        bare = []
        for text in texts:
            if text in bounds:
                bare.append(bounds[text][2] + (bounds[text][3] or ""))
            else:
                bare.append(text)
        note = (
            f"{self._total(bounds):,} cells of {quoted(self.name)} such as"
            f" {quoted(next(iter(bounds)))} were taken as censored at their bound."
        )
        return self._renamed(texts, bare), [note]

    def _censored(self, bounds: dict[str, re.Match[str]]) -> NotNumbersError:
        """Return the error of bounds that cannot be read as the user's options are."""
        worst, match = next(iter(bounds.items()))
        if all(map(_is_upper, bounds.values())):
            advice = f"pass `--censor-below {match[2]}`"
        else:
            advice = (
                "censored data are read where every bound is a lower one, with"
                " `--censor-below`"
            )
        n = self._total(bounds)
        more = f", and {n - 1} more such values" if n > 1 else ""
        return NotNumbersError(
            f"must hold numbers; got {quoted(worst)} in row {self._row(worst)}, a bound and"
            f" no value (censored){more}: {advice}, or `--missing '{worst}'` to leave such"
            " cells out"
        )

    def _without_unit(self, texts: list[str]) -> tuple[list[str], str]:
        """Take a unit off that all cells have, and the same."""
        by_unit: dict[str, list[str]] = {}
        bare = []
        for text in texts:
            match = _MEASURED.fullmatch(text)
            unit = match[2].strip() if match else ""
            by_unit.setdefault(unit, []).append(text)
            bare.append(match[1].strip() if match else text)
        if set(by_unit) <= {""}:
            return texts, ""
        if len(by_unit) > 1:
            usual = max(by_unit, key=lambda unit: len(by_unit[unit]))
            rest = set(texts).difference(by_unit[usual])
            odd = list(filter(rest.__contains__, texts))
            of_others = f"in {usual}" if usual else "without a unit"
            raise self._wrong(odd, f"; the others are {of_others}")
        return self._renamed(texts, bare), next(iter(by_unit))

    def _style(self, texts: list[str]) -> _Style:
        """Return the one style in which all texts are numbers.

        Raises:
            NotNumbersError: If there is none, or there are two that give other numbers.
        """
        fitting = []
        for style in _STYLES:
            wanted = self.hints.decimal in (None, style.decimal)
            if wanted and all(map(style.fits, texts)):
                fitting.append(style)
        if not fitting:
            raise self._no_style(texts)
        first = fitting[0]
        for style in fitting[1:]:
            if style.values(texts) != first.values(texts):
                return self._decide(first, style, texts)
        return first

    def _decide(self, style: _Style, other: _Style, texts: list[str]) -> _Style:
        """Choose between a thousand's comma and a decimal comma, by how the table is written."""
        separator = self.hints.separator
        if not self.hints.comma and "," not in "".join(texts):
            # Points alone are decimal marks.
            return style
        by_mark = {other.decimal: other, style.decimal: style}
        unclear = separator == ";" and _may_be_thousands(texts)
        if len(by_mark) == 2 and not unclear:
            if separator == ";" or self.hints.comma:
                return by_mark[","]
            # The cells were quoted for their commas, as English spreadsheets do.
            if separator == ",":
                return by_mark["."]
        mark = next(text for text in texts if "," in text or "." in text)
        raise NotNumbersError(
            "must say what its commas and points are, `--decimal .` or `--decimal ,`; got"
            f" {quoted(mark)}, which may be {style.value(mark):g} or {other.value(mark):g}"
        )

    def _no_style(self, texts: list[str]) -> NotNumbersError:
        odd, wrong = [], []
        for text in texts:
            marks = {style.decimal for style in _STYLES if style.fits(text)}
            if not marks:
                odd.append(text)
            if self.hints.decimal not in marks:
                wrong.append(text)
        if odd:
            return self._wrong(odd, self._advice(odd, texts))
        if self.hints.decimal is not None:
            return self._wrong(
                wrong or texts, f"; `--decimal` is {self.hints.decimal!r}"
            )
        comma = next((text for text in texts if "," in text), texts[0])
        points = (text for text in texts if "." in text and text != comma)
        point = next(points, texts[-1])
        return NotNumbersError(
            f"must write its numbers one way; got {quoted(comma)} in row {self._row(comma)}"
            f" and {quoted(point)} in row {self._row(point)}: pass `--decimal .` or"
            " `--decimal ,`"
        )

    def _advice(self, odd: list[str], texts: list[str]) -> str:
        if len(odd) > 1:
            return ""
        n = self._total(odd)
        return advice_on(odd[0], self._row(odd[0]), n, self._total(texts))

    def _wrong(self, texts: list[str], more: str = "") -> NotNumbersError:
        first = min(texts, key=self._row)
        n = self._total(texts) - 1
        others = f", and {n} more such values" if n else ""
        return NotNumbersError(
            f"must hold numbers; got {quoted(first)} in row {self._row(first)}{others}{more}"
        )

    def _total(self, texts: Iterable[str]) -> int:
        """Return how many cells have one of some texts."""
        return sum(self.counts.get(text, 1) for text in texts)

    def _row(self, text: str) -> int:
        """Return the row of a text, counted from 1."""
        return self.rows.get(text, 0) + 1


def _may_be_thousands(texts: list[str]) -> bool:
    """Return whether commas stand in the larger numbers only, before three digits each.

    They do in 1,234 beside 567.
    """
    grouped = [text for text in texts if "," in text]
    bare = [text for text in texts if "," not in text]
    if not grouped or not bare or not all(map(_GROUPED_BY_COMMA.fullmatch, grouped)):
        return False
    return max(map(abs, map(float, bare))) < 1000


def _is_upper(match: re.Match[str]) -> bool:
    """Return whether a bound says that the value is below it."""
    return match[1] in "<\u2264"


def _bound(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.inf
