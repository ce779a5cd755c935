r"""Recurrent circuits, whatever their wiring: leak, noise, and where a state begins.

.. math:: \tau \, \dot x = -x + W r + U u + b + \sqrt{2 \tau}\, \sigma \xi, \qquad r = f(x)

A circuit holds layers; each has an input path and a recurrent one, which its wiring stores and
composes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.hooks import RemovableHandle

from daleml import require, signs
from daleml.layers import acting_parameters, init
from daleml.layers._recurrent.leak import Leaky, Step
from daleml.layers._recurrent.loop import NONLINEARITIES, Nonlinearity, function
from daleml.layers._recurrent.masks import Connectivity, is_density, matrix
from daleml.layers._recurrent.wiring import Drawing, Path, Wiring
from daleml.layers.acting_parameters import rewritten
from daleml.layers.checked_attributes import Check, positive_or_none
from daleml.modules import Reads, SynapticWeight
from daleml.populations import Populations

INITIAL_STATE = 0.1
"""Of every unit, where the initial state is trained.

EG, and relu behind a leak, would leave silent units silent.
"""
_KNOWN_FUNCTIONS: dict[Nonlinearity, str] = {
    torch.relu: "relu",
    nn.functional.relu: "relu",
    torch.tanh: "tanh",
    softplus: "softplus",
}


LayerHook: TypeAlias = Callable[[str, Tensor, Tensor, Tensor, tuple[int, ...]], None]
"""Takes a layer's suffix, its input rows, the state it began in, its rates, and how many sequences each step has."""


class EffectiveWeights(NamedTuple):
    """What multiplies the input and the state of a layer, signed, ``(post, pre)``."""

    input: Tensor
    recurrent: Tensor


