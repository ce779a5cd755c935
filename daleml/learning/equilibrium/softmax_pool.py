"""Softmax pooling: a max-pooling that is holomorphic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from daleml import require
from daleml.learning.equilibrium.activations import softmax


@dataclass(frozen=True)
class SoftmaxPool:
    r"""Pooling over windows that do not overlap, weighted by a softmax of the values.

    A holomorphic max-pooling.

    .. math:: p = \sum_i s_i v_i, \quad s_i = \frac{e^{v_i / T}}{\sum_j e^{v_j / T}}, \qquad
              \frac{\partial p}{\partial v_i} = s_i \left(1 + \frac{v_i - p}{T}\right)

    Args:
        size: Side of the square windows.
        temperature: :math:`T`; towards 0 the maximum, towards infinity the mean.

    Shape:
        (batch, channels, height, width), real or complex -> (batch, channels, height / size,
        width / size).

    Raises:
        TypeError: If ``size`` is not an integer.
        ValueError: If ``size`` is below 1, or ``temperature`` is not positive.

    Example:
        >>> import torch
        >>> image = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
        >>> SoftmaxPool(temperature=0.01)(image).item(), round(SoftmaxPool(temperature=1e6)(image).item(), 3)
        (3.0, 1.5)

    References:
        Laborieux & Zenke 2022 (NeurIPS).
    """

    size: int = 2
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require.integer("size", self.size, minimum=1)
        require.positive("temperature", self.temperature)

    def __call__(self, v: Tensor) -> Tensor:
        """Pool."""
        windows = self._windows(v)
        return (windows * softmax(windows / self.temperature, dim=(3, 5))).sum(
            dim=(3, 5)
        )

    def transposed(self, v: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled values, and ``signal`` carried back by the transposed Jacobian at ``v``."""
        windows = self._windows(v)
        shares = softmax(windows / self.temperature, dim=(3, 5))
        pooled = (windows * shares).sum(dim=(3, 5))
        spread = pooled[:, :, :, None, :, None]
        back = (
            signal[:, :, :, None, :, None]
            * shares
            * (1 + (windows - spread) / self.temperature)
        )
        return pooled, back.reshape(v.shape)

    def _windows(self, v: Tensor) -> Tensor:
        batch, channels, height, width = v.shape
        return v.reshape(
            batch,
            channels,
            height // self.size,
            self.size,
            width // self.size,
            self.size,
        )
