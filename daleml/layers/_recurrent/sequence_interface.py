"""Circuits that are called like ``nn.RNN``, over sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from daleml import require
from daleml.layers._recurrent.circuit import Circuit, EffectiveWeights
from daleml.layers._recurrent.dispatch import advance_layer
from daleml.layers._recurrent.layer_sweep import is_lowered
from daleml.layers._recurrent.nonlinearities import Nonlinearity
from daleml.layers._recurrent.wiring import Wiring
from daleml.layers._shared.checked_attributes import AttributeCheck
from daleml.populations import Populations


class Recurrent(Circuit):
    """A circuit that runs over sequences, as ``nn.RNN`` does."""

    _fixed = Circuit._fixed | {"num_layers", "bidirectional"}
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {
        **Circuit._checked,
        "batch_first": require.flag,
        "dropout": require.fraction,
    }

    def __init__(
        self,
        wiring: Wiring,
        inputs: Populations,
        populations: Populations,
        num_layers: int,
        nonlinearity: str | Nonlinearity,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        options: Mapping[str, Any],
    ) -> None:
        if require.flag("bidirectional", bidirectional):
            raise ValueError(
                "`bidirectional` must be False, since a circuit does not run backwards; got"
                " True."
            )
        # Torch says what is too few.
        require.integer("num_layers", num_layers, minimum=-1)
        # What torch would refuse is refused in torch's words, and it warns where torch warns.
        nn.RNN(
            inputs.size,
            populations.size,
            num_layers,
            "relu",
            bias,
            batch_first,
            dropout,
            device="meta",
        )
        suffixes = [f"_l{i}" for i in range(num_layers)]
        super().__init__(
            wiring, inputs, populations, suffixes, nonlinearity, bias, options
        )
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = False

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run the circuit over sequences.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with ``batch_first``,
                or (time, input_size); or a ``PackedSequence``.
            hx: Where each sequence starts, (num_layers, batch, units), or (num_layers, units)
                for unbatched input. Default: zeros, or the trained initial state.

        Returns:
            Rates of the last layer, like the input; and the last state of every layer, like ``hx``.

        Raises:
            TypeError: If the input or ``hx`` is no tensor.
            RuntimeError: If one of them has the wrong shape, in the words of ``nn.RNN``.
            ValueError: If the input has the wrong dtype or number of dimensions, likewise.
        """
        if isinstance(input, PackedSequence):
            return self._run_packed(input, hx)
        # One look at the shapes; which sentence is right is found only where they do not fit.
        if not self._fits(input, hx):
            self._refuse(input, hx)
        if input.dim() == 2:
            state = None if hx is None else hx[:, None]
            output, last = self._run_even(input[:, None], state)
            return output[:, 0], last[:, 0]
        if not self.batch_first:
            return self._run_even(input, hx)
        output, last = self._run_even(input.transpose(0, 1), hx)
        return output.transpose(0, 1), last

    def _run_even(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run sequences of one length, (time, batch, ...)."""
        n_steps, n_sequences, n_inputs = input.shape
        rows = input.reshape(n_steps * n_sequences, n_inputs)
        rates, last = self._run(rows, hx, [n_sequences] * n_steps)
        return rates.view(n_steps, n_sequences, self.hidden_size), last

    def _run_packed(
        self, input: PackedSequence, hx: Tensor | None
    ) -> tuple[PackedSequence, Tensor]:
        """Run sequences of several lengths, the longest first."""
        # Rows stand in the order of lengths; the states that the caller gives and gets do not.
        rows, batch_sizes, in_order, back = input
        _require_tensors(rows, hx)
        if hx is not None and in_order is not None:
            hx = hx.index_select(1, in_order)
        sizes = batch_sizes.tolist()
        self._require_rows(rows, 2)
        self._require_state(hx, sizes[0])
        rates, last = self._run(rows, hx, sizes)
        if back is not None:
            last = last[:, back]
        return PackedSequence(rates, batch_sizes, in_order, back), last

    def _run(
        self, rows: Tensor, hx: Tensor | None, sizes: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Run all layers, each over all steps before the next."""
        finals = []
        rows = self._noisy_input(rows)
        for i, suffix in enumerate(self._suffixes):
            if i and self.dropout:
                rows = dropout(rows, self.dropout, self.training)
            state = None if hx is None else hx[i]
            rows, last = advance_layer(self, suffix, rows, state, sizes)
            finals.append(last)
        return rows, torch.stack(finals)

    def _fits(self, input: Any, hx: Any) -> bool:
        """Whether input and state are tensors that the circuit takes: their shapes, and a dtype."""
        if not isinstance(input, Tensor) or input.dim() not in (2, 3):
            return False
        # All parameters have one dtype, so the first tells it.
        stored: Any = next(iter(self._parameters.values()))
        if input.shape[-1] != self.input_size or input.dtype != stored.dtype:
            return False
        steps, *sequences = input.shape[:-1]
        if sequences and self.batch_first:
            steps, sequences = sequences[0], [steps]
        # torch refuses a sequence without steps, but takes a batch without sequences.
        if not steps:
            return False
        if hx is None:
            return True
        expected = (len(self._suffixes), *sequences, self._state_size)
        return isinstance(hx, Tensor) and hx.shape == expected

    def _refuse(self, input: Any, hx: Any) -> None:
        """Raise what ``nn.RNN`` would, for an input and a state that do not fit."""
        _require_tensors(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D"
                " tensor instead"
            )
        batched = input.dim() == 3
        if hx is not None and hx.dim() != input.dim():
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx should also be {input.dim()}-D but got {hx.dim()}-D"
                " tensor"
            )
        if not batched:
            input = input[:, None]
            hx = None if hx is None else hx[:, None]
        elif self.batch_first:
            input = input.transpose(0, 1)
        self._require_rows(input, 3)
        self._require_state(hx, input.shape[1])
        if not input.shape[0]:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

    def _require_rows(self, input: Tensor, n_dims: int) -> None:
        stored: Any = next(iter(self._parameters.values()))
        dtype = stored.dtype
        if input.dtype != dtype and not is_lowered(input):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype})."
                f" Convert input: input.to({dtype}), or convert model:"
                f" model.to({input.dtype})"
            )
        if input.dim() != n_dims:
            raise RuntimeError(
                f"input must have {n_dims} dimensions, got {input.dim()}"
            )
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size},"
                f" got {input.size(-1)}"
            )

    def _require_state(self, hx: Tensor | None, n_sequences: int) -> None:
        expected = (len(self._suffixes), n_sequences, self._state_size)
        if hx is not None and hx.shape != expected:
            raise RuntimeError(f"Expected hidden size {expected}, got {list(hx.shape)}")

    def effective_weights(self) -> tuple[EffectiveWeights, ...]:
        """Return what multiplies input and state of each layer, signed, ``(post, pre)``."""
        return tuple(self._weights(suffix) for suffix in self._suffixes)

    def flatten_parameters(self) -> None:
        """Do nothing: code written for ``nn.RNN``, which packs weights for cuDNN, calls it."""


def _require_tensors(input: object, hx: object) -> None:
    """Raise where torch would ask a list for its dimensions."""
    require.tensor("input", input)
    if hx is not None:
        require.tensor("hx", hx)
