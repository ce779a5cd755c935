"""The readable names of families, for sentences, tables and figures.

Keys stay as they are in JSON, in tables of values and in arguments.
"""

from __future__ import annotations

from daleml.analysis.distributions.families.family import Family

_LABELS = {
    "lognormal": "log-normal",
    "gamma": "gamma",
    "weibull": "Weibull",
    "exponential": "exponential",
    "halfnormal": "half-normal",
    "truncatednormal": "truncated normal",
    "inversegaussian": "inverse Gaussian",
    "lomax": "Lomax",
    "stretchedexponential": "stretched exponential",
    "generalizedgamma": "generalised gamma",
    "lognormal2": "mixture of 2 log-normals",
    "lognormal3": "mixture of 3 log-normals",
    "powerlaw": "power law",
}


def family_label(family: str | Family) -> str:
    """Return the name of a family as people write it.

    A label can be given wherever a family is asked for: ``fit_weights(weights, "power law")``.

    Args:
        family: A family, or its key, as in ``WeightFit.family``.

    Returns:
        Its readable name. A family that is not of daleml keeps the name that its author gave.

    Raises:
        TypeError: If ``family`` is neither.

    Example:
        >>> from daleml.analysis import family_label
        >>> family_label("stretchedexponential"), family_label("mine")
        ('stretched exponential', 'mine')
    """
    if isinstance(family, Family):
        family = family.name
    if not isinstance(family, str):
        raise TypeError(
            f"`family` must be a family or its name; got {type(family).__name__}."
        )
    return _LABELS.get(family, family)
