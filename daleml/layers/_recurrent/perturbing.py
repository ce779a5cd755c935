"""Perturbations of a circuit while it runs: what is changed, in which steps, and how.

Nothing is written into the circuit. What acts throughout a trial changes the bias or the weights
that are passed on; what begins or ends within it, and silence, is looked up at every step, by
dynamics that stand around those of the circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from daleml._sparse_weights import Pattern
from daleml.layers._recurrent import sparse_cuts
from daleml.layers._recurrent.dynamics_loop import checked_rates, checked_step
from daleml.layers._shared.sparse_product import StepMatrix
from daleml.layers.dynamics.protocol import Dynamics, Receive, State, TimeStep
from daleml.populations import Populations

SparseRecurrence: TypeAlias = tuple[Pattern, Populations]
"""Where the synapses of a sparse recurrent weight lie, and the populations of its units."""


class Window(NamedTuple):
    """When a perturbation acts.

    Attributes:
        begin: Its begin, in ms or in steps.
        end: Its end, which is no part of it.
        argument: The argument that said so, ``window_ms`` or ``steps``.
    """

    begin: float
    end: float
    argument: str

    def within(self, n_steps: int, dt_ms: float | None) -> range:
        """Return the steps of a trial that lie in it.

        Raises:
            ValueError: If it does not lie within the trial, or begins or ends between two steps.
        """
        shown = f"({self.begin:g}, {self.end:g})"
        begin, end, length = self.begin, self.end, float(n_steps)
        if self.argument == "window_ms":
            if dt_ms is None:
                raise ValueError(
                    "`window_ms` must be left out for a circuit without `dt_ms`: give `steps`"
                    f" instead; got {shown}."
                )
            begin, end, length = begin / dt_ms, end / dt_ms, n_steps * dt_ms
            # A quotient is rounded: 300 ms are 3 steps of 100.
            if max(abs(begin - round(begin)), abs(end - round(end))) > 1e-6:
                raise ValueError(
                    f"`window_ms` must begin and end at whole steps of `dt_ms`, {dt_ms:g};"
                    f" got {shown}."
                )
        # Only here is it known how long a trial is.
        if round(end) > n_steps:
            raise ValueError(
                f"`{self.argument}` must lie within the trial, (0, {length:g}); got {shown}."
            )
        return range(round(begin), round(end))


@dataclass(frozen=True, eq=False)
class Perturbation:
    """What is changed in the layers of a circuit, and when.

    Attributes:
        layer: The number of the layer; None for every layer.
        window: When; None for always.
    """

    layer: int | None
    window: Window | None


@dataclass(frozen=True, eq=False)
class Silence(Perturbation):
    """Units whose rates are zero.

    Attributes:
        units: Which, boolean, on the CPU.
    """

    units: Tensor


@dataclass(frozen=True, eq=False)
class Drive(Perturbation):
    """Units that receive a current.

    Attributes:
        units: Their numbers, on the CPU.
        amount: The current, one number or one for each of them.
    """

    units: Tensor
    amount: Tensor | float

    def current(self, none: Tensor) -> Tensor:
        """Return the current that every unit receives, given that of nothing."""
        units = self.units.to(none.device)
        amount = torch.as_tensor(self.amount, dtype=none.dtype, device=none.device)
        return none.index_copy(0, units, amount.expand(len(units)))


@dataclass(frozen=True, eq=False)
class Cut(Perturbation):
    """Synapses that transmit nothing.

    Attributes:
        absent: Which, boolean (post, pre), on the CPU, of each layer; of a sparse weight a vector.
    """

    absent: tuple[Tensor, ...]


class StepChanges(NamedTuple):
    """What is changed in one step.

    Attributes:
        silent: Which units are silent, boolean; None if none is.
        current: What every unit receives in addition; None for nothing.
        cuts: Pairs of postsynaptic units and the presynaptic ones that do not reach them, boolean.
    """

    silent: Tensor | None
    current: Tensor | None
    cuts: tuple[tuple[Tensor, Tensor], ...]


@dataclass
class LayerChanges:
    """What is changed in one run of one layer.

    Attributes:
        absent: The recurrent synapses that transmit nothing throughout; None if all transmit.
        current: What every unit receives throughout in addition; None for nothing.
        steps: What else is changed in each step; empty if nothing is.
        silent_before: Which units are silent before the first step; None if none is.
        silent: Which units are silent throughout, where no step needs another look; None if
            none is.
    """

    absent: Tensor | None = None
    current: Tensor | None = None
    steps: list[StepChanges] = field(default_factory=list)
    silent_before: Tensor | None = None
    silent: Tensor | None = None

    def with_current(self, bias: Tensor | None) -> Tensor | None:
        """Return a bias with the current that acts throughout."""
        if self.current is None:
            return bias
        if bias is None:
            return self.current
        return bias + self.current

    def without_cut(self, weight: StepMatrix) -> StepMatrix:
        """Return a recurrent weight without the synapses that transmit nothing."""
        if self.absent is None:
            return weight
        return weight.masked_fill(self.absent, 0)

    def silenced(
        self, rates: Tensor, last: Tensor, *, of_rates: bool
    ) -> tuple[Tensor, Tensor]:
        """Return what a layer returns, given what it would where no one is silent."""
        if self.silent is None:
            return rates, last
        # A membrane goes on; a state that is the rate is silent too.
        if of_rates:
            last = last.masked_fill(self.silent, 0)
        return rates.masked_fill(self.silent, 0), last

    def around(self, dynamics: Dynamics) -> Dynamics:
        """Return dynamics under which every step is changed as it is to be."""
        return Perturbed(dynamics, self.steps, self.silent_before)


def changes_of(
    perturbations: Sequence[Perturbation],
    layer: int,
    n_steps: int,
    dt_ms: float | None,
    none: Tensor,
    *,
    composed: bool,
    plain: bool,
    sparse: SparseRecurrence | None = None,
) -> LayerChanges:
    """Return what perturbations change in one run of a layer.

    Args:
        perturbations: Those of the circuit.
        layer: The number of the layer.
        n_steps: The number of steps of the trial, of the longest where they differ.
        dt_ms: The length of a step.
        none: A current of zero into every unit, where the layer runs.
        composed: Whether the layer has one matrix of weights, from which synapses can be cut.
        plain: Whether its dynamics are the leak alone, so that rates go nowhere but through the
            weights.
        sparse: Where the synapses of a sparse recurrent weight lie, and between which populations.

    Raises:
        ValueError: If a window does not lie within the trial.
    """
    found = LayerChanges()
    passing: list[tuple[Perturbation, range]] = []
    for one in perturbations:
        if one.layer not in (None, layer):
            continue
        always = one.window is None
        if isinstance(one, Drive) and always:
            current = one.current(none)
            found.current = found.with_current(current)
        # Where inhibition divides, there is no one matrix to cut synapses from.
        elif isinstance(one, Cut) and always and composed:
            absent = one.absent[layer].to(none.device)
            found.absent = absent if found.absent is None else found.absent | absent
        elif one.window is None:
            passing.append((one, range(n_steps)))
        else:
            passing.append((one, one.window.within(n_steps, dt_ms)))
    if not passing:
        return found
    lasting = all(one.window is None for one, _ in passing)
    if lasting and composed and plain:
        # Whoever is silent throughout sends nothing, as if it had no synapses.
        found.silent = _together(
            [one for one, _ in passing], layer, none, sparse
        ).silent
        if found.silent is not None:
            pattern = None if sparse is None else sparse[0]
            columns = sparse_cuts.of_silent(found.silent, pattern)
            found.absent = columns if found.absent is None else found.absent | columns
        return found
    # Steps between the same begins and ends have the same changes.
    known: dict[tuple[int, ...], StepChanges] = {}
    for now in range(n_steps):
        acting = tuple(i for i, (_, steps) in enumerate(passing) if now in steps)
        if acting not in known:
            known[acting] = _together(
                [passing[i][0] for i in acting], layer, none, sparse
            )
        found.steps.append(known[acting])
    # Who is silent from the beginning on was silent before.
    first = [one for one, steps in passing if steps.start == 0]
    found.silent_before = _together(first, layer, none, sparse).silent
    return found


def without_cut(
    weight: StepMatrix, perturbations: Sequence[Perturbation], layer: int
) -> StepMatrix:
    """Return a recurrent weight without the synapses that transmit nothing throughout."""
    for one in perturbations:
        always = one.window is None and one.layer in (None, layer)
        if isinstance(one, Cut) and always:
            device = (
                weight.device if isinstance(weight, Tensor) else weight.values.device
            )
            weight = weight.masked_fill(one.absent[layer].to(device), 0)
    return weight


def silent_throughout(perturbations: Sequence[Perturbation]) -> Tensor | None:
    """Return which units are silent throughout, in every layer; None if none is."""
    found = None
    for one in perturbations:
        if isinstance(one, Silence) and one.window is None and one.layer is None:
            found = one.units if found is None else found | one.units
    return found


def _together(
    acting: Sequence[Perturbation],
    layer: int,
    none: Tensor,
    sparse: SparseRecurrence | None,
) -> StepChanges:
    """Return what several perturbations change together."""
    silent = current = absent = None
    for one in acting:
        if isinstance(one, Silence):
            units = one.units.to(none.device)
            silent = units if silent is None else silent | units
        elif isinstance(one, Drive):
            driven = one.current(none)
            current = driven if current is None else current + driven
        elif isinstance(one, Cut):
            synapses = one.absent[layer]
            absent = synapses if absent is None else absent | synapses
    cuts: list[tuple[Tensor, Tensor]] = []
    if absent is not None and sparse is None:
        cuts = list(_by_target(absent, none.device))
    elif absent is not None and sparse is not None:
        cuts = list(sparse_cuts.by_population(absent, *sparse, none.device))
    return StepChanges(silent, current, tuple(cuts))


def _by_target(absent: Tensor, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield postsynaptic units that are cut off alike, and the presynaptic ones they lose."""
    rows, which = torch.unique(absent, dim=0, return_inverse=True)
    for number, row in enumerate(rows):
        if bool(row.any()):
            yield (which == number).to(device), row.to(device)


