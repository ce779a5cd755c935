"""Initialisations that give a matrix, or the recurrent weights of a circuit, another spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml import require
from daleml.layers.init import sparse_spectra
from daleml.layers.init.largest_eigenvalue import largest_modulus

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROUNDING = 1e-4
"""The fraction of a matrix's norm below which an eigenvalue is rounding.

A nilpotent matrix of size n can be given eigenvalues of the n-th root of the precision.
"""


@torch.no_grad()
def spectral_radius_(weight: Tensor | nn.Module, radius: float) -> Tensor | nn.Module:
    r"""Scale a square matrix, or every recurrent weight of a module, to a spectral radius.

    .. math:: W \leftarrow W \, \rho / \max_i |\lambda_i(W)|

    What is scaled is what acts: of a module the effective weight, signed, masked, and for a
    DANN composed. Signs and zeros stay.

    Args:
        weight: ``(n, n)``, signed; or a recurrent module or cell of daleml.
        radius: :math:`\rho > 0`.

    Returns:
        What was given.

    Shape:
        ``weight`` (n, n).

    Raises:
        TypeError: If a module has no recurrent weight.
        ValueError: If ``radius`` is not positive, the matrix is not square, or all its
            eigenvalues are zero.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.analysis import spectrum
        >>> from daleml.layers import EIRNN
        >>> rnn = spectral_radius_(EIRNN(3, Populations(40, 10)), 0.9)
        >>> f"{spectrum(rnn).spectral_radius:.5f}"
        '0.90000'

    Notes:
        Some published code sets the radius before it applies signs and masks, which leaves
        another one.
    """
    require.positive("radius", radius)
    if isinstance(weight, Tensor):
        return weight.mul_(radius_factor(weight, radius))
    if not hasattr(weight, "scale_recurrent_"):
        raise TypeError(
            f"`weight` must be a matrix or a recurrent module; got {type(weight).__name__}."
        )
    given = weight.effective_weights()  # type: ignore[operator]
    # A cell has one pair of weights, a layer one per layer.
    of_layers = [given] if hasattr(given, "_fields") else given
    for layer, weights in enumerate(of_layers):
        factor = radius_factor(weights.recurrent.detach(), radius)
        weight.scale_recurrent_(factor, layer)  # type: ignore[operator]
    return weight


def has_loop(weight: Tensor) -> bool:
    """Whether a matrix has an eigenvalue other than zero: whether any unit acts on itself.

    Args:
        weight: The matrix, signed.

    Returns:
        False if activity dies out after as many steps as there are units.

    Shape:
        ``weight`` (n, n).

    Example:
        >>> import torch
        >>> has_loop(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        False
    """
    return measured_radius(weight) > 0


def measured_radius(weight: Tensor | csr_array) -> float:
    """Return the largest modulus of an eigenvalue, computed in float64; 0 if it is rounding.

    Args:
        weight: A tensor, or a matrix of scipy.sparse.
    """
    matrix: Any
    if isinstance(weight, Tensor) and weight.layout == torch.sparse_csr:
        norm = float(weight.values().double().norm())
        found = sparse_spectra.radius(weight * (1 / norm)) * norm if norm else 0.0
        return found if found > _ROUNDING * norm else 0.0
    if isinstance(weight, Tensor):
        matrix = weight.detach().to("cpu", torch.float64)
        norm = float(matrix.norm())
    else:
        matrix = weight.astype("float64")
        norm = float(np.linalg.norm(matrix.data))
    if not norm:
        return 0.0
    # Of the matrix at norm 1, so that no entry of a large or small one overflows.
    radius = norm * largest_modulus(matrix / norm)
    return radius if radius > _ROUNDING * norm else 0.0


def radius_factor(weight: Tensor, radius: float) -> float:
    r"""Return the factor :math:`\rho / \max_i |\lambda_i|` that gives a matrix a spectral radius.

    Args:
        weight: The matrix, signed.
        radius: :math:`\rho > 0`.

    Returns:
        The factor.

    Shape:
        ``weight`` (n, n).

    Raises:
        TypeError: If ``weight`` is no tensor.
        ValueError: If the matrix is not square or finite, all its eigenvalues are zero, or the
            weights would leave the range of their dtype.

    Example:
        >>> import torch
        >>> radius_factor(torch.diag(torch.tensor([2.0, 1.0])), 0.5)
        0.25
    """
    require_matrix("weight", weight)
    if weight.shape[0] != weight.shape[1]:
        raise ValueError(
            "`weight` must be square to have a spectral radius; got shape"
            f" {tuple(weight.shape)}."
        )
    found = measured_radius(weight)
    if not found:
        raise ValueError(
            "`weight` must have an eigenvalue other than zero to be scaled by; got none."
        )
    return factor_from(found, weight, radius)


def factor_from(found: float, weight: Tensor, radius: float) -> float:
    """Return the factor from the radius that was found to the one asked for.

    Raises:
        ValueError: If the weights would leave the range of their dtype.
    """
    values = weight.values() if weight.layout == torch.sparse_csr else weight
    largest = float(values.detach().abs().max())
    scaled, limits = largest * radius / found, torch.finfo(weight.dtype)
    if not limits.tiny < scaled < limits.max:
        raise ValueError(
            f"`radius` must keep the weights within the range of {weight.dtype}; got"
            f" {radius:g}."
        )
    return radius / found


@torch.no_grad()
def svd_spectrum_(weight: Tensor, spectrum: Tensor) -> Tensor:
    r"""Give a matrix the singular values of another, and leave its singular vectors.

    .. math:: W = U \Sigma V^\top \leftarrow U \Sigma' V^\top

    Args:
        weight: ``(post, pre)``.
        spectrum: A matrix whose singular values to take, or the values themselves,
            non-negative, in any order; ``min(post, pre)`` of them.

    Returns:
        The weight.

    Shape:
        ``weight`` (post, pre), ``spectrum`` (min(post, pre),) or a matrix of that smaller size.

    Raises:
        TypeError: If ``weight`` or ``spectrum`` is no tensor.
        ValueError: If ``weight`` is no matrix, or the singular values are not as many as its
            own, negative or not finite.

    Example:
        >>> import torch
        >>> weight = svd_spectrum_(torch.rand(3, 4), torch.tensor([3.0, 2.0, 1.0]))
        >>> torch.linalg.svdvals(weight).round(decimals=4)
        tensor([3., 2., 1.])

    Notes:
        Signs are not kept: fix them after this, not before.

    References:
        Li, Cornford, Ghosh & Richards 2023 (NeurIPS), spectrum transplant.
    """
    require_matrix("weight", weight)
    require.tensor("spectrum", spectrum)
    if spectrum.ndim not in (1, 2):
        raise ValueError(
            f"`spectrum` must be a matrix or a vector; got shape {tuple(spectrum.shape)}."
        )
    values = spectrum.detach().to("cpu", torch.float64)
    if not values.isfinite().all():
        raise ValueError("`spectrum` must be finite; got NaN or infinite values.")
    if values.ndim == 2:
        values = torch.linalg.svdvals(values)
    else:
        values = values.sort(descending=True).values
    if len(values) != min(weight.shape):
        raise ValueError(
            f"`spectrum` must have {min(weight.shape)} singular values; got {len(values)}."
        )
    if values[-1] < 0:
        raise ValueError(f"`spectrum` must be at least 0; got {values[-1].item():g}.")
    left, _, right = torch.linalg.svd(
        weight.to("cpu", torch.float64), full_matrices=False
    )
    return weight.copy_((left * values) @ right)


@torch.no_grad()
def low_rank_(weight: Tensor, rank: int) -> Tensor:
    r"""Keep the leading singular values of a matrix, and its Frobenius norm.

    .. math::
        W \leftarrow c \sum_{i \le r} \sigma_i u_i v_i^\top, \qquad
        c = \sqrt{\textstyle\sum_i \sigma_i^2 / \sum_{i \le r} \sigma_i^2}

    Args:
        weight: ``(post, pre)``.
        rank: :math:`r`, between 1 and ``min(post, pre)``.

    Returns:
        The weight.

    Shape:
        ``weight`` (post, pre).

    Raises:
        TypeError: If ``rank`` is not an integer.
        ValueError: If ``weight`` is no matrix, or ``rank`` is out of range.

    Example:
        >>> import torch
        >>> weight = torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
        >>> norm = weight.norm()
        >>> torch.linalg.matrix_rank(low_rank_(weight, 3)).item()
        3
        >>> torch.allclose(weight.norm(), norm)
        True

    Notes:
        Signs are not kept: fix them after this, not before.

    References:
        Liu et al. 2024 (ICLR), the released code.
    """
    require_matrix("weight", weight)
    if require.integer("rank", rank, minimum=1) > min(weight.shape):
        raise ValueError(f"`rank` must be at most {min(weight.shape)}; got {rank}.")
    left, values, right = torch.linalg.svd(
        weight.to("cpu", torch.float64), full_matrices=False
    )
    # The norm of a zero matrix cannot be restored, and need not be.
    kept = values[:rank]
    if kept[0] > 0:
        kept = kept * (values.norm() / kept.norm())
    return weight.copy_((left[:, :rank] * kept) @ right[:rank])


@torch.no_grad()
def balance_rows_(weight: Tensor | nn.Module) -> Tensor | nn.Module:
    r"""Scale each unit's inhibitory weights so that they cancel its excitatory ones.

    .. math::
        w_{ij} \leftarrow w_{ij} \, \frac{\sum_{k \in E} w_{ik}}{\sum_{k \in I} |w_{ik}|},
        \qquad j \in I

    Every row then sums to zero.

    Args:
        weight: ``(post, pre)``, signed; or a column-EI circuit or cell of daleml, whose
            recurrent weights are balanced as they act, masked and pruned. A row without
            excitation, or without inhibition, is left as it is.

    Returns:
        What was given.

    Shape:
        ``weight`` (post, pre).

    Raises:
        TypeError: If a module has no signed recurrent weight.
        ValueError: If ``weight`` is no matrix.

    Example:
        >>> import torch
        >>> balance_rows_(torch.tensor([[1.0, 3.0, -2.0], [1.0, 1.0, 0.0]]))
        tensor([[ 1.,  3., -4.],
                [ 1.,  1.,  0.]])

    Notes:
        The eigenvalue that stands out goes; the singular value stays. ``analysis.spectrum``
        tells both.

    References:
        Rajan & Abbott 2006 (Physical Review Letters).
    """
    if not isinstance(weight, nn.Module):
        require_matrix("weight", weight)
        return weight.mul_(row_balance(weight).to(weight))
    balance: Any = getattr(weight, "balance_recurrent_", None)
    if balance is None or not balance(row_balance):
        raise TypeError(
            "`weight` must be a matrix or a column-EI circuit; got"
            f" {type(weight).__name__}."
        )
    return weight


def row_balance(weight: Tensor) -> Tensor:
    """Return the factor of each weight that makes every row sum to zero, computed in float64.

    Of a sparse weight they are a vector, in the order of its synapses.
    """
    if weight.layout == torch.sparse_csr:
        return sparse_spectra.row_balance(weight)
    # On the CPU: not every device has float64.
    weight = weight.to("cpu", torch.float64)
    excitation, inhibition = weight.clamp(min=0).sum(1), -weight.clamp(max=0).sum(1)
    both = (excitation > 0) & (inhibition > 0)
    # The inner `where` keeps a row without inhibition from dividing by zero.
    factor = torch.where(both, excitation / torch.where(both, inhibition, 1.0), 1.0)
    return torch.where(weight < 0, factor[:, None], 1.0)


def require_matrix(name: str, given: Tensor) -> None:
    """Raise unless a tensor is a finite matrix with values of its own."""
    require.tensor(name, given)
    if given.ndim != 2 or not given.numel():
        raise ValueError(
            f"`{name}` must be a matrix, (post, pre); got shape {tuple(given.shape)}."
        )
    if given.is_meta:
        raise ValueError(f"`{name}` must have values; got a tensor on the meta device.")
    values = given.values() if given.layout == torch.sparse_csr else given
    if not values.isfinite().all():
        raise ValueError(f"`{name}` must be finite; got NaN or infinite values.")
    _require_own(name, given)


def _require_own(name: str, given: Tensor) -> None:
    """Raise if a tensor was computed from parameters, where what is written into it is lost."""
    base = given._base if given._is_view() else None
    of_a_parameter = base is not None and base.grad_fn is None
    if given.grad_fn is not None and not of_a_parameter:
        raise ValueError(
            f"`{name}` must be a parameter or a tensor of its own; got one computed from"
            " parameters, as by pruning: give the module, or the parameter it is computed"
            " from."
        )
