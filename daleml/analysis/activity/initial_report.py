r"""A report on a circuit before it is trained: its spectrum, its balance, and how it behaves.

The circuit runs with an input and then without one. It is alive if some units are active while
the input lasts, and no rate grows without end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml import modules, require
from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.constant_maps import Array, ConstantMap
from daleml.analysis.activity.stepping import n_inputs_of, run, time_first
from daleml.analysis.activity.unit_groups import Units, groups_of, signs_of
from daleml.analysis.weights.effective_matrices import is_circuit

RUNAWAY_RATE = 1e3
"""A rate beyond which a unit is called runaway."""
SILENT_RATE = 1e-3
"""The mean rate below which a circuit is called silent."""
SILENT_FRACTION = 0.95
"""The fraction of silent units from which on a circuit is called silent."""
GROWTH = 1.1
"""The growth of rates without input, from one quarter of the time to the next, that explodes."""
GROWN_RATE = 10.0
"""The mean rate above which such growth counts: below, it may end in a bounded state."""

N_EIGENVALUES = 10
"""How many of the leading eigenvalues a report lists."""
# Input is rectified normal numbers, as all initialisations assume.
_SEQUENCES = 8
# After so many steps at the constant input, the update is linearised.
_SETTLE = 200


class StartVerdict(enum.StrEnum):
    """How a circuit behaves as it is built."""

    ALIVE = "alive"
    SILENT = "silent"
    EXPLODES = "explodes"


@dataclass(frozen=True, eq=False)
class LayerStart:
    """One layer of a circuit as it is built.

    Attributes:
        spectral_radius: Of the recurrent weight; None of a module with gates.
        balance: Of each unit, the sum of its recurrent weights over the sum of their sizes: 0
            where excitation and inhibition cancel, 1 and -1 where there is one alone; NaN
            without synapses.
        rates_driven: Mean rate of each population in the second half of the input.
        rates_quiet: The same of the second half of the time without input.
        silent_fraction: Fraction of units that are not active in the second half of the input.
        runaway_fraction: Fraction of units whose rate passes 1,000, or is not finite.
        groups: The units of each population, by its name.

    Example:
        >>> import torch
        >>> from daleml.analysis import activity
        >>> layer = activity.at_initialisation(torch.nn.RNN(3, 20)).layers[0]
        >>> layer.balance.shape, layer.runaway_fraction
        ((20,), 0.0)
    """

    spectral_radius: float | None
    balance: Array = field(repr=False)
    rates_driven: dict[str, float]
    rates_quiet: dict[str, float]
    silent_fraction: float
    runaway_fraction: float
    groups: dict[str, Units] = field(repr=False)

    def balance_by_population(self) -> dict[str, float]:
        """Return the mean balance of the units of each population; NaN without synapses."""
        found = {}
        for name, units in self.groups.items():
            known = self.balance[units]
            known = known[~np.isnan(known)]
            found[name] = float(known.mean()) if known.size else float("nan")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; what is not known is None."""
        by_population = {}
        for name, value in self.balance_by_population().items():
            by_population[name] = _known(value)
        return {
            "spectral_radius": self.spectral_radius,
            "balance": [_known(value) for value in self.balance.tolist()],
            "balance_by_population": by_population,
            "rates_driven": _known_values(self.rates_driven),
            "rates_quiet": _known_values(self.rates_quiet),
            "silent_fraction": self.silent_fraction,
            "runaway_fraction": self.runaway_fraction,
        }


