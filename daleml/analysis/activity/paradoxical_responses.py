r"""Whether inhibition stabilises a circuit, and the paradoxical response that gives it away.

A circuit is inhibition-stabilised at a stable fixed point if its excitatory units alone, with
inhibition frozen, would be unstable there. Where that is so, an inhibitory population that is
driven falls silent a little: it excites itself by way of the others less than it lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.constant_maps import Array, ConstantMap
from daleml.analysis.activity.fixed_point_results import FixedPoint
from daleml.analysis.activity.fixed_point_search import point_from
from daleml.analysis.activity.linearised_maps import Stability, shared_leak
from daleml.analysis.activity.unit_groups import (
    Units,
    excitatory_units,
    groups_of,
    units_of,
)

# So far to either side the slope of a response is looked at: rounding is 1e-10 of it.
_PROBE = 1e-6


@dataclass(frozen=True, eq=False)
class ParadoxicalEffect:
    r"""How a circuit answers to a drive of inhibitory units, and what holds it.

    Attributes:
        inhibition_stabilised: Whether the fixed point is stable, and would not be with inhibition
            frozen.
        paradoxical: Whether the mean rate of the driven units falls as they are driven.
        excitatory_eigenvalue: The largest eigenvalue of what excitatory units make of their own
            rates, :math:`w_{EE}` of a pair: above 1, they are unstable without inhibition. With
            a leak that differs between units, that of their own map of one step.
        slopes: Of the mean rate of each population, by the drive, at the fixed point.
        unit_slopes: The same of each unit, (units,).
        responses: The change of the mean rate of each population at a drive of ``amount``; NaN
            where the circuit then did not come to rest.
        amount: That drive.
        driven: The units that were driven.
        exciting: The units that excite.
        point: The fixed point, with its linearisation.
        smooth: Whether the circuit has one slope there; else slopes, and both verdicts, are those
            of one side.
        groups: The units of each population, by its name.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(1, Populations(1, 1), autapses=True, dt_ms=1, tau_ms=10)
        >>> with torch.no_grad():
        ...     _ = rnn.weight_hh_l0.copy_(torch.tensor([[2.0, -1.5], [2.0, -0.5]]))
        ...     _ = rnn.weight_ih_l0.copy_(torch.tensor([[1.0], [0.0]]))
        >>> result = paradoxical_effect(rnn, [1.0])
        >>> result.inhibition_stabilised, result.paradoxical
        (True, True)
        >>> round(result.excitatory_eigenvalue, 6)
        2.0
    """

    inhibition_stabilised: bool
    paradoxical: bool
    excitatory_eigenvalue: float
    slopes: dict[str, float]
    unit_slopes: Array = field(repr=False)
    responses: dict[str, float]
    amount: float
    driven: Units = field(repr=False)
    exciting: Units = field(repr=False)
    point: FixedPoint = field(repr=False)
    smooth: bool
    groups: dict[str, Units] = field(repr=False)

    def conclusion(self) -> str:
        """Say in one sentence whether inhibition stabilises the circuit."""
        eigenvalue = f"{self.excitatory_eigenvalue:.3g}"
        if not self.smooth:
            return (
                "Cannot tell: a unit is exactly at its threshold, where the circuit has two"
                " slopes."
            )
        if self.point.stability is not Stability.STABLE:
            return f"Not stabilised: the fixed point is {self.point.stability}."
        alone = f"excitatory units alone have an eigenvalue of {eigenvalue}"
        if not self.inhibition_stabilised:
            return f"Stable without inhibition: {alone}."
        falls = "falls" if self.paradoxical else "does not fall"
        return (
            f"Inhibition-stabilised: {alone}; the rate of the driven units {falls} as they"
            " are driven."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not known is None."""
        return {
            "inhibition_stabilised": self.inhibition_stabilised,
            "paradoxical": self.paradoxical,
            "excitatory_eigenvalue": self.excitatory_eigenvalue,
            "slopes": _known(self.slopes),
            "unit_slopes": [_known_value(value) for value in self.unit_slopes],
            "responses": _known(self.responses),
            "amount": self.amount,
            "driven": self.driven.tolist(),
            "smooth": self.smooth,
            "populations": {
                name: units.tolist() for name, units in self.groups.items()
            },
            "point": self.point.to_dict(),
            "conclusion": self.conclusion(),
        }

    def __str__(self) -> str:
        slopes = []
        for name, value in self.slopes.items():
            slopes.append(f"{name} {value:+.3g}")
        return f"{self.conclusion()}\nslopes of mean rates: {', '.join(slopes)}"


