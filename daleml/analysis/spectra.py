r"""Spectra of weight matrices, and the measures derived from them.

With singular values :math:`\sigma_1 \ge \dots \ge \sigma_n`, :math:`n = \min(\text{rows},
\text{columns})`, and :math:`p_i = \sigma_i / \sum_j \sigma_j` (the values themselves, not their
squares; :math:`0 \ln 0 = 0`):

======================  =====================================================================
measure                 definition
======================  =====================================================================
normalised SVD entropy  :math:`H = -\sum p_i \ln p_i / \ln n` (Li et al. 2023)
effective rank          :math:`\exp(-\sum p_i \ln p_i) = n^H` (Roy & Vetterli 2007)
stable rank             :math:`\sum \sigma_i^2 / \sigma_1^2` (Rudelson & Vershynin 2007)
participation ratio     :math:`(\sum \sigma_i^2)^2 / \sum \sigma_i^4`
spectral radius         :math:`\max |\lambda_i|` of the eigenvalues of a square matrix
eigenvalue rank         :math:`\sum |\lambda_i| / (n \max |\lambda_i|)` (Liu et al. 2024)
======================  =====================================================================

They disagree by design: an outlier hardly moves the first two and sinks the others. A zero
matrix has none of any: each is 0. A single singular value leaves nothing to spread: its entropy
is 0, its ranks are 1.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from daleml import require
from daleml._sparse_weights import LARGEST_DENSE
from daleml._support.torch_values import is_module
from daleml.analysis.top_spectrum import TopSpectrum, top_spectrum
from daleml.analysis.weights.effective_matrices import matrix, only_matrix
from daleml.analysis.weights.sample import WeightsLike
from daleml.analysis.weights.sparse_entries import as_csr, is_sparse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# All singular values of a sparse matrix are found in its dense form, up to so many entries.
_MOST_DENSE = 1 << 24


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The singular values of a matrix, and every measure derived from them.

    Attributes:
        shape: Of the matrix.
        singular_values: Descending, shape ``(min(shape),)``, float64.

    Example:
        >>> import numpy as np
        >>> result = spectrum(np.diag([2.0, 1.0, 1.0, 0.0]))
        >>> print(result)  # doctest: +NORMALIZE_WHITESPACE
        4 x 4: SVD entropy 0.750, effective rank 2.8, stable rank 1.5, participation ratio 2.0
        >>> result.singular_values, result.spectral_radius
        (array([2., 1., 1., 0.]), 2.0)
    """

    shape: tuple[int, int]
    singular_values: NDArray[np.float64]
    _matrix: NDArray[np.float64] = field(repr=False)

    @property
    def svd_entropy(self) -> float:
        r"""Normalised SVD entropy, in [0, 1]."""
        n = self.singular_values.size
        if n == 1:
            return 0.0
        return self._entropy() / float(np.log(n))

    @property
    def effective_rank(self) -> float:
        """Roy and Vetterli's effective rank, in [1, n]; 0 for a zero matrix."""
        if self.singular_values[0] == 0:
            return 0.0
        return float(np.exp(self._entropy()))

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm."""
        relative = self._relative()
        return float(np.sum(relative**2))

    @property
    def participation_ratio(self) -> float:
        """Participation ratio of the squared singular values."""
        squares = self._relative() ** 2
        if squares[0] == 0:
            return 0.0
        return float(squares.sum() ** 2 / np.sum(squares**2))

    @property
    def spectral_radius(self) -> float:
        """Largest modulus of an eigenvalue. Raises ``ValueError`` unless the matrix is square."""
        return float(np.abs(self.eigenvalues).max())

    @functools.cached_property
    def eigenvalues(self) -> NDArray[np.complex128]:
        """Eigenvalues, computed when first asked for.

        Raises ``ValueError`` unless the matrix is square.
        """
        if self.shape[0] != self.shape[1]:
            raise ValueError(
                f"`weights` must be square to have eigenvalues; got shape {self.shape}."
            )
        # A matrix of weights is not symmetric: its eigenvalues may be complex.
        return np.linalg.eigvals(self._matrix).astype(np.complex128)

    @property
    def eigenvalue_rank(self) -> float:
        r"""Mean modulus of the eigenvalues over the largest: 1/n to 1, 0 if all are 0.

        .. math:: \sum_i |\lambda_i| / (n\, |\lambda_1|)

        It is the effective rank of the submitted version of Liu et al. 2024, a fraction of n.
        Raises ``ValueError`` unless the matrix is square.

        Example:
            >>> import numpy as np
            >>> spectrum(np.diag([2.0, -1.0, 1.0, 0.0])).eigenvalue_rank
            0.5

        Notes:
            Of the measures here only this and the spectral radius change if signs of columns
            do. A matrix far from normal has eigenvalues that its rounding moves: one whose
            eigenvalues are all 0 may be given any of up to the n-th root of the precision.

        References:
            Liu et al. 2024 (ICLR), the version that was submitted, as its reviews quote it.
        """
        moduli = np.abs(self.eigenvalues)
        largest = moduli.max()
        if largest == 0:
            return 0.0
        return float(np.mean(moduli / largest))

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values, ready for JSON.

        Those of the eigenvalues are None unless square.
        """
        names = ("svd_entropy", "effective_rank", "stable_rank", "participation_ratio")
        square = self.shape[0] == self.shape[1]
        return {
            "shape": list(self.shape),
            **{name: getattr(self, name) for name in names},
            "spectral_radius": self.spectral_radius if square else None,
            "eigenvalue_rank": self.eigenvalue_rank if square else None,
            "singular_values": self.singular_values.tolist(),
        }

    def __str__(self) -> str:
        rows, columns = self.shape
        return (
            f"{rows} x {columns}: SVD entropy {self.svd_entropy:.3f}, effective rank"
            f" {self.effective_rank:.1f}, stable rank {self.stable_rank:.1f}, participation"
            f" ratio {self.participation_ratio:.1f}"
        )

    def _relative(self) -> NDArray[np.float64]:
        """Return the singular values over the largest, so that no square overflows."""
        largest = self.singular_values[0]
        # A zero matrix stays zero.
        return self.singular_values / (largest or 1.0)

    def _entropy(self) -> float:
        r"""Return :math:`-\sum p_i \ln p_i`."""
        relative = self._relative()
        kept = relative[relative > 0]
        if not kept.size:
            return 0.0
        # The values themselves, not their squares, as in both papers.
        p = kept / kept.sum()
        entropy = -np.sum(p * np.log(p))
        # Rounding may carry the sum past its bounds, 0 and ln n.
        return float(np.clip(entropy, 0.0, np.log(self.singular_values.size)))


