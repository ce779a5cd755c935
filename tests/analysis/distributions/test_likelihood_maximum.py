"""Standard errors where the likelihood is flat along some parameters, and not along others."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from daleml.analysis import fit_weights
from daleml.analysis.distributions.families import FAMILIES
from daleml.analysis.distributions.likelihood_data import LikelihoodData
from daleml.analysis.distributions.likelihood_maximum import covariance

THRESHOLD = 0.1


def hidden_component(unit=1.0):
    """Return weights censored at a threshold, with all of a narrow component below it."""
    values = np.exp(-1 + special.ndtri((np.arange(240) + 0.5) / 240))
    inside = values[values > THRESHOLD]
    return LikelihoodData(
        inside * unit,
        np.ones(inside.size),
        n_censored=60.0 + 240 - inside.size,
        threshold=THRESHOLD * unit,
    )


def visible_maximum(data):
    """Return the fraction, mu_2 and sigma_2 at the maximum, and their standard errors.

    The likelihood and its second derivatives are written out by hand, in the parameters.
    """

    def log_likelihood(params):
        fraction, mu, sigma = params
        z = (np.log(data.values) - mu) / sigma
        seen = np.sum(math.log(1 - fraction) - math.log(sigma) - z * z / 2)
        below = special.ndtr((math.log(data.threshold) - mu) / sigma)
        return seen + data.n_censored * math.log(fraction + (1 - fraction) * below)

    found = optimize.minimize(
        lambda params: -log_likelihood(params),
        (0.2, -1.0, 1.0),
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-10},
    )
    at = found.x
    steps = 1e-3 * np.eye(3)
    information = np.empty((3, 3))
    for i, one in enumerate(steps):
        for j, other in enumerate(steps):
            corners = log_likelihood(at + one + other) - log_likelihood(
                at + one - other
            )
            corners -= log_likelihood(at - one + other) - log_likelihood(
                at - one - other
            )
            information[i, j] = -corners / 4e-6
    return at, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e6])
def test_a_flat_parameter_takes_no_other_standard_error_with_it(unit):
    """The first component lies below the threshold as a whole: its place and width are anything."""
    (fraction, mu, sigma), expected = visible_maximum(hidden_component())
    at = math.log(unit)
    params = (fraction, at - 6, at + mu, 0.1, sigma)
    found = covariance(FAMILIES["lognormal2"], params, hidden_component(unit))
    errors = np.sqrt(np.diag(found))
    assert np.isnan(errors).tolist() == [False, True, False, True, False]
    assert errors[[0, 2, 4]] == pytest.approx(expected, rel=1e-3)


def test_standard_errors_of_a_mixture_at_its_limit():
    """A component on the censored weights alone: it has a fraction, and no place or width."""
    w = np.random.default_rng(4).lognormal(-1, 1, 60)
    fit = fit_weights(w, "lognormal3", censoring=THRESHOLD)
    assert fit.limit is not None
    undetermined = {name for name, error in fit.stderr.items() if math.isnan(error)}
    assert undetermined == {"mu_1", "sigma_1"}
    # Rounding alone gave errors of 1e-9 here, or of none.
    assert all(error > 0.01 for error in fit.stderr.values() if error == error)