def _generator(name: str, value: Any) -> torch.Generator | None:
    """Accept a generator, or None for torch's global one."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(
            f"`{name}` must be a torch.Generator; got {type(value).__name__}."
        )
    return value


class Circuit(Leaky):
    """What recurrent layers and cells share."""

    _suffixes: tuple[str, ...]
    nonlinearity: str | Nonlinearity
    spectral_radius: float | None = None

    _fixed = frozenset({"inputs", "populations", "input_size", "hidden_size", "bias"})
    _settable = ("nonlinearity", "dt_ms", "tau_ms", "leak")
    _told: ClassVar[tuple[str, ...]] = ("nonlinearity",)
    _checked: ClassVar[Mapping[str, Check]] = {
        "noise": require.non_negative,
        "noise_in_eval": require.flag,
        "generator": _generator,
        "input_mean": require.number,
        "spectral_radius": positive_or_none,
    }

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
        spectral_radius: float | None,
        generator: torch.Generator | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self._layer_hooks: OrderedDict[int, LayerHook] = OrderedDict()
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.inputs, self.populations = inputs, populations
        self.input_size, self.hidden_size = inputs.size, populations.size
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.noise = noise
        self.noise_in_eval = noise_in_eval
        require.flag("train_initial_state", train_initial_state)
        self.generator = generator
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"`dtype` must be a floating-point type; got {dtype}.")
        self.input_mean, self.spectral_radius = input_mean, spectral_radius
        self._wiring, self._suffixes = wiring, tuple(suffixes)
        like = {
            "device": device or torch.get_default_device(),
            "dtype": dtype or torch.get_default_dtype(),
        }
        self._build_leak(dt_ms, tau_ms, self.hidden_size, like)
        self._paths = self._connect(mask, input_mask, autapses)
        for path in self._paths:
            wiring.register(self, path, factory)
        for suffix in self._suffixes:
            wiring.register_shared(self, suffix, self.hidden_size, factory)
            names = [f"bias_ih{suffix}", f"bias_hh{suffix}"] if bias else []
            for name in (
                [*names, f"initial_state{suffix}"] if train_initial_state else names
            ):
                self.register_parameter(
                    name, nn.Parameter(torch.empty(self.hidden_size, **factory))
                )
        self.reset_parameters(generator)

    def _connect(
        self, mask: Connectivity, input_mask: Connectivity, autapses: bool | None
    ) -> list[Path]:
        size, generator, paths = self.hidden_size, self.generator, []
        for i, suffix in enumerate(self._suffixes):
            pre = self.populations if i else self.inputs
            given = None if i else input_mask
            if hasattr(given, "adjacency"):
                raise TypeError(
                    "`input_mask` must be a matrix or a density; got a graph."
                )
            present = matrix(
                "input_mask",
                given,
                (size, pre.size),
                autapses=True,
                generator=generator,
            )
            paths.append(Path(f"ih{suffix}", pre, size, present, is_density(given)))
            unit_signs = self.populations.signs(device="cpu")
            present = matrix(
                "mask",
                mask,
                (size, size),
                autapses=autapses,
                signs=unit_signs,
                generator=generator,
            )
            paths.append(
                Path(f"hh{suffix}", self.populations, size, present, is_density(mask))
            )
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
            input_mean: Mean of the input, which the bias of an all-excitatory first path
                cancels; e.g. the mean pixel. Default: that of the constructor.
            draw: Distribution of the magnitudes, given their mean: ``init.exponential_``,
                ``init.lognormal_``...
        """
        for path in self._paths:
            self._wiring.declare(self, path)
            if self.bias:
                signs.declare(self, f"bias_{path.name}", role="bias", default=True)
        for suffix in self._suffixes:
            self._wiring.draw_shared(self, suffix)
            self._reset_initial_state(suffix)
        for path in self._paths:
            centred = self.input_mean if input_mean is None else input_mean
            mean = centred if path.pre is self.inputs else init.RECTIFIED_MEAN
            with acting_parameters.rewritten_or_none(self, f"bias_{path.name}") as bias:
                if bias is not None:
                    bias.zero_()
                self._wiring.draw(self, path, bias, Drawing(mean, draw, generator))

    def _reset_initial_state(self, suffix: str) -> None:
        name = f"initial_state{suffix}"
        if getattr(self, name, None) is None:
            return
        if self.leak is None and self.nonlinearity in (
            "relu",
            "softplus",
        ):  # the state is a rate, and none is negative
            signs.fix(
                self,
                name,
                torch.ones(self.hidden_size, device="cpu"),
                role="initial_state",
                default=True,
            )
        else:
            signs.declare(self, name, role="initial_state", default=True)
        with rewritten(self, name) as begin:
            begin.fill_(INITIAL_STATE)

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the weights, layer by layer, see :class:`daleml.modules.RecurrentDaleLayer`."""
        found = []
        for layer, suffix in enumerate(self._suffixes):
            sources: tuple[tuple[str, Reads], ...] = (
                ("ih", "below" if layer else "input"),
                ("hh", "state"),
            )
            for kind, reads in sources:
                name, *parts = self._wiring.parts(f"{kind}{suffix}")
                bias = f"bias_{kind}{suffix}" if self.bias else None
                found.append(
                    SynapticWeight(name, reads, layer, suffix, bias, parts=tuple(parts))
                )
        return tuple(found)

    def redraw_(
        self,
        *,
        draw: init.Draw,
        ratio: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the weights anew, by magnitudes of another spread.

        See :class:`daleml.modules.DaleLayer`.
        """
        self._wiring.redraw_(self, draw, ratio, generator)

    def output_signs(self) -> Tensor | None:
        """Return the sign of every unit."""
        return self.populations.signs(device="cpu")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute.

        A nonlinearity may be a module, of which torch would keep the old one too.
        """
        if name == "nonlinearity":
            value = _known_nonlinearity(value)
            self._modules.pop(name, None)
        super().__setattr__(name, value)

    def scale_recurrent_(self, factor: float, layer: int = 0) -> None:
        """Multiply the effective recurrent weight of a layer by a positive factor, in place."""
        if require.integer("layer", layer) >= len(self._suffixes):
            raise ValueError(
                f"`layer` must be below {len(self._suffixes)}, the number of layers; got"
                f" {layer}."
            )
        self._wiring.scale_(
            self, f"hh{self._suffixes[layer]}", require.positive("factor", factor)
        )

    def balance_recurrent_(self, balance: Callable[[Tensor], Tensor]) -> bool:
        """Multiply every recurrent weight by factors of it as it acts.

        False if the wiring has no signed one.
        """
        return all(
            self._wiring.balance_(self, f"hh{suffix}", balance)
            for suffix in self._suffixes
        )

    def rates(self, state: Tensor) -> Tensor:
        """Return the rates of a state: ``f(state)`` with a leak, the state itself without."""
        return state if self.leak is None else self._f(state)

    def register_layer_hook(self, look: LayerHook) -> RemovableHandle:
        """Let a function see every layer's input and rates, each time the layer has run.

        Args:
            look: Called as ``look(suffix, rows, begun, rates, batch_sizes)``: the end of the
                names of the layer's parameters (``"_l0"``, ``"_l1"``, ...; of a cell, ``""``),
                what it read, the state it began in, its rates, and how many sequences take part
                in each step. What it returns is not used.

        Shape:
            ``rows`` (sum of ``batch_sizes``, inputs), ``rates`` (sum of ``batch_sizes``,
            units): step after step, as in a ``PackedSequence``, whatever the layout of the
            input; ``begun`` (``batch_sizes[0]``, units).

        Returns:
            A handle: ``handle.remove()`` ends it.

        Example:
            >>> import torch
            >>> from daleml import Populations
            >>> from daleml.layers import EIRNN
            >>> rnn = EIRNN(3, Populations(8, 2), num_layers=2)
            >>> with rnn.register_layer_hook(lambda suffix, rows, begun, rates, sizes: print(suffix, rates.shape)):
            ...     _ = rnn(torch.rand(7, 4, 3))
            _l0 torch.Size([28, 10])
            _l1 torch.Size([28, 10])

        Notes:
            What it sees is not copied, and belongs to the autograd graph. As with torch's own
            hooks, a copy or a pickle of the circuit has it too.
        """
        handle = RemovableHandle(self._layer_hooks)
        self._layer_hooks[handle.id] = look
        return handle

    @property
    def _f(self) -> Nonlinearity:
        return function(self.nonlinearity)

    def _weights(self, suffix: str) -> EffectiveWeights:
        return EffectiveWeights(
            self._wiring.weight(self, f"ih{suffix}"),
            self._wiring.weight(self, f"hh{suffix}"),
        )

    def _draw_noise(self, rows: Tensor, step: Step | None) -> Tensor:
        """Draw the noise of every step, (rows, units)."""
        generator = self.generator
        # A generator of another device is one for the circuit wherever it is.
        source = rows.device if generator is None else generator.device
        drawn = torch.randn(
            rows.shape[0],
            self.hidden_size,
            generator=generator,
            device=source,
            dtype=rows.dtype if source == rows.device else None,
        )
        drawn = drawn.to(device=rows.device, dtype=rows.dtype)
        spread = 2**0.5 if step is None else step.spread
        scale = spread * self.noise
        if isinstance(scale, Tensor):
            scale = scale.to(rows.dtype)
        return drawn * scale

    def extra_repr(self) -> str:
        """Describe the circuit's sizes and dynamics."""
        inputs = f"{self.inputs.size}" if not self.inputs.n_inh else repr(self.inputs)
        parts = [inputs, self._describe_units()]
        if len(self._suffixes) > 1:
            parts.append(f"num_layers={len(self._suffixes)}")
        named = (
            self.nonlinearity if isinstance(self.nonlinearity, str) else "a function"
        )
        parts.append(f"nonlinearity={named}")
        if self.leak is not None:
            leak = self.leak if isinstance(self.leak, float) else "one per unit"
            parts.append(
                f"leak={leak}"
                if self.dt_ms is None
                else f"dt_ms={self.dt_ms:g}, dt/tau={leak}"
            )
        return ", ".join(parts + ([f"noise={self.noise:g}"] if self.noise else []))

    def _describe_units(self) -> str:
        return f"n_exc={self.populations.n_exc}, n_inh={self.populations.n_inh}"


def _known_nonlinearity(given: Any) -> str | Nonlinearity:
    if isinstance(given, type) and issubclass(given, nn.Module):
        name = given.__name__
        raise TypeError(
            f"`nonlinearity` must be a name or a function; got the class {name}: give"
            f" `{name}()`."
        )
    if callable(given):
        own: Nonlinearity = given
        try:
            return _KNOWN_FUNCTIONS.get(own, own)
        except TypeError:  # a function of the user's that cannot be hashed
            return own
    if not isinstance(given, str):
        raise TypeError(
            f"`nonlinearity` must be a name or a function; got {type(given).__name__}."
        )
    if given not in NONLINEARITIES:
        raise ValueError(
            f"Unknown nonlinearity {given!r}. Select from 'relu', 'tanh' or 'softplus'."
        )
    return given
