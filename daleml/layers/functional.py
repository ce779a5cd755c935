"""The maths of the layers, as functions of tensors.

Weights are ``(post, pre)``; all of a DANN's are non-negative.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, linear

from daleml.layers.conv_geometry import Geometry


def dann_effective_weight(
    weight_ex: Tensor, weight_ix: Tensor, weight_ei: Tensor
) -> Tensor:
    r"""Compose a DANN's three matrices into what multiplies its input, :math:`W = W_{ex} - W_{ei} W_{ix}`.

    Shape:
        ``weight_ex`` (post, pre), ``weight_ix`` (n_inh, pre), ``weight_ei`` (post, n_inh) ->
        (post, pre). Filter banks have their taps after ``pre``.
    """
    if weight_ex.ndim == 2:
        return torch.addmm(weight_ex, weight_ei, weight_ix, alpha=-1)
    return torch.addmm(
        weight_ex.flatten(1), weight_ei, weight_ix.flatten(1), alpha=-1
    ).view(weight_ex.shape)


def dann_linear(
    x: Tensor,
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    bias: Tensor | None,
) -> Tensor:
    r"""Excite and subtract inhibition, :math:`y = (W_{ex} - W_{ei} W_{ix}) x + b`.

    Few rows are cheaper through the interneurons, ``Wex x - Wei (Wix x)``; many rows are
    cheaper through the effective weight, composed once. Both give the same result;
    :func:`prefers_effective` chooses.

    Shape:
        ``x`` (*, pre) -> (*, post).

    References:
        Cornford et al. 2021 (ICLR), without the divisive term.
    """
    forward_or_full = x.requires_grad or not torch.is_grad_enabled()
    if prefers_effective(
        x.numel() // x.shape[-1], *weight_ex.shape, input_gradient=forward_or_full
    ):
        return linear(x, dann_effective_weight(weight_ex, weight_ix, weight_ei), bias)
    return linear(x, weight_ex, bias) - linear(linear(x, weight_ix), weight_ei)


def prefers_effective(rows: int, post: int, pre: int, *, input_gradient: bool) -> bool:
    r"""Whether composing the effective weight costs fewer products than going through the interneurons.

    Composing costs ``n_inh * post * pre`` multiplications whatever the batch, the detour
    ``n_inh * (post + pre)`` a row: in a forward pass, and in forward and backward together when
    the input needs a gradient, they cross at ``post * pre / (post + pre)`` rows. Without that
    gradient the detour saves one product, and they cross at ``3 * post * pre / (2 * pre + 3 *
    post)``. Neither depends on the number of interneurons.
    """
    if input_gradient:
        return rows * (post + pre) >= post * pre
    return rows * (2 * pre + 3 * post) >= 3 * post * pre


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

    Shape:
        ``x`` (*, pre), ``alpha`` (n_inh,), ``gain`` (post,) -> (*, post).

    Notes:
        The published code adds 1e-8 to :math:`\gamma` instead, so its gradient at a silent input is about 1e8 times
        the weight. Here a shunt weaker than :math:`\epsilon` stops shunting: inhibition is then subtractive, with gain
        :math:`g / \epsilon`, and every derivative is bounded. The same floor holds where a signed input would make the
        divisor negative.

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
    r"""Convolve with excitation less inhibition, :math:`y = W_{ex} * x - W_{ei} (W_{ix} * x) + b`.

    Every place where the kernel meets the image is a row of :func:`dann_linear`, and
    :func:`prefers_effective` chooses between one convolution with the effective kernel and the
    detour through the interneurons.

    Shape:
        ``x`` ``(N, pre, *size)`` or unbatched, ``weight_ex`` ``(post, pre, *kernel)``,
        ``weight_ix`` ``(n_inh, pre, *kernel)``, ``weight_ei`` ``(post, n_inh)`` ->
        ``(N, post, *size)``.
    """
    forward_or_full = x.requires_grad or not torch.is_grad_enabled()
    post, pre = weight_ex.shape[0], weight_ex[0].numel()
    if prefers_effective(
        geometry.positions(x), post, pre, input_gradient=forward_or_full
    ):
        return geometry.convolve(
            x, dann_effective_weight(weight_ex, weight_ix, weight_ei), bias
        )
    return geometry.convolve(x, weight_ex, bias) - _pointwise(
        geometry.convolve(x, weight_ix), weight_ei, geometry
    )


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
    r"""Convolve as :func:`dann_convolution` does, and divide by the inhibition at each pixel.

    The maths is that of :func:`dann_shunting_linear` at each place where the kernel meets the
    image.

    Shape:
        ``x`` ``(N, pre, *size)`` or unbatched, ``alpha`` ``(n_inh,)``, ``gain`` ``(post,)`` ->
        ``(N, post, *size)``.
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
