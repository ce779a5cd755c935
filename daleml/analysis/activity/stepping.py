"""Any recurrent module that is called like ``nn.RNN``, taken one step at a time."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from daleml import modules


def sequences(inputs: Any, name: str = "inputs") -> Tensor:
    """Return what a circuit is to read: a tensor, or the ``inputs`` of trials of a task.

    Raises:
        TypeError: If it is neither.
        ValueError: If it has neither two nor three dimensions, or no step.
    """
    found = inputs
    if not isinstance(inputs, Tensor):
        # A task's trials say what a network receives; tasks and analysis do not know each other.
        found = getattr(inputs, "inputs", None)
    if not isinstance(found, Tensor):
        raise TypeError(
            f"`{name}` must be a tensor or the trials of a task; got"
            f" {type(inputs).__name__}."
        )
    if found.ndim not in (2, 3) or not found.numel():
        raise ValueError(
            f"`{name}` must have the shape (time, batch, n_inputs) or (time, n_inputs), and"
            f" hold a number; got {tuple(found.shape)}."
        )
    return found


def time_first(rnn: nn.Module, inputs: Any) -> Tensor:
    """Return sequences with time as the first dimension, whatever the module's layout is."""
    found = sequences(inputs)
    # Trials are time first whatever reads them; a tensor lies as the module takes it.
    is_own_layout = found is inputs and found.ndim == 3
    if is_own_layout and getattr(rnn, "batch_first", False):
        return found.transpose(0, 1)
    return found


class Stepper:
    """A recurrent module, one step at a time: a map of states.

    Args:
        rnn: A module that is called like ``nn.RNN``, or a cell that is called like
            ``nn.RNNCell``.

    Raises:
        TypeError: If ``rnn`` is no module, or is not called with an input and a state.
        ValueError: If it runs backwards too.
    """

    def __init__(self, rnn: nn.Module) -> None:
        if not isinstance(rnn, nn.Module):
            raise TypeError(
                f"`rnn` must be a recurrent module; got {type(rnn).__name__}."
            )
        if getattr(rnn, "bidirectional", False):
            raise ValueError(
                "`rnn` must run forwards only, so that it can be taken step by step; got"
                " `bidirectional` True."
            )
        _require_two_arguments(rnn)
        self.rnn = rnn
        recurrent = modules.is_recurrent(rnn)
        self.is_cell = recurrent and not modules.runs_over_sequences(rnn)
        self.batch_first = bool(getattr(rnn, "batch_first", False))
        # Without dynamics of its own, a module's state is what it puts out: the rate.
        self.state_names = tuple(getattr(rnn, "state_names", ("r",)))

    def step(self, now: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            now: The input, (batch, n_inputs).
            state: The state of every layer, (layers, batch, width), or None where the module
                begins.

        Returns:
            The rates of the last layer, (batch, units), and the next state.
        """
        if self.is_cell:
            before = None if state is None else state[0]
            after = self.rnn(now, before)
            _require_state(self.rnn, after, 2)
            return self.rates(after), after[None]
        time = 1 if self.batch_first else 0
        returned = self.rnn(now.unsqueeze(time), state)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                "`rnn` must return a pair as `nn.RNN` does, its output and its last state;"
                f" got {type(returned).__name__}: of a whole model, give the circuit."
            )
        output, after = returned
        _require_state(self.rnn, after, 3)
        return output.squeeze(time), after

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state, (..., width): as the module says, or the state itself."""
        say = getattr(self.rnn, "rates", None)
        if say is None:
            return state
        found: Tensor = say(state)
        return found

    def n_units(self, width: int) -> int:
        """Return how many units there are, where a layer's state is so wide."""
        return width // len(self.state_names)

    def like(self, inputs: Tensor) -> Tensor:
        """Return inputs in the precision, and on the device, of the module's parameters."""
        for parameter in self.rnn.parameters():
            if parameter.is_floating_point():
                return inputs.to(parameter)
        return inputs


def _require_two_arguments(rnn: nn.Module) -> None:
    """Raise unless a module is called with an input and a state."""
    try:
        inspect.signature(rnn.forward).bind(None, None)
    except TypeError:
        raise TypeError(
            "`rnn` must be called with an input and a state, as `nn.RNN` is; got"
            f" {type(rnn).__name__}: of a whole model, give the circuit."
        ) from None


def _require_state(rnn: nn.Module, state: Any, n_dims: int) -> None:
    """Raise unless a module's state is one tensor of so many dimensions."""
    if isinstance(state, Tensor) and state.ndim == n_dims:
        return
    got = type(state).__name__
    if isinstance(state, Tensor):
        got = f"a tensor of {state.ndim} dimensions"
    raise TypeError(
        f"`rnn` must have one tensor as its state; got {got} from {type(rnn).__name__}."
    )


def n_inputs_of(rnn: nn.Module) -> int:
    """Return how many inputs a recurrent module reads.

    Raises:
        ValueError: If the module does not say.
    """
    said = getattr(rnn, "input_size", None)
    if isinstance(said, int):
        return said
    if modules.is_recurrent(rnn):
        return modules.n_inputs(rnn)
    raise ValueError(
        "`inputs` must be given for a module that does not say its `input_size`; got None"
        f" with {type(rnn).__name__}."
    )


@torch.no_grad()
def run(
    stepper: Stepper, inputs: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run over sequences, time first, and return rates and states after each step."""
    if getattr(stepper.rnn, "is_perturbed", False) and not stepper.is_cell:
        return _run_perturbed(stepper, inputs, state)
    rates, states = [], []
    for now in inputs:
        output, state = stepper.step(now, state)
        rates.append(output)
        states.append(state)
    return torch.stack(rates), torch.stack(states)


def _run_perturbed(
    stepper: Stepper, inputs: Tensor, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Run at once, since the window of a perturbation counts from the begin of a call."""
    rnn: Any = stepper.rnn
    noises = ("noise", "input_noise", "rate_noise")
    is_noisy = any(getattr(rnn, name, 0) for name in noises)
    if is_noisy and (rnn.training or rnn.noise_in_eval):
        raise ValueError(
            "`rnn` must draw no noise while it is perturbed, so that its states are those of"
            " one run: call `rnn.eval()` before; got noise."
        )
    n_steps, n_sequences = inputs.shape[:2]
    lengths = torch.arange(n_steps, 0, -1).repeat_interleave(n_sequences)
    # One sequence for each length: its last state is that of the step at which it ends.
    repeated = inputs.repeat(1, n_steps, 1)
    begun = None if state is None else state.repeat(1, n_steps, 1)
    packed, last = rnn(pack_padded_sequence(repeated, lengths), begun)
    output, _ = pad_packed_sequence(packed)
    states = last.view(last.shape[0], n_steps, n_sequences, last.shape[2])
    return output[:, :n_sequences], states.transpose(0, 1).flip(0)
