"""Files that experiments need and that do not ship: what to tell where they are absent."""

from __future__ import annotations

from daleml.datasets import fashion_images


def fashion_mnist_absent() -> str | None:
    """Return what to do where Fashion-MNIST's published split is not on this machine, or None.

    Example:
        >>> fashion_mnist_absent() is None or "60,000" in fashion_mnist_absent()
        True
    """
    if fashion_images.is_present(published=True):
        return None
    return (
        "Fashion-MNIST's 60,000 training images are absent: install Debian's package"
        f" `{fashion_images.PACKAGE}`, or put the four published files into the folder"
        " `fashion_mnist` of the one that DALEML_DATA names."
    )
