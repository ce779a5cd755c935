r"""Families of distributions for magnitudes, location fixed at 0: one small object a family.

========================  ===================================================  ========================
``lognormal``             mu, sigma, of :math:`\ln w`                          ``LogNormal``
``gamma``                 shape, scale                                         ``Gamma``
``weibull``               shape, scale                                         ``Weibull``
``exponential``           scale                                                ``Exponential``
``halfnormal``            scale                                                ``HalfNormal``
``truncatednormal``       location, scale, of the normal before it was cut     ``TruncatedNormal``
``inversegaussian``       mean, shape                                          ``InverseGaussian``
``lomax``                 shape, scale; also called Pareto II                  ``Lomax``
``stretchedexponential``  shape, scale; the density, not the tail              ``StretchedExponential``
``generalizedgamma``      mu, sigma, q; log-normal at q = 0, Weibull at q = 1  ``GeneralizedGamma``
``lognormal2``            share, mu, sigma, of each component                  ``LogNormalMixture(2)``
``lognormal3``            share, mu, sigma, of each component                  ``LogNormalMixture(3)``
``powerlaw``              alpha; from a lower bound on; Pareto I, or zeta      ``PowerLaw``
========================  ===================================================  ========================

``stretchedexponential`` is the *density* :math:`e^{-(w/s)^k}`. The package ``powerlaw`` and
Clauset et al. call the Weibull by this name, whose *tail* has the form: to compare with them,
fit ``weibull``. ``pareto`` is Pareto I, the power law, as in ``scipy.stats``; Pareto II is
``lomax``. A power law is fitted only where it is named, above a bound.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from daleml.analysis.distributions.families.family import Distribution, Family, Kind
from daleml.analysis.distributions.families.gamma import (
    Exponential,
    Gamma,
    GeneralizedGamma,
    Weibull,
)
from daleml.analysis.distributions.families.half_bell import (
    HalfNormal,
    StretchedExponential,
    TruncatedNormal,
)
from daleml.analysis.distributions.families.inverse_gaussian_lomax import (
    InverseGaussian,
    Lomax,
)
from daleml.analysis.distributions.families.lognormal import LogNormal, LogNormalMixture
from daleml.analysis.distributions.families.power_laws import PowerLaw

__all__ = [
    "FAMILIES",
    "OF_TAILS",
    "SIMPLE",
    "Distribution",
    "Exponential",
    "Family",
    "Gamma",
    "GeneralizedGamma",
    "HalfNormal",
    "InverseGaussian",
    "Kind",
    "LogNormal",
    "LogNormalMixture",
    "Lomax",
    "PowerLaw",
    "StretchedExponential",
    "TruncatedNormal",
    "Weibull",
    "find",
    "find_all",
]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        LogNormal(),
        Gamma(),
        Weibull(),
        Exponential(),
        HalfNormal(),
        TruncatedNormal(),
        InverseGaussian(),
        Lomax(),
        StretchedExponential(),
        GeneralizedGamma(),
        LogNormalMixture(2),
        LogNormalMixture(3),
    )
}
"""The families by name."""

OF_TAILS: dict[str, Family] = {"powerlaw": PowerLaw()}
"""Those that hold from a lower bound on, which are compared only where they are named."""

SIMPLE: tuple[str, ...] = tuple(
    name for name, family in FAMILIES.items() if len(family.parameters) < 3
)
"""Those of one or two parameters, which are compared unless others are named."""

_OTHER_NAMES = {
    "expon": "exponential",
    "gengamma": "generalizedgamma",
    "generalisedgamma": "generalizedgamma",
    "halfgennorm": "stretchedexponential",
    "halfnorm": "halfnormal",
    "invgauss": "inversegaussian",
    "lognorm": "lognormal",
    "lognormalmixture": "lognormal2",
    "lognormalmixture2": "lognormal2",
    "lognormalmixture3": "lognormal3",
    "pareto": "powerlaw",
    "pareto1": "powerlaw",
    "pareto2": "lomax",
    "paretoi": "powerlaw",
    "paretoii": "lomax",
    "truncnorm": "truncatednormal",
    "truncnormal": "truncatednormal",
    "wald": "inversegaussian",
    "weibullmin": "weibull",
    "zeta": "powerlaw",
    "zipf": "powerlaw",
}


# characters of a value that an error repeats: an array given by mistake would fill the screen
_LONGEST = 60


def _shown(family: object) -> str:
    """Return what was given instead of a family, in few words, and which family may have been meant."""
    if not isinstance(family, str):
        several = isinstance(family, (list, tuple, set))
        hint = ": `compare_families` takes several" if several else ""
        value = repr(family)
        short = (
            value
            if len(value) <= _LONGEST and "\n" not in value
            else type(family).__name__
        )
        return f"{short}{hint}."
    near = difflib.get_close_matches(
        family.lower(), FAMILIES | OF_TAILS, n=1, cutoff=0.83
    )  # normal is not lognormal
    return f"{family!r}" + (f": did you mean {near[0]!r}?" if near else ".")


def find(family: str | Family) -> Family:
    """Return a family by its name, hyphens and the like aside; a family is returned as it is.

    Raises:
        ValueError: If there is none of that name.
    """
    if isinstance(family, Family):
        return family
    name = (
        "".join(letter for letter in family.lower() if letter.isalnum())
        if isinstance(family, str)
        else ""
    )
    name = _OTHER_NAMES.get(name, name)
    known = FAMILIES | OF_TAILS
    if name not in known:
        raise ValueError(
            f"`family` must be one of {', '.join(known)}; got {_shown(family)}"
        )
    return known[name]


def find_all(families: str | Family | Sequence[str | Family]) -> list[Family]:
    """Return families by their names; ``"all"`` are all of them, each once.

    Raises:
        ValueError: If there are none, or two of different classes have one name.
    """
    if isinstance(families, str) and families.lower() == "all":
        return list(FAMILIES.values())
    given = (
        families
        if isinstance(families, Iterable) and not isinstance(families, str)
        else (families,)
    )
    chosen: dict[str, Family] = {}
    for family in map(find, given):
        if type(chosen.setdefault(family.name, family)) is not type(family):
            raise ValueError(
                "`families` must have names of their own; got two that are called"
                f" {family.name!r}."
            )
    if not chosen:
        raise ValueError("`families` must name at least one family; got none.")
    return list(chosen.values())
