"""Softmax pooling: a max-pooling that is holomorphic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from daleml import require
from daleml.learning.equilibrium.activations import softmax

_IN_WINDOW = (3, 5)
"""The dimensions of a tensor of windows along which the values of one window lie."""


@dataclass(frozen=True)
class SoftmaxPool:
    r"""Pooling over windows that do not overlap, weighted by a softmax of the values.

    It is a holomorphic max-pooling:

    .. math:: p = \sum_i s_i v_i, \quad s_i = \frac{e^{v_i / T}}{\sum_j e^{v_j / T}}, \qquad
              \frac{\partial p}{\partial v_i} = s_i \left(1 + \frac{v_i - p}{T}\right)

    Args:
        size: Side of the square windows.
        temperature: :math:`T`; towards 0 it gives the maximum, towards infinity the mean.

    Shape:
        (batch, channels, height, width), real or complex -> (batch, channels, height / size,
        width / size).

    Raises:
        TypeError: If ``size`` is not an integer.
        ValueError: If ``size`` is below 1, or ``temperature`` is not positive.

    Example:
        >>> import torch
        >>> image = torch.tensor([[0.0, 1.0], [2.0, 3.0]])[None, None]
        >>> SoftmaxPool(temperature=0.01)(image).item()
        3.0
        >>> round(SoftmaxPool(temperature=1e6)(image).item(), 3)
        1.5

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
        weights = softmax(windows / self.temperature, dim=_IN_WINDOW)
        return (windows * weights).sum(dim=_IN_WINDOW)

    def transposed(self, v: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled values, and a signal pulled back by the transposed Jacobian at ``v``.

        Args:
            v: What is pooled.
            signal: One number for each pooled value.

        Shape:
            ``signal`` and the pooled values: (batch, channels, height / size, width / size);
            ``v`` and the signal pulled back: (batch, channels, height, width).
        """
        windows = self._windows(v)
        weights = softmax(windows / self.temperature, dim=_IN_WINDOW)
        pooled = (windows * weights).sum(dim=_IN_WINDOW)
        # dp/dv of the values in a window, for one pooled value each.
        slope = weights * (1 + (windows - _spread(pooled)) / self.temperature)
        return pooled, (_spread(signal) * slope).reshape(v.shape)

    def _windows(self, v: Tensor) -> Tensor:
        """Return (batch, channels, rows, size, columns, size)."""
        batch, channels, height, width = v.shape
        rows, columns = height // self.size, width // self.size
        return v.reshape(batch, channels, rows, self.size, columns, self.size)


def _spread(pooled: Tensor) -> Tensor:
    """Return one number for each window in the shape of the windows."""
    return pooled[:, :, :, None, :, None]