@on_the_cpu
def paradoxical_effect(
    rnn: nn.Module,
    inputs: Any = None,
    *,
    population: str | None = None,
    amount: float = 0.1,
    start: Tensor | Array | None = None,
    layer: int = -1,
) -> ParadoxicalEffect:
    r"""Find whether a circuit is inhibition-stabilised, and whether it answers paradoxically.

    .. math::
        \frac{d z^*}{d g} = (1 - J)^{-1} \frac{\partial F}{\partial g}, \qquad
        \text{of a pair: } \frac{d r_I}{d g_I} \propto 1 - w_{EE}

    The circuit comes to rest at a constant input. There it is linearised; the drive is a current
    added to the bias of the driven units, to zero in a circuit of daleml's without a bias.

    Args:
        rnn: A circuit that says which of its units excite, by ``populations``, as ``EIRNN`` does.
            Its noise is off.
        inputs: The constant input, (n_inputs,); default: zeros.
        population: Which units are driven: the name of a population, an area or a pattern, as
            ``"PV"``. Default: all that inhibit.
        amount: The drive at which :attr:`ParadoxicalEffect.responses` are measured; negative to
            take drive away.
        start: The state from which the circuit comes to rest; default: its own start.
        layer: Which layer; default: the last.

    Returns:
        Both verdicts as fields, with the slopes and responses of every population.

    Raises:
        TypeError: If ``rnn`` is no such module, or an argument is of the wrong kind.
        ValueError: If a circuit of yours has no bias; if there are no such units; if it does not
            come to rest; or a shape or number is impossible.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> _ = torch.manual_seed(0)
        >>> rnn = EIRNN(3, Populations(80, 20), dt_ms=10, tau_ms=50, nonlinearity="softplus")
        >>> result = paradoxical_effect(rnn, torch.ones(3))
        >>> result.inhibition_stabilised, sorted(result.slopes)
        (True, ['E', 'I'])

    Notes:
        In a pair of an excitatory and an inhibitory unit both verdicts agree. In a circuit of
        many units, or of several inhibitory populations, a paradoxical response of one population
        needs inhibition-stabilisation, and does not follow from it. State variables beside the
        membrane's, such as efficacies, move with the units that own them.

    References:
        Tsodyks, Skaggs, Sejnowski & McNaughton 1997 (Journal of Neuroscience).
    """
    amount = require.number("amount", amount)
    if amount == 0:
        raise ValueError("`amount` must not be 0; got 0.")
    circuit = ConstantMap(rnn, inputs)
    n_layers, width = circuit.shape
    which = require.integer("layer", layer, minimum=-n_layers)
    if which >= n_layers:
        raise ValueError(f"`layer` must be below {n_layers}; got {layer}.")
    which %= n_layers
    n_units = circuit.stepper.n_units(width)
    driven = units_of(rnn, population, n_units)
    exciting = excitatory_units(rnn, n_units)
    drive = _Drive(circuit, which, driven)
    point = _rest(circuit, start)
    state = point.state.flatten()
    jacobian = point.linearisation.jacobian
    moved = _slope(lambda size: drive.after(state, size))
    try:
        by_drive = np.linalg.solve(np.eye(circuit.size) - jacobian, moved)
    except np.linalg.LinAlgError:
        # An eigenvalue of 1: the response has no bound.
        by_drive = np.full(circuit.size, np.nan)
    unit_slopes = _slope(lambda size: _rates(circuit, state + size * by_drive, which))
    groups = groups_of(rnn, n_units)
    eigenvalue, is_unstable = _alone(circuit, jacobian, which, exciting, n_units)
    smooth = point.linearisation.smooth
    # Without one slope, what is stable alone is not said by eigenvalues.
    is_stable = smooth and point.stability is Stability.STABLE
    return ParadoxicalEffect(
        inhibition_stabilised=is_stable and is_unstable,
        paradoxical=bool(unit_slopes[driven].mean() < 0),
        excitatory_eigenvalue=eigenvalue,
        slopes=_by_group(unit_slopes, groups),
        unit_slopes=unit_slopes,
        responses=_by_group(drive.response(state, amount), groups),
        amount=amount,
        driven=driven,
        exciting=exciting,
        point=point,
        smooth=smooth,
        groups=groups,
    )


