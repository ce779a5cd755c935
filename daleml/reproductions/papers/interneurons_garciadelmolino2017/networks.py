"""Circuits of E, PV, SST and VIP: one unit for each, and many units that are wired at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daleml.datasets import CellTypeTable, campagnola, garcia_del_molino, v1dd
from daleml.layers import EIRNN, Blocks
from daleml.layers.dynamics import RateLeak
from daleml.populations import Populations

# The potentials of the model, in mV, and the noise that smooths its threshold.
_LEAK, _THRESHOLD, _RESET, _NOISE = -70.0, -50.0, -60.0, 1.0
# With these the rates move: the step and the time constant of the public implementations, in ms.
_STEP_MS, _TAU_MS = 0.1, 2.0

Currents = Mapping[str, float]
"""Currents in pA by cell type."""


class FrequencyCurrentCurve:
    r"""The rates in Hz of units that receive currents in pA, one curve per unit.

    .. math::
        f_i(I) = \phi_i(V_l + I / g_i), \qquad
        \phi_i(V) = \frac{V - V_t}{\tau_i (V_t - V_r) (1 - e^{-(V - V_t) / \sigma})}

    Args:
        leak_ns: The leak conductance of each unit.
        tau_ms: The membrane time constant of each unit.
    """

    def __init__(
        self, leak_ns: NDArray[np.float64], tau_ms: NDArray[np.float64]
    ) -> None:
        self.leak = torch.as_tensor(leak_ns)
        self.tau_s = torch.as_tensor(tau_ms) / 1000

    def __call__(self, currents: Tensor) -> Tensor:
        """Return the rates, (..., units)."""
        above = (_LEAK - _THRESHOLD + currents / self.leak) / _NOISE
        # The quotient x / (1 - exp(-x)), whose limit at 0 is 1.
        near = above.abs() < 1e-9
        safe = torch.where(near, torch.ones_like(above), above)
        smoothed = torch.where(near, 1 + above / 2, safe / -torch.expm1(-safe))
        return smoothed * _NOISE / (self.tau_s * (_THRESHOLD - _RESET))

    def inverse(self, rates: Tensor) -> Tensor:
        """Return the currents at which the units have given rates, like ``rates``."""
        low = torch.zeros_like(rates)
        # Above threshold the curve lies above a line, which bounds the answer.
        line = rates * self.tau_s * (_THRESHOLD - _RESET)
        high = self.leak * (_THRESHOLD - _LEAK + line)
        # Each halving gains a bit: these are more than a float64 has.
        for _ in range(64):
            middle = (low + high) / 2
            above = self(middle) > rates
            low = torch.where(above, low, middle)
            high = torch.where(above, middle, high)
        return (low + high) / 2

    def gain(self, currents: Tensor) -> Tensor:
        """Return the slopes of the curves in Hz/pA at given currents, (units,)."""
        at = currents.clone().requires_grad_()
        (slope,) = torch.autograd.grad(self(at).sum(), at)
        return slope


class InterneuronCircuit:
    """A circuit whose rates are in Hz, with background currents that give it any baseline.

    Args:
        rnn: A circuit of :func:`published` or :func:`drawn`; it reads a current for each unit.
        table: The model's numbers by cell type.
    """

    def __init__(self, rnn: EIRNN, table: CellTypeTable) -> None:
        self.rnn, self.table = rnn, table
        self.populations = rnn.populations

    @property
    def weights(self) -> Tensor:
        """The signed weights in pA/Hz, (post, pre)."""
        return self.rnn.effective_weights()[0].recurrent.detach()

    @property
    def curve(self) -> FrequencyCurrentCurve:
        """The curve of every unit."""
        curve = self.rnn.nonlinearity
        assert isinstance(curve, FrequencyCurrentCurve)
        return curve

    def mean_weights(self) -> Tensor:
        """Return what a unit of each type receives from all units of another, (post, pre)."""
        pops, weights = self.populations, self.weights
        rows = []
        for post in pops.names:
            received = [
                weights[pops[post], pops[pre]].sum(1).mean() for pre in pops.names
            ]
            rows.append(torch.stack(received))
        return torch.stack(rows)

    def baseline(self, between: float) -> Tensor:
        """Return the rates of a baseline, (units,): 0 is the low one, 1 the high one.

        In between, the logarithms of the rates are interpolated.
        """
        low, high = self._of_units("low_rate_hz"), self._of_units("high_rate_hz")
        return low ** (1 - between) * high**between

    def background(self, rates: Tensor) -> Tensor:
        """Return the currents in pA of which given rates are the fixed point, (..., units)."""
        return self.curve.inverse(rates) - rates @ self.weights.T

    def run(
        self,
        rates: Tensor,
        steps: Sequence[Currents],
        *,
        ms: float,
        start: Tensor | None = None,
    ) -> Tensor:
        """Run a trial for each baseline and each step of current, the steps of one together.

        Args:
            rates: The baselines, (baselines, units).
            steps: The currents that are added, by cell type.
            ms: How long.
            start: The rates that trials begin with, like ``rates``; default: the baselines.

        Returns:
            Rates, (time, baselines, steps, units).
        """
        added = torch.zeros(len(steps), rates.shape[1], dtype=torch.float64)
        for trial, step in enumerate(steps):
            for name, amount in step.items():
                added[trial, self.populations[name]] += amount
        currents = self.background(rates)[:, None] + added
        begun = (rates if start is None else start)[:, None].expand_as(currents)
        n_steps = round(ms / _STEP_MS)
        inputs = currents.flatten(0, 1).expand(n_steps, -1, -1)
        with torch.no_grad():
            output: Tensor = self.rnn(inputs, begun.flatten(0, 1)[None])[0]
        return output.reshape(n_steps, *currents.shape)

    def responses(
        self, baselines: Sequence[float], steps: Sequence[Currents], *, ms: float
    ) -> Tensor:
        """Return by how many Hz the mean rate of each type has changed in the end.

        Args:
            baselines: The baselines, from 0, low, to 1, high.
            steps: The currents that are added, by cell type.
            ms: How long.

        Returns:
            Changes, (baselines, steps, types).
        """
        rates = torch.stack([self.baseline(between) for between in baselines])
        change = self.run(rates, steps, ms=ms)[-1] - rates[:, None]
        pops = self.populations
        return torch.stack(
            [change[..., pops[name]].mean(-1) for name in pops.names], -1
        )

    def jacobian(self, between: float) -> Tensor:
        """Return the derivative of the rates' velocity times its time constant, (units, units)."""
        rates = self.baseline(between)
        gain = self.curve.gain(self.curve.inverse(rates))
        return gain[:, None] * self.weights - torch.eye(len(rates)).double()

    def largest_eigenvalue(self, between: float, name: str = "*") -> float:
        """Return the largest real part of an eigenvalue of some populations by themselves.

        Above 0 they are unstable: excitation runs away unless the others follow it.
        """
        units = self.populations.index(name)
        within = self.jacobian(between)[units][:, units]
        return float(torch.linalg.eigvals(within).real.max())

    def _of_units(self, column: str) -> Tensor:
        per_unit = _of_units(self.table, column, self.populations)
        return torch.tensor(per_unit, dtype=torch.float64)


