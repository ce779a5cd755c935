"""Handwritten digits of 8 x 8 pixels, in a fixed split."""

from __future__ import annotations

from daleml import require
from daleml.datasets.image_split import ImageSplit, split_at

# Four fifths of the 1,797 images train.
_N_TRAIN = 1437


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
    # A generator of its own: the global one stays as it is.
    order = np.random.default_rng(seed).permutation(len(labels))
    x = torch.from_numpy((pixels[order] / 16).astype(np.float32))
    y = torch.from_numpy(labels[order].astype(np.int64))
    return ImageSplit(
        name="Handwritten digits",
        **split_at(_N_TRAIN, x, y),
        source=(
            "sklearn.datasets.load_digits: a copy of the test set of the UCI ML"
            " hand-written digits datasets (Optical Recognition of Handwritten Digits)"
        ),
        citation="E. Alpaydin, C. Kaynak (1998) Cascading Classifiers, Kybernetika",
        licence="not stated by scikit-learn, which is itself BSD-3-Clause",
    )
