"""Whether a sample tells two families apart.

Vuong's test, and the likelihood ratio of nested ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.fit import FEW as FEW
from daleml.analysis.distributions.fit import WeightFit, require_fit
from daleml.analysis.distributions.p_values import LEVEL
from daleml.analysis.distributions.scores import standard_scores

_ONE_FAMILY = (
    1e-9  # of variances: two families of which neither says what the other does not
)
_POWER = 0.8  # chance of telling two families apart, with the weights said to be needed


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

    Raises:
        ValueError: If they were fitted to different samples.

    Notes:
        The correction is Akaike's, so that the sign of :math:`z` agrees with the ranking by AIC.

    References:
        Vuong 1989, Econometrica 57:307.
    """
    require_fit("first", first)
    require_fit("second", second)
    if first.material is not second.material and first.material != second.material:
        raise ValueError(
            "`second` must be fitted to the sample of `first`; got another."
        )
    from scipy.special import chndtrinc, ndtri
    from scipy.stats import chi2

    data = first.material.data
    terms = [
        likelihood.pointwise(fit.rule, fit.values, data) for fit in (first, second)
    ]
    gaps, counts = terms[0] - terms[1], data.all_counts
    n = float(counts.sum())
    total = float(counts @ gaps)
    corrected = total - (len(first.params) - len(second.params))
    mean = total / n
    spread = math.sqrt(max(float(counts @ (gaps - mean) ** 2) / n, 0.0))
    better, worse = (first, second) if corrected >= 0 else (second, first)
    z = abs(corrected) / (math.sqrt(n) * spread) if spread > 0 else 0.0
    simple, general = (
        (first, second) if len(first.params) <= len(second.params) else (second, first)
    )
    names = better.family, worse.family
    if (
        general.limit == "a power law" and simple.family == "powerlaw"
    ):  # the same curve: there is nothing to test
        return PairTest(*names, None, math.nan, math.nan, math.inf)
    if simple.family in general.rule.special_cases:
        ratio = max(2 * (general.log_likelihood - simple.log_likelihood), 0.0)
        freedom = len(general.params) - len(simple.params)
        excess = float(
            chndtrinc(chi2.isf(LEVEL, freedom), freedom, 1 - _POWER)
        )  # over what chance adds
        needed = n * excess / (ratio - freedom) if ratio > freedom else math.inf
        return PairTest(
            *names, "likelihood ratio", ratio, float(chi2.sf(ratio, freedom)), needed
        )
    # so many standard errors lie between two families that are told apart at the level, with
    # the power
    apart = float(ndtri(1 - LEVEL / 2) + ndtri(_POWER))
    needed = n * (apart / z) ** 2 if z > 0 else math.inf
    if simple.family in general.rule.irregular_cases or n < FEW:
        return PairTest(*names, None, math.nan, math.nan, needed)
    p_variance = _same_terms(first, second, n * spread**2)
    return PairTest(*names, "vuong", z, math.erfc(z / math.sqrt(2)), needed, p_variance)


def _same_terms(first: WeightFit, second: WeightFit, statistic: float) -> float:
    r"""Return the p-value of :math:`n \hat\omega^2`, the variance of the differences, of two families that are one.

    It is then a sum of squares of normal numbers, each with the variance :math:`1 - \rho^2` of
    what one family can say and the other cannot, :math:`\rho` their canonical correlations;
    taken for a multiple of a chi-squared number of the same mean and variance.
    """
    from scipy.stats import chi2

    values, counts = first.sample.values(), first.sample.counts()
    if first.sample.intervals is not None or first.observation.zeros == "censored":
        return 0.0
    counts = np.ones(values.size) if counts is None else counts
    one, other = (standard_scores(fit, values, counts) for fit in (first, second))
    shared = np.linalg.svd(
        (counts[:, None] * one).T @ other / counts.sum(), compute_uv=False
    )
    apart = np.repeat(np.clip(1 - shared**2, 0.0, 1.0), 2)
    apart = np.append(apart, np.ones(abs(one.shape[1] - other.shape[1])))
    mean, variance = apart.sum(), (apart**2).sum()
    if mean < _ONE_FAMILY:
        return 1.0
    return float(chi2.sf(statistic / (variance / mean), mean**2 / variance))
