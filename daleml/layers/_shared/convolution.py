"""The bases of convolutions of any number of dimensions: column EI, and Dale's ANN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from daleml import require
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers import functional, init
from daleml.layers._shared import column_ei_parameters, dann_parameters, synapses
from daleml.layers._shared.acting_parameters import acting, acting_or_none
from daleml.layers._shared.checked_attributes import (
    AttributeCheck,
    CheckedAttributes,
    require_no_state,
)
from daleml.layers._shared.conv_geometry import Geometry, Size
from daleml.layers._shared.convolution_options import DANNConvOptions
from daleml.layers._shared.layer_options import ConvOptions
from daleml.layers._shared.synapses import Synapses
from daleml.layers.init import redraw
from daleml.modules import SynapticWeight
from daleml.populations import Populations


@lists_options(ConvOptions)
class ColumnEIConvolution(CheckedAttributes):
    """What column-EI convolutions of any number of dimensions share, above torch's own."""

    _told = ("populations",)
    _fixed = frozenset(
        {
            "populations",
            "outputs",
            "in_channels",
            "out_channels",
            "kernel_size",
            "groups",
        }
    )

    populations: Populations
    outputs: Populations | None = None
    """The partition of the output channels, where one was given."""
    groups: int
    weight: Tensor
    bias: Tensor | None
    _synapses = Synapses()

    def __init__(
        self,
        populations: Populations | int,
        out_channels: int | Populations,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        **options: Unpack[ConvOptions],
    ) -> None:
        given = completed(type(self), options_of(ConvOptions), options)
        populations = Populations.coerce(populations)
        outputs = None
        if isinstance(out_channels, Populations):
            outputs, out_channels = out_channels, out_channels.size
        out_channels = require.integer("out_channels", out_channels, minimum=1)
        groups = require.integer("groups", groups, minimum=1)
        for name, channels in (
            ("populations", populations.size),
            ("out_channels", out_channels),
        ):
            if channels % groups:
                raise ValueError(
                    f"`groups` must divide the number of channels; got {groups} for"
                    f" {channels} ({name})."
                )
        shape = Geometry.of(
            self._dimensions,
            kernel_size,
            stride,
            padding,
            dilation,
            given["padding_mode"],
        )
        of_torch: dict[str, Any] = {
            "groups": groups,
            "bias": bias,
            "device": given["device"],
            "dtype": given["dtype"],
        }
        post = outputs or Populations(out_channels)
        by_channel = synapses.of_layer((post, populations), given)
        super().__init__(populations.size, out_channels, **shape.to_dict(), **of_torch)
        self.outputs = outputs
        self._synapses = by_channel.of_kernel(groups, tuple(self.weight.shape[2:]))
        self.populations = populations
        self.reset_parameters(given["generator"])

    _dimensions: int

    @torch.no_grad()
    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        input_mean: float = init.RECTIFIED_MEAN,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the kernels anew, and fix their signs.

        Args:
            generator: Source of randomness; default: torch's global one.
            input_mean: Mean of the input, by which the bias centres channels of one sign only:
                for a layer that reads an image, the mean pixel; default: that of a rectified
                Gaussian.
            draw: Distribution of the magnitudes, given their mean.
        """
        # Torch's own constructor calls this before there are populations.
        if not hasattr(self, "populations"):
            return
        channel_signs = self.populations.signs(device="cpu")
        column_ei_parameters.declare(self, self._synapses, channel_signs)
        column_ei_parameters.draw_(
            self,
            self._synapses,
            channel_signs,
            draw=draw,
            generator=generator,
            input_mean=input_mean,
            groups=self.groups,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        # torch's own pass, shown the kernels as they act: masked, or computed.
        convolve: Any = self._conv_forward
        convolved: Tensor = convolve(
            input, acting(self, "weight"), acting_or_none(self, "bias")
        )
        return convolved

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input, signed: the weight.

        Shape:
            ``(out_channels, in_channels / groups, *kernel)``.
        """
        return acting(self, "weight")

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the kernels, see :class:`daleml.modules.DaleLayer`."""
        bias = None if self.bias is None else "bias"
        return (
            SynapticWeight(
                "weight", bias=bias, pre=self.populations, post=self.outputs
            ),
        )

    def redraw_(
        self,
        *,
        draw: init.Draw,
        ratio: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw the kernels anew, by magnitudes of another spread.

        See :class:`daleml.modules.DaleLayer`.
        """
        self.reset_parameters(generator, draw=redraw.for_column_ei(draw, ratio))

    def output_signs(self) -> Tensor | None:
        """Return the sign of each output channel if they are a partition.

        Else None: what reads the layer decides which of its channels inhibit.
        """
        if self.outputs is None:
            return None
        return self.outputs.signs(device="cpu")

    def extra_repr(self) -> str:
        """Describe the populations, and what nn.Conv says of the rest."""
        rest = super().extra_repr().split(", ", 1)[1]
        return f"{self.populations.described()}, {rest}"


