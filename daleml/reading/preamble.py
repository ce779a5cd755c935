"""What stands above a table: comments, titles, a word on its separator."""

from __future__ import annotations

from daleml.reading.first_rows import Row, is_number, split
from daleml.reading.header import Layout
from daleml.reading.table_options import Say, shown


def preamble(text: str) -> tuple[int, str | None]:
    """Return where the table begins, and the separator if the file says it, as ``sep=;`` does."""
    start, said = 0, None
    if text[:4].lower() == "sep=" and text[5:6] in ("\n", ""):
        return min(6, len(text)), text[4:5]
    while text.startswith("#", start) and not text.startswith("#N", start):
        stop = text.find("\n", start)
        if stop < 0:
            break
        start = stop + 1
    return start, said


def without_title(
    rows: list[Row], start: int, separator: str | None, say: Say
) -> tuple[list[Row], int]:
    """Leave out a title.

    A line of one cell of text above names of several columns and rows of numbers.
    """
    for mark in separator or ",;\t":
        if is_title(
            [[cell.text for cell in split(row.text, mark)] for row in rows[:3]], say
        ):
            return rows[1:], rows[0].end
    return rows, start


def is_title(cells: list[list[str]], say: Say) -> bool:
    """Say so, if the first row is a title.

    A cell of text above names of several columns and a row of numbers.
    """
    if len(cells) < 3:
        return False
    title, names, data = cells
    alone = bool(title[0]) and not any(title[1:]) and not is_number(title[0])
    headed = len(names) > 1 and all(names) and not any(map(is_number, names))
    if not (alone and headed and len(data) >= len(names) and any(map(is_number, data))):
        return False
    say(f"The first line, {shown(title[0])}, was taken as a title and left out.")
    return True


def names_in_comment(above: str, separator: str, layout: Layout) -> list[str]:
    """Return the names of all columns if the last comment has them, as NumPy's ``savetxt`` writes them."""
    last = above.rstrip("\n").rpartition("\n")[2]
    if layout.labels or not last.startswith("#"):
        return []
    names = [cell.text for cell in split(last.lstrip("# "), separator)]
    named = (
        len(names) == layout.width > 1 and all(names) and not any(map(is_number, names))
    )
    return names if named and len(set(names)) == len(names) else []
