"""Names are text, whatever they hold: in every figure, on every page, and in the name of a file."""

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from daleml import signs
from daleml.analysis import (
    compare_families,
    compare_groups,
    compare_to,
    fit_weights,
    plots,
    regime,
    spectrum,
)
from daleml.analysis.plots.drawing import Drawing
from daleml.cli import app
from daleml.pages import html_page

X = np.random.default_rng(0).lognormal(size=60)
TWO = ("lognormal", "gamma")

NAMES = [
    "a$\\bad{1}$b",
    "cost in $ and $^",
    "\\$x\\$ $",
    "_private",
    "__x_1^2{",
    "\\frac{",
    "100 % {x} {0}",
    "[red]x[/red]",
    "突触 ניורון σ² 😀",
    "tab\tbell\x07esc\x1b[2Jnul\x00\x0b",
    "\u202egnp\u2066",
    "s\udcff",
    "two\nlines",
    "</text><script>&lt;]]>",
    "",
    " ",
]


def as_shown(text):
    from daleml._support.safe_text import shown

    return shown(text)


# The same, together: drawing takes its time.
TOGETHER = ["a$\\bad{1}$b \\$ $突触😀[red]{0}", "_p\t\x1b[\x00\u202e\udcff\n</text>]]>"]


def text_of(figure):
    """Return the text of a figure as its SVG shows it; the SVG is well formed, and nothing was warned of."""
    root = ElementTree.fromstring(plots.svg(figure))
    return "".join(root.itertext())


def in_one_line(text):
    """Return text without blanks: a long name stands on several lines, broken anywhere."""
    return "".join(text.split())


def plot(draw):
    figure, axes = plots.figure()
    draw(axes[0, 0])
    return figure


@pytest.fixture(scope="module")
def results():
    groups = compare_groups(np.r_[X, X], np.repeat(["a", "b"], 60), TWO)
    return {
        "fit": fit_weights(X),
        "comparison": compare_families(X, TWO),
        "groups": groups,
        "resemblance": compare_to(X, X * 2, n_boot=20),
        "spectrum": spectrum(np.eye(3)),
    }


def groups_named(results, text):
    import dataclasses

    one = results["groups"]
    return dataclasses.replace(
        one, groups={text: one.groups["a"], "b": one.groups["b"]}
    )


def history(text):
    return pd.DataFrame(
        {
            "epoch": [0, 1, 0, 1],
            "accuracy": [0.1, 0.5, 0.2, 0.6],
            "who": [text, text, "b", "b"],
        }
    )


def lawless(text):
    violation = signs.check({"w": torch.tensor([[1.0, -1.0], [1.0, 1.0]])})
    import dataclasses

    first = dataclasses.replace(violation.violations[0], parameter=text)
    return dataclasses.replace(violation, violations=(first,))


def network(text):
    old = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
    )
    found = regime(old, old.state_dict(), old.state_dict(), torch.rand(12, 4))
    return {text: found, "b": found}


FIGURES = {
    "families": lambda r, name, ax: plots.families(r["comparison"], ax, xlabel=name),
    "fit": lambda r, name, ax: plots.fit(r["fit"], ax, xlabel=name),
    "ccdf": lambda r, name, ax: plots.ccdf(r["comparison"], ax, xlabel=name),
    "qq": lambda r, name, ax: plots.qq(r["fit"], ax, xlabel=name),
    "groups": lambda r, name, ax: plots.groups(groups_named(r, name), ax, xlabel=name),
    "shapes": lambda r, name, ax: plots.shapes({name: r["fit"], "b": r["fit"]}, ax),
    "resemblance": lambda r, name, ax: plots.resemblance(
        r["resemblance"], ax, weights=name, reference=name
    ),
    "spectrum": lambda r, name, ax: plots.spectrum(
        {name: r["spectrum"], "b": r["spectrum"]}, ax
    ),
    "learning_curves": lambda r, name, ax: plots.learning_curves(
        history(name), ax=ax, hue="who"
    ),
    "learning_column": lambda r, name, ax: plots.learning_curves(
        history("a").rename(columns={"accuracy": name or "y"}), name or "y", ax
    ),
    "signs": lambda r, name, ax: plots.signs(lawless(name), ax),
    "regime": lambda r, name, ax: plots.regime(network(name), ax),
}


