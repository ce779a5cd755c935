r"""The Morris-Lecar neuron: its currents, and a step of its two equations.

A calcium, a potassium and a leak current make spikes, through which gradients mislead.

.. math::
    C \dot V &= I - g_{Ca}\, m_\infty(V) (V - E_{Ca}) - g_K\, w\, (V - E_K) - g_L (V - E_L) \\
    \dot w &= (w_\infty(V) - w) / \tau_w(V)
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require

REST_MV = -20.0
"""The voltage at which a cell begins, as published; it does not rest there."""
REST_W = 0.014173
"""The potassium gate with which a cell begins, as published."""

_POSITIVE = ("v2", "v4", "phi", "c")
_CONDUCTANCES = ("g_ca", "g_k", "g_l")
_ACCURATE = 4
"""How many times shorter an accurate step is than the longest one that does not overshoot."""
_ACCURATE_FIRST_ORDER = 24
"""The same of the published step, whose error is of first order."""
_LEAST_DENOMINATOR = 0.25
"""The smallest denominator of a step that is allowed: 1 where it is shortest."""
_TOLERATED = 0.1
"""The relative difference of rates, beyond two spikes, from which on a step is too coarse."""


@dataclass(frozen=True, kw_only=True)
class MorrisLecar:
    r"""The constants of a Morris-Lecar neuron, and its semi-implicit step.

    The neuron's steady states and time constant are

    .. math::
        m_\infty = \tfrac12 (1 + \tanh \tfrac{V - V_1}{V_2}), \qquad
        w_\infty = \tfrac12 (1 + \tanh \tfrac{V - V_3}{V_4}), \qquad
        \tau_w = \frac{1}{\phi \cosh \frac{V - V_3}{2 V_4}},

    and a step takes each variable by the trapezoidal rule while the other is constant,
    :math:`w` first:

    .. math::
        w &\leftarrow w + \frac{dt}{\tau_w + dt/2} (w_\infty - w) \\
        V &\leftarrow V + \frac{dt}{1 + dt\, (G - S)/2} (E + I/C - G V), \qquad
        G = \tfrac1C (g_{Ca} m_\infty + g_K w + g_L), \quad
        E = \tfrac1C (g_{Ca} m_\infty E_{Ca} + g_K w E_K + g_L E_L), \quad
        S = \tfrac1C g_{Ca}\, m_\infty'(V)\, (E_{Ca} - V).

    :math:`S` is how fast calcium's gate opens itself. With it :math:`V` follows the linearly
    implicit trapezoidal rule, and errors are of second order, with :math:`w` understood as half a
    step behind :math:`V`. The published step has :math:`S = 0`: it holds calcium's gate at its
    value at the step's beginning, and its errors are of first order.

    The defaults make a type-I neuron, which begins to fire at an arbitrarily low rate.

    Args:
        v1: Half-activation of calcium, mV.
        v2: Width of the activation of calcium, mV, above 0.
        v3: Half-activation of potassium, mV.
        v4: Width of the activation of potassium, mV, above 0.
        phi: Rate of potassium, 1/ms, above 0.
        c: Capacitance, µF/cm², above 0.
        g_ca: Calcium conductance, mS/cm².
        g_k: Potassium conductance, mS/cm².
        g_l: Leak conductance, mS/cm².
        e_ca: Reversal potential of calcium, mV.
        e_k: Reversal potential of potassium, mV.
        e_l: Reversal potential of the leak, mV.
        first_order: Whether to take the published step. A network of such cells then holds
            transmission, too, at its value at the step's beginning.

    Raises:
        TypeError: If a constant is not a number, or ``first_order`` no bool.
        ValueError: If a constant is out of range.

    Example:
        >>> import torch
        >>> cell = MorrisLecar()
        >>> v, w = torch.tensor([-20.0]), torch.tensor([0.014173])
        >>> for _ in range(1000):  # 100 ms without current: it rests
        ...     v, w = cell.step(v, w, torch.zeros(1), dt_ms=0.1)
        >>> round(v.item(), 1)
        -59.5
        >>> round(MorrisLecar.stiff().longest_step_ms, 3)  # a twentieth of the capacitance
        0.143

    Notes:
        The constants are those of the network in the code of the paper. The defaults of its
        class differ: those are :meth:`type_ii`. Units are the standard ones; the code names
        none. Under a constant current the equations fall silent from 115.5 µA/cm² on. So do
        steps of 0.1 and 0.5 ms; published steps do from 113.5 and 107.5 on.

    References:
        Morris & Lecar 1981 Biophysical Journal 35:193.
        Hazelden, Liu, Shlizerman, Shea-Brown 2023 arXiv:2311.10869.
    """

    v1: float = -1.2
    v2: float = 18.0
    v3: float = 12.0
    v4: float = 17.0
    phi: float = 2 / 30
    c: float = 20.0
    g_ca: float = 4.0
    g_k: float = 8.0
    g_l: float = 2.0
    e_ca: float = 120.0
    e_k: float = -84.0
    e_l: float = -60.0
    first_order: bool = False

    def __post_init__(self) -> None:
        require.flag("first_order", self.first_order)
        for field in dataclasses.fields(self):
            if field.name == "first_order":
                continue
            check = require.number
            if field.name in _POSITIVE:
                check = require.positive
            elif field.name in _CONDUCTANCES:
                check = require.non_negative
            value = check(field.name, getattr(self, field.name))
            # The only way to set an attribute of a frozen dataclass.
            object.__setattr__(self, field.name, value)

    @classmethod
    def type_ii(cls) -> MorrisLecar:
        """Return the published class's type-II neuron, which begins to fire at a finite rate."""
        return cls(phi=0.04, v3=2.0, v4=30.0)

    @classmethod
    def stiff(cls) -> MorrisLecar:
        """Return the single stiff cell of the paper.

        Its capacitance is 1 µF/cm², since the published code leaves the capacitance out.
        """
        return cls(c=1.0, e_l=-55.0)

    @property
    def longest_step_ms(self) -> float:
        r"""The longest step that cannot overshoot, ms.

        It is :math:`\min(2/G,\, 2\tau_w)` for all voltages between the reversal potentials.
        Beyond it, what remains of a perturbation after a step changes its sign from step to
        step. It is shorter where calcium's gate is so steep that :math:`1 + dt\,(G - S)/2`
        would come below 1/4.
        """
        conductance = (self.g_ca + self.g_k + self.g_l) / self.c
        of_voltage = 2 / conductance if conductance else math.inf
        farthest = max(abs(v - self.v3) for v in (self.e_ca, self.e_k, self.e_l))
        # The hyperbolic cosine overflows above 710.
        tau_w = 1 / (self.phi * math.cosh(min(farthest / (2 * self.v4), 700.0)))
        longest = min(of_voltage, 2 * tau_w)
        growth = self._fastest_growth()
        if growth > 0 and not self.first_order:
            longest = min(longest, 2 * (1 - _LEAST_DENOMINATOR) / growth)
        return longest

    def _fastest_growth(self) -> float:
        """Return the largest S - G, without potassium, between the reversal potentials, 1/ms."""
        ends = (self.e_ca, self.e_k, self.e_l)
        grid = torch.linspace(min(ends), max(ends), 1001, dtype=torch.float64)
        # A steep gate may lie between two points of the grid, and has its own.
        near = self.v1 + self.v2 * torch.linspace(-3, 3, 101, dtype=torch.float64)
        v = torch.cat([grid, near.clamp(min(ends), max(ends))])
        gate = torch.sigmoid((v - self.v1) * (2 / self.v2))
        growth = self.g_ca * gate * self._rise(v, gate) - self.g_ca * gate - self.g_l
        return float(growth.max()) / self.c

    def _rise(self, v: Tensor, gate: Tensor) -> Tensor:
        """Return how fast calcium's current grows with its voltage, over what flows."""
        return (1 - gate) * ((self.e_ca - v) * (2 / self.v2))

    @property
    def accurate_step_ms(self) -> float:
        """The longest step whose answers are near those of the equations, ms.

        It is a quarter of :attr:`longest_step_ms`: 0.625 ms with the default constants. With
        ``first_order`` it is a 24th of it: 0.104 ms, just above the published 0.1 ms, at which
        the current of depolarisation block is 2 µA/cm² too low (113.5, by the equations 115.5);
        at 0.25 ms it is 4 too low, and at 0.5 ms 8 too low.
        """
        parts = _ACCURATE_FIRST_ORDER if self.first_order else _ACCURATE
        return self.longest_step_ms / parts

    def warn_if_coarse(self, dt_ms: float) -> None:
        """Warn if a step is longer than :attr:`accurate_step_ms`."""
        if dt_ms > self.accurate_step_ms:
            warnings.warn(
                f"`dt_ms` should be at most {self.accurate_step_ms:.3g} for this cell: with"
                f" {dt_ms:g} cells fire or fall silent where the equations do not.",
                UserWarning,
                stacklevel=3,
            )

    def require_step(self, dt_ms: float) -> float:
        """Return a step's length, or raise if it is too long for this cell.

        Raises:
            ValueError: If ``dt_ms`` is not above 0, or is above :attr:`longest_step_ms`.
        """
        dt_ms, longest = require.positive("dt_ms", dt_ms), self.longest_step_ms
        if dt_ms > longest:
            raise ValueError(
                f"`dt_ms` must be at most {longest:.3g} for this cell, above which a step"
                f" overshoots; got {dt_ms:g}."
            )
        return dt_ms

    def step(
        self, v: Tensor, w: Tensor, current: Tensor | float, dt_ms: float
    ) -> tuple[Tensor, Tensor]:
        """Return voltage and potassium gate after a step.

        Args:
            v: Voltage, mV.
            w: Potassium gate, in [0, 1].
            current: Injected, µA/cm².
            dt_ms: Length of the step; :meth:`require_step` says whether it is short enough.

        Shape:
            ``v``, ``w`` and ``current`` broadcast against each other.
        """
        # (1 + tanh x)/2 is the logistic function of 2x, and takes a pass less.
        open_k = torch.sigmoid((v - self.v3) * (2 / self.v4))
        pace = (self.phi * dt_ms) * torch.cosh((v - self.v3) * (0.5 / self.v4))
        # Potassium first, then the voltage with the new gate.
        w = w + (open_k - w) * (pace / (1 + pace / 2))
        # Calcium is so fast that its gate is at its steady state.
        gate = torch.sigmoid((v - self.v1) * (2 / self.v2))
        ca = self.g_ca * gate
        k = self.g_k * w
        g = (ca + k + self.g_l) / self.c
        e = (ca * self.e_ca + k * self.e_k + (self.g_l * self.e_l + current)) / self.c
        decay = g if self.first_order else g - ca * self._rise(v, gate) / self.c
        # Trapezoidal in V, without overshoot below `longest_step_ms`.
        return v + dt_ms * (e - g * v) / (1 + dt_ms / 2 * decay), w

    def firing_rate(
        self,
        current: Tensor,
        *,
        duration_ms: float = 1000.0,
        settle_ms: float = 0.0,
        dt_ms: float = 0.1,
        threshold_mv: float = 0.0,
        check_step: bool = True,
    ) -> Tensor:
        """Return the firing rate under constant currents, Hz: upward crossings of a threshold.

        The rates are computed once more with half the step. Where they then differ by more than
        a tenth and two spikes, the step is too coarse for its answer, and a warning names the
        current.

        Args:
            current: Injected current of each cell, µA/cm².
            duration_ms: Time during which spikes are counted.
            settle_ms: Time before that: a cell may fire once at the onset of a current under
                which it then falls silent.
            dt_ms: Length of a step.
            threshold_mv: The voltage that a spike crosses upwards.
            check_step: Whether to compute the rates again with half the step, which takes three
                times as long in all.

        Shape:
            ``current``: any; the same.

        Returns:
            The rates, Hz.

        Raises:
            TypeError: If ``current`` is no tensor.
            ValueError: If it is not finite, a duration is out of range, or the step too long
                for the cell.

        Warns:
            UserWarning: If half the step gives other rates.

        Example:
            >>> currents = torch.tensor([35.0, 60.0, 130.0])
            >>> MorrisLecar().firing_rate(currents, settle_ms=100, duration_ms=250, dt_ms=0.2)
            tensor([ 0., 16.,  0.])
        """
        require.tensor("current", current)
        if not bool(current.isfinite().all()):
            raise ValueError(
                f"`current` must be finite; got {float(current[~current.isfinite()][0])}."
            )
        dt_ms = self.require_step(dt_ms)
        duration_ms = require.positive("duration_ms", duration_ms)
        if not round(duration_ms / dt_ms):
            raise ValueError(
                f"`duration_ms` must be at least a step, {dt_ms:g}; got {duration_ms:g}."
            )
        settle_ms = require.non_negative("settle_ms", settle_ms)
        threshold_mv = require.number("threshold_mv", threshold_mv)
        rates = self._count_spikes(current, duration_ms, settle_ms, dt_ms, threshold_mv)
        if require.flag("check_step", check_step):
            # No exact rate is known; half the step tells how far the step is to be trusted.
            finer = self._count_spikes(
                current, duration_ms, settle_ms, dt_ms / 2, threshold_mv
            )
            _warn_where_rates_differ(
                current, rates, finer, dt_ms, two_spikes_hz=2000 / duration_ms
            )
        return rates

    @torch.no_grad()
    def _count_spikes(
        self,
        current: Tensor,
        duration_ms: float,
        settle_ms: float,
        dt_ms: float,
        threshold_mv: float,
    ) -> Tensor:
        n_counted = round(duration_ms / dt_ms)
        n_settling = round(settle_ms / dt_ms)
        v = torch.full_like(current, REST_MV)
        w = torch.full_like(current, REST_W)
        spikes = torch.zeros_like(current)
        for i in range(n_settling + n_counted):
            before = v
            v, w = self.step(v, w, current, dt_ms)
            if i >= n_settling:
                spikes += (before < threshold_mv) & (v >= threshold_mv)
        # By the time that the steps took: the duration may be no multiple of one.
        return spikes * (1000 / (n_counted * dt_ms))


