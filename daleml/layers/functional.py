"""The maths of the layers, as functions of tensors.

Weights are ``(post, pre)``; all of a DANN's are non-negative.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, linear

from daleml.layers._shared.conv_geometry import Geometry

# Measured on one thread of a CPU, for 10 to 500 outputs, 64 to 784 inputs and 1 to 383 rows: with
# these two, no choice was more than about a tenth slower than the other way.
_CALLS = 5e5
"""The floating-point operations that take as long as the calls that composing saves."""
_OUTPUT = 200
"""The operations that take as long as one number of the output that is written twice."""


def dann_effective_weight(
    weight_ex: Tensor, weight_ix: Tensor, weight_ei: Tensor
) -> Tensor:
    r"""Compose a DANN's three matrices into what multiplies its input.

    .. math:: W = W_{ex} - W_{ei} W_{ix}

    Args:
        weight_ex: What excites the outputs.
        weight_ix: What excites the interneurons.
        weight_ei: What the interneurons take off the outputs.

    Returns:
        The effective weight, signed.

    Shape:
        ``weight_ex`` (post, pre), ``weight_ix`` (n_inh, pre), ``weight_ei`` (post, n_inh) ->
        (post, pre). Filter banks have their taps after ``pre``.

    Example:
        >>> import torch
        >>> ex, ix, ei = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 1)
        >>> dann_effective_weight(ex, ix, ei)
        tensor([[ 2., -1.]])
    """
    if weight_ex.ndim == 2:
        return torch.addmm(weight_ex, weight_ei, weight_ix, alpha=-1)
    flat = torch.addmm(weight_ex.flatten(1), weight_ei, weight_ix.flatten(1), alpha=-1)
    return flat.view(weight_ex.shape)


def dann_linear(
    x: Tensor,
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    bias: Tensor | None,
) -> Tensor:
    r"""Excite and subtract inhibition.

    .. math:: y = (W_{ex} - W_{ei} W_{ix}) x + b

    Few rows are cheaper through the interneurons, ``Wex x - Wei (Wix x)``; many rows are
    cheaper through the effective weight, composed once. Both give the same result;
    :func:`prefers_effective` chooses.

    Args:
        x: The input.
        weight_ex: What excites the outputs.
        weight_ix: What excites the interneurons.
        weight_ei: What the interneurons take off the outputs.
        bias: What is added, or None.

    Returns:
        The output.

    Shape:
        ``x`` (*, pre), ``weight_ex`` (post, pre), ``weight_ix`` (n_inh, pre), ``weight_ei``
        (post, n_inh), ``bias`` (post,) -> (*, post).

    Example:
        >>> import torch
        >>> ex, ix, ei = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 1)
        >>> dann_linear(torch.tensor([[1.0, 1.0]]), ex, ix, ei, None)
        tensor([[1.]])

    References:
        Cornford et al. 2021 (ICLR), without the divisive term.
    """
    # Under `no_grad` the counts are those of a forward pass, which cross where the full ones do.
    forward_or_full = x.requires_grad or not torch.is_grad_enabled()
    post, pre = weight_ex.shape
    n_inh, rows = weight_ix.shape[0], x.numel() // pre
    if prefers_effective(rows, post, pre, n_inh, input_gradient=forward_or_full):
        return linear(x, dann_effective_weight(weight_ex, weight_ix, weight_ei), bias)
    return linear(x, weight_ex, bias) - linear(linear(x, weight_ix), weight_ei)


def prefers_effective(
    rows: int,
    post: int,
    pre: int,
    n_inh: int | None = None,
    *,
    input_gradient: bool,
) -> bool:
    r"""Whether composing the effective weight costs less than going through the interneurons.

    Composing takes ``n_inh * post * pre`` multiplications whatever the batch, the detour ``n_inh
    * (post + pre)`` per row. In a forward pass, and in forward and backward together where the
    input needs a gradient, their counts cross where

    .. math:: \mathrm{rows}\, (\mathrm{post} + \mathrm{pre}) = \mathrm{post}\, \mathrm{pre},

    and without that gradient, which saves the detour one product, at :math:`3\,
    \mathrm{post}\, \mathrm{pre} / (2\, \mathrm{pre} + 3\, \mathrm{post})` rows. The detour
    also makes more calls and writes its output twice, which decides for small layers.

    Args:
        rows: Number of inputs.
        post: Number of outputs of each.
        pre: Length of each input.
        n_inh: Number of interneurons; None to compare the counts alone, which do not depend on
            it.
        input_gradient: Whether the input needs a gradient, or nothing does.

    Returns:
        True to compose.

    Example:
        >>> prefers_effective(32, 100, 100, 10, input_gradient=True)
        True
        >>> prefers_effective(32, 500, 784, 50, input_gradient=True)
        False
    """
    # What is exported or compiled serves batches of any size, of which none may decide, nor
    # have a graph of its own. The detour is never much slower, where composing for a single
    # row may be.
    if torch.compiler.is_compiling():
        return False
    # Both counts are of products forward and backward, of one interneuron. Without the gradient
    # of its input, the detour saves one of its six.
    composed = 3 * post * pre
    detour = rows * 3 * (post + pre)
    if not input_gradient:
        detour -= rows * pre
    if n_inh is None:
        return detour >= composed
    return 2 * n_inh * (composed - detour) <= _CALLS + _OUTPUT * rows * post


def dann_shunting_linear(
    x: Tensor,
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    alpha: Tensor,
    gain: Tensor,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    r"""Excite, subtract inhibition, and divide by it.

    .. math::
        z_i = W_{ix} x, \qquad
        \gamma = \max\bigl((W_{ei} \odot e^{\alpha}) z_i,\; \epsilon\bigr), \qquad
        y = \frac{g}{\gamma} \odot (W_{ex} x - W_{ei} z_i) + b

    Args:
        x: The input.
        weight_ex: What excites the outputs.
        weight_ix: What excites the interneurons.
        weight_ei: What the interneurons take off the outputs.
        alpha: Logarithm of how much more each interneuron divides than it subtracts.
        gain: What multiplies each output.
        bias: What is added, or None.
        eps: The weakest shunt that divides.

    Returns:
        The output.

    Shape:
        ``x`` (*, pre), the weights as in :func:`dann_linear`, ``alpha`` (n_inh,), ``gain`` and
        ``bias`` (post,) -> (*, post).

    Example:
        >>> import torch
        >>> ex, ix, ei = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 1)
        >>> alpha, gain = torch.zeros(1), torch.ones(1)
        >>> dann_shunting_linear(torch.ones(1, 2), ex, ix, ei, alpha, gain, None, 0.01)
        tensor([[0.3333]])

    Notes:
        The published code adds 1e-8 to :math:`\gamma` instead, so its gradient at a silent input
        is about 1e8 times the weight. Here a shunt weaker than :math:`\epsilon` stops shunting:
        inhibition is then subtractive, with gain :math:`g / \epsilon`, and every derivative is
        bounded. The same floor holds where a signed input would make the divisor negative.

    References:
        Cornford et al. 2021 (ICLR), the released code.
    """
    rates = linear(x, weight_ix)
    shunt = linear(rates, weight_ei * alpha.exp()).clamp(min=eps)
    y = gain * (linear(x, weight_ex) - linear(rates, weight_ei)) / shunt
    return y if bias is None else y + bias


def dann_convolution(
    x: Tensor,
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    r"""Convolve with excitation less inhibition.

    .. math:: y = W_{ex} * x - W_{ei} (W_{ix} * x) + b

    Every place where the kernel meets the image is a row of :func:`dann_linear`, and
    :func:`prefers_effective` chooses between one convolution with the effective kernel and the
    detour through the interneurons.

    Args:
        x: The images.
        weight_ex: The filters that excite the outputs.
        weight_ix: The filters that excite the interneurons.
        weight_ei: What the interneurons take off the outputs at their own place.
        bias: What is added, or None.
        geometry: How the kernel meets the image, such as the ``geometry`` of a layer.

    Returns:
        The output.

    Shape:
        ``x`` ``(N, pre, *size)`` or unbatched, ``weight_ex`` ``(post, pre, *kernel)``,
        ``weight_ix`` ``(n_inh, pre, *kernel)``, ``weight_ei`` ``(post, n_inh)``, ``bias``
        ``(post,)`` -> ``(N, post, *size)``.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNConv1d
        >>> layer = DANNConv1d(2, 4, kernel_size=3)
        >>> weights = layer.weight_ex, layer.weight_ix, layer.weight_ei
        >>> dann_convolution(torch.rand(1, 2, 10), *weights, layer.bias, layer.geometry).shape
        torch.Size([1, 4, 8])
    """
    forward_or_full = x.requires_grad or not torch.is_grad_enabled()
    post, pre = weight_ex.shape[0], weight_ex[0].numel()
    if prefers_effective(
        geometry.positions(x), post, pre, input_gradient=forward_or_full
    ):
        kernel = dann_effective_weight(weight_ex, weight_ix, weight_ei)
        return geometry.convolve(x, kernel, bias)
    inhibition = _pointwise(geometry.convolve(x, weight_ix), weight_ei, geometry)
    return geometry.convolve(x, weight_ex, bias) - inhibition


def dann_shunting_convolution(
    x: Tensor,
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    alpha: Tensor,
    gain: Tensor,
    bias: Tensor | None,
    eps: float,
    geometry: Geometry,
) -> Tensor:
    r"""Convolve as :func:`dann_convolution` does, and divide by the inhibition at each place.

    .. math::
        z_i = W_{ix} * x, \qquad
        \gamma = \max\bigl((W_{ei} \odot e^{\alpha}) z_i,\; \epsilon\bigr), \qquad
        y = \frac{g}{\gamma} \odot (W_{ex} * x - W_{ei} z_i) + b

    Args:
        x: The images.
        weight_ex: The filters that excite the outputs.
        weight_ix: The filters that excite the interneurons.
        weight_ei: What the interneurons take off the outputs at their own place.
        alpha: Logarithm of how much more each interneuron divides than it subtracts.
        gain: What multiplies each output channel.
        bias: What is added, or None.
        eps: The weakest shunt that divides.
        geometry: How the kernel meets the image, such as the ``geometry`` of a layer.

    Returns:
        The output.

    Shape:
        ``x`` ``(N, pre, *size)`` or unbatched, the weights as in :func:`dann_convolution`,
        ``alpha`` ``(n_inh,)``, ``gain`` and ``bias`` ``(post,)`` -> ``(N, post, *size)``.

    Example:
        >>> import torch
        >>> from daleml.layers import DANNConv1d
        >>> layer = DANNConv1d(2, 4, kernel_size=3, shunting=True)
        >>> weights = layer.weight_ex, layer.weight_ix, layer.weight_ei
        >>> others = layer.alpha, layer.gain, layer.bias, layer.eps, layer.geometry
        >>> dann_shunting_convolution(torch.rand(1, 2, 10), *weights, *others).shape
        torch.Size([1, 4, 8])
    """
    per_channel = (-1,) + (1,) * len(geometry.kernel_size)
    rates = geometry.convolve(x, weight_ix)
    shunt = _pointwise(rates, weight_ei * alpha.exp(), geometry).clamp(min=eps)
    drive = geometry.convolve(x, weight_ex) - _pointwise(rates, weight_ei, geometry)
    y = gain.view(per_channel) * drive / shunt
    return y if bias is None else y + bias.view(per_channel)


def _pointwise(rates: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Multiply the channels of each pixel by a matrix, (post, pre)."""
    if len(geometry.kernel_size) == 1:
        return conv1d(rates, weight[..., None])
    return conv2d(rates, weight[..., None, None])