@lists_options(DANNConvOptions)
class DANNConvolution(CheckedAttributes):
    """What Dale's ANNs over any number of dimensions share."""

    _dimensions: int
    _fixed = frozenset({"in_channels", "out_channels", "geometry", "n_inh", "shunting"})
    _told = ("eps",)
    _checked: ClassVar[Mapping[str, AttributeCheck]] = {"eps": require.positive}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        n_inh: int | None = None,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        bias: bool = True,
        shunting: bool = False,
        **options: Unpack[DANNConvOptions],
    ) -> None:
        given = completed(type(self), options_of(DANNConvOptions), options)
        super().__init__()
        self.in_channels = require.integer("in_channels", in_channels, minimum=1)
        self.out_channels = require.integer("out_channels", out_channels, minimum=1)
        self.n_inh = dann_parameters.default_n_inh(out_channels, n_inh)
        self.geometry = Geometry.of(
            self._dimensions,
            kernel_size,
            stride,
            padding,
            dilation,
            given["padding_mode"],
        )
        self.shunting = bool(shunting)
        self.eps = given["eps"]
        factory = {"device": given["device"], "dtype": given["dtype"]}

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, **factory))

        self.weight_ex = empty(out_channels, in_channels, *self.geometry.kernel_size)
        self.weight_ix = empty(self.n_inh, in_channels, *self.geometry.kernel_size)
        self.weight_ei = empty(out_channels, self.n_inh)
        self.alpha: nn.Parameter | None
        self.gain: nn.Parameter | None
        self.bias: nn.Parameter | None
        sizes = {"alpha": self.n_inh, "gain": out_channels, "bias": out_channels}
        for name, size in sizes.items():
            exists = bias if name == "bias" else shunting
            self.register_parameter(name, empty(size) if exists else None)
        self.reset_parameters(given["generator"])

    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the weights anew, fix their signs, and reset gain and bias."""
        n_in = self.weight_ex[0].numel()
        dann_parameters.declare(
            self, n_in=n_in, n_out=self.out_channels, n_channels=self.in_channels
        )
        dann_parameters.draw_(self, draw=draw, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        weights, bias = dann_parameters.weights(self), acting_or_none(self, "bias")
        if not self.shunting:
            return functional.dann_convolution(input, *weights, bias, self.geometry)
        dann_parameters.look_once(self, input)
        alpha, gain = acting(self, "alpha"), acting(self, "gain")
        return functional.dann_shunting_convolution(
            input, *weights, alpha, gain, bias, self.eps, self.geometry
        )

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input before any division, signed.

        Shape:
            ``(out_channels, in_channels, *kernel)``.
        """
        return functional.dann_effective_weight(*dann_parameters.weights(self))

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the excitatory kernels, see :class:`daleml.modules.DaleLayer`."""
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
        """Draw the kernels anew, by magnitudes of another spread.

        See :class:`daleml.modules.DaleLayer`.
        """
        self.reset_parameters(generator, draw=redraw.for_dann(draw, ratio))
        redraw.weaken_shunt_(self, ratio)

    def output_signs(self) -> Tensor | None:
        """Return +1 for every channel: they all excite."""
        return torch.ones(self.out_channels)

    def extra_repr(self) -> str:
        """Describe the layer's sizes."""
        sizes = (
            f"{self.in_channels}, {self.out_channels}, n_inh={self.n_inh},"
            f" {self.geometry.describe()}"
        )
        return f"{sizes}, bias={self.bias is not None}, shunting={self.shunting}"
