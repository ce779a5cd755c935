"""The page of a study: what can be concluded, what it rests on, and how it was made."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

import daleml
from daleml.analysis import Comparison, GroupComparison
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.group_verdicts import Verdict
from daleml.analysis.distributions.weight_fit import FEW
from daleml.pages import fit_tables, html_page, page_words
from daleml.pages.fit_tables import parameter_table, ranking
from daleml.weight_study.fit_figures import file_names
from daleml.weight_study.fit_study import Study
from daleml.weight_study.methods_text import methods_paragraph

if TYPE_CHECKING:
    from daleml.analysis.plots.drawing import Drawing

__all__ = ["compose", "parameter_table", "ranking", "versions"]

_RANKS = (
    "AICc ranks families by how well they describe the weights for the number of their"
    " parameters; `behind` is the difference to the best. Whether a rival can be ruled out"
    " is another question: `p, as good` is the probability of a difference as large as this"
    " if both were equally good (Vuong's test; the likelihood ratio where one family is a"
    " special case of the other), and a dash says that no test applies."
)


def versions() -> dict[str, str]:
    """Return what a result depends on."""
    import numpy
    import scipy

    found = {
        "daleml": daleml.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
    return found | {"python": platform.python_version()}


def compose(
    study: Study, drawings: Mapping[str, Drawing], *, file: str, command: str
) -> str:
    """Compose the page.

    Args:
        study: What was found.
        drawings: Its figures by name, as :func:`daleml.weight_study.draw` made them.
        file: The file that was read.
        command: The command that makes this page again.

    Returns:
        HTML that needs no other file.
    """
    result = study.result
    sections: list[html_page.Section] = []
    if isinstance(result, GroupComparison):
        sections += _groups(study, result, drawings)
        facts = _facts_of_groups(study, result)
    else:
        facts = _facts(study, result)
    # Figures of a group have its name in front.
    for group, name in file_names(study).items():
        prefix = f"{name}-" if name else ""
        of_group = {
            kind.removeprefix(prefix): drawing
            for kind, drawing in drawings.items()
            if kind.startswith(prefix)
        }
        sections += _comparison(study, group, of_group)
    return html_page.page(
        f"How {study.gathered.label} is distributed",
        result.conclusion(),
        facts,
        [*sections, _observed(study, file), _methods(study)],
        _footer(study, command),
        page_words.OF_FITS,
    )


# -- the parts


def _facts_of_groups(study: Study, result: GroupComparison) -> list[tuple[str, str]]:
    n_groups = len(result.groups) + len(result.failures)
    unit = study.gathered.unit
    facts = [
        (f"{study.n:,}", "weights fitted"),
        (f"{len(result.groups)} of {n_groups}", "groups could be fitted"),
    ]
    if result.test and result.verdict is not Verdict.UNTESTED:
        asked = "are they alike"
        if result.connection:
            asked = "are the groups alike in strengths and connections"
        asked += f", under the {family_label(result.test.family)}?"
        facts.append((result.test.p_text(), asked))
    effect = result.effect
    if effect:
        lower, higher = (fit_tables.with_unit(one, unit) for one in effect.medians)
        said = (
            f"times as large is the median of {effect.other} ({higher}) as that of"
            f" {effect.reference} ({lower})"
        )
        facts.append((effect.ratio.text(), said))
    return facts


def _facts(study: Study, result: Comparison) -> list[tuple[str, str]]:
    best = result.best
    facts = [
        (f"{study.n:,}", "weights fitted"),
        (family_label(best.family), f"ranks first of {len(result.fits)} families"),
    ]
    standard = fit_tables.standard_fit(result)
    if standard:
        behind = standard.aicc - best.aicc
        # Too few weights for AICc make it infinite.
        if standard is not best and math.isfinite(behind):
            facts.append((f"{behind:,.1f}", "AICc that the log-normal is behind"))
        sigma, error = standard.params["sigma"], standard.stderr["sigma"]
        said = f"σ of ln w, under the log-normal; ± {error:.2g}"
        facts.append((f"{sigma:.3f}", said))
    if best.connection:
        share, low, high = best.connection
        said = f"of pairs are connected, {low:.1%} to {high:.1%}"
        facts.append((f"{share:.1%}", said))
    test = result.goodness.get(best.family)
    if test and not test.unjudged:
        facts.append((test.p_text(2), "goodness of fit of the best family"))
    return facts


def _groups(
    study: Study, result: GroupComparison, drawings: Mapping[str, Drawing]
) -> list[html_page.Section]:
    said = [
        (
            "Groups are fitted apart. They are put together only for the test below:"
            " whether one set of parameters does for all of them, under each family. The"
            " conclusion above rests on the family that describes all groups together best,"
            " which need not be the best of any one of them."
        ),
        result.caution(),
        _RANKS,
    ]
    tables = [fit_tables.groups(result, study.gathered.unit)]
    if result.same:
        tables.append(fit_tables.tests_of_one_distribution(result))
    sections = [html_page.Section("The groups", said, tables, [drawings["groups"]])]
    if result.failures:
        said = [f"`{name}`: {why}." for name, why in result.reasons().items()]
        sections.append(html_page.Section("Groups that could not be fitted", said))
    return sections


def _comparison(
    study: Study, group: str, drawings: Mapping[str, Drawing]
) -> list[html_page.Section]:
    """Compose the sections of one comparison: ranks, the best family, a reference."""
    comparison = study.comparisons[group]
    best = comparison.best
    if best.total < FEW:
        heading = study.headed(group, "Too few weights to say more")
        shown = [drawings["density"]]
        return [html_page.Section(heading, [comparison.conclusion()], drawings=shown)]
    # Without groups, the conclusion stands at the top of the page; with them, what ranks mean.
    ranks = html_page.Section(
        study.headed(group, "How families rank"),
        [comparison.conclusion() if group else _RANKS],
        [fit_tables.ranking(comparison)],
        [drawings["density"], drawings["ranking"]],
    )
    description = html_page.Section(
        study.headed(group, f"How well the {family_label(best.family)} describes them"),
        [_goodness(comparison), _intervals(study)],
        [fit_tables.parameter_table(study, group)],
        [drawings["ccdf"], drawings["qq"]],
    )
    if group not in study.resemblances:
        return [ranks, description]
    resemblance = study.resemblances[group]
    beside = html_page.Section(
        study.headed(group, f"Beside {study.reference}"),
        [
            resemblance.conclusion(),
            (
                "All measures are free of scale. Brackets are 95 % bootstrap intervals. A"
                " threshold of detection acts on them, so compare what was seen alike."
            ),
        ],
        [fit_tables.resemblance(resemblance)],
        [drawings["resemblance"]],
    )
    return [ranks, description, beside]


def _goodness(comparison: Comparison) -> str:
    best = comparison.best
    said = (
        "The largest gap between the two cumulative distributions (Kolmogorov-Smirnov) is"
        f" {best.ks_distance():.4f}."
    )
    test = comparison.goodness.get(best.family)
    if test and test.unjudged:
        said += f" Whether that is more than chance was not judged: {test.reason}."
    elif test:
        verdict = "nothing speaks against this family"
        if test.p_value < 0.05:
            verdict = "this family does not describe the weights fully"
        said += (
            f" Against {test.n_boot:,} samples drawn from the fit and fitted anew,"
            f" {test.p_text(2)}: {verdict}."
        )
    else:
        said += " Whether that is more than chance was not tested: pass `--gof 1000`."
    if best.limit:
        said += f" Its parameters have run off to their limit, {best.limit}."
    return said


_INTERVALS = {
    "profile": (
        "Intervals hold the values that the likelihood, at its highest over the other"
        " parameters, does not rule out at 5 %."
    ),
    "bootstrap": (
        "Intervals lie between quantiles of the parameters of samples drawn from the fit."
    ),
    "none": "Intervals were not asked for.",
}


def _intervals(study: Study) -> str:
    how = _INTERVALS[study.method]
    return f"{how} The parameters of every other family are in the JSON file."


def _observed(study: Study, file: str) -> html_page.Section:
    bests = [comparison.best for comparison in study.comparisons.values()]
    # One command observes all groups alike, so that of the first is that of all.
    observation = bests[0].observation
    observed = "Every weight was taken as it is."
    if str(observation):
        observed = f"Observed: {observation}."
    said = [
        f"`{study.gathered.label}` of `{file}`: {study.n:,} weights; {study.left_out}."
        f" {observed}"
    ]
    if bests[0].n_censored:
        n_below = sum(best.n_censored for best in bests)
        said.append(
            f"{n_below:,} are known only to be no larger than"
            f" {observation.censored_below:g}."
        )
    if bests[0].n_censored_above:
        n_above = sum(best.n_censored_above for best in bests)
        said.append(
            f"{n_above:,} are known only to be no smaller than"
            f" {observation.censored_above:g}."
        )
    if observation.resolution is not None:
        said.append(
            "Each stands for what lies within half a step of it,"
            f" {observation.resolution / 2:g}."
        )
    if study.gathered.counts is not None:
        said.append("Each weight counts as often as its sample weight says.")
    if observation.discrete:
        said.append("A count stands for what lies within one half of it.")
    said += [*study.gathered.notes, *study.hints]
    return html_page.Section("How they were observed", said)


def _methods(study: Study) -> html_page.Section:
    """Compose the section that a paper can take over."""
    return html_page.Section("For a Methods section", [methods_paragraph(study)])


def _footer(study: Study, command: str) -> list[str]:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    methods = [
        "AICc: Hurvich & Tsai 1989, Biometrika 76:297",
        "pairs: Vuong 1989, Econometrica 57:307",
    ]
    # A paper is cited only where its method was used.
    if any(one.goodness for one in study.comparisons.values()):
        methods.append(
            "goodness of fit: Stute, Gonzalez-Manteiga & Presedo-Quindimil 1993, Metrika"
            " 40:243"
        )
    return [
        (
            f"Made by `{command}` with {used}. Every number on this page is also in the"
            " JSON file beside it, every figure also as SVG and PNG."
        ),
        f"To cite: The daleml developers, daleml {daleml.__version__}; and the papers of"
        " the methods used. " + "; ".join(methods) + ".",
    ]
