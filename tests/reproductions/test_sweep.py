"""Figures of papers: read from the seeds, drawn as what they are, on the page and in the docs."""

import json
import math

import numpy as np
import pytest

from daleml import reproductions
from daleml.analysis import plots
from daleml.pages import claims_page
from daleml.reproductions import Claim, Experiment, Panel, Paper, Sweep, reproduce
from daleml.reproductions.sweep import measure
from daleml.reproductions.verdict import mean_interval

NAMES = ("a rises", "a falls")


def numbers(seed, options):
    return {
        f"{name} at {x:g}": (seed + 1) * math.exp(sign * x)
        for x in options["sizes"]
        for name, sign in zip(NAMES, (1, -1), strict=True)
    }


EXPERIMENT = Experiment(
    "toy", numbers,
    {budget: {"sizes": [0.5, 1, 4]} for budget in reproductions.BUDGETS}, dict.fromkeys(reproductions.BUDGETS, 3),
)  # fmt: skip


def panel(**options):
    return Panel(
        EXPERIMENT,
        "sizes",
        {name: f"{name} at {{x:g}}" for name in NAMES},
        "size, mm",
        "effect, mV",
        **options,
    )


def sweep(*panels):
    return Sweep(
        "sizes",
        "Effect against size.",
        "Made up.",
        panels or (panel(), panel(log_x=True, log_y=True)),
    )


@pytest.fixture
def swept():
    seeds = [numbers(seed, EXPERIMENT.settings["quick"]) for seed in range(3)]
    return measure(sweep(), "quick", lambda experiment: seeds)


def test_curves_are_means_over_seeds_with_their_intervals(swept):
    plain, logarithmic = (curves[0] for curves in swept.curves)
    assert plain.x == (0.5, 1.0, 4.0)
    np.testing.assert_allclose(plain.mean, [2 * math.exp(x) for x in plain.x])
    np.testing.assert_allclose(
        (plain.low[1], plain.high[1]), mean_interval([math.e, 2 * math.e, 3 * math.e])
    )
    np.testing.assert_allclose(
        logarithmic.mean, [6 ** (1 / 3) * math.exp(x) for x in plain.x]
    )
    assert all(
        low < mean < high
        for low, mean, high in zip(plain.low, plain.mean, plain.high, strict=True)
    )
    assert measure(sweep(), "quick", lambda experiment: []) is None
    with pytest.raises(KeyError):
        measure(sweep(), "quick", lambda experiment: [{}])


def test_the_plot_shows_every_seed_and_what_was_turned():
    seeds = [numbers(seed, EXPERIMENT.settings["quick"]) for seed in range(3)]
    panels = (
        panel(reference=1.0, reference_label="chance", y_limits=(0, 9)),
        panel(log_x=True, log_y=True),
    )
    left, right = plots.sweep(
        measure(sweep(*panels), "quick", lambda experiment: seeds)
    ).axes
    for ax, name in ((left, "linear"), (right, "log")):
        assert ax.get_xscale() == ax.get_yscale() == name
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "1", "4"]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("size, mm", "effect, mV")
    assert left.get_ylim() == (0, 9)
    drawn = {line.get_label(): line.get_ydata() for line in left.lines}
    np.testing.assert_allclose(
        drawn["a falls"], [2 * math.exp(-x) for x in (0.5, 1, 4)]
    )
    assert set(NAMES) | {"chance"} <= set(drawn)
    assert sum(line.get_marker() == "." for line in left.lines) == 2 * 3


def test_it_is_run_kept_and_shown_on_the_page(tmp_path):
    paper = Paper(
        "toy",
        "Nobody (1900)",
        (Claim("9z", "Said.", "nowhere", None, note="No data."),),
        (sweep(),),
    )
    result = reproduce(paper.claims, tmp_path, sweeps=paper.sweeps, jobs=1)
    kept = json.loads((tmp_path / "claims.json").read_text())["sweeps"]
    assert kept[0]["panels"][0]["curves"][0]["values"][2][1] == 3 * math.e
    claims_page.write(result, [paper], tmp_path, "daleml reproduce")
    assert "Effect against size. Made up." in (tmp_path / "index.html").read_text()
    assert (tmp_path / "figures" / "sizes.png").stat().st_size > 10_000
    again = reproduce(paper.claims, tmp_path, sweeps=paper.sweeps, jobs=1)
    assert again.sweeps == result.sweeps
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == 3


def test_narrow_panels_stand_above_one_another(swept):
    beside = plots.sweep(swept).axes
    assert beside[0].get_position().y0 == beside[1].get_position().y0
    drawing = plots.sweep(swept, width=3.65)
    above, below = drawing.axes
    assert drawing.get_figwidth() == 3.65
    assert above.get_position().y0 > below.get_position().y1


def test_every_paper_s_own_can_be_read_from_its_experiment_and_is_drawn_where_the_whole_paper_is():
    for paper in reproductions.papers():
        for own in paper.sweeps:
            assert own.paper == paper.name
            assert reproductions.sweeps_of(list(paper.claims)) == list(paper.sweeps)
            assert reproductions.sweeps_of(list(paper.claims[1:])) == []
            for one in own.panels:
                for budget in reproductions.BUDGETS:
                    assert len(one.experiment.settings[budget][one.turned]) >= 4
    assert {"nudge", "depth", "horizon"} <= {
        one.name for one in reproductions.sweeps_of(reproductions.find())
    }


def test_the_swept_setting_may_be_given_by_its_old_name():
    options = {"curves": {}, "x_label": "size, mm", "y_label": "effect, mV"}
    old = Panel(EXPERIMENT, turned="sizes", **options)
    assert old == Panel(EXPERIMENT, swept="sizes", **options)
    assert old.turned == old.swept == "sizes"
    with pytest.raises(TypeError, match="unexpected keyword argument 'turned'"):
        Panel(EXPERIMENT, swept="sizes", turned="sizes", **options)


def test_ticks_that_crowd_keep_their_place_and_lose_their_label():
    values = [-0.5, -0.2, -0.03, 0.0, 0.03, 0.2, 0.5]
    crowded = Experiment("crowded", numbers, {"quick": {"sizes": values}}, {"quick": 3})
    one = Panel(crowded, "sizes", {"a": "a rises at {x:g}"}, "size, mm", "effect, mV")
    seeds = [numbers(seed, {"sizes": values}) for seed in range(3)]
    drawing = plots.sweep(measure(sweep(one), "quick", lambda experiment: seeds))
    (ax,) = drawing.axes
    assert ax.get_xticks().tolist() == values
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["-0.5", "-0.2", "", "0", "", "0.2", "0.5"]
