"""Trajectories: the state and the rates of a circuit at every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from daleml._support.devices import on_the_cpu
from daleml.analysis.activity.stepping import Stepper, run, time_first


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The state and the rates of a circuit at every step, time first.

    Attributes:
        rates: Of the last layer, (time, batch, units), or (time, units) of one sequence without
            a batch.
        states: After each step, (time, layers, batch, width): of each layer the state
            variables, one beside the other.
        start: The state before the first step, (layers, batch, width); zeros, or the trained
            initial state, where none was given.
        inputs: What the circuit read, (time, batch, n_inputs).
        state_names: The names of the state variables, in their order.
        dt_ms: The length of a step in ms; None if the circuit does not say.

    Example:
        >>> import torch
        >>> result = trajectory(torch.nn.RNN(3, 5), torch.rand(20, 4, 3))
        >>> print(result)
        20 steps of 4 sequences: 5 units, 1 layer, state r
    """

    rates: Tensor = field(repr=False)
    states: Tensor = field(repr=False)
    start: Tensor = field(repr=False)
    inputs: Tensor = field(repr=False)
    state_names: tuple[str, ...] = ("x",)
    dt_ms: float | None = None

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.rates)

    @property
    def n_units(self) -> int:
        """Number of units of a layer."""
        return self.states.shape[-1] // len(self.state_names)

    def variable(self, name: str, layer: int = -1) -> Tensor:
        """Return one state variable of one layer at every step, (time, batch, units).

        Args:
            name: One of ``state_names``, as ``"u_syn"``.
            layer: Which layer; default: the last.

        Raises:
            ValueError: If there is no such variable or layer.
        """
        if name not in self.state_names:
            raise ValueError(
                f"`name` must be among {', '.join(self.state_names)}; got {name!r}."
            )
        n_layers = self.states.shape[1]
        if not -n_layers <= layer < n_layers:
            raise ValueError(
                f"`layer` must be in [-{n_layers}, {n_layers - 1}]; got {layer}."
            )
        first = self.state_names.index(name) * self.n_units
        return self.states[:, layer, ..., first : first + self.n_units]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return {
            "rates": self.rates.tolist(),
            "states": self.states.tolist(),
            "start": self.start.tolist(),
            "inputs": self.inputs.tolist(),
            "state_names": list(self.state_names),
            "dt_ms": self.dt_ms,
        }

    def __str__(self) -> str:
        n_sequences = 1 if self.rates.ndim == 2 else self.rates.shape[1]
        n_layers = self.states.shape[1]
        layers = "1 layer" if n_layers == 1 else f"{n_layers} layers"
        sequences = "1 sequence" if n_sequences == 1 else f"{n_sequences} sequences"
        return (
            f"{self.n_steps} steps of {sequences}: {self.n_units} units, {layers},"
            f" state {', '.join(self.state_names)}"
        )


@torch.no_grad()
@on_the_cpu
def trajectory(rnn: nn.Module, inputs: Any, hx: Tensor | None = None) -> Trajectory:
    r"""Run a circuit step by step, and keep its state and its rates at every step.

    .. math:: (r_t, h_t) = F(u_t, h_{t-1})

    Args:
        rnn: A module called like ``nn.RNN``, that one included: ``EIRNN``, ``DANNRNN``, a GRU,
            one of yours; or a cell. It runs in the mode in which it is, with its noise.
        inputs: Sequences as the module takes them; or trials of a task, which are time first
            whatever the module's layout.
        hx: Where the sequences begin, as the module takes it; default: where it begins.

    Returns:
        The trajectory. No gradient flows through it.

    Raises:
        TypeError: If ``rnn`` is no such module, or ``inputs`` are no sequences.
        ValueError: If ``inputs`` have the wrong shape, or the module runs backwards too.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50)
        >>> inputs = torch.rand(20, 4, 3)
        >>> result = trajectory(rnn, inputs)
        >>> bool(torch.allclose(result.rates, rnn(inputs)[0], atol=1e-5))
        True
        >>> result.variable("x").shape
        torch.Size([20, 4, 10])
    """
    stepper = Stepper(rnn)
    steps = time_first(rnn, inputs)
    is_batch = steps.ndim == 3
    if not is_batch:
        steps = steps[:, None]
    state = _begun(stepper, hx, is_batch)
    rates, states = run(stepper, steps, state)
    start = state
    if start is None:
        start = own_start(stepper, states[0])
    if not is_batch:
        rates, states = rates[:, 0], states[:, :, 0]
        steps, start = steps[:, 0], start[:, 0]
    return Trajectory(
        rates.detach(),
        states.detach(),
        start.detach(),
        steps.detach(),
        stepper.state_names,
        getattr(rnn, "dt_ms", None),
    )


def _begun(stepper: Stepper, hx: Tensor | None, is_batch: bool) -> Tensor | None:
    """Return where sequences begin, (layers, batch, width), or None where the module begins."""
    if hx is None:
        return None
    if not isinstance(hx, Tensor):
        raise TypeError(f"`hx` must be a tensor; got {type(hx).__name__}.")
    # A cell has one layer, and its state no dimension for it.
    state = hx[None] if stepper.is_cell else hx
    if not is_batch:
        state = state[:, None]
    if state.ndim != 3:
        raise ValueError(
            f"`hx` must have the shape of the module's state; got {tuple(hx.shape)}."
        )
    return state


def own_start(stepper: Stepper, after: Tensor) -> Tensor:
    """Return where a module begins by itself, (layers, batch, width), like the state after.

    Each state variable begins at zero, or where the dynamics say, and the first one in the
    state that was learned, if one was.
    """
    start = torch.zeros_like(after)
    n_units = stepper.n_units(after.shape[-1])
    dynamics = getattr(stepper.rnn, "dynamics", None)
    for i, begins in enumerate(getattr(dynamics, "starts", ())):
        # A number of Python is read in the state's own precision, as the circuit reads it.
        begun = torch.as_tensor(begins, dtype=after.dtype, device=after.device)
        start[..., i * n_units : (i + 1) * n_units] = begun.detach()
    for layer in range(len(after)):
        suffix = "" if stepper.is_cell else f"_l{layer}"
        learned = getattr(stepper.rnn, f"initial_state{suffix}", None)
        if isinstance(learned, Tensor):
            start[layer, ..., :n_units] = learned.detach()
    return start
