"""``daleml fit`` from file to folder: what it reads, writes, says, and refuses."""

import json
import math
import os
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from daleml import weight_study
from daleml.analysis import compare_families, compare_groups
from daleml.cli import app
from tests import small_figures
from tests.analysis.plots.legible import faults

RNG = np.random.default_rng(0)
SIZES = np.r_[
    RNG.lognormal(3, 0.8, 160), 20 * RNG.weibull(3, 60), [5.0], RNG.lognormal(3, 1, 4)
]
KIND = ["E"] * 160 + ["I"] * 60 + ["one"] + [""] * 4
PRE, POST = RNG.integers(0, 15, SIZES.size), RNG.integers(0, 12, SIZES.size)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def says(result, code=0):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


RENDERED = {
    "test_everything_of_one_column",
    "test_the_same_command_gives_the_same_bytes",
}
"""The tests that look into the figures."""


@pytest.fixture(autouse=True)
def figures(request, monkeypatch):
    if request.function.__name__ not in RENDERED:
        small_figures.unrendered(monkeypatch)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(
        {
            "size": SIZES,
            "kind": KIND,
            "axon": PRE,
            "dendrite": POST,
            "times": 1 + PRE % 3,
        }
    )
    table.assign(count=np.ceil(SIZES / 10).astype(int)).to_csv("s.csv", index=False)
    return tmp_path


def content(folder, name="s-size-fit.json"):
    return json.loads((folder / name).read_text())


def test_everything_of_one_column(folder):
    text = says(
        run(
            "fit",
            "s.csv",
            "--column",
            "size",
            "--families",
            "lognormal,weibull",
            "--gof",
            "20",
            "--out",
            "fit",
        )
    )
    assert "s-size: 225 weights; 0 zeros and 0 others left out" in text
    written = {path.name for path in (folder / "fit").iterdir()}
    figures = {
        f"s-size-{name}.{kind}"
        for name in ("density", "ranking", "ccdf", "qq", "fit")
        for kind in ("svg", "png")
    }
    assert written == figures | {"s-size-fit.html", "s-size-fit.json"}
    found = content(folder / "fit")
    assert {f"{name}.svg" for name in found["figures"]} <= written
    assert [fit["family"] for fit in found["fits"]] == ["lognormal", "weibull"]
    assert found["fits"][0]["params"]["mu"] == pytest.approx(np.log(SIZES).mean())
    assert set(found["goodness_of_fit"]) == {"lognormal", "weibull"}
    low, high = found["intervals"]["parameters"]["lognormal"]["sigma"]
    assert low < found["fits"][0]["params"]["sigma"] < high
    assert found["best_fits"]["median"] == np.median(SIZES)
    assert (folder / "fit" / "s-size-qq.png").read_bytes().startswith(b"\x89PNG")
    assert b">size</text>" in (folder / "fit" / "s-size-density.svg").read_bytes()


def test_the_same_command_gives_the_same_bytes(folder):
    options = [
        "--column",
        "size",
        "--family",
        "lognormal",
        "--gof",
        "10",
        "--seed",
        "3",
        "--out",
        "f",
    ]
    says(run("fit", "s.csv", *options))
    before = {path.name: path.read_bytes() for path in (folder / "f").iterdir()}
    says(run("fit", "s.csv", *options))
    assert before == {path.name: path.read_bytes() for path in (folder / "f").iterdir()}
    says(run("fit", "s.csv", *options[:-3], "4"))
    other = content(folder)["goodness_of_fit"]["lognormal"]
    assert (
        other != json.loads(before["s-size-fit.json"])["goodness_of_fit"]["lognormal"]
    )


def test_the_command_in_the_report_is_the_one_given(folder):
    options = [
        "--column",
        "size",
        "-o",
        "a b",
        "--pool",
        "--family",
        "gamma",
        "--family",
        "weibull",
        "--zeros",
        "hurdle",
    ]
    says(run("fit", "s.csv", "--intervals", "none", *options))
    command = content(folder / "a b")["command"]
    assert command == (
        "daleml fit s.csv --column size --pool --zeros hurdle --families gamma --families weibull --intervals none --out 'a b'"
    )
    before = (folder / "a b" / "s-size-fit.json").read_bytes()
    says(run(*shlex.split(command)[1:]))
    assert (folder / "a b" / "s-size-fit.json").read_bytes() == before