@overload
def spectrum(weights: WeightsLike, k: None = None) -> Spectrum: ...


@overload
def spectrum(weights: WeightsLike, k: int) -> TopSpectrum: ...


def spectrum(weights: WeightsLike, k: int | None = None) -> Spectrum | TopSpectrum:
    """Compute the spectrum of a weight matrix, in float64.

    Args:
        weights: A matrix ``(post, pre)``; or a module or state dict that holds one. A daleml
            layer gives its effective weight: what multiplies the input, signed. Or a sparse
            matrix of scipy or torch, whose entries of one place are added up.
        k: How many singular values to find, the largest ones; default: all. A few of a large
            sparse matrix take seconds where all would take days.

    Returns:
        The singular values, with every measure as a property. With ``k``, a
        :class:`~daleml.analysis.top_spectrum.TopSpectrum`: what needs all singular values is
        then a pair of bounds.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If there is not exactly one matrix, or an entry is NaN or infinite; if there
            are fewer than ``k`` singular values, or ``k`` is left out for a sparse matrix too
            large to be made dense.

    Example:
        >>> import numpy as np
        >>> s = spectrum(np.diag([3.0, 1.0, 0.0]))
        >>> f"{s.effective_rank:.3f} {s.stable_rank:.3f} {s.participation_ratio:.3f}"
        '1.755 1.111 1.220'
        >>> spectrum(np.diag([3.0, 1.0, 0.0]), k=1).singular_values
        array([3.])

    Notes:
        The largest singular values, and eigenvalues, come from ARPACK, begun from the same
        vector each time.

    References:
        Li, Cornford, Ghosh & Richards 2023 (NeurIPS), for the entropy; Roy & Vetterli 2007
        (EUSIPCO); Liu et al. 2024 (ICLR), for the eigenvalue rank; Lehoucq, Sorensen & Yang
        1998, ARPACK Users' Guide.
    """
    import torch

    if k is not None:
        k = require.integer("k", k, 1)
    if is_module(weights):
        # A sparse weight goes by its entries, as any other sparse matrix, unless all of the
        # spectrum of a small one is wanted.
        found = only_matrix(weights)
        if is_sparse(found) and (k is not None or found.numel() > LARGEST_DENSE):
            weights = found
    if is_sparse(weights):
        entries = _entries(weights)
        if k is not None:
            return top_spectrum(entries, k)
        values = _made_dense(entries)
    else:
        values = matrix(weights)
        if k is not None:
            return top_spectrum(values, k)
    # torch's divide-and-conquer driver is several times faster than NumPy's on large matrices.
    singular_values = torch.linalg.svdvals(torch.tensor(values, device="cpu")).numpy()
    return Spectrum(values.shape, singular_values, values)


def _entries(weights: Any) -> csr_array:
    """Return a sparse matrix of finite numbers, in double precision."""
    found = as_csr(weights).astype(np.float64)
    n_wrong = int(np.count_nonzero(~np.isfinite(found.data)))
    if n_wrong:
        raise ValueError(
            f"`weights` must be finite; got {n_wrong} NaN or infinite values of"
            f" {found.nnz}."
        )
    if not math.prod(found.shape):
        raise ValueError(f"`weights` must be a matrix; got shape {found.shape}.")
    return found


def _made_dense(entries: csr_array) -> NDArray[np.float64]:
    rows, columns = entries.shape
    if rows * columns > _MOST_DENSE:
        raise ValueError(
            "`k` must say how many of the largest singular values to find of a large sparse"
            f" matrix, such as k=6; got None for {rows:,} x {columns:,}."
        )
    return np.asarray(entries.toarray())


def svd_entropy(weights: WeightsLike) -> float:
    r"""Return the normalised SVD entropy of a matrix, in [0, 1].

    .. math:: H = -\frac{1}{\ln n} \sum_i p_i \ln p_i, \qquad p_i = \frac{\sigma_i}{\sum_j \sigma_j}

    Args:
        weights: As for :func:`spectrum`, whose errors it raises.

    Example:
        >>> import numpy as np
        >>> svd_entropy(np.eye(5))
        1.0

    References:
        Li, Cornford, Ghosh & Richards 2023 (NeurIPS), "Learning better with Dale's Law: a
        spectral perspective".
    """
    return spectrum(weights).svd_entropy


def effective_rank(weights: WeightsLike) -> float:
    r"""Return Roy and Vetterli's effective rank :math:`\exp(-\sum p_i \ln p_i)` of a matrix.

    Args:
        weights: As for :func:`spectrum`, whose errors it raises.

    Example:
        >>> import numpy as np
        >>> round(effective_rank(np.eye(5)), 12)
        5.0
    """
    return spectrum(weights).effective_rank
