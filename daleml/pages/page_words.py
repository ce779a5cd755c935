"""The words of reports that a reader may not know, each with what it means.

They are the words of the glossary on the site, for whoever reads a page without it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping

OF_NETWORKS = {
    "MLP": "A multi-layer perceptron: an ordinary network without a law.",
    "column EI": (
        "A layer whose presynaptic units are split into excitatory and inhibitory ones, so"
        " that each column of its weight has one sign."
    ),
    "DANN": (
        "Dale's ANN: a layer of excitatory units with feed-forward inhibition, W = Wex - Wei"
        " Wix, of Cornford et al. 2021."
    ),
    "guarded": (
        "With a guard: after every step of the optimiser, every weight of a wrong sign is"
        " set to zero."
    ),
    "SGD": "Stochastic gradient descent: a step against the gradient of a few examples.",
    "EG": (
        "Exponentiated gradient: a step that multiplies each weight, so that no weight can"
        " change sign."
    ),
    "KS": (
        "Kolmogorov-Smirnov distance: the largest gap between two cumulative distributions."
        " 0 is a perfect match."
    ),
    "AICc": (
        "2 k - 2 ln L with a correction for few data; k is the number of parameters, ln L"
        " the log-likelihood. It ranks families: lower is better. A rank is no test."
    ),
    "entropy": (
        "SVD entropy, H: how evenly the singular values of a matrix are spread, between 0"
        " (one stands alone) and 1 (all are equal)."
    ),
}
"""Words of the demo."""

OF_FITS = {
    "family": "A kind of distribution with parameters to fit, such as the log-normal.",
    "AICc": OF_NETWORKS["AICc"],
    "behind": "By how much a family's AICc is above that of the best one.",
    "weight": (
        "The Akaike weight of a family: exp(-behind / 2), over the sum of the same of all"
        " families."
    ),
    "ln L": "The log-likelihood: the logarithm of the probability of the data under a family.",
    "p, as good": (
        "The probability of a difference this large between this family and the best one,"
        " if both were equally good. Below 0.05, the family is worse. A dash says that no"
        " test applies."
    ),
    "p, fits": (
        "The probability of a gap this large between data and fit, if the data were drawn"
        " from the family. Below 0.05, the family does not describe the weights fully."
    ),
    "cannot be told from": (
        "The sample is too small to tell these families from the best one. That is no"
        " proof that they describe it as well."
    ),
    "generalised gamma": (
        "A family of three parameters; gamma, Weibull and the log-normal are its special"
        " or limiting cases."
    ),
    "stretched exponential": (
        "A density that falls as exp(-(w / scale)^shape). What some fields call stretched"
        " exponential, of the fraction of larger weights, is the Weibull family."
    ),
    "truncated normal": "A normal distribution of which only the positive part is kept.",
    "half-normal": "The magnitude of normal numbers of mean zero.",
    "inverse Gaussian": (
        "A skewed family of two parameters: the distribution of the time in which a random"
        " walk with drift first reaches a bound."
    ),
    "Lomax": "Pareto II: falls as a power of w far out, and begins at zero.",
    "mixture of 2 log-normals": "The sum of two log-normals, each with a share.",
    "mixture of 3 log-normals": "The sum of three log-normals, each with a share.",
    "shuffles": (
        "The labels of groups are dealt out anew at random, many times; the test counts how"
        " often such a deal differs as much as the data do."
    ),
    "Vuong's test": "A test of whether two families describe one sample equally well.",
    "goodness of fit": (
        "A test of whether a sample could have been drawn from the family that was fitted"
        " to it."
    ),
    "Kolmogorov-Smirnov": (
        "The largest gap between two cumulative distributions. 0 is a perfect match."
    ),
    "Gini coefficient": "0 if all weights are equal, near 1 if one has it all.",
}
"""Words of a fit's page."""

OF_CLAIMS = {
    "dual": (
        "The coordinate in which mirror descent takes its steps: the gradient of a"
        " potential. Under the negative entropy it is the logarithm of a weight's"
        " magnitude, up to a constant and with the weight's sign; under the Euclidean"
        " potential it is the weight itself."
    ),
    "potential": (
        "A convex function of the weights that gives mirror descent its geometry. The"
        " 3-norm is the sum of |w|^3."
    ),
    "sampling floor": (
        "The distance from normal that numbers drawn from a normal distribution still have,"
        " because there are finitely many. A distance at the floor cannot be told from"
        " zero."
    ),
    "D": "The number of weights.",
    "column EI": OF_NETWORKS["column EI"],
    "DANN": OF_NETWORKS["DANN"],
    "EG": OF_NETWORKS["EG"],
    "SGD": OF_NETWORKS["SGD"],
    "tangent kernel": (
        "J J^T, where J is the derivative of the outputs by the weights: which outputs"
        " change together when weights do."
    ),
    "participation ratio": (
        "The square of a sum over the sum of squares: how many singular values, or"
        " directions of activity, take part."
    ),
    "effective rank": "The number of directions that a matrix uses, n^H: between 1 and n.",
    "spectral radius": "The largest absolute eigenvalue of a recurrent weight.",
    "nudge": "A weak teaching signal at the outputs of a settling network.",
}
"""Words of a page of claims."""


class Words:
    """The words of one page: the first use of each is a link to what it means.

    Args:
        meanings: What each word means.
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.meanings = dict(meanings)
        self._met: list[str] = []
        # Longest first: "does not hold" is no case of "hold".
        names = sorted(self.meanings, key=len, reverse=True)
        within = "|".join(re.escape(html.escape(name, quote=False)) for name in names)
        self._pattern = re.compile(rf"(?<![\w-])({within})(?![\w-])") if names else None

    def linked(self, escaped: str) -> str:
        """Return escaped text in which a word that is met for the first time is a link."""
        if self._pattern is None:
            return escaped
        return self._pattern.sub(self._link, escaped)

    def _link(self, match: re.Match[str]) -> str:
        name = html.unescape(match[1])
        if name in self._met:
            return match[0]
        self._met.append(name)
        return f'<a class="word" href="#{anchor(name)}">{match[0]}</a>'

    def note(self, texts: Iterable[str]) -> None:
        """Take words as met where no link can stand, as in the head of a table."""
        for name in self.meanings:
            whole = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
            if name not in self._met and any(whole.search(text) for text in texts):
                self._met.append(name)

    def met(self) -> dict[str, str]:
        """Return the words that were met, in order of the alphabet, and what they mean."""
        names = sorted(self._met, key=str.lower)
        return {name: self.meanings[name] for name in names}


def anchor(name: str) -> str:
    """Return the place of a word on its page."""
    return "word-" + re.sub(r"\W+", "-", name.lower()).strip("-")
