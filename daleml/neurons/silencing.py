"""Silencing: the smallest task for a gradient through spikes, one weight of one neuron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml import require
from daleml.neurons.morris_lecar import REST_MV, REST_W, MorrisLecar


class Silencing(nn.Module):
    r"""The mean activity of a neuron that a weight drives, which learning is to minimise.

    .. math:: I = 100\, W \;\text{µA/cm}^2, \qquad L(W) = \frac{1}{T} \int_0^T
        \operatorname{logistic}\Big(\frac{V - 20\,\text{mV}}{\ell}\Big)\, dt

    Args:
        weight: The initial W. A tensor makes many neurons at once, each with its own weight.
        cell: The neuron; default: ``MorrisLecar.stiff()``, as in the published figure.
        width_mv: :math:`\ell`, mV. The smaller it is, the more each spike is all or none.
        dt_ms: Length of a step; default: 0.1, or less where the cell asks for it.

    Shape:
        Called with a duration, it returns the mean activity of each neuron, in [0, 1], of the
        shape of ``weight``.

    Raises:
        TypeError: If ``cell`` is no MorrisLecar, or an argument is no number.
        ValueError: If the step is too long for the cell, or an argument is out of range.

    Example:
        >>> import torch
        >>> busy = Silencing(0.5)(100.0)
        >>> Silencing(0.0)(100.0).item() < busy.item()
        True

    Notes:
        The published figure draws the leak's reversal potential anew for each cell, from N(-55,
        2.5²) mV, and solves by an adaptive explicit rule; here it is -55 mV, and the step
        semi-implicit.

    References:
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869, figure 1.
    """

    def __init__(
        self,
        weight: float | Tensor = 0.5,
        *,
        cell: MorrisLecar | None = None,
        width_mv: float = 0.01,
        dt_ms: float | None = None,
    ) -> None:
        super().__init__()
        if cell is not None and not isinstance(cell, MorrisLecar):
            raise TypeError(f"`cell` must be a MorrisLecar; got {type(cell).__name__}.")
        self.cell = MorrisLecar.stiff() if cell is None else cell
        self.width_mv = require.positive("width_mv", width_mv)
        if dt_ms is None:
            dt_ms = min(0.1, self.cell.longest_step_ms)
        self.dt_ms = self.cell.require_step(dt_ms)
        if isinstance(weight, Tensor):
            start = weight.detach().clone()
        else:
            start = torch.tensor(require.number("weight", weight))
        self.weight = nn.Parameter(start)

    def forward(self, duration_ms: float) -> Tensor:
        """Return the mean activity over a duration.

        Args:
            duration_ms: The duration, ms.

        Raises:
            ValueError: If it is not above 0.
        """
        # In µA/cm², so that a weight of order 1 makes the cell fire.
        current = 100 * self.weight
        v = torch.full_like(current, REST_MV)
        w = torch.full_like(current, REST_W)
        duration_ms = require.positive("duration_ms", duration_ms)
        n_steps = max(round(duration_ms / self.dt_ms), 1)
        total = torch.zeros_like(current)
        for _ in range(n_steps):
            v, w = self.cell.step(v, w, current, self.dt_ms)
            # A smooth count of the time above 20 mV, which only spikes reach.
            total = total + torch.sigmoid((v - 20.0) / self.width_mv)
        return total / n_steps
