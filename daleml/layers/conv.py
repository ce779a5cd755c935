"""Convolutions that keep Dale's law: column EI, and Dale's ANN, over one or two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from daleml import require, signs
from daleml.layers import acting_parameters, dann_parameters, functional, init
from daleml.layers.acting_parameters import acting, acting_or_none, rewritten
from daleml.layers.checked_attributes import Check, Settings, require_no_state
from daleml.layers.conv_geometry import Geometry, Size
from daleml.layers.init import redraw
from daleml.modules import SynapticWeight
from daleml.populations import Populations


class _EIConv(Settings):
    """What column-EI convolutions of any number of dimensions share, above torch's own convolution."""

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
        if not hasattr(
            self, "populations"
        ):  # torch's convolution asks for it before there are any
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
            groups = zip(
                weight.chunk(self.groups),
                channel_signs.chunk(self.groups),
                biases,
                strict=True,
            )
            for kernels, group_signs, group_bias in groups:
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
                kernels.copy_(
                    rows.view(kernels.shape)
                )  # in another order of memory the rows are a copy
            if bias is not None and present is not None:
                bias.mul_(present.flatten(1).double().mean(1).to(bias))

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        convolve: Any = self._conv_forward
        convolved: Tensor = convolve(
            input, acting(self, "weight"), acting_or_none(self, "bias")
        )
        return convolved

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input, signed, ``(out_channels, in_channels / groups, *kernel)``: the weight."""
        return acting(self, "weight")

    def plastic_weights(self) -> tuple[SynapticWeight, ...]:
        """Return what is known of the kernels, see :class:`daleml.modules.DaleLayer`."""
        return (SynapticWeight("weight", bias=None if self.bias is None else "bias"),)

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
        exc, inh = self.populations.n_exc, self.populations.n_inh
        rest = super().extra_repr().split(", ", 1)[1]
        return f"n_exc={exc}, n_inh={inh}, {rest}"


class EIConv2d(_EIConv, nn.Conv2d):
    r"""A convolution of excitatory and inhibitory channels ("column EI").

    Otherwise ``nn.Conv2d``, which it is.

    The kernels are signed and stored as they are; the sign of all weights that read input
    channel :math:`j` is that of the channel. What keeps the law while it learns is the
    optimiser, ``EG`` or any other under ``optim.enforce``.

    Args:
        populations: The input channels: a partition, or an int for as many excitatory ones.
        out_channels: Number of output channels.
        kernel_size: Size of the kernel: an int, or (height, width).
        stride: Step of the kernel.
        padding: Pixels added on each side, or ``"same"`` or ``"valid"``.
        dilation: Distance between taps.
        groups: Number of groups of channels convolved apart.
        bias: Whether to learn an additive bias, which has no sign to keep.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        generator: Source of randomness for the weights; default: torch's global one.
        device: Where the parameters live.
        dtype: Their floating-point type.

    Shape:
        Input (N, in_channels, height, width) or unbatched; output as of ``nn.Conv2d``.

    Raises:
        TypeError: If a size is not an integer, or not one or two of them.
        ValueError: If a size is too small, ``groups`` does not divide the channels, or a
            padding is unknown.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIConv2d
        >>> layer = EIConv2d(Populations(24, 8), 16, kernel_size=3, padding=1)
        >>> layer(torch.rand(2, 32, 10, 10)).shape
        torch.Size([2, 16, 10, 10])

    Notes:
        Initialised by ``layers.init.column_ei_`` over all taps of a kernel. On a first layer,
        whose channels all excite, call ``reset_parameters(input_mean=...)`` with the mean
        pixel.

    References:
        Cornford et al. 2021 (ICLR), for dense layers. Departure: convolution is ours.
    """

    _closed = True

    _dimensions = 2


class EIConv1d(_EIConv, nn.Conv1d):
    r"""A convolution over one dimension of excitatory and inhibitory channels.

    See :class:`EIConv2d`.

    Shape:
        Input (N, in_channels, length) or unbatched; output as of ``nn.Conv1d``.

    Example:
        >>> import torch
        >>> from daleml.layers import EIConv1d
        >>> EIConv1d(4, 8, kernel_size=5, padding="same")(torch.rand(2, 4, 30)).shape
        torch.Size([2, 8, 30])
    """

    _closed = True

    _dimensions = 1


class _DANNConv(Settings):
    """What Dale's ANNs over any number of dimensions share."""

    _dimensions: int
    _fixed = frozenset({"in_channels", "out_channels", "geometry", "n_inh", "shunting"})
    _told = ("eps",)
    _checked: ClassVar[Mapping[str, Check]] = {"eps": require.positive}

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
        *,
        padding_mode: str = "zeros",
        eps: float = 1e-2,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = require.integer("in_channels", in_channels, minimum=1)
        self.out_channels = require.integer("out_channels", out_channels, minimum=1)
        self.n_inh = (
            max(out_channels // 10, 1)
            if n_inh is None
            else require.integer("n_inh", n_inh, minimum=1)
        )
        self.geometry = Geometry.of(
            self._dimensions, kernel_size, stride, padding, dilation, padding_mode
        )
        self.shunting = bool(shunting)
        self.eps = eps

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight_ex = empty(out_channels, in_channels, *self.geometry.kernel_size)
        self.weight_ix = empty(self.n_inh, in_channels, *self.geometry.kernel_size)
        self.weight_ei = empty(out_channels, self.n_inh)
        self.alpha: nn.Parameter | None
        self.gain: nn.Parameter | None
        self.bias: nn.Parameter | None
        self.register_parameter("alpha", empty(self.n_inh) if shunting else None)
        self.register_parameter("gain", empty(out_channels) if shunting else None)
        self.register_parameter("bias", empty(out_channels) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(
        self,
        generator: torch.Generator | None = None,
        *,
        draw: init.Draw = init.exponential_,
    ) -> None:
        """Draw the weights anew, those that excite from ``draw``, fix their signs, and reset gain and bias."""
        n_in = self.weight_ex[0].numel()
        dann_parameters.declare(
            self, n_in=n_in, n_out=self.out_channels, n_channels=self.in_channels
        )
        dann_parameters.draw_(self, draw=draw, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer."""
        require_no_state(input)
        weights, bias = dann_parameters.weights(self), acting_or_none(self, "bias")
        if self.alpha is None or self.gain is None:
            return functional.dann_convolution(input, *weights, bias, self.geometry)
        dann_parameters.look_once(self, input)
        alpha, gain = acting(self, "alpha"), acting(self, "gain")
        return functional.dann_shunting_convolution(
            input, *weights, alpha, gain, bias, self.eps, self.geometry
        )

    def effective_weight(self) -> Tensor:
        """Return what multiplies the input before any division, signed, ``(out_channels, in_channels, *kernel)``."""
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


class DANNConv2d(_DANNConv):
    r"""A convolution of excitatory channels with feed-forward inhibition (Dale's ANN).

    Two banks of non-negative filters read the same taps: :math:`W_{ex}` excites the outputs,
    :math:`W_{ix}` the interneurons, which inhibit the outputs at their own pixel through
    :math:`W_{ei}`:

    .. math:: y = W_{ex} * x - W_{ei} (W_{ix} * x) + b

    and, with shunting inhibition, pixel by pixel,

    .. math::
        y = \frac{g}{\gamma} \odot \bigl(W_{ex} * x - W_{ei} (W_{ix} * x)\bigr) + b, \qquad
        \gamma = \max\bigl((W_{ei} \odot e^{\alpha}) (W_{ix} * x),\; \epsilon\bigr).

    All three and :math:`g` are non-negative; the minus is structure. What keeps the law while
    it learns is the optimiser, ``EG`` or any other under ``optim.enforce``.

    Args:
        in_channels: Number of input channels, all excitatory.
        out_channels: Number of output channels, all excitatory.
        kernel_size: Size of both banks' filters: an int, or (height, width).
        n_inh: Number of inhibitory channels; default: a tenth of the outputs, at least 1.
        stride: Step of the kernel.
        padding: Pixels added on each side, or ``"same"`` or ``"valid"``.
        dilation: Distance between taps.
        bias: Whether to learn an additive bias, which has no sign to keep.
        shunting: Whether inhibition also divides.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        eps: The weakest shunt that divides, see :class:`~daleml.layers.DANNLinear`. Used with
            ``shunting`` only.
        generator: Source of randomness for the weights; default: torch's global one.
        device: Where the parameters live.
        dtype: Their floating-point type.

    Shape:
        Input (N, in_channels, height, width) or unbatched; output as of ``nn.Conv2d``.
        ``weight_ex`` ``(out_channels, in_channels, *kernel)``, ``weight_ix``
        ``(n_inh, in_channels, *kernel)``, ``weight_ei`` ``(out_channels, n_inh)``, and with
        shunting ``alpha`` ``(n_inh,)``, ``gain`` ``(out_channels,)``.

    Raises:
        TypeError: If a size is not an integer, or not one or two of them.
        ValueError: If a size is too small, a padding is unknown, or ``eps`` is not positive.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNConv2d
        >>> layer = DANNConv2d(3, 16, kernel_size=3, padding=1, shunting=True)
        >>> layer(torch.rand(2, 3, 10, 10)).shape
        torch.Size([2, 16, 10, 10])
        >>> layer.effective_weight().shape
        torch.Size([16, 3, 3, 3])

    Notes:
        A 1 x 1 kernel is :class:`~daleml.layers.DANNLinear` at each pixel, and a kernel as
        large as the image is ``DANNLinear`` on the flattened image. So it is initialised as one
        of :math:`d` = in_channels · height · width inputs, and its weights declare the same
        smaller learning rates, of that :math:`d`.

    References:
        Cornford et al. 2021 (ICLR), appendix on convolution, and the dense layer's released code.
    """

    _closed = True

    _dimensions = 2


class DANNConv1d(_DANNConv):
    r"""A convolution over one dimension with feed-forward inhibition: see :class:`DANNConv2d`.

    Shape:
        Input (N, in_channels, length) or unbatched; output as of ``nn.Conv1d``.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNConv1d
        >>> DANNConv1d(4, 8, kernel_size=5, padding="same")(torch.rand(2, 4, 30)).shape
        torch.Size([2, 8, 30])
    """

    _closed = True

    _dimensions = 1