def test_groups_are_fitted_apart_and_the_rest_is_reported(folder):
    text = says(
        run(
            "fit",
            "s.csv",
            "--column",
            "size",
            "--by",
            "kind",
            "--families",
            "lognormal,weibull",
            "--out",
            "fit",
        )
    )
    assert (
        "220 weights; 0 zeros and 0 others left out, and 4 values of no group" in text
    )
    assert (
        "kind one could not be fitted: at least 2 values other than zero are needed, and it has 1 beside 0 zeros"
        in text
    )
    found = content(folder / "fit")
    expected = compare_groups(SIZES, KIND, ("lognormal", "weibull"))
    assert {name: one["best"] for name, one in found["groups"].items()} == {
        "E": "lognormal",
        "I": "weibull",
    }
    assert found["groups"]["E"]["fits"][0]["aicc"] == pytest.approx(
        expected["E"].best.aicc
    )
    assert list(found["failures"]) == ["one"]
    assert found["n_unlabelled"] == 4
    assert set(found["intervals"]["parameters"]) == {"E", "I"}
    written = {path.name for path in (folder / "fit").iterdir()}
    assert {"s-size-fit.png", "s-size-E-density.svg", "s-size-I-qq.png"} <= written


def test_names_of_groups_make_files(folder):
    pd.DataFrame({"w": SIZES[:120], "g": ["L2/3"] * 60 + ["L2 3"] * 60}).to_csv(
        "g.csv", index=False
    )
    says(
        run(
            "fit",
            "g.csv",
            "--column",
            "w",
            "--by",
            "g",
            "--family",
            "gamma",
            "--out",
            "o",
            "--intervals",
            "none",
        )
    )
    names = {path.name for path in (folder / "o").glob("*density.png")}
    assert names == {"g-w-L2_3-density.png", "g-w-L2_3_-density.png"}


def fitted(folder, *options, name="s-size-fit.json", column="size"):
    text = says(
        run(
            "fit",
            "s.csv",
            "--column",
            column,
            "--families",
            "lognormal",
            "--intervals",
            "none",
            *options,
        )
    )
    return text, content(folder, name)


def same(found, weights, **options):
    expected = compare_families(weights, "lognormal", **options)
    assert found["fits"][0]["params"] == pytest.approx(dict(expected.best.params))
    assert found["fits"][0]["n"] == expected.best.n
    return expected


def test_each_way_of_observing_reaches_the_fit(folder):
    _, found = fitted(folder, "--truncate-below", "0.5", "--truncate-above", "9000")
    same(found, SIZES, truncation=(0.5, 9000))
    assert found["fits"][0]["observation"]["truncation"] == [0.5, 9000]
    _, found = fitted(folder, "--censor-below", "12")
    same(found, SIZES, censoring=12)
    assert found["fits"][0]["n_censored"] == np.sum(SIZES <= 12)
    text, found = fitted(folder, "--discrete", name="s-count-fit.json", column="count")
    same(found, np.ceil(SIZES / 10), discrete=True)
    assert "pass `--discrete`" not in text
    _, found = fitted(folder, "--weights-column", "times")
    same(found, SIZES, sample_weights=1 + PRE % 3)
    (folder / "s.csv").write_text("size\n0\n0\n1\n2\n4\n-1\n")
    text, found = fitted(folder, "--zeros", "hurdle", "--sign", "E")
    assert (
        "2 zeros, pairs without a connection; connection probability 0.6 ["
        in " ".join(text.split())
    )
    assert found["fits"][0]["connection"]["probability"] == pytest.approx(0.6)


def test_synapses_are_added_up_over_connections(folder):
    text, found = fitted(
        folder, "--per", "connection", "--pre", "axon", "--post", "dendrite"
    )
    sums = pd.Series(SIZES).groupby([PRE, POST]).sum().to_numpy()
    same(found, sums)
    assert f"225 synapses were added up over {sums.size} connections." in text
    _, found = fitted(
        folder,
        "--per",
        "connection",
        "--pre",
        "axon",
        "--post",
        "dendrite",
        "--by",
        "kind",
    )
    kind = np.array(KIND)
    inhibitory = (
        pd.Series(SIZES[kind == "I"])
        .groupby([PRE[kind == "I"], POST[kind == "I"]])
        .sum()
    )
    assert found["groups"]["I"]["fits"][0]["n"] == len(inhibitory)


