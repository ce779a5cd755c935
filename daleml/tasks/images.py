"""Images that are seen one row at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.idx_files import read_idx
from daleml.tasks.task import ClassificationTask, consecutive, whole_steps
from daleml.tasks.trials import Period, Trials


@dataclass(frozen=True, eq=False)
class RowSequentialImages(ClassificationTask):
    """Name what is in an image after its rows were shown one by one.

    The class is asked for at the last step.

    Args:
        images: Pixels in [0, 1].
        labels: Class of each image, from 0.
        n_classes: How many classes there are; default: as many as ``labels`` needs.
        row_ms: How long each row is shown.
        dt_ms: Duration of a step.

    Shape:
        - ``images``: (n, height, width), or (n, pixels) of square images; kept as (n, height,
          width), in torch's default dtype.
        - ``labels``: (n,), int64.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If images and labels do not fit together, pixels are outside [0, 1], a label
            is no class, or ``row_ms`` is no multiple of ``dt_ms``.

    Example:
        >>> from daleml.datasets import digits
        >>> train, test = RowSequentialImages.from_split(digits())
        >>> print(train.sample(32))
        32 trials of 8 steps, 800 ms: 8 inputs, 10 outputs
        >>> print(test.all())
        360 trials of 8 steps, 800 ms: 8 inputs, 10 outputs
        >>> round(train.chance, 3)
        0.108

    References:
        Le, Jaitly, Hinton 2015 arXiv:1504.00941, for sequences of single pixels.
        Li, Cornford, Ghosh, Richards 2023 NeurIPS, for rows.
    """

    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    n_classes: int | None = None
    row_ms: float = field(default=100.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_steps("row_ms", self.row_ms, self.dt_ms)
        images = _squared(torch.as_tensor(self.images))
        labels = torch.as_tensor(self.labels)
        if labels.ndim != 1 or len(labels) != len(images) or labels.is_floating_point():
            rule = f"`labels` must be {len(images)} integers, one per image"
            raise ValueError(
                f"{rule}; got {labels.dtype} of shape {tuple(labels.shape)}."
            )
        needed = n_classes = int(labels.max()) + 1
        if self.n_classes is not None:
            n_classes = require.integer("n_classes", self.n_classes, minimum=1)
        if needed > n_classes or labels.min() < 0:
            wrong = int(labels.max() if needed > n_classes else labels.min())
            raise ValueError(
                f"`labels` must be between 0 and {n_classes - 1}; got {wrong}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.to(torch.int64))
        object.__setattr__(self, "n_classes", n_classes)

    @classmethod
    def from_split(
        cls, split: Any, **settings: Any
    ) -> tuple[RowSequentialImages, RowSequentialImages]:
        """Make a task to learn from and one to judge by.

        Args:
            split: Anything with ``train_x``, ``train_y``, ``test_x`` and ``test_y``.
            settings: Passed on to both: ``row_ms``, ``dt_ms``, ``n_classes``.

        Raises:
            TypeError: If ``split`` lacks one of them.
        """
        names = ("train_x", "train_y", "test_x", "test_y")
        if not all(hasattr(split, name) for name in names):
            raise TypeError(
                f"`split` must have {', '.join(names[:3])} and {names[3]}; got"
                f" {type(split).__name__}."
            )
        train_x, train_y, test_x, test_y = (
            torch.as_tensor(getattr(split, name)) for name in names
        )
        # A class may be missing from one of the two parts.
        settings.setdefault("n_classes", int(max(train_y.max(), test_y.max())) + 1)
        return cls(train_x, train_y, **settings), cls(test_x, test_y, **settings)

    @classmethod
    def from_idx(
        cls, images_path: str | Path, labels_path: str | Path, **settings: Any
    ) -> RowSequentialImages:
        """Read images and labels as MNIST and Fashion-MNIST are published, gzipped or not.

        Args:
            images_path: An idx file of images, unsigned bytes; 255 becomes 1.
            labels_path: An idx file of their labels.
            settings: Passed on: ``row_ms``, ``dt_ms``, ``n_classes``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a file is damaged or is something else, or the numbers of images and
                labels differ.
        """
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3:
            raise ValueError(
                f"`images_path` must hold an array of 3 dimensions; got {images.ndim}."
            )
        if labels.shape != images.shape[:1]:
            rule = f"`labels_path` must hold {len(images)} labels, one per image"
            raise ValueError(f"{rule}; got shape {tuple(labels.shape)}.")
        return cls(images.float() / 255, labels.to(torch.int64), **settings)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The columns of an image."""
        return tuple(f"column {i + 1}" for i in range(self.images.shape[2]))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(f"class {i}" for i in range(self.n_classes or 0))

    @property
    def periods(self) -> tuple[Period, ...]:
        """One: the image."""
        return consecutive(image=self.images.shape[1] * self.row_ms)

    @property
    def chance(self) -> float:
        """Accuracy of always answering the most common class."""
        return float(self.labels.bincount().max()) / len(self.labels)

    @property
    def ideal(self) -> None:
        """Unknown: nobody has written down what images of a class look like."""
        return

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> Trials:
        """Return these images as trials, in this order.

        Args:
            indices: One-dimensional, integers.

        Raises:
            ValueError: If ``indices`` is something else.
        """
        indices = torch.as_tensor(indices)
        integers = not indices.is_floating_point() and indices.dtype != torch.bool
        if indices.ndim != 1 or not integers or not len(indices):
            rule = "`indices` must be at least one integer, in one dimension"
            raise ValueError(
                f"{rule}; got {indices.dtype} of shape {tuple(indices.shape)}."
            )
        if indices.min() < 0 or indices.max() >= len(self):
            wrong = int(indices.min() if indices.min() < 0 else indices.max())
            raise ValueError(
                f"`indices` must be between 0 and {len(self) - 1}; got {wrong}."
            )
        labels = self.labels[indices]
        # Time comes first in every task, and here it is the rows that pass in time.
        rows = self.images[indices].transpose(0, 1)
        inputs = rows.repeat_interleave(round(self.row_ms / self.dt_ms), dim=0)
        mask = torch.zeros(inputs.shape[:2], dtype=torch.bool)
        mask[-1] = True
        # The class stands at every step, and counts at the last.
        targets = labels.repeat(len(inputs), 1)
        conditions = {"image": indices, "label": labels}
        return self._named_trials(inputs, targets, mask, conditions)

    def all(self) -> Trials:
        """Return every image once, in order."""
        return self.batch(torch.arange(len(self)))

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        return self.batch(torch.randint(len(self), (n,), generator=generator))


