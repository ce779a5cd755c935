"""ImageSplit: images and their labels, divided to learn from and to judge by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor


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
        # Single precision would lose digits in a sum of so many pixels.
        return float(self.train_x.double().mean())

    def frame(self) -> DataFrame:
        """The images as one tidy table.

        Returns:
            One row per image, training images first: ``split`` ("train" or "test"), ``label``, and
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
            # The array of a tensor is the tensor's own memory, and a table may be edited.
            pixels = pd.DataFrame(x.numpy().copy()).add_prefix("pixel_")
            pixels.insert(0, "label", y.numpy())
            pixels.insert(0, "split", split)
            parts.append(pixels)
        return pd.concat(parts, ignore_index=True)


def split_at(n_train: int, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Divide images and labels in two, as :class:`ImageSplit` takes them."""
    # The parts have memory of their own, so that saving one does not save both.
    return {
        "train_x": x[:n_train].clone(),
        "train_y": y[:n_train].clone(),
        "test_x": x[n_train:].clone(),
        "test_y": y[n_train:].clone(),
    }