def test_weights_are_put_beside_others(folder):
    text, found = fitted(folder, "--compare-to", "s.csv:count")
    assert "The weights differ from the reference in" in text or "in none of" in text
    assert found["reference"] == "s-count"
    assert found["resemblance"]["measures"]["log_sd"]["weights"][
        "value"
    ] == pytest.approx(np.log(SIZES).std())
    counts = np.log(np.ceil(SIZES / 10)).std()
    assert found["resemblance"]["measures"]["log_sd"]["reference"][
        "value"
    ] == pytest.approx(counts)
    _, found = fitted(folder, "--compare-to", "celegans", "--by", "kind", "--out", ".")
    assert set(found["resemblance"]) == {"E", "I"}
    assert (folder / "s-size-E-resemblance.svg").exists()


def test_a_network_beside_a_table(folder):
    save_file(
        {"fc.weight": torch.tensor(SIZES[:60].reshape(6, 10))}, folder / "m.safetensors"
    )
    says(
        run(
            "fit",
            "m.safetensors",
            "--compare-to",
            "s.csv:size",
            "--family",
            "lognormal",
            "--out",
            "o",
        )
    )
    found = content(folder / "o", "m-fit.json")
    assert found["resemblance"]["n"] == [60, 225]


def test_whole_numbers_and_thresholds_are_hinted_at(folder):
    assert "note:" not in fitted(folder)[0]
    text, _ = fitted(folder, name="s-count-fit.json", column="count")
    assert "All values are whole numbers and were fitted as continuous ones" in text
    seen = RNG.lognormal(3, 1, 900)
    pd.DataFrame({"size": seen[seen > 20]}).to_csv("s.csv", index=False)
    text, found = fitted(folder)
    assert "may be a threshold of detection" in text
    below = (
        math.floor(seen[seen > 20].min() * 1e4) / 1e4
    )  # not above the smallest, which would be left out
    assert f"pass `--truncate-below {below:g}`" in text
    assert len(found["hints"]) == 1
    assert "threshold" not in fitted(folder, "--truncate-below", "20")[0]
    pd.DataFrame({"size": np.ceil(seen[seen > 20])}).to_csv("s.csv", index=False)
    assert "pass `--truncate-below 20.5`" in fitted(folder)[0]


@pytest.mark.skipif(
    not os.environ.get("DALEML_DATA"),
    reason="set DALEML_DATA to the folder of experimental data",
)
def test_the_threshold_of_real_clefts(folder):
    file = Path(os.environ["DALEML_DATA"]) / "microns_l23_synapses.csv"
    options = ["--column", "cleft_vx", "--family", "lognormal", "--intervals", "none"]
    assert "may be a threshold of detection: 41 values" in says(
        run("fit", file, *options)
    )
    naive = content(folder, "microns_l23_synapses-cleft_vx-fit.json")["fits"][0][
        "params"
    ]
    assert "threshold" not in says(
        run("fit", file, *options, "--truncate-below", "49.5")
    )
    aware = content(folder, "microns_l23_synapses-cleft_vx-fit.json")["fits"][0][
        "params"
    ]
    assert naive == pytest.approx({"mu": 5.395, "sigma": 0.941}, abs=5e-4)
    assert aware == pytest.approx({"mu": 5.004, "sigma": 1.212}, abs=5e-4)


def test_what_is_said_not_to_be_seen_is_left_out_and_said(folder):
    text, found = fitted(folder, "--truncate-below", "10", "--families", "lognormal")
    assert (
        "weights below 10 were left out, and the fits are of those that could be seen"
        in text
    )
    assert found["fits"][0]["observation"]["truncation"] == [10.0, None]
    assert (
        found["fits"][0]["n"]
        < fitted(folder, "--families", "lognormal")[1]["fits"][0]["n"]
    )


