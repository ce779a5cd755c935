"""Fashion-MNIST: articles of clothing of 28 x 28 pixels, read from files that the user has."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daleml import require
from daleml.datasets import local_files
from daleml.datasets.image_split import ImageSplit, split_at

if TYPE_CHECKING:
    from torch import Tensor

_ORIGIN = "https://github.com/zalandoresearch/fashion-mnist"
_FOLDER = "fashion_mnist"
_SIDE = 28
# Of the test images alone, four fifths train.
_N_TRAIN = 8000
# The number of hexadecimal digits of a checksum that an error shows.
_SHOWN = 12

PACKAGE = "dataset-fashion-mnist"
"""Debian's package of all four files."""

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where that package puts them."""


@dataclass(frozen=True)
class _Part:
    """A file of images and the one of their labels, as published.

    The checksums are of the unpacked files: packed again, they have the same.
    """

    images: str
    labels: str
    n: int
    images_sha256: str
    labels_sha256: str

    @property
    def names(self) -> tuple[str, str]:
        """Names of both files."""
        return self.images, self.labels


_TRAIN = _Part(
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    60_000,
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
)
_TEST = _Part(
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
    10_000,
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def fashion_mnist(
    path: str | Path | None = None,
    seed: int = 0,
    *,
    published: bool = False,
    check: bool = True,
) -> ImageSplit:
    """Fashion-MNIST in 10 classes: its 10,000 test images divided, or all 70,000 as published.

    The files are not shipped, and nothing is downloaded: ``path`` says where they are.

    Args:
        path: The folder of ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, gzipped
            (``.gz``) or not, and where ``published`` of ``train-images-idx3-ubyte`` and
            ``train-labels-idx1-ubyte`` too; default: ``fashion_mnist`` in the folder that the
            environment variable ``DALEML_DATA`` names, or else, where a file is missing there,
            the folder of Debian's package ``dataset-fashion-mnist``.
        seed: Seed of the permutation that divides the test images,
            ``numpy.random.default_rng(seed).permutation(10000)``. The published split has none.
        published: False for the 10,000 test images alone, 8,000 of them to train and 2,000 to
            test; True for the published split, 60,000 to train, in the order of the file, and
            10,000 to test.
        check: Whether to refuse a file whose SHA-256, unpacked, is another: MNIST's files have
            the same names.

    Returns:
        An :class:`ImageSplit`, its images flattened to 784 pixels in [0, 1]: ``x.view(-1, 1,
        28, 28)`` undoes it.

    Raises:
        FileNotFoundError: If a file is missing; the sentence says where to get it.
        TypeError: If ``published`` or ``check`` is no bool.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set and the package not
            installed, a file is damaged or another, it holds something else, or ``seed`` is
            given for the published split.

    Example:
        >>> try:
        ...     fashion_mnist("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +NORMALIZE_WHITESPACE
        `path` must be a folder with t10k-images-idx3-ubyte.gz, from
        https://github.com/zalandoresearch/fashion-mnist or Debian's package
        dataset-fashion-mnist; got no/such/folder.

    Notes:
        The test images are a tenth of the collection and enough to compare networks in minutes;
        accuracies are lower than after its 60,000 training images.

    References:
        H. Xiao, K. Rasul, R. Vollgraf (2017) Fashion-MNIST, arXiv:1708.07747.
    """
    seed = require.integer("seed", seed)
    require.flag("published", published)
    require.flag("check", check)
    if published and seed != 0:
        raise ValueError(
            "`seed` must be left out where `published` is True, since the published split"
            f" is fixed; got {seed}."
        )
    folder = _folder(path, _names(published))
    test_x, test_y = _read(folder, _TEST, check=check)
    if published:
        train_x, train_y = _read(folder, _TRAIN, check=check)
        name = "Fashion-MNIST"
        parts = {
            "train_x": train_x,
            "train_y": train_y,
            "test_x": test_x,
            "test_y": test_y,
        }
    else:
        name = "Fashion-MNIST, its test images"
        parts = _divided(test_x, test_y, seed)
    return ImageSplit(
        name=name,
        **parts,
        source=_ORIGIN,
        citation="H. Xiao, K. Rasul, R. Vollgraf (2017) Fashion-MNIST, arXiv:1708.07747",
        licence="MIT",
    )


def is_present(*, published: bool) -> bool:
    """Return whether ``fashion_mnist`` finds its files without being told where they are.

    Args:
        published: Whether those of the published split are meant, or of the test images alone.
    """
    names = _names(published)
    return any(not _missing(folder, names) for folder in _default_folders())


def _names(published: bool) -> tuple[str, ...]:
    """Return the names of the files that are read."""
    return _TEST.names + _TRAIN.names if published else _TEST.names


def _default_folders() -> list[Path]:
    folders = [SYSTEM_FOLDER]
    if os.environ.get(local_files.VARIABLE):
        # What the user put there comes before what the system has.
        folders.insert(0, local_files.folder(None, _FOLDER))
    return folders


def _folder(path: str | Path | None, names: tuple[str, ...]) -> Path:
    """Return the folder that has the files."""
    given = [] if path is None else [require.path("path", path)]
    for folder in given or _default_folders():
        if not _missing(folder, names):
            return folder
    origin = f"from {_ORIGIN} or Debian's package {PACKAGE}"
    packed = [f"{name}.gz" for name in names]
    wanted = f"{', '.join(packed[:-1])} and {packed[-1]}"
    # Raises, with its own sentence, where there is neither a path nor a folder of data.
    told = local_files.folder(path, _FOLDER, what=f"{wanted} are {origin}")
    raise FileNotFoundError(
        f"`path` must be a folder with {_missing(told, names)[0]}.gz, {origin}; got"
        f" {told}."
    )


def _missing(folder: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _find(folder, name) is None]


def _find(folder: Path, name: str) -> Path | None:
    """Return where a file is, compressed or not; None if it is not there."""
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.exists():
            return candidate
    return None


def _read(folder: Path, part: _Part, *, check: bool) -> tuple[Tensor, Tensor]:
    """Return flattened images, pixels in [0, 1], and their labels."""
    # Imported here: torch comes with it, and whoever reads a table needs none.
    from daleml._support.idx_files import read_idx

    files = [_find(folder, name) or folder / name for name in part.names]
    images, labels = (read_idx(file) for file in files)
    if images.shape != (part.n, _SIDE, _SIDE) or labels.shape != (part.n,):
        raise ValueError(
            f"`path` must hold {part.n} images of {_SIDE} x {_SIDE} and as many labels;"
            f" got {tuple(images.shape)} and {tuple(labels.shape)} in {folder}."
        )
    if check:
        _require_checksum(images, part.images_sha256, files[0])
        _require_checksum(labels, part.labels_sha256, files[1])
    return images.flatten(1).float() / 255, labels.long()


def _require_checksum(array: Tensor, sha256: str, file: Path) -> None:
    """Refuse an array whose idx file, unpacked, has another SHA-256."""
    header = bytes([0, 0, 8, array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    found = hashlib.sha256(header + sizes)
    found.update(array.numpy().data)
    if found.hexdigest() != sha256:
        raise ValueError(
            f"`path` must hold files of Fashion-MNIST unless `check` is False: unpacked, of"
            f" SHA-256 {sha256[:_SHOWN]}...; got {found.hexdigest()[:_SHOWN]}... for {file}."
        )


def _divided(x: Tensor, y: Tensor, seed: int) -> dict[str, Tensor]:
    import numpy as np

    # A generator of its own: the global one stays as it is.
    order = np.random.default_rng(seed).permutation(len(y))
    return split_at(_N_TRAIN, x[order], y[order])
