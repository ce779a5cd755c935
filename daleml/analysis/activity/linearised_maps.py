r"""The linearisation of a circuit at a state: its eigenvalues, and what they say of stability.

A small deviation :math:`\delta` from a fixed point becomes :math:`J \delta` in one step. It
dies out if every eigenvalue :math:`\lambda` of :math:`J` has a modulus below 1. In a leaky
circuit with one time constant the same eigenvalue reads, in continuous time and in units of
:math:`1 / \tau`, as :math:`(\lambda - 1) / \alpha` with :math:`\alpha = dt / \tau`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.constant_maps import Array, ConstantMap

MARGIN = 1e-6
"""How near to 1 the modulus of an eigenvalue is called neither stable nor unstable."""

# A smooth function changes its slope by about this much or less, relatively, over the probe.
_KINK = 1e-3
# How far from the state the slope is looked at again: far above rounding, far below a rate.
_PROBE = 1e-6
# How small deviations are followed where there is no one slope, how many, and for how long.
_DEVIATION, _N_FOLLOWED, _FOLLOWED_STEPS = 1e-4, 16, 1000


class Stability(enum.StrEnum):
    """Whether small deviations from a point die out."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    MARGINAL = "marginal"
    UNDETERMINED = "undetermined"


class PointKind(enum.StrEnum):
    """How the flow looks around a point."""

    STABLE_NODE = "stable node"
    STABLE_SPIRAL = "stable spiral"
    SADDLE = "saddle"
    UNSTABLE_NODE = "unstable node"
    UNSTABLE_SPIRAL = "unstable spiral"
    MARGINAL = "marginal"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, eq=False)
