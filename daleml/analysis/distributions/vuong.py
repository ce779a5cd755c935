"""Tests whether a sample tells two families apart: Vuong's, and the likelihood ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.p_values import LEVEL
from daleml.analysis.distributions.scores import standard_scores
from daleml.analysis.distributions.weight_fit import FEW as FEW
from daleml.analysis.distributions.weight_fit import WeightFit, require_fit

# Two families of which neither says what the other does not: their variances differ by less.
_ONE_FAMILY = 1e-9

# The chance of telling two families apart, with the weights that are said to be needed.
_POWER = 0.8


@dataclass(frozen=True)
class PairTest:
    r"""Whether a sample tells two families apart.

    Attributes:
        better: The family with the larger likelihood, corrected for the number of parameters.
        worse: The other.
        test: ``"vuong"``; ``"likelihood ratio"`` where one family is a special case of the
            other; None where neither holds, as for a mixture and its own component.
        statistic: Of the test: normal, or chi-squared.
        p_value: Two-sided; NaN without a test.
        n_needed: How many weights would tell them apart at 5 % four times in five, if they went
            on like these.
        p_variance: Of Vuong's first test, that both say the same of every weight, so that the
            second means nothing; NaN without a test.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights, pair_test
        >>> weights = np.random.default_rng(0).lognormal(size=500)
        >>> fits = [fit_weights(weights, name) for name in ("gamma", "lognormal")]
        >>> result = pair_test(*fits)
        >>> result.better, result.test, result.p_value < 0.01
        ('lognormal', 'vuong', True)
    """

    better: str
    worse: str
    test: str | None
    statistic: float
    p_value: float
    n_needed: float
    p_variance: float = math.nan


def pair_test(first: WeightFit, second: WeightFit) -> PairTest:
    r"""Test whether a sample tells two fitted families apart.

    With :math:`m_i` the difference of the two log-likelihoods of a weight, and :math:`k` the
    numbers of parameters,

    .. math:: z = \frac{\sum_i m_i - (k_1 - k_2)}{\sqrt{n}\, \mathrm{sd}(m)}

    is standard normal if the two are equally far from the truth. Where one family is a special
    case of the other, twice the difference is chi-squared, with as many degrees of freedom as
    parameters are added, if the simpler is true.

    Args:
        first: A fit.
        second: A fit of another family to the same sample.

    Returns:
        The better of the two, with the p-value of the difference.

    Raises:
        TypeError: If one of them is no fit.
        ValueError: If they were fitted to different samples.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> weights = np.random.default_rng(0).exponential(size=500)
        >>> exponential, gamma = fit_weights(weights, "exponential"), fit_weights(weights, "gamma")
        >>> pair_test(exponential, gamma).test
        'likelihood ratio'

    Notes:
        The correction is Akaike's, so that the sign of :math:`z` agrees with the ranking by AIC.

    References:
        Vuong 1989, Econometrica 57:307.
    """
    require_fit("first", first)
    require_fit("second", second)
    if first.observed is not second.observed and first.observed != second.observed:
        raise ValueError(
            "`second` must be fitted to the sample of `first`; got another."
        )
    data = first.observed.data
    counts = data.all_counts
    with np.errstate(all="ignore"):
        gaps = likelihood.pointwise(first.rule, first.values, data)
        gaps = gaps - likelihood.pointwise(second.rule, second.values, data)
    n = float(counts.sum())
    total = float(counts @ gaps)
    # Akaike's correction, as in the ranking.
    corrected = total - (len(first.params) - len(second.params))
    names = first.family, second.family
    if corrected < 0:
        names = second.family, first.family
    simple, general = first, second
    if len(first.params) > len(second.params):
        simple, general = second, first
    if general.limit == "a power law" and simple.family == "powerlaw":
        # Both are the same curve: there is nothing to test.
        return PairTest(*names, None, math.nan, math.nan, math.inf)
    if simple.family in general.rule.special_cases:
        return _likelihood_ratio_test(names, simple, general, n)
    variance = max(float(counts @ (gaps - total / n) ** 2) / n, 0.0)
    spread = math.sqrt(variance)
    z = 0.0
    if spread > 0:
        z = abs(corrected) / (math.sqrt(n) * spread)
    needed = _n_needed(n, z)
    if simple.family in general.rule.irregular_cases or n < FEW:
        return PairTest(*names, None, math.nan, math.nan, needed)
    p_variance = _p_of_variance(first, second, n * spread**2)
    return PairTest(*names, "vuong", z, math.erfc(z / math.sqrt(2)), needed, p_variance)


def _likelihood_ratio_test(
    names: tuple[str, str], simple: WeightFit, general: WeightFit, n: float
) -> PairTest:
    from scipy.special import chdtrc, chdtri, chndtrinc

    ratio = max(2 * (general.log_likelihood - simple.log_likelihood), 0.0)
    freedom = len(general.params) - len(simple.params)
    needed = math.inf
    if ratio > freedom:
        # By so much must the ratio exceed what chance adds.
        excess = float(chndtrinc(chdtri(freedom, LEVEL), freedom, 1 - _POWER))
        needed = n * excess / (ratio - freedom)
    p_value = float(chdtrc(freedom, ratio))
    return PairTest(*names, "likelihood ratio", ratio, p_value, needed)


def _n_needed(n: float, z: float) -> float:
    """Return how many weights tell two families apart that ``n`` weights set ``z`` apart."""
    from scipy.special import ndtri

    if z == 0:
        return math.inf
    # So many standard errors lie between two families that are told apart at the level, with
    # the power.
    apart = float(ndtri(1 - LEVEL / 2) + ndtri(_POWER))
    return n * (apart / z) ** 2


def _p_of_variance(first: WeightFit, second: WeightFit, statistic: float) -> float:
    r"""Return the p-value of :math:`n \hat\omega^2`, the variance of the differences.

    Where two families are one, it is a sum of squares of normal numbers. Each has the variance
    :math:`1 - \rho^2` of what one family can say and the other cannot, with :math:`\rho` their
    canonical correlations. The sum is taken for a multiple of a chi-squared number of the same
    mean and variance.
    """
    from scipy.special import chdtrc

    if first.sample.intervals is not None or first.observation.zeros == "censored":
        return 0.0
    values, counts = first.observed.counted_values()
    one = standard_scores(first, values, counts)
    other = standard_scores(second, values, counts)
    correlations = (counts[:, None] * one).T @ other / counts.sum()
    shared = np.linalg.svd(correlations, compute_uv=False)
    apart = np.repeat(np.clip(1 - shared**2, 0.0, 1.0), 2)
    apart = np.append(apart, np.ones(abs(one.shape[1] - other.shape[1])))
    mean, variance = apart.sum(), (apart**2).sum()
    if mean < _ONE_FAMILY:
        return 1.0
    return float(chdtrc(mean**2 / variance, statistic / (variance / mean)))
