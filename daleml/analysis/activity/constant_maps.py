r"""A circuit at a constant input, as a map of its state onto the next one, and its Jacobian.

.. math:: z_{t+1} = F(z_t; u), \qquad J_{ij} = \partial F_i / \partial z_j

The state is that of all layers in one row. Everything is computed in double precision and
without noise, on a copy of the circuit.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from daleml._sparse_weights import LARGEST_DENSE, sparse_weights
from daleml.analysis.activity.stepping import Stepper, n_inputs_of
from daleml.analysis.activity.trajectories import own_start

Array = NDArray[np.float64]


def quiet_copy(rnn: nn.Module) -> nn.Module:
    """Return a copy of a circuit in double precision, on the CPU, that draws no noise.

    Raises:
        ValueError: If the circuit has no values.
    """
    if any(parameter.is_meta for parameter in rnn.parameters()):
        raise ValueError("`rnn` must have values; got parameters on the meta device.")
    # Torch copies no tensor that was computed from others, as pruning and a computed time
    # constant leave them: their values are copied instead.
    computed: dict[int, Any] = {}
    for module in rnn.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                computed[id(value)] = value.detach().clone()
    copied = copy.deepcopy(rnn, computed)
    # A copy is outside of the block of a perturbation in which the circuit may be.
    perturb = getattr(rnn, "perturb_alike", None)
    if perturb is not None:
        perturb(copied)
    copied = copied.cpu().double().eval()
    for module in copied.modules():
        if hasattr(module, "noise_in_eval"):
            noisy: Any = module
            noisy.noise_in_eval = False
    return copied.requires_grad_(False)


class ConstantMap:
    """The map of a circuit's state at a constant input.

    Args:
        rnn: The circuit, which is copied.
        inputs: The constant input, (n_inputs,); None for zeros.

    Attributes:
        stepper: The copy, one step at a time.
        inputs: The constant input, float64.
        shape: Number of layers, and width of the state of each.
        size: Number of numbers of a state.
    """

    def __init__(self, rnn: nn.Module, inputs: Any = None) -> None:
        Stepper(rnn)
        self.stepper = Stepper(quiet_copy(rnn))
        self.inputs = _constant_input(rnn, inputs)
        with torch.no_grad():
            _, after = self.stepper.step(self.inputs[None], None)
        self.shape = after.shape[0], after.shape[2]
        self.size = self.shape[0] * self.shape[1]
        self._is_sparse = any(True for _ in sparse_weights(rnn))
        self.start = own_start(self.stepper, after)[:, 0].flatten()

    def advance(self, states: Tensor) -> Tensor:
        """Return what follows states, both (n, size)."""
        before = states.view(-1, *self.shape).transpose(0, 1)
        now = self.inputs.expand(len(states), -1)
        _, after = self.stepper.step(now, before)
        return after.transpose(0, 1).reshape(len(states), self.size)

    def rates(self, states: Tensor) -> Tensor:
        """Return the rates of the last layer that states have, (n, units)."""
        return self.stepper.rates(states.view(-1, *self.shape)[:, -1])

    def jacobian(self, state: Tensor) -> Tensor:
        """Return the Jacobian of the map at a state, (size, size).

        Raises:
            ValueError: If the circuit is sparse, and so large that it would not fit into half a
                gigabyte.
        """
        if self._is_sparse and self.size**2 > LARGEST_DENSE:
            raise ValueError(
                f"`rnn` must have a state of at most {math.isqrt(LARGEST_DENSE):,} numbers for"
                " fixed points and a linearisation, which need every pair of them; got"
                f" {self.size:,}."
            )
        # Row i of the batch gives the gradient of its number i: one pass back serves all, and
        # whatever the circuit's own backward pass is, it is used.
        rows = state.expand(self.size, -1).clone().requires_grad_()
        with torch.enable_grad():
            after = self.advance(rows)
            if not after.requires_grad:
                return torch.zeros(self.size, self.size, dtype=torch.float64)
            (gradient,) = torch.autograd.grad(after.diagonal().sum(), rows)
        return gradient

    def residual(self, state: Array) -> Array:
        """Return how far a state moves in a step, (size,)."""
        with torch.no_grad():
            row = torch.from_numpy(state)[None]
            moved: Array = (self.advance(row) - row)[0].numpy()
        return moved

    def residual_jacobian(self, state: Array) -> Array:
        """Return the Jacobian of how far a state moves, (size, size)."""
        jacobian = self.jacobian(torch.from_numpy(state))
        found: Array = (jacobian - torch.eye(self.size, dtype=torch.float64)).numpy()
        return found

    def read_states(self, name: str, given: Any) -> Tensor:
        """Return states as rows, (n, size), from any layout that holds whole states.

        Raises:
            TypeError: If they are no numbers.
            ValueError: If they are not whole states, or not finite.
        """
        try:
            states = torch.as_tensor(given, dtype=torch.float64, device="cpu").detach()
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"`{name}` must be states, as numbers; got {type(given).__name__}."
            ) from None
        n_layers, width = self.shape
        if states.ndim == 3 and (n_layers, width) == (len(states), states.shape[2]):
            rows = states.transpose(0, 1).reshape(-1, self.size)
        elif states.shape in ((self.size,), self.shape):
            rows = states.reshape(1, self.size)
        elif states.ndim == 2 and states.shape[1] == self.size:
            rows = states
        else:
            raise ValueError(
                f"`{name}` must have the shape ({n_layers}, n, {width}), as the module's own"
                f" state, or (n, {self.size}); got {tuple(states.shape)}."
            )
        if not len(rows):
            raise ValueError(f"`{name}` must be one state or more; got none.")
        if not rows.isfinite().all():
            raise ValueError(f"`{name}` must be finite; got NaN or infinite values.")
        return rows.clone()


def _constant_input(rnn: nn.Module, inputs: Any) -> Tensor:
    """Return a constant input as one row of float64 numbers, zeros by default."""
    if inputs is None:
        return torch.zeros(n_inputs_of(rnn), dtype=torch.float64)
    try:
        row = torch.as_tensor(inputs, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"`inputs` must be numbers, one for each input; got {type(inputs).__name__}."
        ) from None
    if row.ndim != 1 or not row.numel():
        raise ValueError(
            "`inputs` must be one constant input, (n_inputs,); got shape"
            f" {tuple(row.shape)}."
        )
    said = getattr(rnn, "input_size", None)
    if isinstance(said, int) and len(row) != said:
        raise ValueError(
            f"`inputs` must have one number for each of {said} inputs; got {len(row)}."
        )
    if not row.isfinite().all():
        raise ValueError("`inputs` must be finite; got NaN or infinite values.")
    return row