@pytest.mark.parametrize("which", FIGURES)
def test_every_figure_shows_every_name_as_it_is_written(which, results):
    for name in TOGETHER:
        if which.startswith("learning"):
            name = name.replace("\udcff", "")  # pandas holds no such column
        figure = plot(lambda ax, name=name: FIGURES[which](results, name, ax))
        found = text_of(figure)
        wanted = as_shown(
            name.replace("_", " ") if which == "learning_column" else name
        )
        assert in_one_line(wanted) in in_one_line(found), (which, name)


def test_the_names_of_a_task_are_text_too():
    from daleml import tasks

    trials = tasks.PerceptualDecision(dt_ms=100).sample(2)
    import dataclasses

    for name in TOGETHER:
        names = (name, *trials.input_names[1:])
        periods = ((name, *trials.periods[0][1:]), *trials.periods[1:])
        named = dataclasses.replace(trials, input_names=names, periods=periods)
        figure, axes = plots.figure(1, 2)
        plots.trial(named, axes=axes[:, 0])
        assert as_shown(name) in text_of(figure)


def test_a_legend_leaves_no_name_out(results):
    figure = plot(
        lambda ax: plots.spectrum(
            {"_a": results["spectrum"], "__b": results["spectrum"]}, ax
        )
    )
    assert len(figure.axes[0].get_legend().get_texts()) == 2


def test_a_very_long_name_leaves_room_for_the_axes(results):
    figure = plot(lambda ax: plots.fit(results["fit"], ax, xlabel="x" * 100_000))
    assert f"{'x' * 69}…{'x' * 8}" in in_one_line(text_of(figure))
    figure = plot(lambda ax: plots.groups(groups_named(results, "y" * 1_000), ax))
    assert f"{'y' * 33}…{'y' * 8}" in in_one_line(text_of(figure))


# -- pages -------------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    def __init__(self, content):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", [*NAMES[::5], NAMES[11], NAMES[13], *TOGETHER])
def test_a_page_shows_every_name_and_obeys_none(name, results):
    figure = plot(lambda ax: plots.fit(results["fit"], ax, xlabel=name))
    drawing = Drawing(figure, name)
    table = pd.DataFrame(
        np.array([[name], [1.5]], dtype=object), columns=pd.Index([name], dtype=object)
    )
    page = html_page.page(
        name,
        name,
        [(name, name)],
        [html_page.Section(name, [name], [table], [drawing])],
        [name],
    )
    page.encode()
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page
    )
    read = Reader(page)
    assert "script" not in read.tags
    assert "".join(read.text).count(as_shown(name)) >= 9


# -- the whole way -----------------------------------------------------------------------------------------------------


def test_a_table_with_hostile_names_is_fitted_like_any(tmp_path, monkeypatch):
    """A file whose name is no UTF-8, a column of maths, groups of controls: figures, page and JSON are sound."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"s\xff.csv")
    column, group = "a$\\bad{1}$b \x1b[2J", "\x01\x0b\x1b]0;x\x07\u202e"
    try:
        pd.DataFrame({column: np.r_[X, X], "g": np.repeat([group, "_$x$"], 60)}).to_csv(
            name, index=False
        )
    except OSError:
        pytest.skip("this file system takes no such name")
    arguments = [
        "fit",
        name,
        "--column",
        column,
        "--by",
        "g",
        "--families",
        "lognormal,gamma",
        "--intervals",
        "none",
    ]
    result = CliRunner().invoke(app, [*arguments, "--out", "o"])
    assert result.exit_code == 0, result.output
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", result.output)
    assert r"a$\bad{1}$b \x1b[2J" in result.output
    files = list((tmp_path / "o").iterdir())
    assert len(files) == 20
    for file in files:
        if file.suffix == ".svg":
            ElementTree.fromstring(file.read_bytes())
        elif file.suffix == ".json":
            content = json.loads(
                file.read_text(), parse_constant=lambda constant: pytest.fail(constant)
            )
            json.dumps(content, ensure_ascii=False).encode()
        elif file.suffix == ".html":
            assert not re.search(
                "[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", file.read_text()
            )