FILE = ["fit", "s.csv", "--column", "size"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--by", "layer"], "`--by` must name one column: it must be in `s.csv`, and 'layer' is not; got size, kind, axon, dendrite, times, count to choose from."),
        (["--weights-column", "kind"], "column 'kind' of `s.csv` must hold numbers; got 'E' in row 1, and 220 more such values."),
        (["--column", "kind"], "column 'kind' of `s.csv` must hold numbers; got 'E' in row 1, and 220 more such values."),
        (["--per", "connection", "--pre", "axon"], "`--per connection` must have `--pre` and `--post`, the columns that name the two cells; got 'axon' and None."),
        (["--per", "connection", "--pre", "axon", "--post", "x"], "`--post` must name one column: it must be in `s.csv`, and 'x' is not; got size, kind, axon, dendrite, times, count to choose from."),
        (["--post", "axon"], "`--post` must be left out unless `--per connection` is given; got 'axon'."),
        (["--weights-column", "times", "--gof", "9"], "`--gof` must be left out where `--weights-column` is given; got both, and nobody knows how weighted rows would be drawn or added up."),
        (["--weights-column", "times", "--intervals", "bootstrap"], "`--intervals bootstrap` must be left out where `--weights-column` is given; got both, and nobody knows how weighted rows would be drawn or added up."),
        (["--families", "lognormal,norm"], "`--families` must be one of lognormal, gamma"),
        (["--families", "all,gamma"], "`--families` must be one of lognormal, gamma"),
        (["--gof", "-1"], "`--gof` must be at least 0; got -1."),
        (["--jobs", "0"], "`--jobs` must be at least 1; got 0."),
        (["--seed", "-2"], "`--seed` must be at least 0; got -2."),
        (["--truncate-below", "9", "--truncate-above", "3"], "`--truncate-below` and `--truncate-above` must be (low, high) with low below high; got (9.0, 3.0)."),
        (["--censor-below", "1e9"], "`--censor-below` must be below at least 2 different weights; got 1e+09."),
        (["--discrete"], "the weights must be whole numbers where `--discrete` is given; got"),
        (["--compare-to", "nowhere.csv:size"], "`--compare-to` must be one of celegans, fly, kasthuri, microns, or a file, FILE:COLUMN; got 'nowhere.csv:size'."),
        (["--compare-to", "s.csv:kind"], "column 'kind' of `s.csv` must hold numbers;"),
        (["--sign", "I"], "the weights must hold at least 2 values other than zero; got 0, with 0 zeros and 225 values left out."),
    ],
)  # fmt: skip
def test_wrong_options_are_one_sentence_and_leave_nothing(options, sentence, folder):
    text = says(run(*FILE, *options, "--out", "out"), 2)
    assert text.startswith(f"error: {sentence}")
    assert text.count("error:") == 1
    assert [path.name for path in folder.iterdir()] == ["s.csv"]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            "size,kind\n",
            "the weights must hold at least 2 values other than zero; got 0",
        ),
        (
            "size,kind\n3,a\n3,a\n3,a\n",
            "the weights must vary to be fitted; got 3 values of 3.",
        ),
        (
            "size,kind\n3,a\n-3,a\n1,b\n",
            "the weights must be of one sign unless `--sign` or `--pool` is given",
        ),
        (
            "size,kind\n1,a\nnan,a\n",
            "the weights must hold at least 2 values other than zero; got 1, with 0 zeros and 1 values left",
        ),
        (
            "size,kind\n1,a\ninf,a\n3,a\n",
            "column 'size' of `s.csv` must hold finite numbers; got 'inf' in row 2, infinite: pass `--missing inf`",
        ),
    ],
)
@pytest.mark.parametrize("by", [[], ["--by", "kind"]])
def test_wrong_tables_are_one_sentence(table, sentence, by, folder):
    (folder / "s.csv").write_text(table)
    text = says(run(*FILE, *by, "--out", "out"), 2)
    assert sentence in text or (
        by and "`--by` must name a group that can be fitted; got none" in text
    )
    assert [path.name for path in folder.iterdir()] == ["s.csv"]


def test_tables_only_for_what_needs_rows(folder):
    np.save("w.npy", SIZES)
    text = says(run("fit", "w.npy", "--by", "kind"), 2)
    assert (
        text
        == "error: `--by` must be left out unless the file is a table, .csv or .tsv; got 'kind'."
    )


def test_few_weights_are_too_few(folder):
    for n in (2, 5):
        pd.DataFrame({"size": SIZES[:n]}).to_csv("s.csv", index=False)
        assert f"{n} weights are too few to rank these families" in says(
            run(*FILE, "--out", "o")
        )


def test_an_interrupted_run_leaves_nothing(folder, monkeypatch):
    from daleml.analysis.plots.drawing import Drawing

    def stopped(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Drawing, "svg", stopped)
    assert run(*FILE, "--family", "gamma", "--out", "o").exit_code != 0
    assert not (folder / "o").exists()


