r"""Families of distributions for magnitudes, with the location fixed at 0: one object per family.

========================  ===============================================  ========================
``lognormal``             mu, sigma of :math:`\ln w`                       ``LogNormal``
``gamma``                 shape, scale                                     ``Gamma``
``weibull``               shape, scale                                     ``Weibull``
``exponential``           scale                                            ``Exponential``
``halfnormal``            scale                                            ``HalfNormal``
``truncatednormal``       location, scale of the normal before it was cut  ``TruncatedNormal``
``inversegaussian``       mean, shape                                      ``InverseGaussian``
``lomax``                 shape, scale; also called Pareto II              ``Lomax``
``stretchedexponential``  shape, scale; the density, not the tail          ``StretchedExponential``
``generalizedgamma``      mu, sigma, q; log-normal at q = 0                ``GeneralizedGamma``
``lognormal2``            share, mu, sigma of each component               ``LogNormalMixture(2)``
``lognormal3``            share, mu, sigma of each component               ``LogNormalMixture(3)``
``powerlaw``              alpha; from a lower bound on; Pareto I, or zeta  ``PowerLaw``
========================  ===============================================  ========================

``stretchedexponential`` is the *density* :math:`e^{-(w/s)^k}`. The package ``powerlaw`` and
Clauset et al. call the Weibull by this name, whose *tail* has the form: to compare with them,
fit ``weibull``. ``pareto`` is Pareto I, the power law, as in ``scipy.stats``; Pareto II is
``lomax``. A power law is fitted only where it is named, above a bound.
"""

from __future__ import annotations

from daleml.analysis.distributions.families.exponential import Exponential
from daleml.analysis.distributions.families.family import Distribution, Family
from daleml.analysis.distributions.families.family_names import (
    FAMILIES,
    OF_TAILS,
    SIMPLE,
    find,
    find_all,
)
from daleml.analysis.distributions.families.gamma import Gamma
from daleml.analysis.distributions.families.generalized_gamma import GeneralizedGamma
from daleml.analysis.distributions.families.half_normal import HalfNormal
from daleml.analysis.distributions.families.inverse_gaussian import InverseGaussian
from daleml.analysis.distributions.families.lognormal import LogNormal
from daleml.analysis.distributions.families.lognormal_mixture import LogNormalMixture
from daleml.analysis.distributions.families.lomax import Lomax
from daleml.analysis.distributions.families.parameter_kinds import Kind
from daleml.analysis.distributions.families.power_laws import PowerLaw
from daleml.analysis.distributions.families.stretched_exponential import (
    StretchedExponential,
)
from daleml.analysis.distributions.families.truncated_normal import TruncatedNormal
from daleml.analysis.distributions.families.weibull import Weibull

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