def _of_units(table: CellTypeTable, column: str, pops: Populations) -> list[float]:
    """Return for each unit what a column of the table says of its type."""
    by_type = zip(table.types["type"], table.types[column], strict=True)
    return pops.per_unit(column, {str(name): float(of) for name, of in by_type})


def published(lesion: str = "") -> InterneuronCircuit:
    """Build the circuit of the paper: a unit for each population, its weights as printed.

    Args:
        lesion: A pathway to leave out; the background currents make up for it.
    """
    table = garcia_del_molino()
    strength = table.strength
    if lesion:
        strength[lesion] = 0.0
    present = {pathway: float(weight > 0) for pathway, weight in strength.items()}
    pops = table.populations(4)
    rnn = _circuit(table, pops, Blocks(present), torch.Generator())
    _set_weights(rnn, Blocks(strength).matrix(pops, pops, dtype=torch.float64))
    return InterneuronCircuit(rnn, table)


def drawn(
    sizes: Mapping[str, int], spread: float, generator: torch.Generator
) -> InterneuronCircuit:
    """Build many units, wired with the probabilities of mouse V1 and the model's mean currents.

    A synapse of type j onto type i has the weight w_ij / (N_j p_ij) on average.

    Args:
        sizes: Number of units of each type.
        spread: Standard deviation of the logarithm of a pathway's strengths.
        generator: Source of the wiring and of the strengths.
    """
    table = garcia_del_molino()
    probability, strength = {}, {}
    for pathway, p in _layer_two_three().probability.items():
        weight = table.strength[pathway]
        # The model lacks some pathways, which electron microscopy finds.
        probability[pathway] = p if weight > 0 else 0.0
        n_pre = sizes[pathway.split("->")[0]]
        strength[pathway] = weight / (n_pre * p)
    return _many(table, sizes, probability, strength, spread, generator)


