r"""Draws of weights that make sign-constrained layers learn, in place and under ``no_grad``.

A single-signed matrix sums its input instead of comparing it, so inhibition (or a bias) must
centre what excitation adds up. The papers' scale convention runs through this file: inputs are
rectified unit Gaussians, :math:`x = \max(0, \mathcal N(0, 1))`, with :math:`E[x] =
1/\sqrt{2\pi}` and :math:`E[x^2] = 1/2`.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from daleml import require
from daleml._support.devices import drawn_
from daleml.layers.init.drawn_signs import with_signs_drawn
from daleml.layers.init.mean_magnitudes import by_sign, column_means, counts

RECTIFIED_MEAN = 1 / math.sqrt(2 * math.pi)
"""Mean of a rectified unit Gaussian, the input the initialisations assume."""


class Draw(Protocol):
    """Fills a tensor in place with positive numbers of a given mean.

    :func:`exponential_` and :func:`lognormal_` do, and so may a function of the user's.

    Args:
        tensor: The tensor to fill.
        mean: The mean of its numbers.
        generator: Source of randomness; default: torch's global one.

    Raises:
        ValueError: From those of daleml, if the mean is not positive.

    Example:
        >>> import torch
        >>> from daleml.layers import EILinear
        >>> def uniform_(tensor, mean, *, generator=None):
        ...     return tensor.uniform_(0, 2 * mean, generator=generator)
        >>> layer = EILinear(50, 10)
        >>> layer.reset_parameters(draw=uniform_)
        >>> bool((layer.weight >= 0).all())
        True
    """

    def __call__(
        self,
        tensor: Tensor,
        mean: float,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Fill ``tensor`` and return it."""


