"""Figures of the commands' tests are rendered small: what is in them is tested with the plots."""

import pytest

from daleml.analysis.plots import drawing


@pytest.fixture(autouse=True)
def small_figures(monkeypatch):
    monkeypatch.setattr(drawing, "_DPI", 40)
