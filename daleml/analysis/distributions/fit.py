"""Maximum-likelihood fits of one family of distributions to weights."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from daleml.analysis.distributions.connection_probability import connection_probability
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.family_names import find
from daleml.analysis.distributions.families.parameter_kinds import Params
from daleml.analysis.distributions.likelihood import log_likelihood
from daleml.analysis.distributions.likelihood_maximum import covariance, maximise
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import (
    FitOptions,
    ObservedSample,
    lists_fit_options,
    observe,
)
from daleml.analysis.distributions.weight_fit import WeightFit
from daleml.analysis.weights.sample import WeightsLike


@lists_fit_options
def fit_weights(
    weights: WeightsLike,
    family: str | Family = "lognormal",
    *,
    observation: Observation | None = None,
    **options: Unpack[FitOptions],
) -> WeightFit:
    r"""Fit one family to magnitudes of weights, by maximum likelihood with the location at 0.

    Data are not the distribution that made them. With :math:`S` the probability that a
    magnitude is seen at all, the likelihood is that of what was observed,

    .. math::
        \ln L = \sum_i c_i \ln p_i + n_c \ln P(\mathrm{low} < W \le \mathrm{threshold})
        - n \ln S

    where :math:`p_i` is the density at a weight, or the probability of a count, and :math:`c_i`
    its sample weight.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        family: ``"lognormal"`` (parameters mu, sigma, of :math:`\ln w`), ``"gamma"``,
            ``"weibull"`` or another of :mod:`daleml.analysis.distributions.families`; or a
            ``Family``.
        observation: How the weights were observed, in one object; default: as the options from
            ``truncation`` to ``significant`` say.
        **options: How the sample is taken and how it was observed: :class:`FitOptions`.

    Returns:
        The fit, with zeros and dropped values counted.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If the family is unknown; if weights are NaN or infinite, of both signs or
            of several parameters without ``sign`` or ``pool``; if fewer than two differ from
            zero, or they do not vary; if they are none that could have been observed as said.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).lognormal(mean=-2, sigma=1, size=10_000)
        >>> fit_weights(weights).parameters_text()
        'mu -1.994 ± 0.01, sigma 0.9981 ± 0.0071'
        >>> seen = weights[weights > 0.1]  # as a microscope would
        >>> naive, aware = fit_weights(seen), fit_weights(seen, truncation=(0.1, None))
        >>> print(f"{naive.params['sigma']:.2f} {aware.params['sigma']:.2f}")
        0.66 0.98

    Notes:
        ``scipy.stats.lognorm.fit`` frees the location unless told not to, and then returns
        nonsense on weights; here it is fixed at 0, and the log-normal of weights seen whole is
        the mean and the standard deviation of the logarithms. Sample weights are frequencies:
        weights of another meaning must first be scaled to add up to the number of independent
        values.
    """
    found = find(family)
    return fit_sample(observe(weights, observation, options, ("family",)), found)


def fit_sample(observed: ObservedSample, family: Family) -> WeightFit:
    """Fit a family to a sample as it was observed.

    Raises:
        ValueError: If the sample cannot have been observed so, or the likelihood is finite
            nowhere.
    """
    sample = observed.sample
    zeros = observed.observation.zeros
    whole = observed.whole
    if family.needs_bound or not whole:
        family = family.observed_as(observed.observation)
    if zeros == "error" or not whole:
        # A sample that cannot have been observed so is refused here.
        _ = observed.data
    params, n_starts, n_agree = estimate(observed, family)
    n_below = n_above = n_small = 0
    connection = None
    if whole:
        errors = family.stderr(params, sample.n)
        height = sample.n * family.mean_log_likelihood(params, sample)
    else:
        errors = None
        height = log_likelihood(family, params, observed.data)
    if not whole and observed.nearly_whole:
        errors = family.stderr(params, observed.total)
    if errors is None:
        variances = np.diag(covariance(family, params, observed.data))
        errors = tuple(np.sqrt(variances).tolist())
    if not observed.observation.whole:
        n_below, n_above = observed.n_censored()
    if zeros == "censored":
        n_small = sample.n_zero
    if zeros == "hurdle":
        connection = connection_probability(observed, family, params)
    return WeightFit(
        family=family.name,
        params=dict(zip(family.parameters, params, strict=True)),
        stderr=dict(zip(family.parameters, errors, strict=True)),
        log_likelihood=height,
        n=sample.n + n_small,
        n_zero=sample.n_zero - n_small,
        n_dropped=sample.n_dropped,
        n_censored=n_below,
        n_censored_above=n_above,
        connection=connection,
        n_starts=n_starts,
        n_agree=n_agree,
        observed=observed,
        rule=family,
    )


def estimate(
    observed: ObservedSample, family: Family, start: Params | None = None
) -> tuple[Params, int, int]:
    """Return the maximum-likelihood parameters of a family.

    Args:
        observed: What to fit it to.
        family: The family.
        start: Where to begin, where there is no closed form; default: where the family says.

    Returns:
        The parameters, the number of starting points (0 of a closed form), and from how many of
        them the search arrived at the highest maximum.
    """
    if observed.whole:
        params = family.estimate(observed.sample)
        if params is not None:
            return params, 0, 0
    found = maximise(family, observed.data, start)
    return found.params, found.n_starts, found.n_agree
