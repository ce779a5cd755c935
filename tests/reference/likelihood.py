"""The log-likelihood of weights as they were observed, one at a time, by a frozen distribution of scipy's."""

import math


def log_likelihood(
    distribution,
    values,
    *,
    truncation=None,
    censoring=None,
    discrete=False,
    sample_weights=None,
):
    low, high = truncation or (None, None)
    low, high = 0 if low is None else low, math.inf if high is None else high
    if discrete:
        low = max(math.ceil(low), 1) - 0.5
        high = math.floor(high) + 0.5 if high < math.inf else high
    seen = distribution.cdf(high) - distribution.cdf(low)
    total = 0.0
    for i, value in enumerate(values):
        if discrete:
            likelihood = distribution.cdf(value + 0.5) - distribution.cdf(value - 0.5)
        elif censoring is not None and value <= censoring:
            likelihood = distribution.cdf(censoring) - distribution.cdf(low)
        else:
            likelihood = distribution.pdf(value)
        total += (1 if sample_weights is None else sample_weights[i]) * math.log(
            likelihood / seen
        )
    return total
