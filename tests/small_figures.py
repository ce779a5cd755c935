"""Figures that cost little, where a test looks at what stands beside them.

How figures render is tested with the plots, in ``tests/analysis/plots``.
"""

import struct
import zlib

from daleml.analysis.plots import canvas, drawing


def _chunk(kind, data):
    checked = kind + data
    return (
        struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))
    )


_HEADER = struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0)
DOT = b"".join(
    (
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", _HEADER),
        _chunk(b"IDAT", zlib.compress(b"\0\xff")),
        _chunk(b"IEND", b""),
    )
)
"""One white pixel."""

EMPTY = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def coarse(monkeypatch):
    """Render figures with few pixels."""
    monkeypatch.setattr(drawing, "_DPI", 40)


def unrendered(monkeypatch):
    """Draw figures, but write an empty one for each: rendering is most of what they cost."""
    monkeypatch.setattr(canvas, "png", lambda figure, dpi: DOT)
    monkeypatch.setattr(canvas, "svg", lambda figure: EMPTY)
