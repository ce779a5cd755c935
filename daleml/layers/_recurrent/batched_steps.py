"""What several circuits that are run in one batch ask of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator, Tensor

from daleml.layers._recurrent import noise
from daleml.layers._recurrent.kept_leak import Step


def is_plain(circuit: Any) -> bool:
    """Whether a circuit is one that the batched steps know."""
    if circuit._has_dynamics or circuit._perturbations or circuit._layer_hooks:
        return False
    if circuit._wiring.shunting or not isinstance(circuit.nonlinearity, str):
        return False
    if circuit.rate_noise and circuit._is_noisy:
        return False
    # A leak that learns, or has a graph, asks for a derivative.
    exact = circuit._exact_leak()
    return (
        not (isinstance(exact, Tensor) and exact.requires_grad)
        and not circuit.train_tau
    )


def suffixes_of(circuit: Any) -> tuple[str, ...]:
    """Return the ends of the names of each layer's parameters."""
    found: tuple[str, ...] = circuit._suffixes
    return found


def matrices_of(circuit: Any) -> tuple[str, ...]:
    """Return the names of the matrices that make up a path, without the path."""
    found: tuple[str, ...] = circuit._wiring.matrices
    return found


def settings_differ(circuits: Sequence[Any]) -> bool:
    """Whether circuits differ in a setting that a transform would take from the first."""
    first = circuits[0]._settings_digest()
    return any(circuit._settings_digest() != first for circuit in circuits[1:])


def step_of(circuit: Any, x: Tensor) -> Step | None:
    """Return how a circuit's state decays in a step; None without a leak."""
    found: Step | None = circuit._step(x)
    return found


def has_input_noise(circuit: Any) -> bool:
    """Whether a circuit's input is noisy now."""
    return bool(circuit.input_noise and circuit._is_noisy)


def has_state_noise(circuit: Any) -> bool:
    """Whether a circuit's state is noisy now."""
    return bool(circuit.noise and circuit._is_noisy)


def with_input_noise(
    circuit: Any, rows: Tensor, x: Tensor, generator: Generator
) -> Tensor:
    """Return rows of input with the noise of a circuit added."""
    step = circuit._step(x) if circuit._leaks else None
    return rows + noise.of_input(rows, circuit.input_noise, step, generator)
