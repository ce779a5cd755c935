"""The bases of convolutions of any number of dimensions: column EI, and Dale's ANN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from daleml import require, signs
from daleml._support.shared_options import completed, lists_options, options_of
from daleml.layers import functional, init
from daleml.layers._shared import acting_parameters, dann_parameters
from daleml.layers._shared.acting_parameters import acting, acting_or_none, rewritten
from daleml.layers._shared.checked_attributes import (
    AttributeCheck,
    CheckedAttributes,
    require_no_state,
)
from daleml.layers._shared.conv_geometry import Geometry, Size
from daleml.layers._shared.convolution_options import DANNConvOptions
from daleml.layers.init import redraw
from daleml.modules import SynapticWeight
from daleml.populations import Populations


class ColumnEIConvolution(CheckedAttributes):
    """What column-EI convolutions of any number of dimensions share, above torch's own."""

    _told = ("populations",)
    _fixed = frozenset(
        {"populations", "in_channels", "out_channels", "kernel_size", "groups"}
    )

    populations: Populations
    groups: int
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        populations: Populations | int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        padding_mode: str = "zeros",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        populations = Populations.coerce(populations)
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
            self._dimensions, kernel_size, stride, padding, dilation, padding_mode
        )
        options: dict[str, Any] = {
            "groups": groups,
            "bias": bias,
            "device": device,
            "dtype": dtype,
        }
        super().__init__(populations.size, out_channels, **shape.to_dict(), **options)
        self.populations = populations
        self.reset_parameters(generator)

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
        signs.fix(self, "weight", channel_signs, default=True)
        if self.bias is not None:
            signs.declare(self, "bias", default=True)
        channel_signs = acting_parameters.unit_signs(self, "weight", channel_signs)
        present = acting_parameters.present(self, "weight")
        with (
            rewritten(self, "weight") as weight,
            acting_parameters.rewritten_or_none(self, "bias") as bias,
        ):
            biases = [None] * self.groups if bias is None else bias.chunk(self.groups)
            # Each group has presynaptic channels of its own, and is balanced alone.
            groups = zip(
                weight.chunk(self.groups),
                channel_signs.chunk(self.groups),
                biases,
                strict=True,
            )
            for kernels, group_signs, group_bias in groups:
                # Every tap of a kernel reads the same channel, and has its sign.
                tap_signs = group_signs.repeat_interleave(kernels[0, 0].numel())
                rows = kernels.flatten(1)
                init.column_ei_(
                    rows,
                    tap_signs,
                    group_bias,
                    input_mean=input_mean,
                    draw=draw,
                    generator=generator,
                )
                # In another order of memory, such as channels_last, the rows are a copy.
                kernels.copy_(rows.view(kernels.shape))
            # Channels with fewer synapses receive less, so less is cancelled.
            if bias is not None and present is not None:
                bias.mul_(present.flatten(1).double().mean(1).to(bias))

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
        return (SynapticWeight("weight", bias=bias, pre=self.populations),)

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
        """Return None: what reads the layer decides which of its channels inhibit."""
        return None

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
