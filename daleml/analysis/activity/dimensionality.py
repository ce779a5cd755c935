r"""The dimension of activity: how many directions of the space of units it fills.

With the eigenvalues :math:`\lambda_i` of the covariance of rates, the participation ratio is
:math:`(\sum \lambda_i)^2 / \sum \lambda_i^2`: :math:`n` if all directions vary alike, 1 if one
alone does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from daleml import require

SMALL_SAMPLE = 0.1
"""The relative bias of a participation ratio from which on a sample is called small."""


@dataclass(frozen=True, eq=False)
class Dimension:
    r"""The dimension of activity, by two measures.

    Attributes:
        participation_ratio: Of the covariance of the sample. Too low by a factor of about
            :math:`1 + d / n` where :math:`n` samples are of dimension :math:`d`.
        corrected: The participation ratio without that bias, exactly so for independent normal
            samples; NaN where the sample is too small to tell.
        n_components: How many principal components hold the fraction ``variance_fraction``.
        variance_fraction: That fraction.
        variances: Of the principal components, descending, (units,).
        n_samples: Number of steps and trials.
        n_units: Number of units.
        small_sample: Whether the bias is more than a tenth, or the corrected value unknown.

    Example:
        >>> import numpy as np
        >>> result = dimension(np.random.default_rng(0).normal(size=(4000, 10)))
        >>> print(result)  # doctest: +NORMALIZE_WHITESPACE
        Participation ratio 9.97 (corrected for 4,000 samples: 10.00) of 10 units; 9 principal
        components hold 90% of the variance.
    """

    participation_ratio: float
    corrected: float
    n_components: int
    variance_fraction: float
    variances: NDArray[np.float64] = field(repr=False)
    n_samples: int
    n_units: int
    small_sample: bool

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; a measure that is NaN is None."""
        measures = {
            "participation_ratio": self.participation_ratio,
            "corrected": self.corrected,
        }
        plain: dict[str, Any] = {}
        for name, value in measures.items():
            plain[name] = None if np.isnan(value) else value
        return {
            **plain,
            "n_components": self.n_components,
            "variance_fraction": self.variance_fraction,
            "variances": self.variances.tolist(),
            "n_samples": self.n_samples,
            "n_units": self.n_units,
            "small_sample": self.small_sample,
        }

    def __str__(self) -> str:
        text = (
            f"Participation ratio {self.participation_ratio:.2f} (corrected for"
            f" {self.n_samples:,} samples: {self.corrected:.2f}) of {self.n_units:,} units;"
            f" {self.n_components} principal components hold {self.variance_fraction:.0%} of"
            " the variance."
        )
        if self.small_sample:
            text += " The sample is small for its dimension."
        return text


def dimension(rates: ArrayLike | Tensor, variance_fraction: float = 0.9) -> Dimension:
    r"""Measure the dimension of activity.

    .. math::
        d = \frac{(\sum_i \lambda_i)^2}{\sum_i \lambda_i^2}

    Args:
        rates: Activity of units, units last: (time, batch, units), (samples, units), any shape.
            Every step of every trial is one sample. Or a trajectory, or another result that has
            ``rates``.
        variance_fraction: The fraction of the variance, in (0, 1], that
            :attr:`Dimension.n_components` holds.

    Returns:
        The measures, with the variances that they are of.

    Raises:
        TypeError: If ``rates`` are no numbers.
        ValueError: If they are fewer than two samples, or one is not finite; or
            ``variance_fraction`` is outside (0, 1].

    Example:
        >>> import numpy as np
        >>> along_a_line = np.outer(np.arange(50.0), [1.0, 2.0, 3.0])
        >>> dimension(along_a_line).n_components
        1

    Notes:
        - Rates that do not vary have no direction: both measures are 0.
        - The correction replaces :math:`(\operatorname{tr} C)^2` and :math:`\operatorname{tr}
          C^2` by their unbiased estimates from independent normal samples. Neighbouring steps
          of a trial are not independent: there are fewer samples than steps then, and the
          corrected value is still too low.

    References:
        Srivastava 2005 (Journal of the Japan Statistical Society), for the unbiased estimates.
    """
    fraction = require.fraction("variance_fraction", variance_fraction)
    if fraction == 0:
        raise ValueError("`variance_fraction` must be above 0; got 0.")
    values = _samples(rates)
    n_samples, n_units = values.shape
    centred = values - values.mean(0)
    # The squares of singular values are the eigenvalues of the covariance, never below 0.
    singular_values = np.zeros(n_units)
    found = np.linalg.svd(centred, compute_uv=False)
    singular_values[: found.size] = found[:n_units]
    variances = singular_values**2 / (n_samples - 1)
    # Rounding leaves a constant rate a variance of its own.
    noise = np.finfo(np.float64).eps * np.abs(values).max() * n_samples
    if singular_values[0] <= noise:
        nothing = np.zeros(n_units)
        return Dimension(0.0, 0.0, 0, fraction, nothing, n_samples, n_units, False)
    # Divided before it is squared, which would take what is small to zero.
    relative = (singular_values / singular_values[0]) ** 2
    total, of_squares = float(relative.sum()), float(np.sum(relative**2))
    ratio = total**2 / of_squares
    corrected = _corrected(total, of_squares, n_samples - 1)
    held = np.cumsum(relative) / total
    # The last sum may fall short of 1 by rounding.
    n_components = int(np.argmax(held >= fraction * (1 - 1e-12))) + 1
    is_small = not corrected <= ratio * (1 + SMALL_SAMPLE)
    return Dimension(
        ratio,
        corrected,
        n_components,
        fraction,
        variances,
        n_samples,
        n_units,
        is_small,
    )


def _samples(rates: Any) -> NDArray[np.float64]:
    """Return rates as samples, (samples, units), float64."""
    given = getattr(rates, "rates", rates)
    if isinstance(given, Tensor):
        given = given.detach().cpu().double()
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"`rates` must be numbers, units last; got {type(rates).__name__}."
        ) from None
    if values.ndim < 2:
        raise ValueError(
            f"`rates` must have units as their last dimension; got shape {values.shape}."
        )
    if not values.shape[-1]:
        raise ValueError(f"`rates` must have a unit; got shape {values.shape}.")
    values = values.reshape(-1, values.shape[-1])
    if len(values) < 2:
        raise ValueError(f"`rates` must be two samples or more; got {len(values)}.")
    if not np.isfinite(values).all():
        n_wrong = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(
            f"`rates` must be finite; got {n_wrong} NaN or infinite values of"
            f" {values.size}."
        )
    return values


def _corrected(total: float, of_squares: float, n: int) -> float:
    """Return the participation ratio from unbiased estimates, with n degrees of freedom."""
    if n < 2:
        return float("nan")
    squares = n**2 / ((n - 1) * (n + 2)) * (of_squares - total**2 / n)
    square = total**2 - 2 * squares / n
    # From few samples, the estimate of a sum of squares may be negative.
    if squares <= 0 or square <= 0:
        return float("nan")
    return square / squares
