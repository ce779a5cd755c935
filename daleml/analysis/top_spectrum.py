r"""The largest singular values of a matrix, and what follows from them and its entries.

With the Frobenius norm :math:`F^2 = \sum_{ij} w_{ij}^2 = \sum_i \sigma_i^2`, which the entries tell
exactly, and the :math:`k` largest singular values, the others are :math:`m = n - k` numbers between
0 and :math:`\sigma_k`, whose squares add up to :math:`R = F^2 - \sum_{i \le k} \sigma_i^2`. So

.. math::
    \frac{R}{\sigma_k} \le \sum_{i > k} \sigma_i \le \sqrt{m R}, \qquad
    \frac{R^2}{m} \le \sum_{i > k} \sigma_i^4 \le \sigma_k^2 R ,

and the measures that need all singular values lie between two bounds.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.eigenvalue_bounds import eigenvalue_rank_bounds

Matrix: TypeAlias = Any
"""A matrix of scipy in rows, or a dense array, float64: both know the same operations."""

# Up to this number of rows or columns, all singular values take less time than a few.
_FEW = 64

# Eigenvalues crowd at the rim of a disc. With its default of 20 vectors ARPACK stops at another
# than the largest there, or goes on for minutes.
_VECTORS = 64
_TOLERANCE = 1e-6
_RESTARTS = 100


# What rounding may lose of a singular value or of a sum of squares, as a fraction of the largest
# or of the sum, for each singular value that is known.
_DIGIT = 1e-15

# A single sequence of vectors may miss some of several equal singular values. They are looked for
# in what is orthogonal to those that were found, to this precision of a squared value, and count
# as missed if larger by more than the second.
_LOOKED = 1e-3
_MISSED = 1e-6


class Bounds(NamedTuple):
    """What a number lies between.

    Attributes:
        low: It is no smaller.
        high: It is no larger.
    """

    low: float
    high: float

    def __str__(self) -> str:
        return f"between {self.low:,.4g} and {self.high:,.4g}"


class _Others(NamedTuple):
    """The singular values that were not found: how many, the largest, and their squares' sum."""

    n: int
    largest: float
    squares: Bounds


