r"""The base of recurrent layers and cells, whatever their wiring: dynamics, noise and start.

.. math:: \tau \, \dot x = -x + W r + U u + b + \sqrt{2 \tau}\, \sigma \xi, \qquad r = f(x)

A circuit holds layers. Each has an input path and a recurrent one, which the circuit's wiring
stores and composes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from daleml import require, signs
from daleml.layers import init
from daleml.layers._recurrent.ensembles import Stackable
from daleml.layers._recurrent.kept_dynamics import shown_dynamics
from daleml.layers._recurrent.nonlinearities import (
    Nonlinearity,
    known_nonlinearity,
)
from daleml.layers._recurrent.path_options import connect
from daleml.layers._recurrent.perturbing import without_cut
from daleml.layers._recurrent.starting_activity import keep_moderate
from daleml.layers._recurrent.strengths_to_come import are_to_come
from daleml.layers._recurrent.tau_learning import NAME as TAU
from daleml.layers._recurrent.wiring import PathDrawing, Wiring
from daleml.layers._shared import acting_parameters
from daleml.layers._shared.acting_parameters import rewritten
from daleml.layers._shared.checked_attributes import AttributeCheck, positive_or_none
from daleml.layers._shared.sparse_product import StepMatrix
from daleml.modules import Reads, SynapticWeight
from daleml.populations import Populations

INITIAL_STATE = 0.1
"""The state that every unit begins with, where the initial state is trained.

EG, and relu behind a leak, would leave silent units silent.
"""
LayerHook: TypeAlias = Callable[[str, Tensor, Tensor, Tensor, tuple[int, ...]], None]
"""Takes a layer's suffix, its input rows, the state it began in, its rates, and batch sizes."""


class EffectiveWeights(NamedTuple):
    """What multiplies the input and the state of a layer, signed, ``(post, pre)``.

    Attributes:
        input: What multiplies the input, (units, inputs).
        recurrent: What multiplies the state, (units, units).

    Example:
        >>> from daleml.layers import DANNRNN
        >>> weights = DANNRNN(3, 50).effective_weights()[0]
        >>> weights.input.shape, weights.recurrent.shape
        (torch.Size([50, 3]), torch.Size([50, 50]))
    """

    input: Tensor
    recurrent: Tensor


def _generator(name: str, value: Any) -> torch.Generator | None:
    """Accept a generator, or None for torch's global one."""
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(
            f"`{name}` must be a torch.Generator; got {type(value).__name__}."
        )
    return value


