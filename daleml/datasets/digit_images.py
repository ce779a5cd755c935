"""Handwritten digits of 8 x 8 pixels, in a fixed split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daleml import require

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor

_N_TRAIN = 1437  # four fifths of the 1,797 images


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Images and their labels, divided into a part to learn from and a part to judge by.

    Args:
        name: What the images show.
        train_x: Training images, pixels in [0, 1].
        train_y: Their classes.
        test_x: Test images.
        test_y: Their classes.
        source: Where the images come from.
        citation: What to cite.
        licence: Terms under which they are shared.

    Shape:
        - ``train_x``, ``test_x``: (images, pixels), float32.
        - ``train_y``, ``test_y``: (images,), int64.

    Example:
        >>> from daleml.datasets import digits
        >>> print(digits())
        Handwritten digits: 1437 training and 360 test images of 64 pixels
        E. Alpaydin, C. Kaynak (1998) Cascading Classifiers, Kybernetika
    """

    name: str
    train_x: Tensor = field(repr=False)
    train_y: Tensor = field(repr=False)
    test_x: Tensor = field(repr=False)
    test_y: Tensor = field(repr=False)
    source: str
    citation: str
    licence: str

    def __str__(self) -> str:
        counts = f"{len(self.train_y)} training and {len(self.test_y)} test images"
        return (
            f"{self.name}: {counts} of {self.train_x.shape[1]} pixels\n{self.citation}"
        )

    @property
    def pixel_mean(self) -> float:
        """Mean of the training pixels: a first layer of positive weights centres by it."""
        return float(self.train_x.double().mean())

    def frame(self) -> DataFrame:
        """The images as one tidy table.

        Returns:
            One row an image, training images first: ``split`` ("train" or "test"), ``label``, and
            ``pixel_0`` to the last, row by row of the image.

        Example:
            >>> from daleml.datasets import digits
            >>> digits().frame().groupby("split").size().to_dict()
            {'test': 360, 'train': 1437}
        """
        import pandas as pd

        parts = []
        for split, x, y in (
            ("train", self.train_x, self.train_y),
            ("test", self.test_x, self.test_y),
        ):
            pixels = pd.DataFrame(x.numpy().copy()).add_prefix("pixel_")
            pixels.insert(0, "label", y.numpy())
            pixels.insert(0, "split", split)
            parts.append(pixels)
        return pd.concat(parts, ignore_index=True)


def digits(seed: int = 0) -> ImageSplit:
    """Handwritten digits: 1,797 images of 8 x 8 pixels in 10 classes, from scikit-learn.

    Each pixel is an integer from 0 to 16, how many of 4 x 4 finer pixels were inked; here it is
    divided by 16. The first 1,437 of a permutation of the images train, the other 360 test.

    Args:
        seed: Seed of the permutation, ``numpy.random.default_rng(seed).permutation(1797)``; an
            integer of at least 0. Seeding touches no global generator.

    Returns:
        An :class:`ImageSplit`, its images flattened to 64 pixels.

    Raises:
        TypeError: If ``seed`` is not an integer.
        ValueError: If ``seed`` is negative.

    Example:
        >>> from daleml.datasets import digits
        >>> split = digits()
        >>> split.train_x.shape, split.test_x.shape
        (torch.Size([1437, 64]), torch.Size([360, 64]))
        >>> round(split.pixel_mean, 4)
        0.3054

    Notes:
        scikit-learn's images are the test set of the original data alone, written by 13 people;
        the split here is of images, so both parts have the same writers. Accuracy on the test
        part says nothing of new writers.

    References:
        E. Alpaydin, C. Kaynak (1998) Cascading Classifiers, Kybernetika.
    """
    seed = require.integer("seed", seed)
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    x = torch.from_numpy((pixels[order] / 16).astype(np.float32))
    y = torch.from_numpy(labels[order].astype(np.int64))
    return ImageSplit(
        name="Handwritten digits",
        train_x=x[
            :_N_TRAIN
        ].clone(),  # parts of their own, so that saving one does not save both
        train_y=y[:_N_TRAIN].clone(),
        test_x=x[_N_TRAIN:].clone(),
        test_y=y[_N_TRAIN:].clone(),
        source=(
            "sklearn.datasets.load_digits: a copy of the test set of the UCI ML"
            " hand-written digits datasets (Optical Recognition of Handwritten Digits)"
        ),
        citation="E. Alpaydin, C. Kaynak (1998) Cascading Classifiers, Kybernetika",
        licence="not stated by scikit-learn, which is itself BSD-3-Clause",
    )
