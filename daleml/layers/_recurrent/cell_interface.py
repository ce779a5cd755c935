"""Circuits that are called like ``nn.RNNCell``, for one step."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor, nn

from daleml import require
from daleml.layers._recurrent.circuit import Circuit, EffectiveWeights
from daleml.layers._recurrent.composition import Composition
from daleml.layers._recurrent.dispatch import advance_layer, starting_state
from daleml.layers._recurrent.layer_sweep import is_lowered
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.one_step import one_step
from daleml.layers._recurrent.wiring import Wiring
from daleml.layers._shared.acting_parameters import acting
from daleml.layers._shared.exporting import is_exporting
from daleml.layers._shared.sparse_product import StepMatrix
from daleml.populations import Populations


class Cell(Circuit):
    """A circuit that takes one step, as ``nn.RNNCell`` does."""

    _compositions: Mapping[int, Composition] = MappingProxyType({})
    """What is composed now, by the thread that is inside of a block."""

    def __init__(
        self,
        wiring: Wiring,
        inputs: Populations,
        populations: Populations,
        nonlinearity: str | Nonlinearity,
        bias: bool,
        options: Mapping[str, Any],
    ) -> None:
        # What torch would refuse is refused in torch's words.
        nn.RNN(inputs.size, populations.size, bias=bias, device="meta")
        super().__init__(wiring, inputs, populations, [""], nonlinearity, bias, options)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Take one step.

        Args:
            input: (batch, input_size) or (input_size,).
            hx: The state before, (batch, units) or (units,), or the state variables side by
                side, ``state_names``. Default: zeros, or the trained initial state, and what the
                dynamics say.

        Returns:
            The state after, like ``hx``; its rates are ``cell.rates(state)``, which without a
            leak is the state.

        Raises:
            TypeError: If the input or ``hx`` is no tensor.
            RuntimeError: If a shape is wrong, in the words of ``nn.RNNCell``.
            ValueError: If a number of dimensions is wrong, likewise.
        """
        # One look at the shapes; which sentence is right is found only where they do not fit.
        if not self._fits(input, hx):
            self._refuse(input, hx)
        if input.dim() == 2:
            return self._step_rows(input, hx)
        state = None if hx is None else hx[None]
        return self._step_rows(input[None], state)[0]

    def _step_rows(self, rows: Tensor, state: Tensor | None) -> Tensor:
        if self.input_noise:
            rows = self._noisy_input(rows)
        if self._needs_sweep(rows, state):
            return advance_layer(self, "", rows, state, [len(rows)])[1]
        # What follows runs at every step of a user's loop: it asks for no more than it needs.
        if self._is_stood_in():
            self._require_alike()
        if state is None:
            state = starting_state(self, "", rows, rows.shape[0])
        composition = self._composition
        if composition is None:
            weight_ih, weight_hh = self._compose()
        else:
            weight_ih, weight_hh = composition.weights()
        bias_ih = bias_hh = leak = noise = None
        if self.bias:
            bias_ih, bias_hh = acting(self, "bias_ih"), acting(self, "bias_hh")
        step = self._step(rows) if self._leaks else None
        if step is not None:
            leak = step.leak
        if self.noise and (self.training or self.noise_in_eval):
            noise = self._draw_noise(rows, step)
        matrices = weight_ih, weight_hh, bias_ih, bias_hh
        after = one_step(rows, state, *matrices, self.nonlinearity, leak, noise)
        if self._layer_hooks:
            rates = self.rates(after)
            for look in tuple(self._layer_hooks.values()):
                look("", rows, state, rates, (len(rows),))
        return after

    def _needs_sweep(self, rows: Tensor, state: Tensor | None) -> bool:
        """Whether the step is taken as a layer takes a sequence of one.

        So are a shunt and dynamics, which have a loop of their own, autocast, where everything is
        lowered, and compiling, where a loop of the user's would be unrolled.
        """
        if self._wiring.shunting or self._has_dynamics or is_lowered(rows):
            return True
        if self._perturbations or self.rate_noise:
            return True
        if torch.compiler.is_compiling():
            return not is_exporting()
        return state is not None and state.dtype != rows.dtype

    @property
    def _composition(self) -> Composition | None:
        """What this thread has composed; None outside of a block."""
        # Empty for nearly every step that is taken, in any thread.
        if not self._compositions:
            return None
        return self._compositions.get(threading.get_ident())

    def _step_matrices(self, suffix: str) -> tuple[StepMatrix, StepMatrix]:
        # Under dynamics of its own a cell runs as a layer does, inside of a block too.
        composition = self._composition
        if composition is None or not self._has_dynamics:
            return super()._step_matrices(suffix)
        return composition.weights()

    def _compose(self) -> tuple[StepMatrix, StepMatrix]:
        wiring = self._wiring
        return wiring.step_matrix(self, "ih"), wiring.step_matrix(self, "hh")

    @contextmanager
    def composed(self) -> Iterator[Self]:
        """Compose the weights once, for all steps inside the block.

        Outside of one every step composes them: multiplies by the mask, or takes a DANN's
        inhibition off its excitation.

        Yields:
            The cell.

        Raises:
            RuntimeError: From a second ``backward`` through the weights of one block, as torch
                itself does for what it has freed.

        Example:
            >>> import torch
            >>> from daleml.layers import DANNRNNCell
            >>> cell, state = DANNRNNCell(3, 50), None
            >>> with cell.composed():
            ...     for input in torch.rand(20, 8, 3):
            ...         state = cell(input, state)
            >>> state.square().sum().backward()

        Notes:
            - A rollout and its ``backward`` belong to one block. After ``backward`` the block
              composes anew, so that the next rollout may follow in it; two rollouts before two
              separate calls of ``backward`` may not.
            - What torch counts as a change of the weights (an optimiser's step,
              ``load_state_dict``, :func:`torch.func.functional_call`) is obeyed: the step that
              meets it composes its own. So is a cast. What is written into ``.data`` counts from
              the next block on.
            - Blocks may be nested; the inner one composes anew. A copy of the cell, and another
              thread, are outside.
            - ``torch.utils.checkpoint`` takes steps again during ``backward``, which must then be
              called inside the block.
            - With shunting, which depends on the rates, nothing is composed: a block is right,
              and saves nothing. So it is where a weight is pruned or parametrised.
        """
        names = [*self._wiring.parts("ih"), *self._wiring.parts("hh")]
        # What compiles runs a step as a layer does, which composes for itself.
        sparse = any(path.pattern is not None for path in self._paths)
        # A sparse weight is the parameter itself: there is nothing to compose.
        if self._wiring.shunting or sparse or torch.compiler.is_compiling():
            yield self
            return
        # Threads enter and leave blocks in any order, and each goes backward for itself.
        now = vars(self).setdefault("_compositions", {})
        thread, outer = threading.get_ident(), self._composition
        now[thread] = Composition(self, names, self._compose)
        # A nested block, or an exception, brings back what there was.
        try:
            yield self
        finally:
            if outer is None:
                del now[thread]
            else:
                now[thread] = outer

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and pickled: a copy is outside of every block."""
        state = super().__getstate__()
        state.pop("_compositions", None)
        return state

    def _fits(self, input: Any, hx: Any) -> bool:
        """Whether input and state are tensors of the right shapes."""
        if not isinstance(input, Tensor):
            return False
        shape = input.shape
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            return False
        if hx is None:
            return True
        if not isinstance(hx, Tensor) or len(hx.shape) != len(shape):
            return False
        if len(shape) == 1:
            return hx.shape[0] == self._state_size
        return hx.shape[0] == shape[0] and hx.shape[1] == self._state_size

    def _refuse(self, input: Any, hx: Any) -> None:
        """Raise what ``nn.RNNCell`` would, for an input and a state that do not fit."""
        require.tensor("input", input)
        if hx is not None:
            require.tensor("hx", hx)
        for what, given in (("input", input), ("hidden", hx)):
            if given is not None and given.dim() not in (1, 2):
                name = type(self).__name__
                raise ValueError(
                    f"{name}: Expected {what} to be 1D or 2D, got {given.dim()}D instead"
                )
        batched = input.dim() == 2
        rows = input if batched else input[None]
        if rows.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {rows.shape[1]} expected"
                f" {self.input_size}"
            )
        state = hx if batched else hx[None]
        if state.shape[0] != rows.shape[0]:
            raise RuntimeError(
                f"Input batch size {rows.shape[0]} doesn't match hidden0 batch size"
                f" {state.shape[0]}"
            )
        found = state.shape[1] if state.dim() > 1 else state.shape[0]
        raise RuntimeError(
            f"hidden0 has inconsistent hidden_size: got {found}, expected"
            f" {self._state_size}"
        )

    def effective_weights(self) -> EffectiveWeights:
        """Return what multiplies input and state, signed, ``(post, pre)``."""
        return self._weights("")
