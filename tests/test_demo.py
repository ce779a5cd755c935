import json
import re

import numpy as np
import pytest
import torch

from daleml import demo, signs
from daleml.datasets import digits
from daleml.demo import rows_page


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The demo at a length that learns: one seed, and half the epochs."""
    folder = tmp_path_factory.mktemp("demo")
    lines = []
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
        f"{np.mean(arms['dann_sgd']['test_error']):.1%} and {np.mean(arms['mlp']['test_error']):.1%}",
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
    assert {"2.weight E", "2.weight I"} <= {row["synapses"] for row in content["synapses"]["column_ei"]}
    assert [row["synapses"] for row in next(iter(content["brains"].values()))] == ["all", "E", "I"]


def test_the_numbers_are_those_of_the_history(results):
    _, content, _ = results
    for key, arm in content["arms"].items():
        history = content["history"][key][0]
        assert arm["test_error"][0] == pytest.approx(np.mean(history["test/error"][-5:]))
        assert arm["ks_lognormal_before"][0] < 0.15
    assert all(row["log-normal behind by (AICc)"] >= 0 for rows in content["synapses"].values() for row in rows)
    rows = {row["synapses"]: row["KS from log-normal"] for row in content["synapses"]["dann_eg"]}
    hidden = [rows[f"{i}.weight_ex"] for i in (0, 2, 4)]
    assert content["arms"]["dann_eg"]["ks_lognormal"][0] == pytest.approx(np.mean(hidden))


@pytest.mark.parametrize("arm", demo.ARMS, ids=lambda arm: arm.key)
def test_networks_are_determined_by_their_seed(arm):
    data = digits()
    one, same, other = (arm.build(data, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), same.parameters(), strict=True))
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
        demo.learn(dataclasses.replace(arm, optimizer=interrupting), 0, data, 3, tmp_path)
    resumed = demo.learn(arm, 0, data, 3, tmp_path)
    assert all(torch.equal(p, q) for p, q in zip(whole.after.parameters(), resumed.after.parameters(), strict=True))
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
    """The demo with its recurrent networks, too short to learn much."""
    folder = tmp_path_factory.mktemp("recurrent")
    lines = []
    demo.run(folder, epochs=2, seeds=1, recurrent=True, jobs=1, say=lines.append)
    return folder, json.loads((folder / "results.json").read_text()), lines


def test_recurrent_networks_join_the_same_report(with_recurrent):
    folder, content, lines = with_recurrent
    found = content["recurrent"]
    assert len(lines) == len(demo.ARMS) + len(demo.RECURRENT_ARMS) + 1
    assert list(found["arms"]) == ["rnn", "rnn_column_ei", "rnn_dann"]
    for key, arm in found["arms"].items():
        assert arm["steps"] == 2 * 2 * 45
        assert arm["lawless_steps"] == 0 or key == "rnn"
        assert len(found["history"][key][0]["epoch"]) == 5
        assert 0.5 < found["spectra"][key]["before"][0]["svd_entropy"] < 1
    before = {key: spectra["before"][0] for key, spectra in found["spectra"].items()}
    assert before["rnn_column_ei"]["spectral_radius"] == pytest.approx(1.5, rel=1e-4)
    assert before["rnn"]["svd_entropy"] > before["rnn_column_ei"]["svd_entropy"] + 0.1
    page = (folder / "report.html").read_text()
    assert "Row by row: recurrent networks" in page
    assert "--recurrent" in page
    assert {"rows_trial.png", "rows_learning.png", "rows_spectra_before.png"} <= {p.name for p in folder.iterdir()}
    assert not re.search(r"\b(nan|None|inf)\b", re.sub(r"base64,[^\"]+", "", page))
    table = rows_page.summary(content)
    assert list(table["network"]) == [arm.label for arm in demo.RECURRENT_ARMS]
