"""Figures of the commands' tests are rendered small: what is in them is tested with the plots."""

import pytest

from tests import small_figures


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch):
    small_figures.coarse(monkeypatch)


@pytest.fixture(autouse=True)
def no_width_given(monkeypatch):
    """Workers of pytest-xdist have the width of the terminal that started them."""
    monkeypatch.delenv("COLUMNS", raising=False)
