"""Fashion-MNIST: articles of clothing of 28 x 28 pixels, read from files that the user has."""

from __future__ import annotations

from pathlib import Path

from daleml import require
from daleml.datasets import local_files
from daleml.datasets.image_split import ImageSplit, split_at

_N = 10_000
_N_TRAIN = 8000
_IMAGES = "t10k-images-idx3-ubyte"
_LABELS = "t10k-labels-idx1-ubyte"
_ORIGIN = "https://github.com/zalandoresearch/fashion-mnist"


def fashion_mnist(path: str | Path | None = None, seed: int = 0) -> ImageSplit:
    """Fashion-MNIST's 10,000 test images in 10 classes: here 8,000 to train, 2,000 to test.

    The files are not shipped, and nothing is downloaded: ``path`` says where they are.

    Args:
        path: The folder of ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, gzipped
            (``.gz``) or not; default: ``fashion_mnist`` in the folder that the environment
            variable ``DALEML_DATA`` names.
        seed: Seed of the permutation that divides them,
            ``numpy.random.default_rng(seed).permutation(10000)``.

    Returns:
        An :class:`ImageSplit`, its images flattened to 784 pixels in [0, 1]: ``x.view(-1, 1,
        28, 28)`` undoes it.

    Raises:
        FileNotFoundError: If a file is missing; the sentence says where to get it.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, a file is damaged,
            or it holds something else.

    Example:
        >>> try:
        ...     fashion_mnist("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +NORMALIZE_WHITESPACE
        `path` must be a folder with t10k-images-idx3-ubyte.gz, from
        https://github.com/zalandoresearch/fashion-mnist; got no/such/folder.

    Notes:
        The test images are a tenth of the collection and enough to compare networks in minutes;
        accuracies are lower than after its 60,000 training images.

    References:
        H. Xiao, K. Rasul, R. Vollgraf (2017) Fashion-MNIST, arXiv:1708.07747.
    """
    seed = require.integer("seed", seed)
    folder = local_files.folder(
        path, "fashion_mnist", what=f"{_IMAGES}.gz and {_LABELS}.gz are from {_ORIGIN}"
    )
    import numpy as np

    # Imported here: torch comes with it, and whoever reads a table needs none.
    from daleml._support.idx_files import read_idx

    images = read_idx(_find(folder, _IMAGES))
    labels = read_idx(_find(folder, _LABELS))
    # The training images have files of the same kind.
    if images.shape != (_N, 28, 28) or labels.shape != (_N,):
        raise ValueError(
            f"`path` must hold {_N} images of 28 x 28 and as many labels; "
            f"got {tuple(images.shape)} and {tuple(labels.shape)} in {folder}."
        )
    # A generator of its own: the global one stays as it is.
    order = np.random.default_rng(seed).permutation(_N)
    x = images.flatten(1)[order].float() / 255
    y = labels[order].long()
    return ImageSplit(
        name="Fashion-MNIST, its test images",
        **split_at(_N_TRAIN, x, y),
        source=_ORIGIN,
        citation="H. Xiao, K. Rasul, R. Vollgraf (2017) Fashion-MNIST, arXiv:1708.07747",
        licence="MIT",
    )


def _find(folder: Path, name: str) -> Path:
    """Return where a file is, compressed or not."""
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.exists():
            return candidate
    raise FileNotFoundError(
        f"`path` must be a folder with {name}.gz, from {_ORIGIN}; got {folder}."
    )