def silenced(
    f: Callable[[Tensor], Tensor], units: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return a nonlinearity that gives zero for some units."""
    return lambda x: f(x).masked_fill(units, 0)


class Perturbed:
    """Dynamics of one run, under which each step is changed as a perturbation says.

    It counts the steps, so that it serves for one run of one layer.

    Args:
        dynamics: Those of the circuit.
        changes: What is changed in each step.
        silent_before: Which units are silent before the first step.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        changes: Sequence[StepChanges],
        silent_before: Tensor | None,
    ) -> None:
        self._dynamics, self._changes = dynamics, iter(changes)
        self._silent = silent_before
        self.state_names, self.starts = dynamics.state_names, dynamics.starts

    def step(self, state: State, receive: Receive, time: TimeStep) -> State:
        """Return the state after one step, as the changes have it."""
        change, before = next(self._changes), self._silent

        def received(sent: Tensor) -> Tensor:
            if before is not None:
                sent = sent.masked_fill(before, 0)
            found = receive(sent)
            # Whatever the wiring and the synapses make of a rate, they make nothing of zero.
            for targets, lost in change.cuts:
                without = receive(sent.masked_fill(lost, 0))
                found = torch.where(targets, without, found)
            return found if change.current is None else found + change.current

        of_rates = self.state_names[0] == "r"
        # A rate that is itself the state would otherwise leak away slowly.
        if before is not None and of_rates:
            state = (state[0].masked_fill(before, 0), *state[1:])
        elif before is not None:
            # What adaptation or a synapse makes of a rate, it makes of zero.
            time = time._replace(f=silenced(time.f, before))
        first, *others = checked_step(self._dynamics, state, received, time)
        self._silent = change.silent
        if change.silent is not None and of_rates:
            first = first.masked_fill(change.silent, 0)
        return (first, *others)

    def rates(self, state: State, f: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the rates, which are zero where units are silent."""
        silent = self._silent
        time = TimeStep(None, 1.0, f)
        if silent is None:
            return checked_rates(self._dynamics, state, time)
        time = time._replace(f=silenced(f, silent))
        return checked_rates(self._dynamics, state, time).masked_fill(silent, 0)
