"""The page of a fit: needs nothing else, says what was found, and agrees with the numbers."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from daleml import weight_study
from daleml.analysis import family_label, weight_sample
from daleml.analysis.distributions.observation import Observation
from daleml.pages import fit_page, html_page
from daleml.weight_study import Gathered, study
from daleml.weight_study.fit_study import hints
from tests import small_figures

RNG = np.random.default_rng(1)
SIZES = np.r_[RNG.lognormal(3, 0.9, 300), 30 * RNG.weibull(2.5, 90), 7.0]
LAYER = np.array(["2/3"] * 300 + ["<b>"] * 90 + ["6"], dtype=object)
FAMILIES = ("lognormal", "gamma", "weibull")


@pytest.fixture(autouse=True)
def figures(request, monkeypatch):
    """Figures are rendered, small, only where the page is asked whether it holds them."""
    small_figures.coarse(monkeypatch)
    if request.function.__name__ != "test_a_page_needs_nothing_else":
        small_figures.unrendered(monkeypatch)


@pytest.fixture(scope="module")
def alone():
    reference = "a network", weight_sample(RNG.lognormal(0, 0.5, 200))
    gathered = Gathered("s-size", "size (px)", SIZES, from_table=True)
    return study(gathered, FAMILIES, gof=19, reference=reference, jobs=1)


@pytest.fixture(scope="module")
def grouped():
    gathered = Gathered(
        "s-size",
        "size (px)",
        SIZES,
        LAYER,
        by="layer",
        from_table=True,
        notes=("A note of rows.",),
    )
    return study(gathered, FAMILIES, intervals="none")


def compose(result):
    drawings = dict(weight_study.draw(result))
    return fit_page.compose(
        result, drawings, file="s.csv", command="daleml fit s.csv --seed 3"
    ), drawings


def tables(page):
    return [_table(text) for text in re.findall(r"<table.*?</table>", page, re.DOTALL)]


def _table(text):
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL)
    ]
    return pd.DataFrame(
        [[html.unescape(cell) for cell in row] for row in rows[1:]], columns=rows[0]
    )


@pytest.mark.parametrize("which", ["alone", "grouped"])
def test_a_page_needs_nothing_else(which, request):
    result = request.getfixturevalue(which)
    page, drawings = compose(result)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "http" not in page
    assert "<b>:" not in page  # names of groups are escaped
    assert page.count("<img") == len(drawings)  # every figure is there, once
    assert "<code>daleml fit s.csv --seed 3</code>" in page
    assert f"daleml {fit_page.versions()['daleml']}" in page
    assert "To cite" in page
    assert "nan" not in re.sub(r"base64,[^\"]+", "", page)
    assert compose(result)[0] == page


def test_it_leads_with_the_conclusion_and_what_carries_it(alone):
    page, _ = compose(alone)
    result = alone.result
    lead = re.search(r'<p class="lead">(.*?)</p>', page)[1]
    assert html.unescape(re.sub("<[^>]+>", "", lead)) == result.conclusion()
    tiles = {
        name: value
        for value, name in re.findall(r"<li><b>(.*?)</b><span>(.*?)</span></li>", page)
    }
    assert tiles["weights fitted"] == "391"
    assert tiles["ranks first of 3 families"] == family_label(result.best.family)
    if result.best.family != "lognormal":
        assert (
            tiles["AICc that the log-normal is behind"]
            == f"{result['lognormal'].aicc - result.best.aicc:,.1f}"
        )
    sigma = result["lognormal"]
    name = f"σ of ln w, under the log-normal; ± {sigma.stderr['sigma']:.2g}"
    assert tiles[name] == f"{sigma.params['sigma']:.3f}"


def test_the_page_and_the_json_say_the_same(alone):
    page, _ = compose(alone)
    ranks, parameters, beside = tables(page)
    found = alone.to_dict()
    assert ranks["family"].tolist() == [
        family_label(fit["family"]) for fit in found["fits"]
    ]
    best = found["fits"][0]["aicc"]
    assert ranks["AICc"].tolist() == [f"{fit['aicc']:,.1f}" for fit in found["fits"]]
    assert ranks["behind"].tolist() == [
        f"{fit['aicc'] - best:,.1f}" for fit in found["fits"]
    ]
    assert ranks["p, fits"].tolist() == [
        f"{found['goodness_of_fit'][fit['family']]['p_value']:.2g}"
        for fit in found["fits"]
    ]
    for row in parameters.to_dict("records"):
        fit = next(
            fit for fit in found["fits"] if family_label(fit["family"]) == row["family"]
        )
        assert row["estimate"] == f"{fit['params'][row['parameter']]:.4g}"
        low, high = found["intervals"]["parameters"][fit["family"]][row["parameter"]]
        assert row["95 % interval"] == f"{low:.4g} to {high:.4g}"
    assert set(parameters["family"]) == {family_label(found["best"]), "log-normal"}
    gini = found["resemblance"]["measures"]["gini"]["reference"]
    assert (
        beside["reference"][1]
        == f"{gini['value']:.3f} [{gini['low']:.3f}, {gini['high']:.3f}]"
    )
    words = re.sub("<[^>]+>", "", page)
    assert f"(Kolmogorov-Smirnov) is {found['best_fits']['ks_distance']:.4f}" in words


def test_groups_and_those_that_failed(grouped):
    page, drawings = compose(grouped)
    groups, same, *_ = tables(page)
    found = grouped.to_dict()
    assert groups["group"].tolist() == ["2/3", "<b>"]
    assert (
        groups["median"][0]
        == f"{np.median(SIZES[:300]):.4g}"
        == f"{found['best_fits']['2/3']['median']:.4g}"
    )
    assert groups["best family"].tolist() == [
        family_label(one["best"]) for one in found["groups"].values()
    ]
    tested = found["same_distribution"]
    assert same["family"].tolist() == [family_label(name) for name in tested]
    assert same["likelihood ratio"].tolist() == [
        f"{one['statistic']:,.1f}" for one in tested.values()
    ]
    failed = page[page.index("Groups that could not be fitted") :]
    assert (
        "<code>6</code>: at least 2 values other than zero are needed, and it has 1 beside 0 zeros."
        in failed
    )
    assert ">layer 2/3: how families rank</h2>" in page
    assert "A note of rows." in page
    assert "pass <code>--gof 1000</code>" in page
    assert "groups" in drawings
    assert len(drawings) == 9


def test_how_they_were_observed_is_said():
    seen = SIZES[SIZES > 8]
    page, _ = compose(
        study(Gathered("w", "w", np.r_[seen, 0, 0]), "lognormal", truncation=(8, None))
    )
    assert "2 zeros and 0 others left out. Observed: seen above 8." in page
    counts = np.ceil(SIZES)
    assert (
        "A count stands for what lies within one half of it."
        in compose(study(Gathered("w", "w", counts), "lognormal", discrete=True))[0]
    )
    page, _ = compose(
        study(Gathered("w", "w", np.maximum(SIZES, 9)), "lognormal", censoring=9)
    )
    assert f"{np.sum(SIZES <= 9)} are known only to be no larger than 9." in page
    page, _ = compose(
        study(
            Gathered("w", "w", np.r_[SIZES, np.zeros(609)]), "lognormal", zeros="hurdle"
        )
    )
    assert "<b>39.1%</b><span>of pairs are connected" in page


def test_what_thins_out_is_no_threshold():
    whole = Observation()
    for sample in (
        RNG.lognormal(0, 1, 3000),
        RNG.lognormal(3, 0.1, 3000),
        RNG.gamma(2, 1, 3000),
        RNG.exponential(1, 3000),
        RNG.lognormal(0, 1, 40)[:40] + 3,  # too few to say
    ):
        assert hints(sample, whole) == ()
    assert "threshold" in hints(RNG.exponential(1, 3000) + 1, whole)[0]
    counts = RNG.geometric(0.2, 3000).astype(float)
    assert hints(counts, Observation(discrete=True)) == ()
    assert hints(counts[counts > 4], Observation(discrete=True))[0].endswith(
        "pass `--truncate-below 5`."
    )
    assert (
        hints(counts[counts > 4], Observation(truncation=(5, None), discrete=True))
        == ()
    )


def test_intervals_that_were_not_found_do_not_stop_the_rest(monkeypatch):
    import importlib

    def broken(*_, **__):
        raise ValueError("f(a) and f(b) must have different signs")

    monkeypatch.setattr(
        importlib.import_module("daleml.weight_study.fit_study"),
        "confidence_intervals",
        broken,
    )
    result = study(Gathered("w", "w", SIZES), "gamma")
    page, _ = compose(result)
    assert result.hints == ("Intervals of gamma were not found.",)
    assert tables(page)[1]["95 % interval"].tolist() == ["–", "–"]


# -- groups, and what little some of them hold -------------------------------------------------------------------------


def test_of_two_weights_the_page_claims_nothing():
    sizes, kind = (
        np.r_[SIZES[:60], 2.0, 5.0],
        np.array(["big"] * 60 + ["few"] * 2, dtype=object),
    )
    result = study(
        Gathered("s", "size", sizes, kind, by="kind", from_table=True),
        FAMILIES,
        gof=19,
        jobs=1,
    )
    page, drawings = compose(result)
    assert {name for name in drawings if name.startswith("few-")} == {"few-density"}
    # The first mention of a section is in the list of contents.
    few = page[
        page.rindex("kind few: too few weights to say more") : page.rindex(
            "How they were observed"
        )
    ]
    assert "2 weights are too few to rank these families" in few
    assert "p =" not in few
    assert "nan" not in few
    assert np.isnan(result.result.table()["p_fits"][1])
    assert result.result.table()["parameters"][1] == ""
    (axes,) = drawings["few-density"].figure.axes
    assert len(axes.lines) == 0
    assert drawings["few-density"].caption == "kind few: 2 weights."
    assert axes.get_legend().get_title().get_text() == ""


def test_the_headline_names_the_effect_and_what_is_taken_for_granted(grouped):
    page, _ = compose(grouped)
    effect = grouped.result.effect
    assert f"<b>{effect.ratio.text()}</b>" in page
    lead = re.search(r'<p class="lead">(.*?)</p>', page)[1]
    assert f"times that of {effect.reference} [" in html.unescape(lead)
    assert "The test takes rows for independent." in page


def test_animals_reach_the_test():
    rng = np.random.default_rng(0)
    animals = np.repeat([f"m{i}" for i in range(8)], 20).astype(object)
    group = np.repeat(["a", "b"], 80).astype(object)
    gathered = Gathered(
        "s",
        "size",
        rng.lognormal(size=160),
        group,
        by="kind",
        from_table=True,
        clusters=animals,
        clustered_by="mouse",
    )
    result = study(gathered, ("lognormal",), intervals="none")
    assert result.result.n_clusters == {"a": 4, "b": 4}
    assert "F test of the means of 4 and 4 mice" in compose(result)[0]
    assert result.to_dict()["within"] == "mouse"


def test_tables_are_wide_and_say_so():
    style = compose(
        study(Gathered("s", "size", SIZES[:40], from_table=True), ("lognormal",))
    )[0]
    assert "position: sticky" in style
    assert 'class="long"' in html_page._table(
        pd.DataFrame({"a": ["x"], "b": ["one, two, three, four, five, six"]})
    )


def test_axes_have_the_unit():
    gathered = Gathered("s", "PSD area", SIZES[:60], unit="px")
    (axes,) = weight_study.overview(study(gathered, ("lognormal",))).figure.axes[:1]
    assert "PSD area (px)" in axes.get_xlabel()
    assert Gathered("s", "size", SIZES[:60]).axis == "size"


def test_figures_have_the_width_that_was_asked_for():
    result = study(Gathered("s", "size", SIZES[:60]), ("lognormal", "gamma"))
    for width, millimetres in (("single", 89), ("120 mm", 120)):
        figures = [drawing.figure for _, drawing in weight_study.draw(result, width)]
        figures.append(weight_study.overview(result, width).figure)
        assert [round(25.4 * one.get_figwidth()) for one in figures] == [
            millimetres
        ] * 5
    (name,) = {ax.xaxis.label.get_fontsize() for ax in figures[0].axes}
    assert name >= 7