class Linearisation:
    r"""A circuit at a constant input, linearised at a state.

    Attributes:
        state: Where, (layers, width).
        inputs: The constant input.
        jacobian: Of the map of one step, (size, size): how every number of the next state
            depends on every number of this one.
        eigenvalues: Of the Jacobian, by modulus, the largest first.
        speed: :math:`q = |F(z) - z|^2 / 2`: 0 at a fixed point. Elsewhere the state moves, and
            the eigenvalues say how neighbours move along with it.
        stability: ``STABLE`` if all moduli are below 1, ``UNSTABLE`` if one is above,
            ``MARGINAL`` if the largest is 1 within 1e-6. Where the map is not smooth, small
            deviations from a fixed point are followed: it is stable if all of them shrink
            tenfold, unstable if one grows tenfold, and else ``UNDETERMINED``.
        kind: Node, spiral or saddle. A spiral is one whose largest eigenvalue is complex.
        smooth: Whether the map has one slope there. A rectified unit exactly at its threshold
            has two, and the Jacobian is that of one side.
        leak: The fraction of the state that a step replaces; None without one that all units
            share.
        dt_ms: The length of a step; None if the circuit does not say.

    Example:
        >>> import torch
        >>> rnn = torch.nn.RNN(1, 1)
        >>> for parameter in rnn.parameters():
        ...     _ = torch.nn.init.constant_(parameter, 0.0)
        >>> _ = torch.nn.init.constant_(rnn.weight_hh_l0, 0.5)
        >>> result = linearisation(rnn, torch.zeros(1, 1))
        >>> print(result)
        stable node: eigenvalue 0.5, spectral radius 0.5
    """

    state: Array = field(repr=False)
    inputs: Array = field(repr=False)
    jacobian: Array = field(repr=False)
    eigenvalues: NDArray[np.complex128] = field(repr=False)
    speed: float
    stability: Stability
    kind: PointKind
    smooth: bool
    leak: float | None
    dt_ms: float | None

    @property
    def spectral_radius(self) -> float:
        """The largest modulus of an eigenvalue."""
        return float(np.abs(self.eigenvalues).max())

    @property
    def n_unstable(self) -> int:
        """Number of eigenvalues with a modulus above 1."""
        return int(np.count_nonzero(np.abs(self.eigenvalues) > 1 + MARGIN))

    @property
    def growth(self) -> NDArray[np.complex128] | None:
        r"""The eigenvalues in continuous time, :math:`(\lambda - 1) / \alpha`, in units of 1/τ.

        None without a leak that all units share. Stable ones have a negative real part, if the
        step is short.
        """
        if self.leak is None:
            return None
        return (self.eigenvalues - 1) / self.leak

    @property
    def timescales(self) -> Array:
        r"""In how many steps a deviation along each eigenvector shrinks, or grows, e-fold.

        :math:`1 / |\ln |\lambda||`; 0 for an eigenvalue of 0, and infinite for one of modulus 1.
        """
        with np.errstate(divide="ignore"):
            found: Array = 1 / np.abs(np.log(np.abs(self.eigenvalues)))
        return found

    @property
    def timescales_ms(self) -> Array | None:
        """The same in ms; None if the circuit does not say how long a step is."""
        if self.dt_ms is None:
            return None
        return self.timescales * self.dt_ms

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; eigenvalues as pairs."""
        pairs = np.stack([self.eigenvalues.real, self.eigenvalues.imag], axis=1)
        return {
            "state": self.state.tolist(),
            "inputs": self.inputs.tolist(),
            "jacobian": self.jacobian.tolist(),
            "eigenvalues": pairs.tolist(),
            "speed": self.speed,
            "stability": str(self.stability),
            "kind": str(self.kind),
            "smooth": self.smooth,
            "spectral_radius": self.spectral_radius,
            "n_unstable": self.n_unstable,
            "leak": self.leak,
            "dt_ms": self.dt_ms,
        }

    def __str__(self) -> str:
        leading = self.eigenvalues[0]
        value = f"{leading.real:.4g}"
        if leading.imag:
            value += f" ± {abs(leading.imag):.4g}i"
        text = f"{self.kind}: eigenvalue {value}, spectral radius"
        text += f" {self.spectral_radius:.4g}"
        if not self.smooth:
            text += "; the map is not smooth there, this is one side of it"
        return text


@on_the_cpu
def linearisation(
    rnn: nn.Module, state: Tensor | Array, inputs: Any = None
) -> Linearisation:
    r"""Linearise a circuit at a state and a constant input.

    .. math:: J = \frac{\partial F(z; u)}{\partial z}

    Args:
        rnn: A module called like ``nn.RNN``, or a cell. Its noise is off.
        state: The state of all layers, (layers, width) or, as the module's own, (layers, 1,
            width).
        inputs: The constant input, (n_inputs,); default: zeros.

    Returns:
        The Jacobian with its eigenvalues, in double precision.

    Raises:
        TypeError: If ``rnn`` is no such module, or ``state`` and ``inputs`` are no numbers.
        ValueError: If there is not exactly one state, or a shape is wrong.

    Example:
        >>> import torch
        >>> rnn = torch.nn.RNN(3, 5)
        >>> linearisation(rnn, torch.zeros(1, 5)).jacobian.shape
        (5, 5)

    Notes:
        With several layers the state has them all: the Jacobian is block-triangular, since a
        layer reads those below it within the step.
    """
    return linearised(ConstantMap(rnn, inputs), state)


def linearised(circuit: ConstantMap, state: Any) -> Linearisation:
    """Linearise a map at a state."""
    rows = circuit.read_states("state", state)
    if len(rows) != 1:
        raise ValueError(f"`state` must be one state; got {len(rows)}.")
    row = rows[0]
    jacobian = circuit.jacobian(row)
    if not jacobian.isfinite().all():
        raise ValueError(
            "`state` must be one at which the circuit has finite slopes; got NaN or"
            " infinite ones."
        )
    matrix = jacobian.numpy()
    eigenvalues = np.linalg.eigvals(matrix).astype(np.complex128)
    # Of a pair, the one with the positive imaginary part first, so that the order is defined.
    order = np.lexsort((-eigenvalues.imag, -np.abs(eigenvalues).round(12)))
    eigenvalues = eigenvalues[order]
    moved = circuit.residual(row.numpy())
    smooth = _is_smooth(circuit, row, jacobian)
    speed = float(moved @ moved) / 2
    if smooth:
        stability = _stability(eigenvalues)
    else:
        stability = _by_following(circuit, row, speed)
    return Linearisation(
        state=row.view(circuit.shape).numpy(),
        inputs=circuit.inputs.numpy(),
        jacobian=matrix,
        eigenvalues=eigenvalues,
        speed=speed,
        stability=stability,
        kind=_kind(eigenvalues, stability if smooth else Stability.UNDETERMINED),
        smooth=smooth,
        leak=shared_leak(circuit.stepper.rnn),
        dt_ms=getattr(circuit.stepper.rnn, "dt_ms", None),
    )


def shared_leak(rnn: nn.Module) -> float | None:
    """Return the leak of a circuit if all units share it, else None."""
    leak = getattr(rnn, "leak", None)
    if leak is None:
        return None
    # A float is a double, whatever torch's default is.
    values = torch.as_tensor(leak, dtype=torch.float64).detach().flatten()
    if not bool((values == values[0]).all()):
        return None
    return float(values[0])


def _is_smooth(circuit: ConstantMap, state: Tensor, jacobian: Tensor) -> bool:
    """Whether the slopes close to a state are those at the state."""
    generator = torch.Generator().manual_seed(0)
    largest = float(jacobian.abs().max())
    distance = _PROBE * (1 + float(state.abs().max()))
    for _ in range(2):
        signs = torch.randint(0, 2, state.shape, generator=generator) * 2.0 - 1
        for side in (distance, -distance):
            near = circuit.jacobian(state + side * signs)
            if float((near - jacobian).abs().max()) > _KINK * max(largest, _KINK):
                return False
    return True


def _stability(eigenvalues: NDArray[np.complex128]) -> Stability:
    radius = np.abs(eigenvalues[0])
    if abs(radius - 1) <= MARGIN:
        return Stability.MARGINAL
    return Stability.STABLE if radius < 1 else Stability.UNSTABLE


@torch.no_grad()
def _by_following(circuit: ConstantMap, state: Tensor, speed: float) -> Stability:
    """Judge a fixed point by what becomes of small deviations from it."""
    distance = _DEVIATION * (1 + float(state.abs().max()))
    # Elsewhere the state itself moves on.
    if speed > (_PROBE * distance) ** 2:
        return Stability.UNDETERMINED
    generator = torch.Generator().manual_seed(0)
    shape = _N_FOLLOWED, len(state)
    signs = torch.randint(0, 2, shape, generator=generator) * 2.0 - 1
    followed = state + distance * signs
    # The first step brings what no state of the circuit could be, as negative rates, back.
    followed = circuit.advance(followed)
    begun = (followed - state).abs().amax(1)
    for _ in range(_FOLLOWED_STEPS):
        followed = circuit.advance(followed)
        away = (followed - state).abs().amax(1)
        if not bool((away <= 10 * distance).all()):
            return Stability.UNSTABLE
        if bool((away <= 0.1 * torch.minimum(begun, away.new_tensor(distance))).all()):
            return Stability.STABLE
    return Stability.UNDETERMINED


def _kind(eigenvalues: NDArray[np.complex128], stability: Stability) -> PointKind:
    """Return what a point is called, by the eigenvalue of the largest modulus."""
    if stability in (Stability.UNDETERMINED, Stability.MARGINAL):
        return PointKind(stability.value)
    is_spiral = abs(eigenvalues[0].imag) > MARGIN * abs(eigenvalues[0])
    if stability is Stability.STABLE:
        return PointKind.STABLE_SPIRAL if is_spiral else PointKind.STABLE_NODE
    if (np.abs(eigenvalues) < 1).any():
        return PointKind.SADDLE
    return PointKind.UNSTABLE_SPIRAL if is_spiral else PointKind.UNSTABLE_NODE