def test_axes_and_headings_have_the_name_and_the_unit_that_were_given(folder):
    result = run(
        *("fit", "s.csv", "--column", "size", "--by", "kind", "--out", "out"),
        *("--xlabel", "PSD area", "--unit", "nm²", "--families", "lognormal"),
        *("--intervals", "none"),
    )
    says(result)
    (page,) = Path("out").glob("*.html")
    text = page.read_text()
    assert "<h1>How PSD area is distributed</h1>" in text
    assert "<th>median (nm²)</th>" in text
    assert "nm²) as that of" in text
    found = content(Path("out"))
    assert (found["label"], found["unit"]) == ("PSD area", "nm²")


def test_a_width_that_is_none_is_refused_before_long_work(folder):
    result = run("fit", "s.csv", "--column", "size", "--width", "wide", "--out", "w")
    said = says(result, code=2)
    assert said.startswith("error: `--width` must be a number of inches above 0")
    assert not Path("w").exists()


def test_without_a_unit_none_is_shown(folder):
    says(run("fit", "s.csv", "--column", "size", "--families", "lognormal"))
    found = content(folder)
    assert (found["label"], found["unit"]) == ("size", None)


def test_a_log_hears_how_much_there_is_to_do(folder):
    result = run(
        *("fit", "s.csv", "--column", "size", "--by", "kind", "--gof", "3"),
        *("--families", "lognormal,gamma", "--intervals", "none", "--jobs", "1"),
    )
    says(result)
    # Three samples for each of two families in each of three groups.
    assert "goodness of fit: 18 samples are drawn and fitted" in result.stderr


def test_help_is_in_panels():
    text = says(run("fit", "--help"))
    assert all(
        panel in text
        for panel in (
            "What to take",
            "How it was observed",
            "What to find out",
            "How to draw it",
            "How to run",
        )
    )


def test_rows_of_one_animal_are_not_independent(folder):
    rng = np.random.default_rng(0)
    animal = np.repeat(np.arange(8), 15)
    table = pd.DataFrame(
        {
            "w": rng.lognormal(size=120),
            "g": np.where(animal < 4, "wt", "ko"),
            "mouse": animal,
        }
    )
    table["mouse"] = table["mouse"].astype("Int64")
    table.loc[3, "mouse"] = pd.NA
    table.to_csv("n.csv", index=False)
    options = [
        "--column",
        "w",
        "--by",
        "g",
        "--family",
        "lognormal",
        "--intervals",
        "none",
    ]
    text = says(run("fit", "n.csv", *options, "--within", "mouse", "--out", "o"))
    assert "F test of the means of 4 and 4 mice" in text
    assert "1 rows have no `mouse`, and were left out." in text
    found = content(folder / "o", "n-w-fit.json")
    assert (found["within"], found["n_clusters"]) == ("mouse", {"ko": 4, "wt": 4})
    assert "--within mouse" in found["command"]
    assert "takes rows for independent" in says(
        run("fit", "n.csv", *options, "--out", "p")
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--within", "kind"],
            "`--within` must be left out unless `--by` names groups to compare; got 'kind'.",
        ),
        (
            [
                "--within",
                "kind",
                "--by",
                "kind",
                "--per",
                "connection",
                "--pre",
                "kind",
                "--post",
                "kind",
            ],
            "`--within` must be left out where `--per connection` is given; got 'kind'.",
        ),
    ],
)
def test_within_is_of_groups_of_rows(options, sentence, folder):
    result = run("fit", "s.csv", "--column", "size", *options)
    assert result.exit_code
    assert sentence.split(";")[0] in " ".join((result.output + result.stderr).split())


@pytest.mark.parametrize("width", ["single", None])
def test_figures_of_a_fit_have_room_for_every_family(folder, monkeypatch, width):
    drawn = {}
    keep = weight_study.draw
    monkeypatch.setattr(
        weight_study, "draw", lambda *given: drawn.update(keep(*given)) or drawn.items()
    )
    at = [] if width is None else ["--width", width]
    sizes = np.random.default_rng(11).lognormal(-2.4, 0.8, 800).round(2)
    pd.DataFrame({"area": sizes[sizes >= 0.03]}).to_csv("a.csv", index=False)
    asked = ["--truncate-below", 0.03, "--resolution", 0.01, "--out", "w", *at]
    run("fit", "a.csv", "--column", "area", *asked)
    assert len(drawn) == 4
    for kind, drawing in drawn.items():
        figure = drawing.figure
        assert not faults(figure), kind
        # A key below axes must not leave a strip of them.
        tall = figure.axes[0].get_position().height * figure.get_figheight()
        assert tall > 1.3, kind
