"""Writes files only if what they hold would change."""

from pathlib import Path


def write_if_changed(path: Path, text: str) -> None:
    """Write a page, unless it is there as it should be: Sphinx reads again what is newer."""
    # A fresh clone has no folder of API pages: git keeps no empty ones.
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def write_bytes_if_changed(path: Path, content: bytes) -> None:
    """Write a picture, unless it is there as it should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
