"""How fast activity that cannot be negative grows in a recurrent weight."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from daleml.layers.init import sparse_spectra
from daleml.layers.init.matrix_spectra import require_matrix

# So many directions are followed, for so many steps; growth is that of the second half.
_N_STARTS = 16
_N_STEPS = 64
# Directions are brought back to length 1 after so many steps, before they overflow.
_BETWEEN = 8
# Less than this, of a direction of length 1, does not lead it in the steps that are left.
_LAGGING = 1e-30


@torch.no_grad()
def rectified_radius(weight: Tensor) -> float:
    r"""Return the factor per step by which rectified activity grows in a recurrent weight.

    .. math:: \rho_+ = \max_{r_0} \lim_{t \to \infty} \sqrt[t]{|r_t|}, \qquad
        r_t = \max(0, W r_{t-1})

    The spectral radius says this of activity of both signs. Rates are not negative: where the
    inhibition that would hold a direction back is silent, they may grow though all eigenvalues
    are small. Below 1, the rates of rectified units without a leak stay bounded for every bounded
    input.

    Args:
        weight: The matrix, signed.

    Returns:
        The largest factor that 16 directions find, over steps 33 to 64; 0 if activity dies out.

    Shape:
        ``weight`` (n, n).

    Raises:
        TypeError: If ``weight`` is no tensor.
        ValueError: If the matrix is not square or not finite.

    Example:
        >>> import torch
        >>> weight = torch.tensor([[1.2, -1.0], [1.0, -0.4]])  # eigenvalues 0.4 ± 0.6i
        >>> rectified_radius(weight)
        0.0
        >>> undriven = torch.tensor([[0.9, -1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.2]])
        >>> round(rectified_radius(undriven), 3)
        0.9

    Notes:
        A matrix without negative entries has the same radius either way. Directions are drawn
        with a fixed seed: the same matrix gives the same number, and no generator moves on.
    """
    require_matrix("weight", weight)
    n = weight.shape[0]
    if weight.shape[1] != n:
        raise ValueError(
            "`weight` must be square to have a spectral radius; got shape"
            f" {tuple(weight.shape)}."
        )
    if weight.layout == torch.sparse_csr:
        return sparse_spectra.rectified_radius(weight)
    largest = float(weight.abs().max())
    if not largest:
        return 0.0
    # Of the matrix with a largest entry of 1, so that none overflows.
    matrix = weight.detach().to("cpu", torch.float64) / largest
    generator = torch.Generator().manual_seed(0)
    like: dict[str, Any] = {"dtype": matrix.dtype, "device": "cpu"}
    rates = torch.rand(n, _N_STARTS, generator=generator, **like)
    growth = torch.zeros(_N_STARTS, **like)
    for step in range(1, _N_STEPS + 1):
        rates = (matrix @ rates).clamp_(min=0)
        if step % _BETWEEN:
            continue
        size = rates.norm(dim=0)
        if step > _N_STEPS // 2:
            # What has died out stays so: the logarithm of zero is minus infinity.
            growth += size.log()
        # A direction that died out must not become NaN.
        rates /= size.clamp(min=torch.finfo(size.dtype).tiny)
        # What lags behind would become denormal, and each product slow.
        rates[rates < _LAGGING] = 0
    per_step = growth.max() / (_N_STEPS - _N_STEPS // 2)
    return float(per_step.exp()) * largest