def number_of_steps(name: str, duration: float, dt_ms: float) -> int:
    """Return how many steps a duration has, or raise if it is no multiple of one."""
    n_steps = round(require.positive(name, duration) / dt_ms)
    if not math.isclose(duration, n_steps * dt_ms, rel_tol=1e-9):
        raise ValueError(
            f"`{name}` must be a multiple of `dt_ms`, {dt_ms:g}; got {duration:g}."
        )
    return n_steps


def _warn_where_rates_differ(
    current: Tensor, rates: Tensor, finer: Tensor, dt_ms: float, two_spikes_hz: float
) -> None:
    """Warn if half the step gives rates that differ by more than a tenth and two spikes."""
    change = (finer - rates).abs()
    tolerated = _TOLERATED * torch.maximum(rates, finer) + two_spikes_hz * (1 + 1e-6)
    wrong = change > tolerated
    if not bool(wrong.any()):
        return
    first = wrong.flatten().nonzero()[0]
    at, coarse, fine = (float(x.flatten()[first]) for x in (current, rates, finer))
    warnings.warn(
        f"`dt_ms` should be smaller than {dt_ms:g}: half of it gives other rates at"
        f" {int(wrong.sum())} of {current.numel()} currents; at {at:g} µA/cm², {fine:.3g}"
        f" Hz instead of {coarse:.3g}.",
        UserWarning,
        stacklevel=3,
    )