class Circuit(Stackable):
    """What recurrent layers and cells share."""

    _suffixes: tuple[str, ...]
    nonlinearity: str | Nonlinearity
    spectral_radius: float | None = None

    _fixed = frozenset(
        {"inputs", "populations", "input_size", "hidden_size", "bias", "train_tau"}
    )
    _settable = ("nonlinearity", "dt_ms", "tau_ms", "leak", "dynamics")
    _told: ClassVar[tuple[str, ...]] = ("nonlinearity", "inputs", "populations")
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {
        "noise": require.non_negative,
        "input_noise": require.non_negative,
        "rate_noise": require.non_negative,
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
        nonlinearity: str | Nonlinearity,
        bias: bool,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        # Kept as torch keeps its own hooks, so that a handle can remove one.
        self._layer_hooks: OrderedDict[int, LayerHook] = OrderedDict()
        device, dtype = options["device"], options["dtype"]
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.inputs, self.populations = inputs, populations
        self.input_size, self.hidden_size = inputs.size, populations.size
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.noise = options["noise"]
        self.input_noise = options["input_noise"]
        self.rate_noise = options["rate_noise"]
        self.noise_in_eval = options["noise_in_eval"]
        learns_start = require.flag(
            "train_initial_state", options["train_initial_state"]
        )
        self.generator = options["generator"]
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"`dtype` must be a floating-point type; got {dtype}.")
        self.input_mean = options.get("input_mean", 0.0)
        self.spectral_radius = options.get("spectral_radius")
        self._wiring, self._suffixes = wiring, tuple(suffixes)
        # The leak is computed before there is a parameter to take these from.
        like = {
            "device": device or torch.get_default_device(),
            "dtype": dtype or torch.get_default_dtype(),
        }
        of_time = options["dt_ms"], options["tau_ms"], options["train_tau"]
        self._build_leak(*of_time, like)
        self._build_dynamics(options["dynamics"])
        self._paths = connect(self._suffixes, inputs, populations, options)
        for path in self._paths:
            wiring.register(self, path, factory)
        for suffix in self._suffixes:
            wiring.register_shared(self, suffix, self.hidden_size, factory)
            names = []
            if bias:
                names += [f"bias_ih{suffix}", f"bias_hh{suffix}"]
            if learns_start:
                names.append(f"initial_state{suffix}")
            for name in names:
                values = nn.Parameter(torch.empty(self.hidden_size, **factory))
                self.register_parameter(name, values)
        self._register_tau(factory)
        self.reset_parameters(self.generator)
        self._note_settings()

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
        # Signs come first: draws read them, and keep those that were fixed since.
        for path in self._paths:
            self._wiring.declare(self, path)
            if self.bias:
                signs.declare(self, f"bias_{path.name}", role="bias", default=True)
        for suffix in self._suffixes:
            self._wiring.draw_shared(self, suffix)
            self._reset_initial_state(suffix)
        if self.train_tau:
            signs.declare(self, TAU, role="tau", default=True)
            self._reset_tau()
        for path in self._paths:
            mean = init.RECTIFIED_MEAN
            if path.pre is self.inputs:
                mean = self.input_mean if input_mean is None else input_mean
            with acting_parameters.rewritten_or_none(self, f"bias_{path.name}") as bias:
                # The wiring may set it to what centres the path.
                if bias is not None:
                    bias.zero_()
                self._wiring.draw(self, path, bias, PathDrawing(mean, draw, generator))
        if not are_to_come():
            keep_moderate(self)

    def _reset_initial_state(self, suffix: str) -> None:
        name = f"initial_state{suffix}"
        if getattr(self, name, None) is None:
            return
        # Where the state is a rate, none of these is negative.
        if self.state_names[0] == "r" and self.nonlinearity in ("relu", "softplus"):
            positive = torch.ones(self.hidden_size, device="cpu")
            signs.fix(self, name, positive, role="initial_state", default=True)
        else:
            signs.declare(self, name, role="initial_state", default=True)
        # Positive for relu too, behind whose zero nothing would learn.
        with rewritten(self, name) as begin:
            begin.fill_(INITIAL_STATE)

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the weights, layer by layer.

        See :class:`daleml.modules.RecurrentDaleLayer`.
        """
        found = []
        for layer, suffix in enumerate(self._suffixes):
            # Layers above the first read the rates of the one below.
            sources: tuple[tuple[str, Reads], ...] = (
                ("ih", "below" if layer else "input"),
                ("hh", "state"),
            )
            for kind, reads in sources:
                name, *parts = self._wiring.parts(f"{kind}{suffix}")
                bias = f"bias_{kind}{suffix}" if self.bias else None
                found.append(
                    SynapticWeight(
                        name,
                        reads,
                        layer,
                        suffix,
                        bias,
                        parts=tuple(parts),
                        pre=self.inputs if reads == "input" else self.populations,
                        post=self.populations,
                    )
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
        """Set an attribute."""
        if name == "nonlinearity":
            # It may be a module, of which torch would keep the old one too.
            value = known_nonlinearity(value)
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
        """Multiply every recurrent weight by factors of it; False if none holds both signs."""
        return all(
            self._wiring.balance_(self, f"hh{suffix}", balance)
            for suffix in self._suffixes
        )

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
            >>> def look(suffix, rows, begun, rates, sizes):
            ...     print(suffix, rates.shape)
            >>> with rnn.register_layer_hook(look):
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

    def _step_matrices(self, suffix: str) -> tuple[StepMatrix, StepMatrix]:
        """Return what multiplies the input and the state of a layer in every step."""
        wiring = self._wiring
        return (
            wiring.step_matrix(self, f"ih{suffix}"),
            wiring.step_matrix(self, f"hh{suffix}"),
        )

    def _weights(self, suffix: str) -> EffectiveWeights:
        found = []
        for one in self._uncut_matrices(suffix):
            found.append(one if isinstance(one, Tensor) else one.csr())
        return EffectiveWeights(*found)

    def _uncut_matrices(self, suffix: str) -> tuple[StepMatrix, StepMatrix]:
        """Return what multiplies input and state, without what a perturbation cuts throughout."""
        weight_ih = self._wiring.step_matrix(self, f"ih{suffix}")
        weight_hh = self._wiring.step_matrix(self, f"hh{suffix}")
        if self._perturbations:
            layer = self._suffixes.index(suffix)
            weight_hh = without_cut(weight_hh, self._perturbations, layer)
        return weight_ih, weight_hh

    def extra_repr(self) -> str:
        """Describe the circuit's sizes and dynamics."""
        inputs = str(self.inputs.size)
        # A plain number of inputs was most likely given as one.
        if self.inputs.n_inh or self.inputs.types is not None:
            inputs = repr(self.inputs)
        parts = [inputs, self._describe_units()]
        if len(self._suffixes) > 1:
            parts.append(f"num_layers={len(self._suffixes)}")
        named = self.nonlinearity
        if not isinstance(named, str):
            named = "a function"
        parts.append(f"nonlinearity={named}")
        if self._leaks:
            leak = self.leak if isinstance(self.leak, float) else "one per unit"
            if self.train_tau:
                parts.append(f"dt_ms={self.dt_ms:g}, tau_ms={self._shown_tau()}")
            elif self.dt_ms is None:
                parts.append(f"leak={leak}")
            else:
                parts.append(f"dt_ms={self.dt_ms:g}, dt/tau={leak}")
        if self._has_dynamics and "dynamics" not in self._modules:
            parts.append(f"dynamics={shown_dynamics(self.dynamics)}")
        for name in ("noise", "input_noise", "rate_noise"):
            if getattr(self, name):
                parts.append(f"{name}={getattr(self, name):g}")
        return ", ".join(parts)

    def _describe_units(self) -> str:
        return self.populations.described()
