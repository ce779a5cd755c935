"""The idx format, in which MNIST and Fashion-MNIST are published."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_UNSIGNED_BYTES = b"\x00\x00\x08"


def read_idx(path: str | Path) -> Tensor:
    """Read an idx file of unsigned bytes, gzipped or not.

    Args:
        path: The file: two bytes of 0, the type 8, the number of dimensions, their sizes as big-endian integers of 4
            bytes, then the data, last dimension fastest.

    Returns:
        A tensor of uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no idx file of unsigned bytes, is cut short, or goes on for too long.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "labels-idx1-ubyte"
        ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        ...     read_idx(path)
        tensor([7, 2, 1], dtype=torch.uint8)
    """
    content = Path(path).read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"`path` must be a whole gzip file; got {path}, which is damaged.") from error
    if content[:3] != _UNSIGNED_BYTES or len(content) < 4:
        rule = "`path` must be an idx file of unsigned bytes, which begins with 000008"
        raise ValueError(f"{rule}; got {content[:3].hex() or 'nothing'} in {path}.")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist()) if len(content) >= start else None
    if shape is None or len(content) - start != math.prod(shape):
        needed = start if shape is None else start + math.prod(shape)
        raise ValueError(f"`path` must hold the {needed} bytes its header asks for; got {len(content)} in {path}.")
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy())
