"""Silencing: the smallest task for a gradient through spikes, one weight of one neuron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from daleml import require
from daleml.neurons.morris_lecar import REST_MV, REST_W, MorrisLecar, number_of_steps


class Silencing(nn.Module):
    r"""The mean activity of a neuron that a weight drives, which learning is to minimise.

    .. math:: I = 100\, W \;\text{µA/cm}^2, \qquad L(W) = \frac{1}{T} \int_0^T
        \operatorname{logistic}\Big(\frac{V - 20\,\text{mV}}{\ell}\Big)\, dt

    Args:
        weight: The initial W. A tensor makes many neurons at once, each with its own weight.
        cell: The neuron; default: ``MorrisLecar.stiff()``, as in the published figure.
        width_mv: :math:`\ell`, mV. The smaller it is, the more each spike is all or none.
        dt_ms: Length of a step; default: 0.1, or less where the cell asks for it.
        v_mv: The voltage at which a neuron begins, mV. A tensor gives each neuron its own.
        gate: The potassium gate with which it begins, in [0, 1]. A tensor gives each its own.
        sample_ms: Time between the samples of which the mean is taken, a multiple of ``dt_ms``;
            default: every step.

    Shape:
        Called with a duration, it returns the mean activity of each neuron, in [0, 1], of the
        shape of ``weight``.

    Raises:
        TypeError: If ``cell`` is no MorrisLecar, or an argument is no number.
        ValueError: If the step is too long for the cell, an argument is out of range, or
            ``sample_ms`` is no multiple of ``dt_ms``.

    Example:
        >>> import torch
        >>> busy = Silencing(0.5)(100.0)
        >>> Silencing(0.0)(100.0).item() < busy.item()
        True

    Notes:
        The published figure draws the leak's reversal potential anew for each cell, from N(-55,
        2.5²) mV, and solves by an adaptive explicit rule; here it is -55 mV, and the step
        semi-implicit. Its neurons begin at voltages from N(-40, 5²) mV with gates from N(0.5,
        0.1²), and its samples are 1 ms apart: ``v_mv=-40, gate=0.5, sample_ms=1`` is the middle
        of them.

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
        v_mv: float | Tensor = REST_MV,
        gate: float | Tensor = REST_W,
        sample_ms: float | None = None,
    ) -> None:
        super().__init__()
        if cell is not None and not isinstance(cell, MorrisLecar):
            raise TypeError(f"`cell` must be a MorrisLecar; got {type(cell).__name__}.")
        self.cell = MorrisLecar.stiff() if cell is None else cell
        self.width_mv = require.positive("width_mv", width_mv)
        if dt_ms is None:
            dt_ms = min(0.1, self.cell.longest_step_ms)
        self.dt_ms = self.cell.require_step(dt_ms)
        self.weight = nn.Parameter(_tensor("weight", weight).detach().clone())
        # No buffers: they take the weight's type and device when they are used.
        self.v_mv, self.gate = _tensor("v_mv", v_mv), _tensor("gate", gate)
        if not bool(((self.gate >= 0) & (self.gate <= 1)).all()):
            raise ValueError(f"`gate` must be in [0, 1]; got {gate}.")
        self._stride = 1
        if sample_ms is not None:
            self._stride = number_of_steps("sample_ms", sample_ms, self.dt_ms)

    def forward(self, duration_ms: float) -> Tensor:
        """Return the mean activity over a duration.

        Args:
            duration_ms: The duration, ms.

        Raises:
            ValueError: If it is not above 0.
        """
        # In µA/cm², so that a weight of order 1 makes the cell fire.
        current = 100 * self.weight
        v = torch.zeros_like(current) + self.v_mv.to(current)
        w = torch.zeros_like(current) + self.gate.to(current)
        duration_ms = require.positive("duration_ms", duration_ms)
        n_samples = max(round(duration_ms / (self.dt_ms * self._stride)), 1)
        total = torch.zeros_like(current)
        for _ in range(n_samples):
            for _ in range(self._stride):
                v, w = self.cell.step(v, w, current, self.dt_ms)
            # A smooth count of the time above 20 mV, which only spikes reach.
            total = total + torch.sigmoid((v - 20.0) / self.width_mv)
        return total / n_samples


def _tensor(name: str, value: float | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return torch.tensor(require.number(name, value))
