"""Reading of idx files, the format in which MNIST and Fashion-MNIST are published."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from daleml import require

_UNSIGNED_BYTES = b"\x00\x00\x08"
"""The first bytes of an idx file of unsigned bytes (http://yann.lecun.com/exdb/mnist)."""
_MOST_DIMENSIONS = 8
"""No data set has more dimensions than these."""
_RATIO = 64
"""A gzip file unpacks to at most so many times its size: images do to 3 times, labels to 10."""
_LEAST = 1 << 20
"""So many bytes are unpacked of any file, however small it is."""


def read_idx(path: str | Path) -> Tensor:
    """Read an idx file of unsigned bytes, gzipped or not.

    Args:
        path: The file: two bytes of 0, the type 8, the number of dimensions, their sizes as
            big-endian integers of 4 bytes, then the data, last dimension fastest.

    Returns:
        A tensor of uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no idx file of unsigned bytes, is cut short, or goes on for
            too long.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "labels-idx1-ubyte"
        ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        ...     read_idx(path)
        tensor([7, 2, 1], dtype=torch.uint8)
    """
    file = require.path("path", path)
    content = _content(file)
    if content[:3] != _UNSIGNED_BYTES or len(content) < 4:
        rule = "`path` must be an idx file of unsigned bytes, which begins with 000008"
        raise ValueError(f"{rule}; got {content[:3].hex() or 'nothing'} in {path}.")
    start = 4 + 4 * content[3]
    if content[3] > _MOST_DIMENSIONS:
        raise ValueError(
            f"`path` must hold an array of at most {_MOST_DIMENSIONS} dimensions; got"
            f" {content[3]} in {path}."
        )
    shape: tuple[int, ...] = ()
    needed = start
    if len(content) >= start:
        shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
        needed = start + math.prod(shape)
    if len(content) != needed:
        raise ValueError(
            f"`path` must hold the {needed} bytes its header asks for; got {len(content)}"
            f" in {path}."
        )
    if not math.prod(shape):
        raise ValueError(
            f"`path` must hold a byte or more; got shape {shape} in {path}."
        )
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    return torch.from_numpy(values.reshape(shape).copy())


def _content(file: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is gzipped, and no more than its header names."""
    if not file.is_file() and file.exists():
        raise ValueError(
            f"`path` must be a file; got {file}, which is a folder, a device or a pipe."
        )
    if not file.exists():
        raise FileNotFoundError(f"`path` must be a file; {file} is not there.")
    with file.open("rb") as opened:
        if opened.read(2) != b"\x1f\x8b":
            opened.seek(0)
            return opened.read()
        opened.seek(0)
        try:
            with gzip.GzipFile(fileobj=opened) as unpacked:
                start = unpacked.read(4 + 4 * _MOST_DIMENSIONS)
                needed = _size_by_header(start)
                # A byte more than there should be tells that there are too many; a bomb's
                # billions are never unpacked.
                limit = min(needed + 1, _RATIO * file.stat().st_size + _LEAST)
                return start + unpacked.read(max(limit - len(start), 0))
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"`path` must be a whole gzip file; got {file}, which is damaged."
            ) from error


def _size_by_header(start: bytes) -> int:
    """Return how many bytes an idx file has by its first ones; too few where they are cut short."""
    rank = 0
    if len(start) > 3:
        rank = min(start[3], _MOST_DIMENSIONS)
    end = 4 + 4 * rank
    if len(start) < end:
        return end
    sizes: list[int] = np.frombuffer(start[4:end], dtype=">u4").tolist()
    return end + math.prod(sizes)