@dataclass(frozen=True, eq=False)
class InitialReport:
    """What a circuit is, and does, before it is trained.

    Attributes:
        verdict: ``ALIVE``, ``SILENT`` or ``EXPLODES``.
        layers: One by one, the first layer first.
        eigenvalues: The ten leading eigenvalues of the linearised update of one step, leak and
            dynamics included, at the state to which the mean input leads; empty if that is not
            finite.
        mean_rates: Of each population of the last layer, at each step, with the input first and
            then without it.
        n_steps: Number of steps with the input, and as many without.
        n_sequences: Number of sequences.
        signs: Of each population whose units all excite, 1, or all inhibit, -1; no others, and
            none if the circuit does not say.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.analysis import activity
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(40, 10), dt_ms=20, tau_ms=100)
        >>> report = activity.at_initialisation(rnn)
        >>> report.verdict.value, report.layers[0].groups.keys()
        ('alive', dict_keys(['E', 'I']))
    """

    verdict: StartVerdict
    layers: tuple[LayerStart, ...]
    eigenvalues: NDArray[np.complex128] = field(repr=False)
    mean_rates: dict[str, Array] = field(repr=False)
    n_steps: int
    n_sequences: int
    signs: dict[str, int] = field(default_factory=dict)

    @property
    def update_radius(self) -> float:
        """The largest modulus of an eigenvalue of the linearised update; NaN if not known."""
        if not self.eigenvalues.size:
            return float("nan")
        return float(np.abs(self.eigenvalues[0]))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; eigenvalues as pairs."""
        pairs = np.stack([self.eigenvalues.real, self.eigenvalues.imag], axis=1)
        mean_rates = {}
        for name, values in self.mean_rates.items():
            mean_rates[name] = [_known(value) for value in values.tolist()]
        return {
            "verdict": str(self.verdict),
            "layers": [layer.to_dict() for layer in self.layers],
            "eigenvalues": pairs.tolist(),
            "update_radius": _known(self.update_radius),
            "mean_rates": mean_rates,
            "n_steps": self.n_steps,
            "n_sequences": self.n_sequences,
            "signs": self.signs,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.verdict}, over {self.n_steps} steps with the input and as many without;"
            f" spectral radius of a step {self.update_radius:.3g}"
        ]
        for number, layer in enumerate(self.layers):
            radius = layer.spectral_radius
            shown = "unknown" if radius is None else f"{radius:.3g}"
            lines.append(
                f"layer {number}: spectral radius {shown}, {layer.silent_fraction:.0%} of"
                f" units silent, {layer.runaway_fraction:.0%} runaway"
            )
            balance = layer.balance_by_population()
            for name in layer.groups:
                lines.append(
                    f"  {name}: mean rate {layer.rates_driven[name]:.3g}, without input"
                    f" {layer.rates_quiet[name]:.3g}, E/I balance of its synapses"
                    f" {balance[name]:+.2f}"
                )
        return "\n".join(lines)


@on_the_cpu
def at_initialisation(
    rnn: nn.Module,
    inputs: Any = None,
    *,
    n_steps: int = 200,
    generator: torch.Generator | None = None,
) -> InitialReport:
    """Report on a circuit before it is trained: spectrum, E/I balance, expected rates, verdict.

    Args:
        rnn: A module called like ``nn.RNN``, or a cell. It is copied, and its noise is off.
        inputs: Sequences as the module takes them, or trials of a task. Default: a moderate
            input, rectified normal numbers in 8 sequences of ``n_steps`` steps.
        n_steps: How long the default input is.
        generator: Source of randomness of the default input; default: one with a fixed seed.

    Returns:
        The report, whose verdict is a field.

    Raises:
        TypeError: If ``rnn`` is no such module, or ``inputs`` are no sequences.
        ValueError: If ``inputs`` have the wrong shape, or fewer than 8 steps.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> loud = EIRNN(3, Populations(40), spectral_radius=1.5)
        >>> at_initialisation(loud).verdict.value
        'explodes'

    Notes:
        - A circuit explodes if a rate passes 1,000 or is not finite, or if mean rates above 10
          still grow by a tenth, without input, from the third quarter of the time to the last.
          It is silent if its mean rate is below 0.001, or fewer than a twentieth of its units
          are active, in the second half of the input. Else it is alive.
        - The eigenvalues are of the whole update, all layers together, at a constant input, the
          mean of the inputs.
    """
    n_steps = require.integer("n_steps", n_steps, minimum=8)
    require.generator("generator", generator)
    if inputs is None:
        driven = _moderate(n_inputs_of(rnn), n_steps, generator)
    else:
        driven = time_first(rnn, inputs)
    if driven.ndim == 2:
        driven = driven[:, None]
    if len(driven) < 8:
        raise ValueError(f"`inputs` must have 8 steps or more; got {len(driven)}.")
    driven = driven.detach().cpu().double()
    mean = driven.flatten(0, 1).mean(0)
    circuit = ConstantMap(rnn, mean)
    both = torch.cat([driven, torch.zeros_like(driven)])
    _, states = run(circuit.stepper, both, None)
    rates = circuit.stepper.rates(states).abs()
    groups = groups_of(rnn, rates.shape[-1])
    layers = []
    for number in range(rates.shape[1]):
        layers.append(_layer(rnn, number, rates[:, number], groups))
    last = rates[:, -1]
    mean_rates = {}
    for name, units in groups.items():
        of_group = last[..., torch.from_numpy(units)]
        mean_rates[name] = of_group.mean((1, 2)).numpy()
    return InitialReport(
        _verdict(rates, layers),
        tuple(layers),
        _eigenvalues(circuit),
        mean_rates,
        len(driven),
        driven.shape[1],
        signs_of(rnn, groups),
    )


def _moderate(n_inputs: int, n_steps: int, generator: torch.Generator | None) -> Tensor:
    """Return the inputs that all initialisations assume."""
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(n_steps, _SEQUENCES, n_inputs, generator=generator)
    return drawn.clamp(min=0)


def _layer(
    rnn: nn.Module, number: int, rates: Tensor, groups: dict[str, Units]
) -> LayerStart:
    """Report on one layer, given its rates with and then without the input."""
    n_driven = len(rates) // 2
    late, quiet = rates[n_driven // 2 : n_driven], rates[-(n_driven // 2) :]
    wild = ~(rates <= RUNAWAY_RATE)
    radius, balance = None, np.full(rates.shape[-1], np.nan)
    if is_circuit(rnn):
        radius, balance = _of_weight(rnn, number)
    by_group = {}
    for key, part in (("driven", late), ("quiet", quiet)):
        of_units = part.mean((0, 1)).numpy()
        by_group[key] = {
            name: float(of_units[one].mean()) for name, one in groups.items()
        }
    return LayerStart(
        radius,
        balance,
        by_group["driven"],
        by_group["quiet"],
        float((late.amax((0, 1)) == 0).double().mean()),
        float(wild.any(0).any(0).double().mean()),
        groups,
    )


def _of_weight(rnn: nn.Module, number: int) -> tuple[float, Array]:
    """Return the spectral radius of a recurrent weight, and the balance of its rows."""
    weight = np.zeros((1, 1))
    for one in modules.synaptic_weights(rnn):
        if one.recurrent and one.layer == number:
            weight = modules.effective(rnn, one).detach().cpu().double().numpy()
    sizes = np.abs(weight).sum(1)
    with np.errstate(invalid="ignore"):
        balance: Array = weight.sum(1) / sizes
    return float(np.abs(np.linalg.eigvals(weight)).max()), balance


def _verdict(rates: Tensor, layers: list[LayerStart]) -> StartVerdict:
    """Judge rates of all layers, with and then without the input."""
    if any(layer.runaway_fraction for layer in layers):
        return StartVerdict.EXPLODES
    n_driven = len(rates) // 2
    quarter = max(1, n_driven // 4)
    before, after = (
        float(part.mean())
        for part in (rates[-2 * quarter : -quarter], rates[-quarter:])
    )
    if after > GROWN_RATE and after > GROWTH * before:
        return StartVerdict.EXPLODES
    last = rates[n_driven // 2 : n_driven, -1]
    is_quiet = float(last.mean()) < SILENT_RATE
    if is_quiet or layers[-1].silent_fraction > SILENT_FRACTION:
        return StartVerdict.SILENT
    return StartVerdict.ALIVE


@torch.no_grad()
def _eigenvalues(circuit: ConstantMap) -> NDArray[np.complex128]:
    """Return the leading eigenvalues at the state to which the constant input leads."""
    state = circuit.start[None]
    for _ in range(_SETTLE):
        state = circuit.advance(state)
    jacobian = circuit.jacobian(state[0])
    if not jacobian.isfinite().all():
        return np.zeros(0, dtype=np.complex128)
    found = np.linalg.eigvals(jacobian.numpy()).astype(np.complex128)
    order = np.lexsort((-found.imag, -np.abs(found).round(12)))
    return found[order][:N_EIGENVALUES]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _known_values(values: dict[str, float]) -> dict[str, float | None]:
    found = {}
    for name, value in values.items():
        found[name] = _known(value)
    return found
