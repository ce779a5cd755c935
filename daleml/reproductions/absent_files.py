"""Files that experiments need and that do not ship: what to tell where they are absent."""

from __future__ import annotations

from daleml.datasets import fashion_images


def fashion_mnist_absent() -> str:
    """Return what to do where Fashion-MNIST's published split is absent; nothing if not.

    Example:
        >>> fashion_mnist_absent() == "" or "60,000" in fashion_mnist_absent()
        True
    """
    if fashion_images.is_present(published=True):
        return ""
    return (
        "Fashion-MNIST's 60,000 training images are absent: install Debian's package"
        f" `{fashion_images.PACKAGE}`, or put the four published files into the folder"
        " `fashion_mnist` of the one that DALEML_DATA names."
    )
