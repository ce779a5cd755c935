r"""Text made safe to show, which neither controls a terminal nor breaks a page.

Names of columns, groups, tensors and files are other people's. One of them may hold an escape
sequence that clears the screen, a bidirectional control that shows a word backwards, or half a
character. Here each such character becomes an escape that can be read, ``\x1b``, and all other
text stays as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# Persian, Hindi and many emoji cannot be written without these joiners, which move nothing.
_JOINERS = "\u200c\u200d"
# Number signs and end marks of Arabic and Syriac: of the class of format characters, but seen.
_VISIBLE = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"
# Some readers make a new line of a line or paragraph separator.
_SEPARATORS = "\u2028\u2029"
# Python keeps the bytes of a file's name that are no UTF-8 so (PEP 383).
_UNDECODED = range(0xDC80, 0xDD00)


def shown(text: str, *, lines: bool = False) -> str:
    r"""Return text in which every character that is not meant to be seen is written as an escape.

    These are control characters (C0, DEL, C1), bidirectional and other invisible format
    characters but for the two joiners, line separators, halves of surrogate pairs, and code
    points that are no characters. A byte of a file's name that is not UTF-8 is shown as that
    byte.

    Args:
        text: Any text.
        lines: Whether a line feed is kept, in text of several lines.

    Example:
        >>> print(shown("a\x1b[2J\u202eb\tc"))
        a\x1b[2J\u202eb\tc
        >>> print(shown("caf\u00e9 \u03c3 \udcff"))
        café σ \xff
    """
    # Almost every text, and quickly.
    if text.isascii() and text.isprintable():
        return text
    made = []
    for character in text:
        keeps = lines and character == "\n"
        if _is_hidden(character) and not keeps:
            character = _escaped(character)
        made.append(character)
    return "".join(made)


def encodable(text: str) -> str:
    r"""Return text without halves of surrogate pairs, which no UTF-8 file can hold.

    Each is written as an escape.

    Example:
        >>> print(encodable("s\udcff.csv"))
        s\xff.csv
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        made = [_escaped(one) if _is_half(one) else one for one in text]
        return "".join(made)
    return text


def shortened(text: str, most: int) -> str:
    """Return text of at most about ``most`` characters.

    The middle of a longer one is left out, and that is said.

    Example:
        >>> shortened("x" * 1_000 + " end", 40)
        'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx [964 characters left out] xxxxxx end'
    """
    if len(text) <= most:
        return text
    tail = most // 4
    head = most - tail
    return f"{text[:head]} [{len(text) - most:,} characters left out] {text[-tail:]}"


def _is_half(character: str) -> bool:
    """Whether a character is half of a surrogate pair."""
    return 0xD800 <= ord(character) < 0xE000


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    if category in ("Cc", "Cs"):
        return True
    if category == "Cf":
        return character not in _JOINERS + _VISIBLE
    return character in _SEPARATORS or _is_no_character(ord(character))


def _is_no_character(code: int) -> bool:
    """Whether Unicode will never assign a code point: XML allows no U+FFFE and no U+FFFF."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _UNDECODED:
        return f"\\x{code - 0xDC00:02x}"
    if _is_half(character):
        return f"\\u{code:04x}"
    return character.encode("unicode_escape").decode()


_LONGEST_NAME = 60
"""The number of characters of a cell or a name that a sentence shows."""


def printable(name: object) -> str:
    """Return a name as it can be printed, whatever characters or bytes it has.

    Example:
        >>> printable("mine.csv")
        'mine.csv'
    """
    return shown(str(name))


def quoted(cell: object) -> str:
    """Return a cell for a sentence, in quotes, and cut where it is long.

    Example:
        >>> quoted("0,41 um")
        "'0,41 um'"
    """
    return repr(_cut(encodable(str(cell))))


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return the first names of a list, each cut where it is long.

    Example:
        >>> listed(["pre", "post", "size"], most=2)
        'pre, post, ...'
    """
    first = map(_cut, map(printable, names[:most]))
    more = ", ..." if len(names) > most else ""
    return ", ".join(first) + more


def reason(error: BaseException) -> str:
    r"""Return the first line of what an error says, without its full stop; else the error's name.

    Example:
        >>> reason(ValueError("bad header.\nat byte 12"))
        'bad header'
    """
    lines = str(error).splitlines()
    text = lines[0].strip().rstrip(".") if lines else ""
    return printable(text[:300]) or type(error).__name__


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_NAME:
        return text
    return f"{text[:_LONGEST_NAME]}..."
