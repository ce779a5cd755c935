r"""Bounds of the mean modulus of all eigenvalues of a matrix, from the largest of them.

With the largest :math:`\lambda_1, \dots, \lambda_k` of :math:`n` eigenvalues, what is left of the
trace :math:`T = \sum_i w_{ii} - \sum_{i \le k} \lambda_i`, and Schur's :math:`\sum_i |\lambda_i|^2
\le \|W\|_F^2`,

.. math::
    |T| \le \sum_{i > k} |\lambda_i| \le
    \min\Big((n - k) |\lambda_k|,
    \sqrt{(n - k) \big(\|W\|_F^2 - \textstyle\sum_{i \le k} |\lambda_i|^2\big)}\Big).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def eigenvalue_rank_bounds(
    largest: NDArray[np.complex128],
    n: int,
    trace: float,
    frobenius_norm: float,
    precision: float,
) -> tuple[float, float]:
    r"""Return what :math:`\sum_i |\lambda_i| / (n |\lambda_1|)` lies between.

    Args:
        largest: The eigenvalues of the largest modulus, in that order.
        n: How many there are in all.
        trace: The sum of the diagonal.
        frobenius_norm: The root of the sum of all squared entries.
        precision: What each eigenvalue may be wrong by, as a fraction of the largest.

    Example:
        >>> import numpy as np
        >>> low, high = eigenvalue_rank_bounds(np.array([2.0, 1.0]), 4, 4.0, 6**0.5, 0.0)
        >>> low, round(high, 3)  # the other two add up to 1, and their squares to 1 at most
        (0.5, 0.552)
    """
    size = float(np.abs(largest[0]))
    if size == 0:
        # Those that were not found are no larger.
        return 0.0, 0.0
    # In units of the largest no square overflows.
    known = largest / size
    moduli, others = np.abs(known), n - known.size
    lost = precision * known.size
    least = max(abs(trace / size - complex(known.sum())) - lost, 0.0)
    squares = max((frobenius_norm / size) ** 2 - float(np.sum(moduli**2)), 0.0)
    most = min(
        others * (float(moduli[-1]) + precision), math.sqrt(others * (squares + lost))
    )
    low = max(float(moduli.sum()) - lost + min(least, most), 1.0) / n
    high = min((float(moduli.sum()) + lost + most) / n, 1.0)
    return low, high
