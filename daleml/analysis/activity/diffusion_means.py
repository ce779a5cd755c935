r"""Mean decision times and accuracy of a diffusion to one of two bounds.

Evidence drifts at the rate :math:`k c` with unit variance for each ms until it reaches
:math:`\pm A`:

.. math::
    \bar t(c) = \frac{A}{k |c|} \tanh(A k |c|), \qquad
    P(\text{correct}) = \frac{1}{1 + e^{-2 A k |c|}}

At no strength the time is :math:`A^2`. A fixed time that is no decision comes on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeanTimes:
    """Mean reaction times at distinct absolute strengths, with what correct choices there were.

    ``judgements`` are the number of correct trials and of judged ones, (2, strengths); None
    where only times are to be fitted.
    """

    strengths: Array
    means: Array
    errors: Array
    judgements: Array | None


def decision_time(strengths: Array, bound: float, sensitivity: float) -> Array:
    """Return the mean time until a bound is reached, in ms."""
    drift = bound * sensitivity * np.abs(strengths)
    # tanh(x)/x is 1 at 0, and 1 - x^2/3 near it.
    small = drift < 1e-6
    safe = np.where(small, 1.0, drift)
    ratio = np.where(small, 1 - drift**2 / 3, np.tanh(safe) / safe)
    return np.asarray(bound**2 * ratio)


def loss(params: Array, data: MeanTimes) -> float:
    """Return minus the log-likelihood of the means, and of the correct choices if they count.

    Args:
        params: ln A, ln k, and the time that is no decision, in units of its scale.
        data: What was measured.
    """
    bound, sensitivity = np.exp(params[:2])
    expected = params[2] + decision_time(data.strengths, bound, sensitivity)
    z = (data.means - expected) / data.errors
    total = float((z**2).sum()) / 2
    if data.judgements is not None:
        n_right, n_judged = data.judgements
        x = 2 * bound * sensitivity * np.abs(data.strengths)
        right = special.log_expit(x)
        wrong = special.log_expit(-x)
        n_wrong = n_judged - n_right
        total -= float((n_right * right + n_wrong * wrong).sum())
    return total


def fit(data: MeanTimes) -> tuple[Array, Array, float]:
    """Return A, k and the time that is no decision, their covariance, and the loss there.

    The time that is no decision is at least 0 and at most the shortest mean.
    """
    highest = float(data.means.max())
    lowest = float(data.means.min())
    best = None
    for fraction in (0.1, 0.5, 0.9):
        # At no strength there is the longest time, and a part of it is no decision.
        bound = math.sqrt(max(highest - fraction * lowest, 1e-3 * highest))
        for product in (0.5, 2.0, 8.0):
            sensitivity = product / bound / float(np.abs(data.strengths).max())
            start = [math.log(bound), math.log(sensitivity), fraction * lowest]
            found = optimize.minimize(
                loss,
                np.array(start),
                args=(data,),
                method="L-BFGS-B",
                bounds=[(-10, 10), (-25, 25), (0, lowest)],
                options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500},
            )
            if best is None or found.fun < best.fun:
                best = found
    assert best is not None
    params = best.x
    bound, sensitivity = np.exp(params[:2])
    covariance = _covariance(params, data)
    # From ln A and ln k to A and k.
    scale = np.array([bound, sensitivity, 1.0])
    found_params = np.array([bound, sensitivity, params[2]])
    return found_params, covariance * np.outer(scale, scale), float(best.fun)


def _covariance(params: Array, data: MeanTimes) -> Array:
    """Return the inverse of the loss's curvature; NaN where it is flat or no minimum."""
    step = 1e-4 * np.array([1.0, 1.0, max(1.0, abs(float(params[2])))])
    # Central differences: three parameters are few, and the loss is smooth.
    curvature = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            total = 0.0
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                at = params.copy()
                at[i] += a * step[i]
                at[j] += b * step[j]
                total += a * b * loss(at, data)
            curvature[i, j] = total / (4 * step[i] * step[j])
    values = np.linalg.eigvalsh(curvature * np.outer(step, step))
    if values[0] <= 1e-10 * abs(values[-1]):
        return np.full((3, 3), math.nan)
    return np.asarray(np.linalg.inv(curvature))
