r"""Recurrent circuits, whatever their wiring: ``nn.RNN``'s contract, leak, noise, and where a state begins.

.. math:: \tau \, \dot x = -x + W r + U u + b + \sqrt{2 \tau}\, \sigma \xi, \qquad r = f(x)

A circuit holds layers; each has an input path and a recurrent one, which its wiring stores and composes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, softplus
from torch.nn.utils.rnn import PackedSequence

from daleml import _checks, signs
from daleml.layers import init
from daleml.layers.connectivity import Connectivity, matrix
from daleml.layers.recurrence import Sweep
from daleml.layers.steps import NONLINEARITIES, Nonlinearity
from daleml.layers.wiring import Drawing, Path, Wiring
from daleml.populations import Populations

INITIAL_STATE = 0.1
"""Of every unit, where the initial state is trained: EG, and relu behind a leak, would leave silent units silent."""
_KNOWN_FUNCTIONS: dict[Nonlinearity, str] = {
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.tanh: "tanh",
    softplus: "softplus",
}


class EffectiveWeights(NamedTuple):
    """What multiplies the input and the state of a layer, signed, ``(post, pre)``."""

    input: Tensor
    recurrent: Tensor


class Circuit(nn.Module):
    """What recurrent layers and cells share."""

    _suffixes: tuple[str, ...]

    def __init__(
        self,
        wiring: Wiring,
        inputs: Populations,
        populations: Populations,
        suffixes: Sequence[str],
        *,
        nonlinearity: str | Nonlinearity,
        bias: bool,
        mask: Connectivity,
        input_mask: Connectivity,
        autapses: bool | None,
        dt_ms: float | None,
        tau_ms: float | Sequence[float] | Tensor | None,
        noise: float,
        noise_in_eval: bool,
        train_initial_state: bool,
        input_mean: float,
        generator: torch.Generator | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.inputs, self.populations = inputs, populations
        self.input_size, self.hidden_size = inputs.size, populations.size
        self.bias = bias
        self.nonlinearity = _known_nonlinearity(nonlinearity)
        self.dt_ms, self.noise = dt_ms, _checks.non_negative("noise", noise)
        self.noise_in_eval = _checks.flag("noise_in_eval", noise_in_eval)
        _checks.flag("train_initial_state", train_initial_state)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise TypeError(f"`generator` must be a torch.Generator; got {type(generator).__name__}.")
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"`dtype` must be a floating-point type; got {dtype}.")
        self.generator = generator
        self.input_mean = _checks.number("input_mean", input_mean)
        self._wiring, self._suffixes = wiring, tuple(suffixes)
        leak = _leak(dt_ms, tau_ms, self.hidden_size)
        self.leak: float | Tensor | None
        if isinstance(leak, Tensor):
            leak = leak.to(device=device, dtype=dtype or torch.get_default_dtype())
            self.register_buffer("leak", leak, persistent=False)
        else:
            self.leak = leak
        self._paths = self._connect(mask, input_mask, autapses)
        for path in self._paths:
            wiring.register(self, path, factory)
        for suffix in self._suffixes:
            wiring.register_shared(self, suffix, self.hidden_size, factory)
            names = [f"bias_ih{suffix}", f"bias_hh{suffix}"] if bias else []
            for name in [*names, f"initial_state{suffix}"] if train_initial_state else names:
                self.register_parameter(name, nn.Parameter(torch.empty(self.hidden_size, **factory)))
        self.reset_parameters(generator)

    def _connect(self, mask: Connectivity, input_mask: Connectivity, autapses: bool | None) -> list[Path]:
        size, generator, paths = self.hidden_size, self.generator, []
        for i, suffix in enumerate(self._suffixes):
            pre = self.populations if i else self.inputs
            given = None if i else input_mask
            if hasattr(given, "adjacency"):
                raise TypeError("`input_mask` must be a matrix or a density; got a graph.")
            present = matrix("input_mask", given, (size, pre.size), autapses=True, generator=generator)
            paths.append(Path(f"ih{suffix}", pre, size, present))
            unit_signs = self.populations.signs(device="cpu")
            present = matrix("mask", mask, (size, size), autapses=autapses, signs=unit_signs, generator=generator)
            paths.append(Path(f"hh{suffix}", self.populations, size, present))
        return paths

    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        input_mean: float | None = None,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the weights anew, fix their signs, and reset biases and initial states.

        Args:
            generator: Source of randomness; default: torch's global one.
            input_mean: Mean of the input, which the bias of an all-excitatory first path cancels; e.g. the mean pixel.
                Default: that of the constructor.
            draw: Distribution of the magnitudes, given their mean: ``init.exponential_``, ``init.lognormal_``...
        """
        for path in self._paths:
            self._wiring.declare(self, path)
        with torch.no_grad():
            for suffix in self._suffixes:
                for kind in ("ih", "hh"):
                    if self.bias:
                        self.get_parameter(f"bias_{kind}{suffix}").zero_()
                        signs.declare(self, f"bias_{kind}{suffix}", role="bias")
                self._wiring.draw_shared(self, suffix)
                self._reset_initial_state(suffix)
        for path in self._paths:
            bias = self.get_parameter(f"bias_{path.name}") if self.bias else None
            centred = self.input_mean if input_mean is None else input_mean
            mean = centred if path.pre is self.inputs else init.RECTIFIED_MEAN
            self._wiring.draw(self, path, bias, Drawing(mean, draw, generator))

    def _reset_initial_state(self, suffix: str) -> None:
        name = f"initial_state{suffix}"
        if name not in self._parameters:
            return
        self.get_parameter(name).fill_(INITIAL_STATE)
        if self.leak is None and self.nonlinearity in ("relu", "softplus"):  # the state is a rate, and none is negative
            signs.fix(self, name, torch.ones(self.hidden_size, device="cpu"), role="initial_state")
        else:
            signs.declare(self, name, role="initial_state")

    def scale_recurrent_(self, factor: float, layer: int = 0) -> None:
        """Multiply the effective recurrent weight of a layer by a positive factor, in place."""
        if _checks.integer("layer", layer) >= len(self._suffixes):
            raise ValueError(f"`layer` must be below {len(self._suffixes)}, the number of layers; got {layer}.")
        self._wiring.scale_(self, f"hh{self._suffixes[layer]}", _checks.positive("factor", factor))

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state: ``f(state)`` with a leak, the state itself without."""
        return state if self.leak is None else self._f(state)

    @property
    def _f(self) -> Nonlinearity:
        known = self.nonlinearity
        return known if callable(known) else NONLINEARITIES[known]

    def _weights(self, suffix: str) -> EffectiveWeights:
        return EffectiveWeights(self._wiring.weight(self, f"ih{suffix}"), self._wiring.weight(self, f"hh{suffix}"))

    def _advance(self, suffix: str, rows: Tensor, state: Tensor | None, sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Run one layer, never compiled: every step would be unrolled, and compiling would take minutes."""
        if torch.compiler.is_compiling() and not getattr(torch.compiler, "is_exporting", bool)():
            advance = torch.compiler.disable(self._advance_eagerly)  # type: ignore[no-untyped-call]
            return cast("tuple[Tensor, Tensor]", advance(suffix, rows, state, sizes))
        return self._advance_eagerly(suffix, rows, state, sizes)

    def _advance_eagerly(
        self, suffix: str, rows: Tensor, state: Tensor | None, sizes: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Run one layer; the state of None is where it begins."""
        if state is None:
            begun = getattr(self, f"initial_state{suffix}", None)
            n_sequences = sizes[0]
            state = rows.new_zeros(n_sequences, self.hidden_size) if begun is None else begun.expand(n_sequences, -1)
        bias = getattr(self, f"bias_ih{suffix}") + getattr(self, f"bias_hh{suffix}") if self.bias else None
        sweep = Sweep(state, self._draw_noise(rows), self.leak, self.nonlinearity, tuple(sizes))
        return self._wiring.advance(self, suffix, rows, bias, sweep)

    def _draw_noise(self, rows: Tensor) -> Tensor | None:
        if not self.noise or not (self.training or self.noise_in_eval):
            return None
        leak = 1.0 if self.leak is None else self.leak
        shape = rows.shape[0], self.hidden_size
        where: dict[str, Any] = {"device": rows.device, "dtype": rows.dtype}
        if self.generator is not None and self.generator.device != rows.device:  # one generator, wherever the model is
            drawn = torch.randn(shape, generator=self.generator, device=self.generator.device).to(**where)
        else:
            drawn = torch.randn(shape, generator=self.generator, **where)
        return drawn.mul_((2 * leak) ** 0.5 * self.noise)

    def extra_repr(self) -> str:
        """Describe the circuit's sizes and dynamics."""
        inputs = f"{self.inputs.size}" if not self.inputs.n_inh else repr(self.inputs)
        parts = [inputs, self._describe_units()]
        if len(self._suffixes) > 1:
            parts.append(f"num_layers={len(self._suffixes)}")
        named = self.nonlinearity if isinstance(self.nonlinearity, str) else "a function"
        parts.append(f"nonlinearity={named}")
        if self.dt_ms is not None:
            leak = self.leak if isinstance(self.leak, float) else "one a unit"
            parts.append(f"dt_ms={self.dt_ms:g}, dt/tau={leak}")
        return ", ".join(parts + ([f"noise={self.noise:g}"] if self.noise else []))

    def _describe_units(self) -> str:
        return f"n_exc={self.populations.n_exc}, n_inh={self.populations.n_inh}"


class Recurrent(Circuit):
    """A circuit that runs over sequences, as ``nn.RNN`` does."""

    def __init__(
        self,
        wiring: Wiring,
        inputs: Populations,
        populations: Populations,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        **options: Any,
    ) -> None:
        if _checks.flag("bidirectional", bidirectional):
            raise ValueError("`bidirectional` must be False, since a circuit does not run backwards; got True.")
        _checks.integer("num_layers", num_layers, minimum=-1)  # torch says what is too few
        # What torch would refuse is refused in torch's words, and it warns where torch warns.
        nn.RNN(inputs.size, populations.size, num_layers, "relu", bias, batch_first, dropout, device="meta")
        suffixes = [f"_l{i}" for i in range(num_layers)]
        super().__init__(wiring, inputs, populations, suffixes, bias=bias, **options)
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, float(dropout)
        self.bidirectional = False

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run the circuit over sequences.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with ``batch_first``, or (time, input_size);
                or a ``PackedSequence``.
            hx: Where each sequence starts, (num_layers, batch, units), or (num_layers, units) for unbatched input.
                Default: zeros, or the trained initial state.

        Returns:
            Rates of the last layer, like the input; and the last state of every layer, like ``hx``.

        Raises:
            TypeError: If the input or ``hx`` is no tensor.
            RuntimeError: If one of them has the wrong shape, in the words of ``nn.RNN``.
            ValueError: If the input has the wrong dtype or number of dimensions, likewise.
        """
        _require_tensors(input.data if isinstance(input, PackedSequence) else input, hx)
        if isinstance(input, PackedSequence):
            rows, batch_sizes, in_order, back = input
            hx = hx if hx is None or in_order is None else hx.index_select(1, in_order)
            sizes = batch_sizes.tolist()
            self._require_rows(rows, 2)
            self._require_state(hx, sizes[0])
            rates, last = self._run(rows, hx, sizes)
            return PackedSequence(rates, batch_sizes, in_order, back), last if back is None else last[:, back]
        if input.dim() not in (2, 3):
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead")
        batched = input.dim() == 3
        if hx is not None and hx.dim() != input.dim():
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(f"For {kind} input, hx should also be {input.dim()}-D but got {hx.dim()}-D tensor")
        if not batched:
            output, last = self._run_batch(input[:, None], None if hx is None else hx[:, None])
            return output[:, 0], last[:, 0]
        if not self.batch_first:
            return self._run_batch(input, hx)
        output, last = self._run_batch(input.transpose(0, 1), hx)
        return output.transpose(0, 1), last

    def _run_batch(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        n_steps, n_sequences, _ = input.shape
        self._require_rows(input, 3)
        self._require_state(hx, n_sequences)
        if not n_steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        rates, last = self._run(input.reshape(n_steps * n_sequences, self.input_size), hx, [n_sequences] * n_steps)
        return rates.view(n_steps, n_sequences, self.hidden_size), last

    def _run(self, rows: Tensor, hx: Tensor | None, sizes: list[int]) -> tuple[Tensor, Tensor]:
        finals = []
        for i, suffix in enumerate(self._suffixes):
            if i and self.dropout:
                rows = dropout(rows, self.dropout, self.training)
            rows, last = self._advance(suffix, rows, None if hx is None else hx[i], sizes)
            finals.append(last)
        return rows, torch.stack(finals)

    def _require_rows(self, input: Tensor, n_dims: int) -> None:
        dtype = getattr(self, next(iter(self._parameters))).dtype
        if input.dtype != dtype and not torch.is_autocast_enabled(input.device.type):
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        if input.dim() != n_dims:
            raise RuntimeError(f"input must have {n_dims} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def _require_state(self, hx: Tensor | None, n_sequences: int) -> None:
        expected = (len(self._suffixes), n_sequences, self.hidden_size)
        if hx is not None and hx.shape != expected:
            raise RuntimeError(f"Expected hidden size {expected}, got {list(hx.shape)}")

    def effective_weights(self) -> tuple[EffectiveWeights, ...]:
        """Return what multiplies input and state, signed, ``(post, pre)``: one named tuple a layer."""
        return tuple(self._weights(suffix) for suffix in self._suffixes)

    def flatten_parameters(self) -> None:
        """Do nothing: here so that code written for ``nn.RNN``, which packs weights for cuDNN, runs as it is."""


class Cell(Circuit):
    """A circuit that takes one step, as ``nn.RNNCell`` does."""

    def __init__(
        self, wiring: Wiring, inputs: Populations, populations: Populations, bias: bool, **options: Any
    ) -> None:
        nn.RNN(inputs.size, populations.size, bias=bias, device="meta")  # to refuse what torch would, in its words
        super().__init__(wiring, inputs, populations, [""], bias=bias, **options)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Take one step.

        Args:
            input: (batch, input_size) or (input_size,).
            hx: The state before, (batch, units) or (units,). Default: zeros, or the trained initial state.

        Returns:
            The state after, like ``hx``; its rates are ``cell.rates(state)``, which without a leak is the state.

        Raises:
            TypeError: If the input or ``hx`` is no tensor.
            RuntimeError: If a shape is wrong, in the words of ``nn.RNNCell``.
            ValueError: If a number of dimensions is wrong, likewise.
        """
        _require_tensors(input, hx)
        for what, given in (("input", input), ("hidden", hx)):
            if given is not None and given.dim() not in (1, 2):
                name = type(self).__name__
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {given.dim()}D instead")
        batched = input.dim() == 2
        rows, state = (input, hx) if batched else (input[None], None if hx is None else hx[None])
        if rows.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {rows.shape[1]} expected {self.input_size}")
        if state is not None and state.shape[0] != rows.shape[0]:
            raise RuntimeError(f"Input batch size {rows.shape[0]} doesn't match hidden0 batch size {state.shape[0]}")
        if state is not None and (state.dim() != 2 or state.shape[1] != self.hidden_size):
            found = state.shape[1] if state.dim() > 1 else state.shape[0]
            raise RuntimeError(f"hidden0 has inconsistent hidden_size: got {found}, expected {self.hidden_size}")
        _, after = self._advance("", rows, state, [rows.shape[0]])
        return after if batched else after[0]

    def effective_weights(self) -> EffectiveWeights:
        """Return what multiplies input and state, signed, ``(post, pre)``."""
        return self._weights("")


def _require_tensors(input: object, hx: object) -> None:
    """Raise where torch would ask a list for its dimensions."""
    for name, given in {"input": input, **({} if hx is None else {"hx": hx})}.items():
        if not isinstance(given, Tensor):
            raise TypeError(f"`{name}` must be a tensor; got {type(given).__name__}.")


def _known_nonlinearity(given: str | Nonlinearity) -> str | Nonlinearity:
    if callable(given):
        try:
            return _KNOWN_FUNCTIONS.get(given, given)
        except TypeError:  # a function of the user's that cannot be hashed
            return given
    if not isinstance(given, str):
        raise TypeError(f"`nonlinearity` must be a name or a function; got {type(given).__name__}.")
    if given not in NONLINEARITIES:
        raise ValueError(f"Unknown nonlinearity {given!r}. Select from 'relu', 'tanh' or 'softplus'.")
    return given


def _leak(dt_ms: float | None, tau_ms: float | Sequence[float] | Tensor | None, size: int) -> float | Tensor | None:
    """Return the fraction of the state that a step replaces, dt / tau."""
    if dt_ms is None and tau_ms is None:
        return None
    if dt_ms is None or tau_ms is None:
        missing, given = ("dt_ms", "tau_ms") if dt_ms is None else ("tau_ms", "dt_ms")
        raise ValueError(f"`{missing}` must be given where `{given}` is; got None.")
    dt_ms = _checks.positive("dt_ms", dt_ms)
    try:
        each = torch.as_tensor(tau_ms, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"`tau_ms` must be a number, or one a unit; got {type(tau_ms).__name__}.") from None
    if each.ndim and each.shape != (size,):
        raise ValueError(
            f"`tau_ms` must be a number or one for each of the {size} units; got shape {tuple(each.shape)}."
        )
    shortest = float(each.min())
    if not (math.isfinite(shortest) and shortest > 0 and bool(each.isfinite().all())):
        raise ValueError(f"`tau_ms` must be finite and above 0; got {shortest:g}.")
    if dt_ms > shortest:
        raise ValueError(f"`dt_ms` must be at most `tau_ms`; got {dt_ms:g} and {shortest:g}.")
    return dt_ms / each if each.ndim else dt_ms / shortest
