import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from daleml import demo, signs
from daleml._support import locks
from daleml.analysis import compare_families, family_label
from daleml.analysis.distributions.families import SIMPLE
from daleml.datasets import celegans, digits, fly_visual
from daleml.demo import demo_results, dense_figures, running_demo
from daleml.pages import demo_rows_page, demo_tables
from tests import small_figures

FITTED = {}


def fitted_once(brain):
    """Return the fits of a connectome, which are those of every demo of this module."""
    if brain.name not in FITTED:
        FITTED[brain.name] = demo_results.brain_table(brain)
    return FITTED[brain.name]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The demo at a length that learns: one seed, and half the epochs."""
    folder = tmp_path_factory.mktemp("demo")
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        small_figures.coarse(patch)
        patch.setattr(running_demo, "brain_table", fitted_once)
        demo.run(folder, epochs=15, seeds=1, jobs=1, say=lines.append)
    return folder, json.loads((folder / "results.json").read_text()), lines


def test_writes_its_files_and_nothing_else(results):
    folder, content, lines = results
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "results.json", "learning.png", "shapes.png"} <= names
    assert all(name.endswith((".png", ".html", ".json")) for name in names)
    assert len(lines) == len(demo.ARMS) + 1
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(
        [name for name in names if name.endswith(".png") and name != "overview.png"]
    )
    arms = content["arms"]
    tiles = [
        f"0 of {3 * 15 * 45:,}",
        f"{np.mean(arms['mlp']['sign_flips']):.1%}",
        "{:.1%}, {:.1%} and {:.1%}".format(
            *(
                np.mean(arms[key]["test_error"])
                for key in ("dann_sgd", "dann_eg", "mlp")
            )
        ),
        f"{np.mean(arms['dann_sgd']['ks_lognormal']) / np.mean(arms['dann_eg']['ks_lognormal']):.0f} times",
    ]
    assert re.findall(r"<li><b>(.*?)</b>", page) == tiles
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"base64,[^\"]+", "", page))


def test_the_law_holds_at_every_recorded_step(results):
    _, content, _ = results
    for key in ("column_ei", "dann_sgd", "dann_eg"):
        arm = content["arms"][key]
        assert arm["sign_violations"] == [[0.0] * 16]
        assert arm["lawless_steps"] == 0
        assert arm["steps"] == 15 * 45
        assert arm["sign_flips"] == [0.0]
    assert content["arms"]["mlp"]["sign_flips"][0] > 0.01


def test_the_claims_hold(results):
    """The claims of the full demo, their bounds widened for its half length."""
    _, content, _ = results
    error = {key: np.mean(arm["test_error"]) for key, arm in content["arms"].items()}
    assert error["dann_sgd"] < error["mlp"] + 0.02
    assert error["dann_eg"] < error["mlp"] + 0.02
    assert error["column_ei"] > error["dann_sgd"]
    ks = {key: np.mean(arm["ks_lognormal"]) for key, arm in content["arms"].items()}
    assert ks["dann_sgd"] > 5 * ks["dann_eg"]


def test_every_population_is_fitted(results):
    _, content, _ = results
    names = [row["synapses"] for row in content["synapses"]["dann_eg"]]
    assert names[:3] == ["0.weight_ex", "0.weight_ix", "0.weight_ei"]
    assert {"2.weight E", "2.weight I"} <= {
        row["synapses"] for row in content["synapses"]["column_ei"]
    }
    assert [row["synapses"] for row in next(iter(content["brains"].values()))] == [
        "all",
        "E",
        "I",
    ]


def test_the_numbers_are_those_of_the_history(results):
    _, content, _ = results
    for key, arm in content["arms"].items():
        history = content["history"][key][0]
        assert arm["test_error"][0] == pytest.approx(
            np.mean(history["test/error"][-5:])
        )
        assert arm["ks_lognormal_before"][0] < 0.15
    fitted = [
        row
        for rows in content["synapses"].values()
        for row in rows
        if not row["not fitted"]
    ]
    assert len(fitted) > 20
    assert all(row["log-normal behind by (AICc)"] >= 0 for row in fitted)
    rows = {
        row["synapses"]: row["KS from log-normal"]
        for row in content["synapses"]["dann_eg"]
    }
    hidden = [rows[f"{i}.weight_ex"] for i in (0, 2, 4)]
    assert content["arms"]["dann_eg"]["ks_lognormal"][0] == pytest.approx(
        np.mean(hidden)
    )


def test_ten_equal_weights_are_of_no_family(results):
    """The last layer of a DANN has one interneuron: ten weights, which begin equal and hardly change."""
    folder, content, _ = results
    rows = {row["synapses"]: row for row in content["synapses"]["dann_eg"]}
    assert rows["6.weight_ei"] == {
        "synapses": "6.weight_ei", "n": 10, "zeros": 0, "best family": None, "log-normal behind by (AICc)": None,
        "sigma of ln|w|": None, "± s.e.": None, "KS from log-normal": None, "not fitted": "too few",
    }  # fmt: skip
    page = (folder / "report.html").read_text()
    assert re.search(
        r"<td>6\.weight_ei</td>\s*<td>10</td>\s*<td>0</td>\s*<td>too few</td>\s*<td>–</td>",
        page,
    )
    assert "Where weights are <code>too few</code>" in page


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (49, "too few"),
        (50, ""),
        ("equal", "nearly equal"),
        ("nearly", "nearly equal"),
        ("spread", ""),
    ],
)
def test_what_is_fitted_has_a_shape(values, reason):
    rng = np.random.default_rng(0)
    drawn = {
        "equal": np.ones(200),
        "nearly": rng.lognormal(0, 0.01, 200),
        "spread": rng.lognormal(0, 0.04, 200),
    }
    row = demo_results.fit_row(
        "x", drawn[values] if isinstance(values, str) else rng.lognormal(size=values)
    )
    assert row["not fitted"] == reason
    assert (row["best family"] is None) == bool(reason)


def test_the_worm_is_counted_and_the_fly_is_not(results):
    folder, content, _ = results
    worm, fly = celegans(), fly_visual()
    assert content["counts"] == {worm.name: True, fly.name: False}
    expected = compare_families(worm.weights(), discrete=True)
    row = content["brains"][worm.name][0]
    assert row["best family"] == expected.best.family
    assert row["sigma of ln|w|"] == pytest.approx(expected["lognormal"].params["sigma"])
    page = (folder / "report.html").read_text()
    assert "Those of C. elegans are whole numbers, and are fitted as counts" in page
    assert "Those of Fly visual system are means of counts" in page


def test_the_words_name_the_families_that_were_compared(results):
    folder, content, _ = results
    assert content["families"] == list(SIMPLE)
    page = re.sub("<[^>]+>", "", (folder / "report.html").read_text())
    (named,) = re.findall(r"log-normal is compared by AICc with (.*?); 0 means", page)
    assert set(re.split(", | and ", named)) == {
        family_label(name) for name in SIMPLE if name != "lognormal"
    }
    best = {row["best family"] for rows in content["brains"].values() for row in rows}
    assert best <= set(SIMPLE)


@pytest.mark.parametrize(
    ("difference", "first", "shown"),
    [(0.0, True, "0"), (0.0, False, "< 0.1"), (0.04, False, "< 0.1"), (0.3, False, "0.3"), (9.94, False, "9.9"), (1234.5, False, "1,234")],
)  # fmt: skip
def test_no_rival_is_behind_by_nothing(difference, first, shown):
    assert demo_tables.behind(difference, ranks_first=first) == shown


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(
            ValueError, match="^`output` must be a folder that can be written to; got"
        ):
            demo.run(output, epochs=1, seeds=1, jobs=1)


def test_two_demos_in_one_folder(tmp_path):
    with (
        locks.only_writer(tmp_path),
        pytest.raises(ValueError, match="^`output` must be a folder into which nobody"),
    ):
        demo.run(tmp_path, epochs=1, seeds=1, jobs=1)


def test_networks_learn_in_double_precision_and_leave_the_default_as_it_was():
    """In single precision, the order in which a processor adds moves the test error by half a point."""
    trained = demo.learn(demo.ARMS[0], 0, digits(), 1)
    assert {p.dtype for p in trained.after.parameters()} == {torch.float64}
    assert {p.dtype for p in trained.before.parameters()} == {torch.float64}
    assert torch.get_default_dtype() == torch.float32


def test_curves_that_lie_at_zero_are_one_line():
    history = pd.DataFrame(
        {
            "network": ["MLP", "MLP", "EI", "EI", "DANN", "DANN"],
            "flips": [0.0, 0.1, 0.0, 0.0, 0.0, 0.0],
        }
    )
    together = dense_figures._zeros_together(history, "flips")
    assert list(together["network"].unique()) == ["MLP", "2 others, at 0 throughout"]
    history.loc[5, "flips"] = 0.2
    assert dense_figures._zeros_together(history, "flips") is history


@pytest.mark.parametrize("arm", demo.ARMS, ids=lambda arm: arm.key)
def test_networks_are_determined_by_their_seed(arm):
    data = digits()
    one, same, other = (
        arm.build(data, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert all(
        torch.equal(p, q)
        for p, q in zip(one.parameters(), same.parameters(), strict=True)
    )
    assert not torch.equal(one[0](data.test_x), other[0](data.test_x))
    assert signs.check(one)
    assert one(data.test_x).shape == (360, 10)


def test_an_interrupted_arm_goes_on_where_it_was(tmp_path):
    data, arm = digits(), demo.ARMS[-1]
    whole = demo.learn(arm, 0, data, 3)

    class Interrupted(BaseException):
        pass

    def interrupting(model, lr, after=70):
        optimizer = arm.optimizer(model, lr)
        steps = iter(range(after))

        def count(*_):
            if next(steps, None) is None:
                raise Interrupted

        optimizer.register_step_post_hook(count)
        return optimizer

    import dataclasses

    with pytest.raises(Interrupted):
        demo.learn(
            dataclasses.replace(arm, optimizer=interrupting), 0, data, 3, tmp_path
        )
    resumed = demo.learn(arm, 0, data, 3, tmp_path)
    assert all(
        torch.equal(p, q)
        for p, q in zip(
            whole.after.parameters(), resumed.after.parameters(), strict=True
        )
    )
    assert whole.history.equals(resumed.history)


@pytest.mark.slow
def test_the_whole_demo_holds_its_claims(tmp_path):
    """What `make demo` runs, against the bounds it was built to."""
    results = demo.run(tmp_path)
    arms = results["arms"]
    error = {key: np.mean(arm["test_error"]) for key, arm in arms.items()}
    ks = {key: np.mean(arm["ks_lognormal"]) for key, arm in arms.items()}
    for key in ("column_ei", "dann_sgd", "dann_eg"):
        assert np.all(np.array(arms[key]["sign_violations"]) == 0)
        assert arms[key]["lawless_steps"] == 0
    assert min(arms["mlp"]["sign_flips"]) > 0.01
    assert error["dann_sgd"] <= error["mlp"] + 0.015
    assert error["dann_eg"] <= error["mlp"] + 0.015
    assert error["column_ei"] >= error["dann_sgd"]
    assert ks["dann_sgd"] >= 5 * ks["dann_eg"]


@pytest.fixture(scope="module")
def with_recurrent(tmp_path_factory):
    """The demo with its recurrent networks, too short to learn much.

    Only their figures are rendered: the others are those of the demo without them.
    """
    draw = dense_figures.draw

    def unrendered(*arguments):
        for name, drawing in draw(*arguments):
            vars(drawing)["_png"] = small_figures.DOT
            yield name, drawing

    folder = tmp_path_factory.mktemp("recurrent")
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        small_figures.coarse(patch)
        patch.setattr(dense_figures, "draw", unrendered)
        patch.setattr(running_demo, "brain_table", fitted_once)
        demo.run(folder, epochs=2, seeds=1, recurrent=True, jobs=1, say=lines.append)
    return folder, json.loads((folder / "results.json").read_text()), lines


def test_recurrent_networks_join_the_same_report(with_recurrent):
    folder, content, lines = with_recurrent
    demo_results = content["recurrent"]
    assert len(lines) == len(demo.ARMS) + len(demo.RECURRENT_ARMS) + 1
    assert list(demo_results["arms"]) == ["rnn", "rnn_column_ei", "rnn_dann"]
    for key, arm in demo_results["arms"].items():
        assert arm["steps"] == 2 * 2 * 45
        assert arm["lawless_steps"] == 0 or key == "rnn"
        assert len(demo_results["history"][key][0]["epoch"]) == 5
        assert 0.5 < demo_results["spectra"][key]["before"][0]["svd_entropy"] < 1
    before = {
        key: spectra["before"][0] for key, spectra in demo_results["spectra"].items()
    }
    assert before["rnn_column_ei"]["spectral_radius"] == pytest.approx(1.5, rel=1e-4)
    assert before["rnn"]["svd_entropy"] > before["rnn_column_ei"]["svd_entropy"] + 0.1
    page = (folder / "report.html").read_text()
    assert "Row by row: recurrent networks" in page
    assert "--recurrent" in page
    assert {"rows_trial.png", "rows_learning.png", "rows_spectra_before.png"} <= {
        p.name for p in folder.iterdir()
    }
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"base64,[^\"]+", "", page))
    table = demo_rows_page.summary(content)
    assert list(table["network"]) == [arm.label for arm in demo.RECURRENT_ARMS]
