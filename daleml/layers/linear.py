"""Dense layers that keep Dale's law: column EI, and Dale's ANN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from daleml import _sparse_weights, require
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers import functional, init
from daleml.layers._shared import column_ei_parameters, dann_parameters, synapses
from daleml.layers._shared.acting_parameters import acting, acting_or_none
from daleml.layers._shared.checked_attributes import (
    AttributeCheck,
    CheckedAttributes,
    require_no_state,
)
from daleml.layers._shared.layer_options import DenseOptions
from daleml.layers._shared.sparse_product import times_rows
from daleml.layers._shared.step_weights import step_weight
from daleml.layers._shared.synapses import Synapses
from daleml.layers.init import redraw
from daleml.modules import SynapticWeight
from daleml.populations import Populations


@lists_options(DenseOptions)
class EILinear(CheckedAttributes):
    r"""A dense layer read by excitatory and inhibitory units ("column EI"), :math:`y = W x + b`.

    :math:`W` is signed and stored as it is, ``(out_features, in_features)``; the sign of column
    :math:`j` is that of presynaptic unit :math:`j`, so :math:`s_j W_{ij} \ge 0`. The forward
    pass is that of ``nn.Linear``: what keeps the law while it learns is the optimiser, ``EG``
    or any other under ``optim.enforce``.

    Args:
        populations: The presynaptic units: a partition, or an int for as many excitatory ones.
        out_features: Number of postsynaptic units, or a partition of them, whose names Blocks
            can use.
        bias: Whether to learn an additive bias, which has no sign to keep.
        excitatory_only: Whether to read the excitatory units alone, as projections out of a
            cortical circuit do: the input is of all units, the weight ``(out_features,
            n_exc)``.
        options: Options of a layer, by keyword.

    Shape:
        Input (*, in_features), any leading dimensions; output (*, out_features).

    Raises:
        TypeError: If a size is not an integer, or an option of the wrong kind.
        ValueError: If a size is below 1, there is no excitatory unit where only those are read,
            or an option does not fit the populations.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> layer = EILinear(Populations(40, 10), 5)
        >>> layer(torch.rand(8, 50)).shape
        torch.Size([8, 5])
        >>> layer
        EILinear(n_exc=40, n_inh=10, out_features=5, bias=True)
        >>> from daleml.layers import Blocks
        >>> areas = Populations.of(exc={"V1.E": 40}, inh={"V1.I": 10})
        >>> pfc = Populations.of(exc={"PFC.E": 4}, inh={"PFC.I": 1})
        >>> forward = EILinear(areas, pfc, mask=Blocks({"V1.E->PFC": 0.2}))
        >>> int((forward.weight[:, 40:] != 0).sum())
        0

    Notes:
        Presynaptic rates should be non-negative: the sign of a synapse means nothing for a
        negative rate. Initialised by ``layers.init.column_ei_``, with a bias that centres an
        all-excitatory layer. Under a mask that is a matrix or Blocks, each unit that reads both
        signs starts with an inhibition equal to its excitation, unless ``strength`` says how
        strong they are.

    References:
        Song, Yang & Wang 2016; Cornford et al. 2021 (ICLR), the column-EI baseline.
    """

    _closed = True

    _told = ("populations",)
    _fixed = frozenset(
        {"populations", "in_features", "out_features", "excitatory_only", "outputs"}
    )

    _synapses = Synapses()
    outputs: Populations | None = None
    """The partition of the postsynaptic units, where one was given."""

    def __init__(
        self,
        populations: Populations | int,
        out_features: int | Populations,
        bias: bool = True,
        *,
        excitatory_only: bool = False,
        **options: Unpack[DenseOptions],
    ) -> None:
        given = completed(EILinear, options_of(DenseOptions), options)
        super().__init__()
        self.populations = Populations.coerce(populations)
        self.in_features = self.populations.size
        if isinstance(out_features, Populations):
            self.outputs = out_features
            out_features = out_features.size
        self.out_features = require.integer("out_features", out_features, minimum=1)
        self.excitatory_only = require.flag("excitatory_only", excitatory_only)
        if self.excitatory_only and not self.populations.n_exc:
            raise ValueError(
                "`populations` must have an excitatory unit where `excitatory_only` is"
                " True; got none."
            )
        read = self.populations
        if self.excitatory_only:
            read = read.excitatory()
        post = self.outputs or Populations(self.out_features)
        self._synapses = synapses.of_layer((post, read), given)
        device, dtype = given["device"], given["dtype"]
        pattern = self._synapses.pattern
        shape = (self.out_features, read.size) if pattern is None else (pattern.size,)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        if pattern is not None:
            _sparse_weights.register(self, "weight", pattern, self.weight.device)
        self.bias: nn.Parameter | None
        self.register_parameter(
            "bias", _vector(self.out_features, device, dtype) if bias else None
        )
        self.reset_parameters(given["generator"])

    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the weight anew, its magnitudes from ``draw``, and fix its signs."""
        # The weight of a layer that reads excitatory units alone has their columns only.
        column_signs = self.populations.signs(device="cpu")
        if self.excitatory_only:
            column_signs = column_signs[self.populations.exc]
        column_ei_parameters.declare(self, self._synapses, column_signs)
        column_ei_parameters.draw_(
            self, self._synapses, column_signs, draw=draw, generator=generator
        )

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        if self.excitatory_only:
            # The slice below would pass an input that is too long.
            if input.shape[-1] != self.in_features:
                raise RuntimeError(
                    "input.size(-1) must be equal to in_features. Expected"
                    f" {self.in_features}, got {input.size(-1)}"
                )
            input = input[..., self.populations.exc]
        weight = step_weight(self, "weight")
        return times_rows(input, weight, acting_or_none(self, "bias"))

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input, signed: the weight, and 0 for units not read.

        Of a sparse weight it is ``torch.sparse_csr``.
        """
        weight = acting(self, "weight")
        pattern = _sparse_weights.pattern(self, "weight")
        if pattern is not None:
            return pattern.of_shape(self.out_features, self.in_features).csr(weight)
        n_unread = self.in_features - weight.shape[1]
        if not n_unread:
            return weight
        return nn.functional.pad(weight, (0, n_unread))

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the weight, see :class:`daleml.modules.DaleLayer`."""
        pre, units = self.populations, None
        if self.excitatory_only:
            pre, units = pre.excitatory(), pre.exc
        bias = None if self.bias is None else "bias"
        return (
            SynapticWeight(
                "weight", bias=bias, units=units, pre=pre, post=self.outputs
            ),
        )

    def redraw_(
        self,
        *,
        draw: init.Draw,
        ratio: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the weight anew, by magnitudes of another spread.

        See :class:`daleml.modules.DaleLayer`.
        """
        self.reset_parameters(generator, draw=redraw.for_column_ei(draw, ratio))

    def output_signs(self) -> Tensor | None:
        """Return the sign of each output if they are a partition.

        Else None: what reads the layer decides which of its units inhibit.
        """
        if self.outputs is None:
            return None
        return self.outputs.signs(device="cpu")

    def extra_repr(self) -> str:
        """Describe the layer's sizes."""
        sizes = (
            f"{self.populations.described()}, out_features={self.out_features},"
            f" bias={self.bias is not None}"
        )
        return sizes + ", excitatory_only=True" * self.excitatory_only


class DANNLinear(CheckedAttributes):
    r"""A dense layer of excitatory units with feed-forward inhibition (Dale's ANN).

    .. math:: y = (W_{ex} - W_{ei} W_{ix}) x + b

    and, with shunting inhibition,

    .. math::
        y = \frac{g}{\gamma} \odot (W_{ex} - W_{ei} W_{ix}) x + b, \qquad
        \gamma = \max\bigl((W_{ei} \odot e^{\alpha}) W_{ix} x,\; \epsilon\bigr).

    All three matrices and :math:`g` are non-negative; the minus is structure. Interneurons are
    linear. What keeps the law while it learns is the optimiser, ``EG`` or any other under
    ``optim.enforce``.

    Args:
        in_features: Number of inputs, all excitatory.
        out_features: Number of excitatory outputs.
        n_inh: Number of interneurons; default: a tenth of the outputs, at least 1.
        bias: Whether to learn an additive bias, which has no sign to keep.
        shunting: Whether inhibition also divides.
        eps: The weakest shunt that divides, see Notes. Used with ``shunting`` only.
        generator: Source of randomness for the weights; default: torch's global one.
        device: Where the parameters live.
        dtype: Their floating-point type.

    Shape:
        Input (*, in_features), any leading dimensions; output (*, out_features). ``weight_ex``
        (out_features, in_features), ``weight_ix`` (n_inh, in_features), ``weight_ei``
        (out_features, n_inh), and with shunting ``alpha`` (n_inh,), ``gain`` (out_features,).

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``eps`` is not positive.

    Example:
        >>> import torch
        >>> layer = DANNLinear(784, 500, n_inh=50, shunting=True)
        >>> layer(torch.rand(32, 784)).shape
        torch.Size([32, 500])
        >>> layer.effective_weight().shape
        torch.Size([500, 784])

    Notes:
        Inputs should be non-negative rates. The divisor is floored at ``eps``, where the
        published code adds 1e-8: at a silent input, or where a signed input would make it
        negative, the layer is subtractive with gain ``g / eps``, and its derivatives stay
        bounded. Wherever the shunt exceeds ``eps`` the formula holds exactly.

        ``weight_ix``, ``weight_ei`` and ``alpha`` touch every output, so they declare smaller
        learning rates (``1/sqrt(out)``, ``1/in`` and ``1/(sqrt(out) in)`` of the others'),
        which ``optim.param_groups`` applies. The released code scales gradients instead, which
        adaptive optimisers would undo.

        Initialised by ``layers.init.dann_``; ``layers.init.dann_iclr2021_`` is that of the
        first paper's code.

    References:
        Cornford et al. 2021 (ICLR); Li et al. 2023 (NeurIPS), for the initialisation.
    """

    _closed = True

    _fixed = frozenset({"in_features", "out_features", "n_inh", "shunting"})
    _told = ("eps",)
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {"eps": require.positive}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_inh: int | None = None,
        bias: bool = True,
        shunting: bool = False,
        *,
        eps: float = 1e-2,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = require.integer("in_features", in_features, minimum=1)
        self.out_features = require.integer("out_features", out_features, minimum=1)
        self.n_inh = dann_parameters.default_n_inh(out_features, n_inh)
        self.shunting = bool(shunting)
        self.eps = eps
        self.weight_ex = nn.Parameter(
            torch.empty(out_features, in_features, device=device, dtype=dtype)
        )
        self.weight_ix = nn.Parameter(
            torch.empty(self.n_inh, in_features, device=device, dtype=dtype)
        )
        self.weight_ei = nn.Parameter(
            torch.empty(out_features, self.n_inh, device=device, dtype=dtype)
        )
        # Registered as None where there is none, as torch does with a bias.
        self.alpha: nn.Parameter | None
        self.gain: nn.Parameter | None
        self.bias: nn.Parameter | None
        sizes = {"alpha": self.n_inh, "gain": out_features, "bias": out_features}
        for name, size in sizes.items():
            exists = bias if name == "bias" else shunting
            values = _vector(size, device, dtype) if exists else None
            self.register_parameter(name, values)
        self.reset_parameters(generator)

    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the weights anew, fix their signs, and reset gain and bias."""
        dann_parameters.declare(
            self,
            n_in=self.in_features,
            n_out=self.out_features,
            n_channels=self.in_features,
        )
        dann_parameters.draw_(self, draw=draw, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        weights, bias = dann_parameters.weights(self), acting_or_none(self, "bias")
        if not self.shunting:
            return functional.dann_linear(input, *weights, bias)
        # A divisor of rates is positive; of signed inputs it may not be.
        dann_parameters.look_once(self, input)
        alpha, gain = acting(self, "alpha"), acting(self, "gain")
        return functional.dann_shunting_linear(
            input, *weights, alpha, gain, bias, self.eps
        )

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input before any division, ``Wex - Wei Wix``, signed."""
        return functional.dann_effective_weight(*dann_parameters.weights(self))

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the excitatory weight, see :class:`daleml.modules.DaleLayer`."""
        bias = None if self.bias is None else "bias"
        return (
            SynapticWeight("weight_ex", bias=bias, parts=("weight_ix", "weight_ei")),
        )

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
        # Stronger inhibition divides more, for which `alpha` makes up.
        self.reset_parameters(generator, draw=redraw.for_dann(draw, ratio))
        redraw.weaken_shunt_(self, ratio)

    def output_signs(self) -> Tensor | None:
        """Return +1 for every output: they all excite."""
        return torch.ones(self.out_features)

    def extra_repr(self) -> str:
        """Describe the layer's sizes."""
        sizes = (
            f"in_features={self.in_features}, out_features={self.out_features},"
            f" n_inh={self.n_inh}"
        )
        return f"{sizes}, bias={self.bias is not None}, shunting={self.shunting}"


def _vector(
    size: int, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Parameter:
    return nn.Parameter(torch.empty(size, device=device, dtype=dtype))
