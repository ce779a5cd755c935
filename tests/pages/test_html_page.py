import base64
import re

import pandas as pd
from matplotlib.figure import Figure

from daleml._support import atomic_files
from daleml.analysis.plots.drawing import Drawing
from daleml.pages import html_page


def drawing(caption="A <caption>"):
    figure = Figure()
    figure.subplots().plot([1, 2])
    return Drawing(figure, caption)


def test_a_page_needs_nothing_else():
    table = pd.DataFrame({"network": ["<b>"], "error": [None]})
    section = html_page.Section(
        "What & why", ["`code` and <tags>"], [table], [drawing()]
    )
    page = html_page.page(
        "T < U", "lead", [("0 of 5", "broken")], [section], ["made by `daleml`"]
    )
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    assert '<meta name="viewport"' in page
    assert "<h1>T &lt; U</h1>" in page
    assert "<code>code</code> and &lt;tags&gt;" in page
    assert "&lt;b&gt;" in page
    assert "–" in page  # what is missing is a dash, not None
    assert 'alt="A &lt;caption&gt;"' in page
    (image,) = re.findall(r"base64,([^\"]+)", page)
    assert base64.b64decode(image).startswith(b"\x89PNG")


def test_only_panels_side_by_side_take_the_whole_width():
    sizes = {
        (5, 4): 0,
        (6, 1): 0,
        (12, 9): 0,
        (9, 4): 1,
    }  # one panel; a strip; a square of panels; a row of them
    for size, wide in sizes.items():
        section = html_page.Section(
            "Figures", drawings=[Drawing(Figure(figsize=size), "A figure")]
        )
        assert (
            html_page.page("T", "lead", [], [section]).count('<figure class="wide">')
            == wide
        ), size


def test_a_table_that_fits_has_no_shadow():
    """What moves with the table lies above what marks the edge of a wide one, and covers it where nothing is cut."""
    page = html_page.page(
        "T", "lead", [], [html_page.Section("S", tables=[pd.DataFrame({"a": [1]})])]
    )
    layers = re.search(r"\.scroll \{[^}]*background:\s([^;]*);", page).group(1)
    assert re.findall(r"no-repeat (\w+)", layers) == ["local", "scroll"]


def test_the_same_figure_gives_the_same_bytes():
    assert drawing().png() == drawing().png()


def test_json_has_no_nan(tmp_path):
    import json

    import numpy as np

    path = tmp_path / "r.json"
    atomic_files.write_json(
        path,
        {"a": float("nan"), "b": np.float64(1.5), "c": (np.arange(2), [float("inf")])},
    )
    assert json.loads(path.read_text()) == {"a": None, "b": 1.5, "c": [[0, 1], [None]]}


def test_a_file_is_whole_or_as_it_was(tmp_path):
    import pytest

    path = tmp_path / "r.json"
    atomic_files.write_text(path, "old")

    def break_off(temporary):
        temporary.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        atomic_files.write(path, break_off)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
