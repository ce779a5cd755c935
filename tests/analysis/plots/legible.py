"""Measures of whether a figure can be read: what its texts cover, how large they are."""

import itertools

from matplotlib.text import Text

LEAST = 7.0
"""Points: journals print no smaller letters."""


def texts_of(figure):
    """Return the texts of a figure that are seen, by what they are."""
    found = []
    for ax in figure.axes:
        for axis, side in ((ax.xaxis, 0), (ax.yaxis, 1)):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    found += [("tick", one) for one in (tick.label1, tick.label2)]
            found.append((f"name of axis {side}", axis.label))
        found += [("title", one) for one in (ax.title, ax._left_title, ax._right_title)]
        found += [("note", one) for one in ax.texts]
        legend = ax.get_legend()
        if legend is not None:
            found += [("legend", one) for one in legend.findobj(Text)]
    if figure._suptitle is not None:
        found.append(("title", figure._suptitle))
    seen = []
    for kind, text in found:
        if text.get_visible() and text.get_text().strip():
            seen.append((kind, text))
    return seen


def faults(figure):
    """Return what cannot be read in a figure: an empty list if all can."""
    # A figure that is written is laid out twice, since ticks change with the size of axes.
    for _ in range(2):
        figure.draw_without_rendering()
        said = _faults(figure)
        if not said:
            break
    return said


def _faults(figure):
    said = []
    whole = figure.bbox
    boxes = []
    for kind, text in texts_of(figure):
        box = text.get_window_extent()
        if box.width < 1:
            continue
        shown = repr(text.get_text())
        outside = max(
            whole.x0 - box.x0, box.x1 - whole.x1, whole.y0 - box.y0, box.y1 - whole.y1
        )
        if outside > 1.5:
            said.append(f"{kind} {shown} is cut by {outside:.0f} pixels")
        if text.get_fontsize() < LEAST:
            said.append(f"{kind} {shown} has {text.get_fontsize()} points")
        boxes.append((kind, shown, box.padded(-1.0)))
    for one, other in itertools.combinations(boxes, 2):
        if one[2].overlaps(other[2]):
            said.append(f"{one[0]} {one[1]} and {other[0]} {other[1]} overlap")
    for ax in figure.axes:
        legend = ax.get_legend()
        if legend is None:
            continue
        box = legend.get_window_extent().padded(-1.0)
        for covered in figure.axes:
            if box.overlaps(covered.bbox):
                said.append("a legend covers axes")
    return said
