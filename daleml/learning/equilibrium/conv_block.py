"""The description of a convolutional layer of a network that settles."""

from __future__ import annotations

from dataclasses import dataclass

from daleml import require
from daleml.learning.equilibrium.softmax_pool import SoftmaxPool


@dataclass(frozen=True)
class ConvBlock:
    """A convolutional layer of a :class:`HolomorphicNetwork`: a convolution, then pooling.

    The convolution has a stride of 1.

    Args:
        channels: Number of channels that it puts out.
        kernel_size: Side of its square filters.
        padding: Zeros around its input, on each side.
        pool: The pooling that follows; None for nothing.

    Raises:
        TypeError: If a size is not an integer, or ``pool`` is no :class:`SoftmaxPool`.
        ValueError: If a size is too small.

    Example:
        >>> from daleml.learning import HolomorphicNetwork, SoftmaxPool
        >>> HolomorphicNetwork((1, 8, 8), [ConvBlock(6, pool=SoftmaxPool(2))], 10).shapes
        ((6, 4, 4),)

    References:
        Laborieux & Zenke 2022 (NeurIPS), all convolutional networks.
    """

    channels: int
    kernel_size: int = 3
    padding: int = 1
    pool: SoftmaxPool | None = None

    def __post_init__(self) -> None:
        require.integer("channels", self.channels, minimum=1)
        require.integer("kernel_size", self.kernel_size, minimum=1)
        require.integer("padding", self.padding)
        # Its transposed Jacobian is needed too, which no other pooling here has.
        if self.pool is not None and not isinstance(self.pool, SoftmaxPool):
            raise TypeError(f"`pool` must be a SoftmaxPool or None; got {self.pool!r}.")
