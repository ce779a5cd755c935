"""The page of a study: what can be concluded, what it rests on, and how it was made."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

import daleml
from daleml.analysis import Comparison, GroupComparison, Resemblance
from daleml.analysis.distributions.group_tests import Verdict
from daleml.analysis.distributions.p_values import bare_p
from daleml.analysis.distributions.vuong import FEW
from daleml.pages import html_page
from daleml.weight_study.fit_figures import names
from daleml.weight_study.fit_study import Study, median, reported

if TYPE_CHECKING:
    import pandas as pd

    from daleml.analysis.plots.drawing import Drawing

_STANDARD = "lognormal"
_MEASURES = {
    "log_sd": "σ of ln w",
    "gini": "Gini coefficient",
    "log_skewness": "skewness of ln w",
}
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
    sections = [] if isinstance(result, Comparison) else _groups(result, drawings)
    for (group, comparison), name in zip(
        study.comparisons.items(), names(study).values(), strict=True
    ):
        sections += _comparison(
            study, group, comparison, drawings, f"{name}-" if name else ""
        )
    return html_page.page(
        f"How {study.gathered.label} is distributed",
        result.conclusion(),
        _facts(study),
        [*sections, _observed(study, file)],
        _footer(study, command),
    )


# -- the parts
# ---------------------------------------------------------------------------------------------------------


def _facts(study: Study) -> list[tuple[str, str]]:
    result = study.result
    n = study.n
    if isinstance(result, GroupComparison):
        of = len(result.groups) + len(result.failures)
        facts = [
            (f"{n:,}", "weights fitted"),
            (f"{len(result.groups)} of {of}", "groups could be fitted"),
        ]
        if result.test and result.verdict is not Verdict.UNTESTED:
            asked = (
                "are the groups alike in strengths and connections"
                if result.connection
                else "are they alike"
            )
            facts.append(
                (
                    _with_p(result.test.p_value),
                    f"{asked}, under the {result.test.family}?",
                )
            )
        if result.effect:
            effect = result.effect
            facts.append(
                (
                    effect.ratio.text(),
                    f"the median of {effect.other} over that of {effect.reference}",
                )
            )
        return facts
    best = result.best
    facts = [
        (f"{n:,}", "weights fitted"),
        (best.family, f"ranks first of {len(result.fits)}"),
    ]
    standard = next((fit for fit in result.fits if fit.family == _STANDARD), None)
    if standard:
        behind = standard.aicc - best.aicc
        if standard is not best and math.isfinite(behind):
            facts.append((f"{behind:,.1f}", "AICc that the log-normal is behind"))
        sigma = f"{standard.params['sigma']:.3f}"
        facts.append(
            (
                sigma,
                f"σ of ln w, under the log-normal; ± {standard.stderr['sigma']:.2g}",
            )
        )
    if best.connection:
        share, low, high = best.connection
        facts.append(
            (f"{share:.1%}", f"of pairs are connected, {low:.1%} to {high:.1%}")
        )
    test = result.goodness.get(best.family)
    if test and not test.unjudged:
        facts.append((test.p_text(2), "goodness of fit of the best family"))
    return facts


def _groups(
    result: GroupComparison, drawings: Mapping[str, Drawing]
) -> list[html_page.Section]:
    import pandas as pd

    rows = []
    for name, one in result.groups.items():
        row = {
            "group": name,
            "n": f"{one.best.n:,}",
            "median": f"{median(one.best):.4g}",
        }
        standard = next((fit for fit in one.fits if fit.family == _STANDARD), None)
        if standard:
            row["σ of ln w, log-normal"] = (
                f"{standard.params['sigma']:.3f} ± {standard.stderr['sigma']:.2g}"
            )
        told = one.best.total >= FEW
        best, rivals = (
            (one.best.family, ", ".join(one.cannot_tell) or "none")
            if told
            else ("too few", "")
        )
        rows.append(row | {"best family": best, "cannot be told from": rivals})
    table = pd.DataFrame(rows)
    tests = pd.DataFrame(
        {
            "family": name,
            "likelihood ratio": (
                f"{test.statistic:,.1f}" if math.isfinite(test.statistic) else "–"
            ),
            "degrees of freedom": test.freedom,
            "p, one distribution": bare_p(test.p_strengths, test.n_shuffles or None),
            "by": test.method,
        }
        for name, test in result.same.items()
    )
    said = [
        (
            "Groups are fitted apart. They are put together only for the test below:"
            " whether one set of parameters does for all of them, under each family."
        ),
        result.caution(),
        _RANKS,
    ]
    sections = [
        html_page.Section(
            "The groups",
            said,
            [table, *([tests] if len(tests) else [])],
            [drawings["groups"]],
        )
    ]
    if result.failures:
        said = [f"`{name}`: {why}." for name, why in result.reasons().items()]
        sections.append(html_page.Section("Groups that could not be fitted", said))
    return sections


def _comparison(
    study: Study,
    group: str,
    comparison: Comparison,
    drawings: Mapping[str, Drawing],
    prefix: str,
) -> list[html_page.Section]:
    of = f"{study.title(group)}: " if group else ""
    if comparison.best.total < FEW:
        heading = f"{of}{'too' if of else 'Too'} few weights to say more"
        return [
            html_page.Section(
                heading, [comparison.conclusion()], [], [drawings[f"{prefix}density"]]
            )
        ]
    show = [drawings[prefix + name] for name in ("density", "ranking")]
    said = ([comparison.conclusion()] if group else []) + ([] if group else [_RANKS])
    sections = [
        html_page.Section(
            f"{of}{'how' if of else 'How'} families rank",
            said,
            [ranking(comparison)],
            show,
        )
    ]
    words = _goodness(comparison)
    show = [drawings[prefix + name] for name in ("ccdf", "qq")]
    parameters = [parameter_table(study, group)]
    words += _interval_words(study)
    title = f"{of}{'how' if of else 'How'} well {comparison.best.family} describes them"
    sections.append(html_page.Section(title, words, parameters, show))
    if group in study.resemblances:
        beside = study.resemblances[group]
        words = [
            beside.conclusion(),
            (
                "All measures are free of scale. Brackets are 95 % bootstrap intervals. A"
                " threshold of detection acts on them, so compare what was seen alike."
            ),
        ]
        title = f"{of}{'beside' if of else 'Beside'} {study.reference}"
        sections.append(
            html_page.Section(
                title, words, [_beside(beside)], [drawings[f"{prefix}resemblance"]]
            )
        )
    return sections


def ranking(comparison: Comparison) -> pd.DataFrame:
    """Return how families rank, as the page shows it: one row a family, best first."""
    table = comparison.table()
    shown = {
        "family": table["family"],
        "AICc": table["aicc"].map("{:,.1f}".format),
        "behind": table["delta"].map("{:,.1f}".format),
        "weight": table["weight"].map("{:.3f}".format),
        "ln L": table["log_likelihood"].map("{:,.1f}".format),
        "p, as good": table["p_as_good"].map(_p),
    }
    if "p_fits" in table:
        shown["p, fits"] = table["family"].map(comparison.p_fits_text)
    return table[[]].assign(
        **{
            name: column.replace({"nan": "–", "inf": "–"})
            for name, column in shown.items()
        }
    )


def parameter_table(study: Study, group: str) -> pd.DataFrame:
    """Return the parameters of the best family and of the log-normal, as the page shows them."""
    import pandas as pd

    rows = []
    for fit in reported(study.comparisons[group]):
        ends = study.intervals.get(group, {}).get(fit.family, {})
        for name, value in fit.params.items():
            error = fit.stderr[name]
            row = {"family": fit.family, "parameter": name, "estimate": f"{value:.4g}"}
            row["standard error"] = f"{error:.2g}" if math.isfinite(error) else "–"
            if study.method != "none":
                row["95 % interval"] = (
                    f"{ends[name][0]:.4g} to {ends[name][1]:.4g}" if ends else "–"
                )
            rows.append(row)
    return pd.DataFrame(rows)


def _goodness(comparison: Comparison) -> list[str]:
    best = comparison.best
    said = (
        "The largest gap between the two cumulative distributions (Kolmogorov-Smirnov) is"
        f" {best.ks_distance():.4f}."
    )
    test = comparison.goodness.get(best.family)
    if test and test.unjudged:
        said += f" Whether that is more than chance was not judged: {test.reason}."
    elif test:
        verdict = (
            "this family does not describe the weights fully"
            if test.p_value < 0.05
            else "nothing speaks against this family"
        )
        said += (
            f" Against {test.n_boot:,} samples drawn from the fit and fitted anew,"
            f" {test.p_text(2)}: {verdict}."
        )
    elif best.total < FEW:
        said += (
            f" Of {round(best.total)} weights, that says nothing; give at least {FEW},"
            " better hundreds."
        )
    else:
        said += " Whether that is more than chance was not tested: pass `--gof 1000`."
    if best.limit:
        said += f" Its parameters have run off to their limit, {best.limit}."
    return [said]


def _interval_words(study: Study) -> list[str]:
    how = {
        "profile": (
            "Intervals hold the values that the likelihood, at its highest over the other"
            " parameters, does not rule out at 5 %."
        ),
        "bootstrap": (
            "Intervals lie between quantiles of the parameters of samples drawn from the"
            " fit."
        ),
        "none": "Intervals were not asked for.",
    }
    return [
        f"{how[study.method]} The parameters of every other family are in the JSON file."
    ]


def _beside(beside: Resemblance) -> pd.DataFrame:
    table = beside.table().replace("", "–")
    table["measure"] = table["measure"].map(
        lambda name: _MEASURES.get(name, "mean distance of quantiles")
    )
    return table


def _observed(study: Study, file: str) -> html_page.Section:
    best = next(iter(study.comparisons.values())).best
    observed = (
        f"Observed: {best.observation}."
        if str(best.observation)
        else "Every weight was taken as it is."
    )
    said = [
        f"`{study.gathered.label}` of `{file}`: {study.n:,} weights; {study.left_out}."
        f" {observed}"
    ]
    if best.n_censored:
        n_censored = sum(one.best.n_censored for one in study.comparisons.values())
        said.append(
            f"{n_censored:,} are known only to be no larger than"
            f" {best.observation.censored_below:g}."
        )
    if best.n_censored_above:
        n_above = sum(one.best.n_censored_above for one in study.comparisons.values())
        said.append(
            f"{n_above:,} are known only to be no smaller than"
            f" {best.observation.censored_above:g}."
        )
    if best.observation.resolution is not None:
        said.append(
            "Each stands for what lies within half a step of it,"
            f" {best.observation.resolution / 2:g}."
        )
    if study.gathered.counts is not None:
        said.append("Each weight counts as often as its sample weight says.")
    if best.observation.discrete:
        said.append("A count stands for what lies within one half of it.")
    return html_page.Section(
        "How they were observed", [*said, *study.gathered.notes, *study.hints]
    )


def _footer(study: Study, command: str) -> list[str]:
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    methods = [
        "AICc: Hurvich & Tsai 1989, Biometrika 76:297",
        "pairs: Vuong 1989, Econometrica 57:307",
    ]
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


def _with_p(value: float) -> str:
    return f"p {_p(value)}" if value < 1e-4 else f"p = {_p(value)}"


def _p(value: float) -> str:
    if value != value:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