def _squared(images: Tensor) -> Tensor:
    """Return images as (n, height, width), checked."""
    side = math.isqrt(images.shape[-1]) if images.ndim else 0
    if images.ndim == 2 and side * side == images.shape[-1]:
        images = images.reshape(len(images), side, side)
    if images.ndim != 3 or not images.numel():
        rule = "`images` must be (n, height, width), or (n, pixels) of square images"
        raise ValueError(f"{rule}; got shape {tuple(images.shape)}.")
    low, high = float(images.min()), float(images.max())
    # Written so that NaN is refused too.
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"`images` must have pixels in [0, 1]; got {low:g} to {high:g}."
        )
    return images.to(torch.get_default_dtype())


class RowReader(nn.Module):
    """A circuit that is shown whole images, reads them row by row, and answers at the last.

    Args:
        rnn: Called like ``nn.RNN``, with ``batch_first``; as many inputs as a row has pixels.
        readout: What makes an answer of its last rates.

    Shape:
        images: (n, pixels) or (n, height, width) -> what ``readout`` makes of (n, units).

    Raises:
        TypeError: If ``rnn`` or ``readout`` cannot be called.

    Example:
        >>> import torch
        >>> rnn = torch.nn.RNN(8, 20, batch_first=True)
        >>> RowReader(rnn, torch.nn.Linear(20, 10))(torch.rand(5, 64)).shape
        torch.Size([5, 10])
    """

    def __init__(self, rnn: nn.Module, readout: nn.Module) -> None:
        super().__init__()
        for name, module in (("rnn", rnn), ("readout", readout)):
            if not callable(module):
                raise TypeError(
                    f"`{name}` must be a module; got {type(module).__name__}."
                )
        self.rnn, self.readout = rnn, readout

    def forward(self, images: Tensor) -> Tensor:
        """Answer for each image."""
        width = int(self.rnn.input_size)  # type: ignore[arg-type]
        # A row of pixels is what the circuit reads in a step.
        rates, _ = self.rnn(images.reshape(len(images), -1, width))
        return self.readout(rates[:, -1])  # type: ignore[no-any-return]