@dataclass(frozen=True, eq=False)
class TopSpectrum:
    r"""The largest singular values of a matrix, and the measures that they and its entries tell.

    The stable rank is exact. The entropy, the effective rank and the participation ratio need all
    singular values, the eigenvalue rank all eigenvalues: here they are bounds, never estimates.

    Attributes:
        shape: Of the matrix.
        singular_values: The ``k`` largest, descending, float64.
        frobenius_norm: The root of the sum of all squared singular values, by the entries.
        n_entries: How many entries are stored; all of a dense matrix.

    Example:
        >>> import scipy.sparse
        >>> from daleml.analysis import spectrum
        >>> matrix = scipy.sparse.diags_array([5.0, 4.0, 3.0, 2.0, 1.0]).tocsr()
        >>> result = spectrum(matrix, k=2)
        >>> result.singular_values.round(6).tolist(), round(result.stable_rank, 6)
        ([5.0, 4.0], 2.2)
        >>> print(result.effective_rank)
        between 2.858 and 4.661
    """

    shape: tuple[int, int]
    singular_values: NDArray[np.float64]
    frobenius_norm: float
    n_entries: int
    _matrix: Matrix = field(repr=False)

    @property
    def k(self) -> int:
        """How many singular values were found."""
        return int(self.singular_values.size)

    @property
    def density(self) -> float:
        """The fraction of the entries that are stored."""
        return self.n_entries / math.prod(self.shape)

    @property
    def explained(self) -> NDArray[np.float64]:
        """The fraction of the squared Frobenius norm that the first 1, 2, ... values hold."""
        relative, total = self._relative()
        if total == 0:
            return np.zeros(self.k)
        return np.asarray(np.minimum(np.cumsum(relative**2) / total, 1.0))

    @property
    def stable_rank(self) -> float:
        """Squared Frobenius norm over squared spectral norm: exact."""
        return self._relative()[1]

    @property
    def participation_ratio(self) -> Bounds:
        """Bounds of the participation ratio of the squared singular values."""
        relative, total = self._relative()
        if total == 0:
            return Bounds(0.0, 0.0)
        others = self._others()
        known = float(np.sum(relative**4))
        most = known + others.largest**2 * others.squares.high
        least = known
        if others.n:
            least += others.squares.low**2 / others.n
        return Bounds(total**2 / most, total**2 / least)

    @property
    def svd_entropy(self) -> Bounds:
        """Bounds of the normalised SVD entropy."""
        n = min(self.shape)
        if n == 1:
            return Bounds(0.0, 0.0)
        low, high = self._entropy_bounds()
        return Bounds(low / math.log(n), min(high / math.log(n), 1.0))

    @property
    def effective_rank(self) -> Bounds:
        """Bounds of Roy and Vetterli's effective rank."""
        if self._relative()[1] == 0:
            return Bounds(0.0, 0.0)
        low, high = self._entropy_bounds()
        return Bounds(math.exp(low), min(math.exp(high), float(min(self.shape))))

    @functools.cached_property
    def eigenvalues(self) -> NDArray[np.complex128]:
        """The ``k`` eigenvalues of the largest modulus, in that order, to about 1e-6 of it.

        They are computed when first asked for. Raises ``ValueError`` unless the matrix is square,
        or if they lie too close together to be found.
        """
        return self._eigenvalues(self.k)

    @property
    def spectral_radius(self) -> float:
        """Largest modulus of an eigenvalue. Raises ``ValueError`` unless the matrix is square."""
        return self._radius

    @property
    def eigenvalue_rank(self) -> Bounds:
        """Bounds of the mean modulus of all eigenvalues over the largest.

        From the ``k`` largest, trace and norm. Raises ``ValueError`` as ``eigenvalues`` does.
        """
        trace, norm = float(self._matrix.diagonal().sum()), self.frobenius_norm
        n, found = self.shape[0], self.eigenvalues
        return Bounds(*eigenvalue_rank_bounds(found, n, trace, norm, _TOLERANCE))

    @functools.cached_property
    def _radius(self) -> float:
        return float(np.abs(self._eigenvalues(1)[0]))

    def _eigenvalues(self, n: int) -> NDArray[np.complex128]:
        if self.shape[0] != self.shape[1]:
            raise ValueError(
                f"`weights` must be square to have eigenvalues; got shape {self.shape}."
            )
        if self.frobenius_norm == 0:
            return np.zeros(n, dtype=np.complex128)
        found = _largest_eigenvalues(self._matrix, n)
        return found[np.argsort(-np.abs(found), kind="stable")][:n]

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as plain values, ready for JSON; bounds are pairs.

        What takes a search of its own, for eigenvalues, is left out.
        """
        return {
            "shape": list(self.shape),
            "k": self.k,
            "n_entries": self.n_entries,
            "density": self.density,
            "frobenius_norm": self.frobenius_norm,
            "stable_rank": self.stable_rank,
            "svd_entropy_bounds": list(self.svd_entropy),
            "effective_rank_bounds": list(self.effective_rank),
            "participation_ratio_bounds": list(self.participation_ratio),
            "singular_values": self.singular_values.tolist(),
        }

    def __str__(self) -> str:
        rows, columns = self.shape
        return (
            f"{rows:,} x {columns:,}, {self.n_entries:,} entries (density"
            f" {self.density:.3g}): the {self.k} largest of {min(self.shape):,} singular"
            f" values, stable rank {self.stable_rank:.4g}; SVD entropy {self.svd_entropy},"
            f" effective rank {self.effective_rank}, participation ratio"
            f" {self.participation_ratio}, which all singular values would tell"
        )

    def _relative(self) -> tuple[NDArray[np.float64], float]:
        """Return the singular values and the squared norm, where the largest is 1.

        So no square overflows.
        """
        largest = float(self.singular_values[0])
        if largest == 0:
            return np.zeros(self.k), 0.0
        return self.singular_values / largest, (self.frobenius_norm / largest) ** 2

    def _others(self) -> _Others:
        """Return what is known of the other singular values, where the largest is 1."""
        relative, total = self._relative()
        n = min(self.shape) - self.k
        # None of them is larger than the last that is known, but for its rounding.
        largest = float(relative[-1]) + _DIGIT * self.k
        rest = total - float(np.sum(relative**2))
        lost = _DIGIT * self.k * total
        most = n * largest**2
        squares = Bounds(min(max(rest - lost, 0.0), most), min(rest + lost, most))
        return _Others(n, largest, squares)

    def _entropy_bounds(self) -> Bounds:
        r"""Return bounds of :math:`-\sum p_i \ln p_i`.

        The entropy rises with the sum of the other singular values, whatever they are. For a
        given sum it is least where each is as large as may be, and largest where all are equal.
        """
        relative, _ = self._relative()
        known = relative[relative > 0]
        if not known.size:
            return Bounds(0.0, 0.0)
        others = self._others()
        largest_sum = math.sqrt(others.n * max(others.squares.high, 0.0))
        sums = (others.squares.low / others.largest, largest_sum)
        sizes = (others.largest, largest_sum / max(others.n, 1))
        found = []
        for total, size in zip(sums, sizes, strict=True):
            whole = float(known.sum()) + total
            logs = float(known @ np.log(known))
            if total > 0:
                logs += total * math.log(size)
            found.append(max(math.log(whole) - logs / whole, 0.0))
        return Bounds(found[0], found[1])


def top_spectrum(matrix: Matrix, k: int) -> TopSpectrum:
    """Find the largest singular values of a matrix of finite numbers.

    Raises:
        ValueError: If there are fewer than ``k``, or the search for them does not converge.
    """
    shape = int(matrix.shape[0]), int(matrix.shape[1])
    if k > min(shape):
        raise ValueError(
            f"`k` must be at most the number of singular values, {min(shape)}; got {k}."
        )
    dense = isinstance(matrix, np.ndarray)
    entries = _entries(matrix)
    largest = float(np.abs(entries).max(initial=0.0))
    if largest == 0:
        return TopSpectrum(shape, np.zeros(k), 0.0, int(entries.size), matrix)
    # In this unit, squares neither overflow nor vanish.
    relative = entries / largest
    if dense:
        scaled = relative.reshape(shape)
    else:
        # scipy would multiply by the reciprocal, which may be infinite.
        scaled = matrix.copy()
        scaled.data = relative
    norm = largest * float(np.linalg.norm(relative))
    values = largest * _largest_singular_values(scaled, k)
    return TopSpectrum(shape, values, norm, int(entries.size), matrix)


def _largest_singular_values(matrix: Matrix, k: int) -> NDArray[np.float64]:
    from scipy.sparse import linalg

    n = min(matrix.shape)
    if n <= _FEW or 2 * k >= n:
        every = np.linalg.svd(_dense(matrix), compute_uv=False)
        return np.asarray(every[:k], dtype=np.float64)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    try:
        _, found, rows = linalg.svds(tall, k=k, v0=_start(n), solver="arpack")
        values = np.asarray(found, dtype=np.float64)
        order = np.argsort(-values)
        values, vectors = values[order], rows[order].T
        total = float(np.linalg.norm(_entries(matrix))) ** 2
        while _may_have_missed(values, total):
            missed = _beyond(tall, vectors, float(values[-1]))
            if not missed.size:
                break
            both, _ = np.linalg.qr(np.column_stack([vectors, missed]))
            _, values, rows = np.linalg.svd(tall @ both, full_matrices=False)
            values, vectors = values[:k], both @ rows[:k].T
    except linalg.ArpackNoConvergence as error:
        raise _not_found("singular values", k, len(error.eigenvalues)) from None
    return values


def _may_have_missed(values: NDArray[np.float64], total: float) -> bool:
    """Return whether what is left of the squared norm has room for one larger than the last."""
    rest = total - float(values @ values)
    return rest > float(values[-1]) ** 2 + _DIGIT * values.size * total


def _beyond(
    matrix: Matrix, vectors: NDArray[np.float64], last: float
) -> NDArray[np.float64]:
    """Return singular vectors orthogonal to some, whose values are larger than the last of them.

    There are none if nothing was missed.
    """
    from scipy.sparse import linalg

    n, k = vectors.shape

    def orthogonal(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(x - vectors @ (vectors.T @ x))

    def squared(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return orthogonal(matrix.T @ (matrix @ orthogonal(x)))

    gram = linalg.LinearOperator((n, n), matvec=squared, dtype=np.float64)
    start = orthogonal(_start(n))
    largest = linalg.eigsh(gram, k=1, v0=start, tol=_LOOKED, return_eigenvectors=False)
    least = last**2 * (1 + _MISSED)
    if largest[0] <= least:
        return np.empty((n, 0))
    squares, found = linalg.eigsh(gram, k=min(k, n - 1), v0=start)
    return np.asarray(found[:, squares > least])


def _largest_eigenvalues(matrix: Matrix, k: int) -> NDArray[np.complex128]:
    from scipy.sparse import linalg

    n = matrix.shape[0]
    if n <= _FEW or 2 * k >= n:
        return np.linalg.eigvals(_dense(matrix)).astype(np.complex128)
    try:
        found = linalg.eigs(
            matrix,
            k=k,
            v0=_start(n),
            ncv=min(max(_VECTORS, 4 * k), n),
            tol=_TOLERANCE,
            maxiter=_RESTARTS,
            return_eigenvectors=False,
        )
    except linalg.ArpackNoConvergence as error:
        raise _not_found("eigenvalues", k, len(error.eigenvalues)) from None
    return np.asarray(found, dtype=np.complex128)


def _entries(matrix: Matrix) -> NDArray[np.float64]:
    """Return the entries that are stored."""
    return np.asarray(
        matrix.reshape(-1) if isinstance(matrix, np.ndarray) else matrix.data
    )


def _dense(matrix: Matrix) -> NDArray[np.float64]:
    if isinstance(matrix, np.ndarray):
        return matrix
    return np.asarray(matrix.toarray(), dtype=np.float64)


def _start(n: int) -> NDArray[np.float64]:
    """Return where the search begins, always the same; nothing of a matrix is orthogonal to it."""
    return np.random.default_rng(0).standard_normal(n)


def _not_found(what: str, k: int, n: int) -> ValueError:
    return ValueError(
        f"`k` must be a number of {what} that can be told apart from those that follow; got"
        f" {k}, of which {n} were found: try another."
    )
