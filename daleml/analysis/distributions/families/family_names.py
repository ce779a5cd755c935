"""The families by their names, and by the names that other packages give them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from daleml.analysis.distributions.families.exponential import Exponential
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.gamma import Gamma
from daleml.analysis.distributions.families.generalized_gamma import GeneralizedGamma
from daleml.analysis.distributions.families.half_normal import HalfNormal
from daleml.analysis.distributions.families.inverse_gaussian import InverseGaussian
from daleml.analysis.distributions.families.lognormal import LogNormal
from daleml.analysis.distributions.families.lognormal_mixture import LogNormalMixture
from daleml.analysis.distributions.families.lomax import Lomax
from daleml.analysis.distributions.families.power_laws import PowerLaw
from daleml.analysis.distributions.families.stretched_exponential import (
    StretchedExponential,
)
from daleml.analysis.distributions.families.truncated_normal import TruncatedNormal
from daleml.analysis.distributions.families.weibull import Weibull

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
"""The families that hold from a lower bound on. They are compared only where they are named."""

SIMPLE: tuple[str, ...] = tuple(
    name for name, family in FAMILIES.items() if len(family.parameters) < 3
)
"""Names of the families of one or two parameters, which are compared unless others are named."""

# Names of scipy.stats and of the literature, in lower case and without hyphens.
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
    "mixtureof2lognormals": "lognormal2",
    "mixtureof3lognormals": "lognormal3",
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

# An error repeats at most so many characters of a value: an array that was given by mistake
# would fill the screen.
_LONGEST = 60

# Names less similar than this are not suggested: "normal" is not "lognormal".
_SIMILAR = 0.83


def find(family: str | Family) -> Family:
    """Return a family by its name.

    Args:
        family: Its name, in any case and with or without hyphens, or one that scipy has for it.
            A family is returned as it is.

    Raises:
        ValueError: If there is none of that name.

    Example:
        >>> find("log-normal"), find("wald")
        (LogNormal(), InverseGaussian())
    """
    if isinstance(family, Family):
        return family
    name = ""
    if isinstance(family, str):
        name = "".join(filter(str.isalnum, family.lower()))
        name = _OTHER_NAMES.get(name, name)
    known = FAMILIES | OF_TAILS
    if name not in known:
        raise ValueError(
            f"`family` must be one of {', '.join(known)}; got {_shown(family)}"
        )
    return known[name]


def find_all(families: str | Family | Sequence[str | Family]) -> list[Family]:
    """Return families by their names, each once.

    Args:
        families: One name or several; ``"all"`` are all families that need no lower bound.

    Raises:
        ValueError: If there are none, or two of different classes have one name.

    Example:
        >>> find_all(["gamma", "lognorm"])
        [Gamma(), LogNormal()]
    """
    if isinstance(families, str) and families.lower() == "all":
        return list(FAMILIES.values())
    if isinstance(families, str) or not isinstance(families, Iterable):
        families = [families]
    chosen: dict[str, Family] = {}
    for family in map(find, families):
        if type(chosen.setdefault(family.name, family)) is not type(family):
            raise ValueError(
                "`families` must have names of their own; got two that are called"
                f" {family.name!r}."
            )
    if not chosen:
        raise ValueError("`families` must name at least one family; got none.")
    return list(chosen.values())


def _shown(family: object) -> str:
    """Return what was given instead of a family, in few words, and which family may be meant."""
    if isinstance(family, str):
        near = difflib.get_close_matches(
            family.lower(), FAMILIES | OF_TAILS, n=1, cutoff=_SIMILAR
        )
        return f"{family!r}: did you mean {near[0]!r}?" if near else f"{family!r}."
    shown = repr(family)
    if len(shown) > _LONGEST or "\n" in shown:
        shown = type(family).__name__
    if isinstance(family, (list, tuple, set)):
        return f"{shown}: `compare_families` takes several."
    return f"{shown}."
