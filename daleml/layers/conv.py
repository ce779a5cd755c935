"""Convolutions that keep Dale's law: column EI, and Dale's ANN, over one or two dimensions."""

from __future__ import annotations

from torch import nn

from daleml._support.shared_options import lists_options
from daleml.layers._shared.convolution import ColumnEIConvolution, DANNConvolution
from daleml.layers._shared.convolution_options import DANNConvOptions
from daleml.layers._shared.layer_options import ConvOptions


@lists_options(ConvOptions)
class EIConv2d(ColumnEIConvolution, nn.Conv2d):
    r"""A convolution of excitatory and inhibitory channels ("column EI").

    Otherwise ``nn.Conv2d``, which it is.

    The kernels are signed and stored as they are; the sign of all weights that read input
    channel :math:`j` is that of the channel. What keeps the law while it learns is the
    optimiser, ``EG`` or any other under ``optim.enforce``.

    Args:
        populations: The input channels: a partition, or an int for as many excitatory ones.
        out_channels: Number of output channels, or a partition of them, whose names Blocks can
            use.
        kernel_size: Size of the kernel: an int, or (height, width).
        stride: Step of the kernel.
        padding: Pixels added on each side, or ``"same"`` or ``"valid"``.
        dilation: Distance between taps.
        groups: Number of groups of channels convolved apart.
        bias: Whether to learn an additive bias, which has no sign to keep.
        options: Options by keyword.

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


@lists_options(ConvOptions)
class EIConv1d(ColumnEIConvolution, nn.Conv1d):
    r"""A convolution over one dimension of excitatory and inhibitory channels.

    Otherwise it is :class:`EIConv2d`.

    Args:
        populations: The input channels: a partition, or an int for as many excitatory ones.
        out_channels: Number of output channels, or a partition of them, whose names Blocks can
            use.
        kernel_size: Size of the kernel.
        stride: Step of the kernel.
        padding: Samples added at each end, or ``"same"`` or ``"valid"``.
        dilation: Distance between taps.
        groups: Number of groups of channels convolved apart.
        bias: Whether to learn an additive bias, which has no sign to keep.
        options: Options by keyword.

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


@lists_options(DANNConvOptions)
class DANNConv2d(DANNConvolution):
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
        options: Options by keyword.

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


@lists_options(DANNConvOptions)
class DANNConv1d(DANNConvolution):
    r"""A convolution over one dimension with feed-forward inhibition (Dale's ANN).

    .. math:: y = W_{ex} * x - W_{ei} (W_{ix} * x) + b

    Shunting, initialisation and learning rates are those of :class:`DANNConv2d`.

    Args:
        in_channels: Number of input channels, all excitatory.
        out_channels: Number of output channels, all excitatory.
        kernel_size: Size of both banks' filters.
        n_inh: Number of inhibitory channels; default: a tenth of the outputs, at least 1.
        stride: Step of the kernel.
        padding: Samples added at each end, or ``"same"`` or ``"valid"``.
        dilation: Distance between taps.
        bias: Whether to learn an additive bias, which has no sign to keep.
        shunting: Whether inhibition also divides.
        options: Options by keyword.

    Shape:
        Input (N, in_channels, length) or unbatched; output as of ``nn.Conv1d``.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNConv1d
        >>> DANNConv1d(4, 8, kernel_size=5, padding="same")(torch.rand(2, 4, 30)).shape
        torch.Size([2, 8, 30])

    References:
        Cornford et al. 2021 (ICLR), appendix on convolution, and the dense layer's released code.
    """

    _closed = True

    _dimensions = 1
