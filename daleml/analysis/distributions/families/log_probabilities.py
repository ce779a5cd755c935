"""Logarithms of probabilities, precise where the probability is all but 0 or all but 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daleml.analysis.distributions.families.family import LOG_2PI
from daleml.analysis.distributions.families.parameter_kinds import Array

_MOST_TERMS = 2000

# Below this probability a float loses digits, and then everything.
_LEAST = 1e-290


def log_either(p: Array, complement: Array) -> Array:
    """Return ln of a probability from it and its complement, each precise where it is small."""
    with np.errstate(divide="ignore"):
        return np.where(p < 0.5, np.log(p), np.log1p(-np.minimum(complement, 0.5)))


def log_complement(log_p: Array) -> Array:
    r"""Return :math:`\ln(1 - p)` of :math:`\ln p`."""
    with np.errstate(divide="ignore"):
        near_one = np.log(-np.expm1(np.maximum(log_p, -1.0)))
        return np.where(log_p > -math.log(2), near_one, np.log1p(-np.exp(log_p)))


def log_gammainc(k: float, x: Array) -> Array:
    """Return ln of the regularised lower incomplete gamma function."""
    from scipy.special import gammainc, gammaincc, gammaln

    x = np.asarray(x, dtype=np.float64)
    p = np.asarray(gammainc(k, x), dtype=np.float64)
    complement = np.asarray(gammaincc(k, x), dtype=np.float64)
    result = np.array(log_either(p, complement))
    lost = (p < _LEAST) & (x > 0)
    if lost.any():
        below = x[lost]
        term = total = np.ones_like(below)
        for i in range(1, _MOST_TERMS):
            term = term * below / (k + i)
            total = total + term
            if (term < 1e-17 * total).all():
                break
        result[lost] = k * np.log(below) - below - float(gammaln(k + 1)) + np.log(total)
    return result


def log_gammaincc(k: float, x: Array) -> Array:
    """Return ln of the regularised upper incomplete gamma function."""
    from scipy.special import gammainc, gammaincc, gammaln

    x = np.asarray(x, dtype=np.float64)
    p = np.asarray(gammaincc(k, x), dtype=np.float64)
    complement = np.asarray(gammainc(k, x), dtype=np.float64)
    result = np.array(log_either(p, complement))
    lost = (p < _LEAST) & np.isfinite(x)
    if lost.any():
        above = x[lost]
        fraction = _continued_fraction(k, above)
        result[lost] = k * np.log(above) - above - float(gammaln(k)) + np.log(fraction)
    return result


def _continued_fraction(k: float, x: Array) -> Array:
    """Return Legendre's continued fraction of the upper incomplete gamma function.

    It is evaluated by Lentz's method.
    """
    b = x + 1 - k
    c = np.full_like(x, np.inf)
    d = 1 / b
    total = d
    for i in range(1, _MOST_TERMS):
        a = -i * (i - k)
        b = b + 2
        c = b + a / c
        d = 1 / (a * d + b)
        total = total * c * d
        if (np.abs(c * d - 1) < 1e-15).all():
            break
    return total


def log_gamma_tail_near_normal(q: float, zeta: Array, *, lower: bool) -> Array:
    r"""Return ln of an incomplete gamma function of a large :math:`k = q^{-2}`.

    It is Temme's uniform expansion,

    .. math::
        Q(k, \lambda k) = \Phi(-\zeta) + |q|\, \phi(\zeta) (c_0(\eta) + q^2 c_1(\eta) + \dots),
        \quad \eta = |q| \zeta, \quad \tfrac12 \eta^2 = \lambda - 1 - \ln \lambda

    Args:
        q: Small; 0 is the normal.
        zeta: The sign of :math:`\ln\lambda` times :math:`\sqrt{2 k (\lambda - 1 - \ln \lambda)}`.
        lower: Whether of the lower function, :math:`1 - Q`.

    References:
        Temme 1979, SIAM Journal on Mathematical Analysis 10:757.
    """
    from scipy.special import log_ndtr

    # The series holds for eta between -1 and 1; beyond, the tail is 0 or 1.
    largest = 1 / max(abs(q), 1e-300)
    eta = abs(q) * np.clip(zeta, -largest, largest)
    first = -1 / 3 + eta * (
        1 / 12
        + eta * (-2 / 135 + eta * (1 / 864 + eta * (1 / 2835 - eta * 139 / 777600)))
    )
    second = -1 / 540 + eta * (-1 / 288 + eta / 378)
    side = 1.0 - 2.0 * lower
    normal: Any = np.asarray(log_ndtr(-side * zeta))
    ratio = np.exp(np.minimum(-zeta * zeta / 2 - LOG_2PI / 2 - normal, 700.0))
    correction = side * abs(q) * ratio * (first + q * q * second)
    return np.asarray(normal + np.log1p(np.maximum(correction, -1.0)))