class _Drive:
    """A current into some units of a circuit at a constant input."""

    def __init__(self, circuit: ConstantMap, layer: int, units: Units) -> None:
        self._circuit, self._layer = circuit, layer
        rnn: Any = circuit.stepper.rnn
        self._units = torch.from_numpy(units)
        suffix = "" if circuit.stepper.is_cell else f"_l{layer}"
        bias = rnn._parameters.get(f"bias_ih{suffix}")
        # What is driven is a copy, and no other reads what it is driven by.
        if bias is not None:
            self._current, self._at = bias.data, self._units
        elif hasattr(rnn, "drive_for_good"):
            self._current = torch.zeros(len(units), dtype=torch.float64)
            self._at = torch.arange(len(units))
            rnn.drive_for_good(self._units, self._current, layer)
        else:
            raise ValueError(
                "`rnn` must have a bias, through which units are driven; got one built with"
                " `bias=False`."
            )
        self._undriven = self._current.clone()

    def _set(self, size: float) -> None:
        driven = self._undriven.clone()
        driven[self._at] += size
        self._current.copy_(driven)

    def after(self, state: Array, size: float) -> Array:
        """Return what follows a state while the units are driven."""
        self._set(size)
        try:
            return state + self._circuit.residual(state)
        finally:
            self._set(0.0)

    def response(self, state: Array, size: float) -> Array:
        """Return by how much each unit's rate changes where the driven circuit comes to rest."""
        self._set(size)
        try:
            end = point_from(self._circuit, torch.from_numpy(state))
        finally:
            self._set(0.0)
        before = _rates(self._circuit, state, self._layer)
        if end is None:
            return np.full_like(before, np.nan)
        return _rates(self._circuit, end.state.flatten(), self._layer) - before


def _rest(circuit: ConstantMap, start: Any) -> FixedPoint:
    """Return the fixed point to which the circuit goes from a state."""
    begin = circuit.start
    if start is not None:
        rows = circuit.read_states("start", start)
        if len(rows) != 1:
            raise ValueError(f"`start` must be one state; got {len(rows)}.")
        begin = rows[0]
    point = point_from(circuit, begin)
    if point is None:
        raise ValueError(
            "`rnn` must come to rest at a constant input to be judged there; got a circuit that"
            " oscillates, or grows, or is slow: give a `start` that is closer to a fixed point."
        )
    return point


def _slope(at: Any) -> Array:
    """Return the slope of a function of a small number, at 0."""
    slope: Array = (at(_PROBE) - at(-_PROBE)) / (2 * _PROBE)
    return slope


def _rates(circuit: ConstantMap, state: Array, layer: int) -> Array:
    """Return the rates of one layer in a state."""
    rows = torch.from_numpy(np.ascontiguousarray(state)).view(circuit.shape)
    rates: Array = circuit.stepper.rates(rows[layer]).numpy()
    return rates


def _alone(
    circuit: ConstantMap, jacobian: Array, layer: int, units: Units, n_units: int
) -> tuple[float, bool]:
    """Return the largest eigenvalue of some units with all others frozen; is it unstable?"""
    width = circuit.shape[1]
    variables = np.arange(width // n_units)[:, None] * n_units
    chosen = (layer * width + variables + units).ravel()
    eigenvalues = np.linalg.eigvals(jacobian[np.ix_(chosen, chosen)])
    largest = eigenvalues[np.argmax(np.abs(eigenvalues))]
    value = float(largest.real)
    leak = shared_leak(circuit.stepper.rnn)
    if leak is not None:
        # Of one step, it is 1 - leak + leak w.
        value = 1 + (value - 1) / leak
    return value, bool(np.abs(largest) > 1)


def _by_group(values: Array, groups: dict[str, Units]) -> dict[str, float]:
    found = {}
    for name, units in groups.items():
        found[name] = float(values[units].mean())
    return found


def _known(values: dict[str, float]) -> dict[str, float | None]:
    found = {}
    for name, value in values.items():
        found[name] = _known_value(value)
    return found


def _known_value(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
