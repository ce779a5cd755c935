"""One weight, one neuron: turn it off.

Small enough to see what a gradient through spikes is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml import require
from daleml.neurons.morris_lecar import REST_MV, REST_W, MorrisLecar


class Silencing(nn.Module):
    r"""How active a neuron is that a weight drives, to be made as small as can be.

    .. math:: I = 100\, W \;\text{µA/cm}^2, \qquad L(W) = \frac{1}{T} \int_0^T
        \operatorname{logistic}\Big(\frac{V - 20\,\text{mV}}{\ell}\Big)\, dt

    Args:
        weight: Where W begins. A tensor makes as many neurons at once, each with its weight.
        cell: The neuron; default: ``MorrisLecar.stiff()``, as in the published figure.
        width_mv: :math:`\ell`, mV. The smaller it is, the more each spike is all or none.
        dt_ms: Length of a step; default: 0.1, or less where the cell asks for it.

    Shape:
        - output: that of ``weight``: the mean activity of each neuron, in [0, 1].

    Raises:
        TypeError: If ``cell`` is no MorrisLecar.
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
        self.dt_ms = self.cell.require_step(
            min(0.1, self.cell.longest_step_ms) if dt_ms is None else dt_ms
        )
        start = (
            weight.detach().clone()
            if isinstance(weight, Tensor)
            else torch.tensor(require.number("weight", weight))
        )
        self.weight = nn.Parameter(start)

    def forward(self, duration_ms: float) -> Tensor:
        """Return the mean activity over a time, ms.

        Raises:
            ValueError: If the time is not above 0.
        """
        current = 100 * self.weight
        v, w = torch.full_like(current, REST_MV), torch.full_like(current, REST_W)
        n_steps = max(
            round(require.positive("duration_ms", duration_ms) / self.dt_ms), 1
        )
        total = torch.zeros_like(current)
        for _ in range(n_steps):
            v, w = self.cell.step(v, w, current, self.dt_ms)
            total = total + torch.sigmoid((v - 20.0) / self.width_mv)
        return total / n_steps