def measured(
    sizes: Mapping[str, int],
    spread: float,
    excitation: float,
    generator: torch.Generator,
) -> InterneuronCircuit:
    """Build many units, wired with probabilities and strengths measured in mouse V1.

    Args:
        sizes: Number of units of each type.
        spread: Standard deviation of the logarithm of a pathway's strengths.
        excitation: What E cells receive from each other on average, in pA/Hz; since strengths
            were measured in mV, one factor for all is free.
        generator: Source of the wiring and of the strengths.
    """
    both = _layer_two_three().with_strength(campagnola().rename({"23E": "E"}))
    probability, strength = both.probability, both.known("strength")
    # Its strength is not known, and the model has no such pathway.
    probability["VIP->E"] = 0.0
    factor = excitation / (sizes["E"] * probability["E->E"] * strength["E->E"])
    scaled = {pathway: factor * mv for pathway, mv in strength.items()}
    return _many(garcia_del_molino(), sizes, probability, scaled, spread, generator)


def _layer_two_three() -> CellTypeTable:
    names = {"23E": "E", "23PV": "PV", "23SST": "SST", "23VIP": "VIP"}
    return v1dd().select("23*").rename(names)


def _many(
    table: CellTypeTable,
    sizes: Mapping[str, int],
    probability: Mapping[str, float],
    strength: Mapping[str, float],
    spread: float,
    generator: torch.Generator,
) -> InterneuronCircuit:
    pops = table.populations(sum(sizes.values()), sizes)
    rnn = _circuit(table, pops, Blocks(probability), generator)
    mean = Blocks(strength).matrix(pops, pops, dtype=torch.float64)
    # Log-normal, as strengths of synapses are; the mean stays what it is.
    normal = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    _set_weights(rnn, mean * torch.exp(spread * normal - spread**2 / 2))
    return InterneuronCircuit(rnn, table)


def _circuit(
    table: CellTypeTable,
    pops: Populations,
    mask: Blocks,
    generator: torch.Generator,
) -> EIRNN:
    """Build a circuit that reads one current for each unit."""
    leak = np.array(_of_units(table, "leak_ns", pops))
    tau_ms = np.array(_of_units(table, "tau_ms", pops))
    rnn = EIRNN(
        Populations(pops.size),
        pops,
        nonlinearity=FrequencyCurrentCurve(leak, tau_ms),
        bias=False,
        mask=mask,
        input_mask=torch.eye(pops.size, dtype=torch.bool),
        # A unit that stands for a population excites or inhibits itself.
        autapses=pops.size == len(pops.names),
        dt_ms=_STEP_MS,
        tau_ms=_TAU_MS,
        dynamics=RateLeak(),
        generator=generator,
        dtype=torch.float64,
    )
    with torch.no_grad():
        rnn.get_parameter("weight_ih_l0").copy_(torch.eye(pops.size))
    return rnn


@torch.no_grad()
def _set_weights(rnn: EIRNN, magnitudes: Tensor) -> None:
    """Give the synapses that exist these strengths, and the signs of their senders."""
    weight = rnn.get_parameter("weight_hh_l0")
    signs = rnn.populations.signs(dtype=torch.float64)
    # What exists was drawn, and is not 0.
    weight.copy_(torch.where(weight != 0, magnitudes * signs, 0.0))
