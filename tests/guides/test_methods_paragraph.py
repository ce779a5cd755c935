"""The Methods paragraph of a fit: what was done is said and cited, and nothing else."""

import numpy as np
import pytest

import daleml
from daleml.weight_study import Gathered, methods_paragraph, study

RNG = np.random.default_rng(0)
SIZES = np.round(RNG.lognormal(3, 0.8, 240), 1)
LAYER = np.repeat(["L2", "L5"], 120)
ANIMAL = np.repeat(list("abcdefgh"), 30)


def paragraph(families=("lognormal", "gamma"), values=SIZES, gathered=None, **options):
    gathered = gathered or {}
    given = Gathered("s-size", "spine volume", values, **gathered)
    options = {"intervals": "none", "jobs": 1, **options}
    return methods_paragraph(study(given, families, **options))


def test_what_was_fitted():
    text = paragraph(gathered={"unit": "µm³"})
    assert text.startswith(
        "The gamma and the log-normal distributions were fitted by maximum likelihood to values"
        " of spine volume in µm³ (n = 240; 0 zeros and 0 others left out). "
    )
    assert text.endswith(").")
    assert f"daleml {daleml.__version__} (NumPy {np.__version__}" in text
    one = paragraph(["lognormal"])
    assert one.startswith("The log-normal distribution was fitted")


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        ({}, "Every value was taken as exact", "take into account"),
        ({"resolution": 0.1}, "(rounded to 0.1)", "as exact"),
        ({"truncation": (1.0, None)}, "(seen above 1)", "as exact"),
        ({"censoring": 5.0}, "(censored at 5)", "as exact"),
        ({"intervals": "profile"}, "95 % intervals by profile likelihood", "bootstrap"),
        ({"gof": 20, "resolution": 0.1}, "with 20 samples", "profile"),
        ({}, "Vuong's test", "Goodness of fit"),
    ],
)
def test_what_was_done_is_said_and_nothing_else(options, said, unsaid):
    text = paragraph(**options)
    assert said in text
    assert unsaid not in text


def test_a_hurdle_is_said():
    pairs = np.r_[SIZES, np.zeros(100)]
    text = paragraph(values=pairs, zeros="hurdle")
    assert "a hurdle model" in text
    assert "100 zeros, pairs without a connection" in text


def test_papers_are_cited_where_their_methods_were_used():
    text = paragraph()
    assert "Hurvich & Tsai 1989" in text
    assert "Vuong 1989" in text
    assert "Stute" not in text
    assert "Stute" in paragraph(gof=20, resolution=0.1)
    alone = paragraph(["lognormal"])
    assert "Hurvich" not in alone
    assert "Vuong" not in alone


def test_groups_are_said_with_their_test():
    rows = paragraph(gathered={"groups": LAYER, "by": "layer"})
    assert "apart in each of 2 groups by layer" in rows
    assert (
        "counted over 999 shuffles of the labels. Values were taken for independent."
        in rows
    )
    clusters = {"clusters": ANIMAL, "clustered_by": "animal"}
    nested = paragraph(gathered={"groups": LAYER, "by": "layer", **clusters})
    assert "mean scores of each animal, which counted as one value" in nested
    assert "the least of those of its parameters, times their number" in nested
    assert "which describes the values of all groups together best" in nested
    assert "independent" not in nested
    few = {"clusters": np.repeat(list("abcd"), 60), "clustered_by": "animal"}
    untested = paragraph(gathered={"groups": LAYER, "by": "layer", **few})
    assert "too small to be tested" in untested


def test_large_differences_are_by_the_likelihood_ratio():
    sizes = SIZES * np.where(LAYER == "L2", 1, 5)
    text = paragraph(values=sizes, gathered={"groups": LAYER, "by": "layer"})
    assert "a likelihood-ratio test" in text


def test_the_page_and_the_file_have_it(tmp_path, monkeypatch):
    import json

    from typer.testing import CliRunner

    from daleml.cli import app
    from tests import small_figures

    small_figures.unrendered(monkeypatch)
    monkeypatch.chdir(tmp_path)
    lines = ["size", *(f"{value}" for value in SIZES)]
    (tmp_path / "s.csv").write_text("\n".join(lines))
    options = [
        "--families",
        "lognormal,gamma",
        "--intervals",
        "none",
        "--resolution",
        "0.1",
    ]
    ran = CliRunner().invoke(app, ["fit", "s.csv", *options, "--out", "o"])
    assert ran.exit_code == 0, ran.output
    said = json.loads((tmp_path / "o" / "s-size-fit.json").read_text())["methods"]
    assert "(rounded to 0.1)" in said
    page = (tmp_path / "o" / "s-size-fit.html").read_text()
    assert "For a Methods section" in page
    assert said.partition(".")[0] in page