@torch.no_grad()
def exponential_(
    tensor: Tensor, mean: float, *, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with exponential numbers, :math:`p(w) = e^{-w/\lambda} / \lambda`.

    Mean and standard deviation are λ.

    Args:
        tensor: The tensor to fill.
        mean: :math:`\lambda > 0`.
        generator: Source of randomness; default: torch's global one.

    Returns:
        The tensor.

    Shape:
        ``tensor`` of any shape.

    Raises:
        TypeError: If ``mean`` is no number.
        ValueError: If ``mean`` is not positive.

    Example:
        >>> import torch
        >>> weight = exponential_(
        ...     torch.empty(200, 500), 0.1, generator=torch.Generator().manual_seed(0)
        ... )
        >>> f"{weight.mean():.3f} {weight.std():.3f}"
        '0.100 0.100'
    """
    rate = 1 / require.positive("mean", mean)
    return drawn_(Tensor.exponential_, tensor, rate, generator=generator)


@torch.no_grad()
def lognormal_(
    tensor: Tensor,
    mean: float,
    ratio: float = 1.0,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill with log-normal numbers of mean :math:`m` and standard deviation :math:`m / k`.

    .. math::
        \ln w \sim \mathcal N(\mu, \sigma^2), \qquad \sigma^2 = \ln(1 + 1/k^2), \qquad
        \mu = \ln m - \sigma^2/2

    Args:
        tensor: The tensor to fill.
        mean: :math:`m > 0`, of the numbers themselves.
        ratio: :math:`k > 0`, mean over standard deviation. 1 gives σ = 0.833 and an
            exponential's spread; 1.5, the value of the EG paper, σ = 0.606.
        generator: Source of randomness; default: torch's global one.

    Returns:
        The tensor.

    Shape:
        ``tensor`` of any shape.

    Raises:
        TypeError: If ``mean`` or ``ratio`` is no number.
        ValueError: If ``mean`` or ``ratio`` is not positive.

    Example:
        >>> import torch
        >>> weight = lognormal_(
        ...     torch.empty(200, 500), 0.1, 1.5, generator=torch.Generator().manual_seed(0)
        ... )
        >>> f"{weight.mean():.3f} {weight.std():.3f}"
        '0.100 0.067'

    Notes:
        For signed weights of total variance :math:`G^2 / n`, take :math:`m = k\,G / \sqrt{n (1
        + k^2)}`.

    References:
        Cornford et al. 2024 (EG paper), initialisation; Li et al. 2023, with :math:`k = 1`.
    """
    # Moments of a log-normal, solved for its parameters.
    variance = math.log1p(1 / require.positive("ratio", ratio) ** 2)
    location = math.log(require.positive("mean", mean)) - variance / 2
    numbers = location, math.sqrt(variance)
    return drawn_(Tensor.log_normal_, tensor, *numbers, generator=generator)


@torch.no_grad()
def column_ei_(
    weight: Tensor,
    signs: Tensor,
    bias: Tensor | None = None,
    *,
    input_mean: float = RECTIFIED_MEAN,
    draw: Draw = exponential_,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Fill a column-EI weight so that inhibition balances excitation.

    With :math:`n_e` excitatory and :math:`n_i` inhibitory presynaptic units, magnitudes have means

    .. math::
        \sigma_e = \Bigl[\tfrac{2\pi - 1}{2\pi} \bigl(n_e + n_e^2 / n_i\bigr)\Bigr]^{-1/2}, \qquad
        \sigma_i = \tfrac{n_e}{n_i} \sigma_e ,

    so :math:`n_e \sigma_e = n_i \sigma_i`, and pre-activations have unit variance over units
    and inputs together. Units of one sign only cannot balance: their magnitudes have mean
    :math:`\sqrt{1/d}`, and ``bias`` cancels what a mean input adds up to. Units without a sign
    draw one for each synapse, and each kind of units gives its part of the variance.

    Args:
        weight: ``(post, pre)``, filled with signed values.
        signs: ``(pre,)``, +1 or -1 per presynaptic unit, 0 for one without a sign.
        bias: ``(post,)`` or None. Set to minus the mean drive, which is 0 for a balanced weight.
        input_mean: Mean of the input, for ``bias``; e.g. the mean pixel.
        draw: Distribution of the magnitudes, given their mean.
        generator: Source of randomness; default: torch's global one.

    Returns:
        The weight.

    Shape:
        ``weight`` (post, pre), ``signs`` (pre,), ``bias`` (post,).

    Raises:
        TypeError: If ``input_mean`` is no number.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> unit_signs = Populations(80, 20).signs()
        >>> weight = column_ei_(
        ...     torch.empty(500, 100), unit_signs, generator=torch.Generator().manual_seed(0)
        ... )
        >>> bool((weight * unit_signs >= 0).all())
        True
        >>> drive = weight.sum(1)
        >>> bool(drive.mean().abs() < 0.1 * drive.std())
        True

    References:
        Cornford et al. 2021 (ICLR), the released code's column-EI baseline, after Song et al. 2016.
    """
    n_exc, n_inh, n_units = *counts(signs), signs.numel()
    mean_exc, mean_inh = by_sign(n_exc, n_inh, n_units)
    # Drawn with mean 1 and scaled by columns, so that one call draws all.
    means = column_means(signs, weight)
    drawn_(draw, weight, 1.0, generator=generator)
    if n_exc + n_inh == n_units:
        weight.mul_(means * signs.to(weight))
    else:
        every = signs.to(weight).expand_as(weight)
        weight.mul_(means * with_signs_drawn(every, generator))
    if bias is not None:
        bias.fill_(
            (n_inh * mean_inh - n_exc * mean_exc)
            * require.number("input_mean", input_mean)
        )
    return weight


@torch.no_grad()
def dann_(
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    alpha: Tensor | None = None,
    *,
    numerator: float = 2.0,
    independent: bool = False,
    present: Tensor | None = None,
    draw: Draw = exponential_,
    generator: torch.Generator | None = None,
) -> None:
    r"""Fill a DANN so that its effective weight is centred and has He's variance: the default.

    .. math::
        W_{ex} \sim \mathrm{draw}(\lambda), \quad
        \lambda = \sqrt{\frac{n_e}{n_e - 1} \cdot \frac{\mathrm{numerator}}{d}}, \quad
        W_{ix} = \text{rows' mean of } W_{ex}, \quad
        \textstyle\sum_k W_{ei}[\cdot, k] = 1, \quad
        \alpha = \ln \frac{\sqrt{2\pi}}{\lambda d}

    Inhibition then subtracts exactly the mean over units, as layer normalisation does, and the
    shunt has mean 1.

    Args:
        weight_ex: ``(n_e, d)``.
        weight_ix: ``(n_inh, d)``: every interneuron starts as a copy of the mean row.
        weight_ei: ``(n_e, n_inh)``: rows drawn from the flat Dirichlet distribution.
        alpha: ``(n_inh,)``, the shunting gains, or None.
        numerator: Variance of the effective weight times :math:`d`: 2 for ReLU (He), 1 for a
            linear or first layer, 1/3 for the variance of PyTorch's default, which recurrent
            layers use.
        independent: Whether to draw the rows of :math:`W_{ix}` like those of :math:`W_{ex}`
            instead. Inhibition then centres on average only; one singular value stands out.
        present: ``(n_e, d)``, boolean: which excitatory synapses exist; default: all. With a
            fraction :math:`p` of them, :math:`\lambda` grows by :math:`1 / \sqrt{2p - p^2}`,
            which keeps the effective variance where synapses are absent at random.
        draw: Distribution of the excitatory weights, given their mean, which should also be
            their standard deviation.
        generator: Source of randomness; default: torch's global one.

    Shape:
        ``weight_ex`` and ``present`` (n_e, d), ``weight_ix`` (n_inh, d), ``weight_ei`` (n_e,
        n_inh), ``alpha`` (n_inh,).

    Raises:
        TypeError: If ``numerator`` is no number.
        ValueError: If ``numerator`` is not positive.

    Example:
        >>> import torch
        >>> from daleml.layers.functional import dann_effective_weight
        >>> weights = torch.empty(200, 100), torch.empty(20, 100), torch.empty(200, 20)
        >>> dann_(*weights, generator=torch.Generator().manual_seed(0))
        >>> effective = dann_effective_weight(*weights)
        >>> f"{100 * effective.var():.1f}"
        '2.0'
        >>> bool(effective.mean(0).abs().max() < 1e-6)
        True

    Notes:
        One output (:math:`n_e = 1`) is its own mean, so inhibition would cancel it: the row of
        :math:`W_{ix}` is then drawn independently, with :math:`\lambda =
        \sqrt{\mathrm{numerator} / 2d}`. :math:`\alpha` generalises the value of
        :func:`dann_iclr2021_` to any λ.

    References:
        Li, Cornford, Ghosh & Richards 2023 (NeurIPS), the released code, with both its ways to
        fill :math:`W_{ix}`.
    """
    n_exc, n_in = weight_ex.shape
    # One output is its own mean, and drawn so that half of the variance is its inhibition's.
    correction = n_exc / (n_exc - 1) if n_exc > 1 else 0.5
    scale = math.sqrt(correction * require.positive("numerator", numerator) / n_in)
    density = (
        1.0 if present is None else float(present.count_nonzero()) / present.numel()
    )
    # Weights of which a fraction p exists have 2 p - p^2 of the variance.
    if density:
        scale /= math.sqrt(2 * density - density**2)
    drawn_(draw, weight_ex, scale, generator=generator)
    if present is not None:
        weight_ex.mul_(present.to(weight_ex.device))
    if independent:
        drawn_(draw, weight_ix, scale * density, generator=generator)
    elif n_exc > 1:
        weight_ix.copy_(weight_ex.mean(dim=0).expand_as(weight_ix))
    else:
        row = drawn_(draw, torch.empty_like(weight_ex), scale, generator=generator)
        weight_ix.copy_(row.expand_as(weight_ix))
    # Exponential numbers over their sum are a draw of the flat Dirichlet distribution.
    exponential_(weight_ei, 1.0, generator=generator)
    weight_ei.div_(weight_ei.sum(dim=1, keepdim=True))
    _fill_alpha(alpha, scale * (density or 1.0), n_in)


@torch.no_grad()
def dann_iclr2021_(
    weight_ex: Tensor,
    weight_ix: Tensor,
    weight_ei: Tensor,
    alpha: Tensor | None = None,
    *,
    first: bool = False,
    draw: Draw = exponential_,
    generator: torch.Generator | None = None,
) -> None:
    r"""Fill a DANN as the first DANN paper did.

    .. math::
        W_{ex} \sim \mathrm{draw}(\lambda), \quad
        \lambda = \sqrt{\frac{2\pi}{d (2\pi - 1)}}, \quad
        W_{ei} = \frac{1}{n_i}, \quad
        \alpha = \ln \sqrt{\frac{2\pi - 1}{d}}

    One interneuron takes the mean row of :math:`W_{ex}`; several are drawn independently like
    :math:`W_{ex}`.

    Args:
        weight_ex: ``(n_e, d)``.
        weight_ix: ``(n_inh, d)``.
        weight_ei: ``(n_e, n_inh)``.
        alpha: ``(n_inh,)``, the shunting gains, or None.
        first: Whether this layer reads the network's input: then :math:`\lambda = \sqrt{1 / 2d}`.
        draw: Distribution of the weights, given their mean.
        generator: Source of randomness; default: torch's global one.

    Shape:
        ``weight_ex`` (n_e, d), ``weight_ix`` (n_inh, d), ``weight_ei`` (n_e, n_inh), ``alpha``
        (n_inh,).

    Example:
        >>> import torch
        >>> weights = torch.empty(200, 100), torch.empty(20, 100), torch.empty(200, 20)
        >>> dann_iclr2021_(*weights, generator=torch.Generator().manual_seed(0))
        >>> f"{weights[0].mean():.2f} {weights[2][0, 0]:.2f}"
        '0.11 0.05'

    Notes:
        For a rectified unit Gaussian input, :math:`W_{ex} x` has unit variance over weights and
        inputs together. Inhibition then removes what the units share, and over units 0.77 is
        left of the standard deviation. :func:`dann_` takes λ so that 1 is left.

    References:
        Cornford et al. 2021 (ICLR), the released code.
    """
    n_inh, n_in = weight_ix.shape
    if first:
        scale = math.sqrt(1 / (2 * n_in))
    else:
        scale = math.sqrt(2 * math.pi / (n_in * (2 * math.pi - 1)))
    drawn_(draw, weight_ex, scale, generator=generator)
    if n_inh == 1:
        weight_ix.copy_(weight_ex.mean(dim=0, keepdim=True))
    else:
        drawn_(draw, weight_ix, scale, generator=generator)
    weight_ei.fill_(1 / n_inh)
    if alpha is not None:
        alpha.fill_(math.log(math.sqrt((2 * math.pi - 1) / n_in)))


def _fill_alpha(alpha: Tensor | None, scale: float, n_in: int) -> None:
    """Set the shunting gains so that an input of the usual mean is divided by 1 on average."""
    if alpha is not None:
        alpha.fill_(-math.log(scale * n_in * RECTIFIED_MEAN))
