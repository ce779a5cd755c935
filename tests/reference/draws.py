"""Data as an instrument would hand them over, drawn in the plainest way, by families whose parameters are known."""

import numpy as np

TRUTH = {
    "lognormal": (-2.0, 0.9),
    "gamma": (1.7, 0.3),
    "weibull": (0.8, 2.0),
    "exponential": (0.05,),
    "halfnormal": (3.0,),
    "truncatednormal": (1.5, 1.0),
    "inversegaussian": (2.0, 3.0),
    "lomax": (2.5, 0.5),
    "stretchedexponential": (0.8, 0.2),
    "generalizedgamma": (0.0, 1.0, 0.5),
    "lognormal2": (0.6, -1.0, 1.0, 0.5, 0.5),
    "lognormal3": (0.3, 0.4, -2.5, 0.0, 2.5, 0.5, 0.5, 0.5),
}
MODES = ("whole", "truncated", "censored", "discrete")
_SHARE = 0.15  # of magnitudes that a threshold hides
_MEDIAN = (
    8  # of counts; of three components more, or the first would lie below one half
)


def observed(family, mode, n, rng):
    """Return about ``n`` magnitudes, the options that say how they were observed, and the true parameters."""
    params = TRUTH[family.name]
    w = family.sample(params, n, rng)
    threshold = float(family.ppf(np.array(_SHARE), params))
    if mode == "truncated":
        return w[w > threshold], {"truncation": (threshold, None)}, params
    if mode == "censored":
        return np.maximum(w, threshold), {"censoring": threshold}, params
    if mode == "discrete":
        unit = (100 if family.name == "lognormal3" else _MEDIAN) / float(
            family.ppf(np.array(0.5), params)
        )
        counts = np.ceil(w * unit - 0.5)
        return counts[counts > 0], {"discrete": True}, family.in_unit(params, unit)
    return w, {}, params
