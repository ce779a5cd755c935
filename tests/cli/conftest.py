"""Figures of the commands' tests are rendered small: what is in them is tested with the plots."""

import pytest

from tests import small_figures


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch):
    small_figures.coarse(monkeypatch)
