"""The Methods paragraph of a study: what was done, in words that a paper can take over."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import daleml
from daleml.analysis import GroupComparison, family_label
from daleml.analysis.distributions.group_verdicts import Verdict

if TYPE_CHECKING:
    from daleml.weight_study.fit_study import Study

_INTERVALS = {
    "profile": "profile likelihood",
    "bootstrap": "a parametric bootstrap",
}

# How a p-value of groups was found, as a clause; `{n}` is the number of shuffles.
_TESTS = {
    "shuffled labels": "a score test, whose p-value was counted over {n} shuffles of the labels",
    "shuffled within clusters": (
        "a score test, whose p-value was counted over {n} shuffles of the labels within each"
        " {within}"
    ),
    "shuffled clusters": (
        "the mean scores of each {within}, which counted as one value; the p-value was counted"
        " over {n} shuffles of whole units"
    ),
    "F test of clusters": (
        "an F test of the mean scores of each {within}, which counted as one value; the p-value"
        " is the least of those of its parameters, times their number"
    ),
    "chi-squared": (
        "a likelihood-ratio test, since no shuffle of the labels gave as large a score"
        " statistic"
    ),
    "score": "a score test",
}
# Where no test at 5 % is possible, none was made.
_NO_TEST = "The groups were too small to be tested against each other."


def methods_paragraph(study: Study) -> str:
    """Return a paragraph for the Methods section of a paper that reports a study.

    It says what was fitted and how it was observed, which families were compared and by what,
    which tests were made, and by which versions. Only what was done is said and cited.

    Args:
        study: The study.

    Example:
        >>> import numpy as np
        >>> from daleml.weight_study import Gathered, methods_paragraph, study
        >>> sizes = np.random.default_rng(0).lognormal(size=200)
        >>> found = study(Gathered("sizes", "spine volume", sizes), ["lognormal", "gamma"])
        >>> methods_paragraph(found)[:57]
        'The gamma and the log-normal distributions were fitted by'
    """
    result = study.result
    said = [_fitted(study), _observed(study), _compared(study), _goodness(study)]
    if study.method in _INTERVALS:
        said.append(
            f"Intervals of parameters are 95 % intervals by {_INTERVALS[study.method]}."
        )
    if isinstance(result, GroupComparison):
        said.append(_groups(study, result))
    if study.reference:
        said.append(
            f"Shapes, free of scale, were compared to {study.reference}, with 95 % bootstrap"
            " intervals and a permutation test."
        )
    said.append(_software())
    return " ".join(one for one in said if one)


def _fitted(study: Study) -> str:
    """Say what was fitted, and to what."""
    names = [f"the {family}" for family in _families(study)]
    families = f"{', '.join(names[:-1])} and {names[-1]} distributions were"
    if len(names) == 1:
        families = f"{names[0]} distribution was"
    apart = ""
    if isinstance(study.result, GroupComparison):
        n_groups = len(study.result.groups)
        apart = f", apart in each of {n_groups} groups by {study.gathered.by}"
    unit = f" in {study.gathered.unit}" if study.gathered.unit else ""
    return (
        f"{families[0].upper()}{families[1:]} fitted by maximum likelihood to values of"
        f" {study.gathered.label}{unit} (n = {study.n:,}; {study.left_out}){apart}."
    )


def _families(study: Study) -> list[str]:
    names: list[str] = []
    for comparison in study.comparisons.values():
        for fit in comparison.fits:
            name = family_label(fit.family)
            if name not in names:
                names.append(name)
    return sorted(names, key=str.lower)


def _observed(study: Study) -> str:
    """Say how the weights were observed, as the likelihood has it."""
    first = next(iter(study.comparisons.values())).best
    observation = first.observation
    zeros = ""
    if observation.zeros == "hurdle":
        zeros = " Zeros were taken for pairs without a connection (a hurdle model)."
    if not str(observation):
        return f"Every value was taken as exact and none as unseen.{zeros}"
    return f"The likelihood takes into account how values were observed ({observation}).{zeros}"


def _compared(study: Study) -> str:
    """Say how families were compared."""
    if len(_families(study)) < 2:
        return ""
    return (
        "Families were ranked by Akaike's information criterion with a correction for small"
        " samples (AICc; Hurvich & Tsai 1989, Biometrika 76:297); the first was tested against"
        " each other one by Vuong's test (Vuong 1989, Econometrica 57:307), or by the"
        " likelihood ratio where one is a special case of the other."
    )


def _goodness(study: Study) -> str:
    """Say how goodness of fit was tested, if it was."""
    tests = [
        test
        for comparison in study.comparisons.values()
        for test in comparison.goodness.values()
        if not test.unjudged
    ]
    if not tests:
        return ""
    return (
        "Goodness of fit was tested by a parametric bootstrap of the Kolmogorov-Smirnov"
        f" distance, with {tests[0].n_boot:,} samples that were drawn from the fit, observed"
        " as the data were, and fitted anew (Stute, Gonzalez-Manteiga & Presedo-Quindimil"
        " 1993, Metrika 40:243)."
    )


def _groups(study: Study, result: GroupComparison) -> str:
    """Say how groups were compared, if they were."""
    test = result.test
    if test is None or result.verdict is Verdict.UNTESTED:
        return _NO_TEST
    within = study.gathered.clustered_by
    how = _TESTS[test.method].format(n=f"{test.n_shuffles:,}", within=within)
    said = (
        "Whether the groups are of one distribution was tested under the"
        f" {family_label(test.family)}, which describes the values of all groups together best,"
        f" by {how}."
    )
    if not within:
        said += " Values were taken for independent."
    if result.connection is not None:
        said += (
            " Strengths and the frequency of connections were tested together, at 5 % for"
            " both (Holm's rule)."
        )
    return said


def _software() -> str:
    import numpy
    import scipy

    return (
        f"Computed with daleml {daleml.__version__} (NumPy {numpy.__version__}, SciPy"
        f" {scipy.__version__}, Python {platform.python_version()})."
    )
