"""A browser, the pages that it opens, and what keeps both out of the quick tests.

``make pages`` runs what lies in this folder: ``pytest -m browser tests/pages/browser``.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.pages.browser import checks

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SITE = ROOT / "build" / "docs"
PICTURES = ROOT / "build" / "pages"


def pytest_collection_modifyitems(config, items):
    """Leave these tests out unless they were asked for: a browser takes its time."""
    if "browser" in (config.option.markexpr or ""):
        return
    own = [item for item in items if HERE in item.path.parents]
    if own:
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, without a window and without a network."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: pip install -e '.[dev]'")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium is on the path: apt-get install chromium")
    arguments = [
        "--no-sandbox",
        # Whatever a page asks a network for, no address is found.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--disable-gpu",
    ]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser):
    """One empty page, and what is heard of it."""
    page, heard = checks.open_page(browser)
    yield page, heard
    page.close()


@pytest.fixture(scope="session")
def pictures():
    """The folder of the pictures, for whoever wants to look at the pages."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


def run_daleml(*words):
    """Run a command in this process, and stop at its error."""
    from daleml.cli import app

    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def site():
    """The built site; built here if it is not there yet."""
    if not (SITE / "index.html").exists():
        command = [sys.executable, "-m", "sphinx", "-q", "-b", "html"]
        subprocess.run([*command, "docs", str(SITE)], cwd=ROOT, check=True)
    return SITE


@pytest.fixture(scope="session")
def demo_page(tmp_path_factory):
    """The page of a demo with its recurrent networks, too short to learn much."""
    folder = tmp_path_factory.mktemp("demo")
    run_daleml("demo", "--output", folder, "--epochs", 2, "--seeds", 2, "--recurrent")
    return folder / "report.html"


@pytest.fixture(scope="session")
def fit_page(tmp_path_factory):
    """The page of a fit with groups: two of good size, one of few weights, one of none."""
    folder = tmp_path_factory.mktemp("fit")
    rng = np.random.default_rng(0)
    sizes = np.r_[rng.lognormal(5.7, 0.9, 220), 700 * rng.weibull(2.0, 90), 40.0, 95, 7]
    kinds = ["spiny dendrite"] * 220 + ["smooth dendrite"] * 90 + ["soma"] * 2 + ["-1"]
    table = pd.DataFrame({"psd_px": sizes.round(1), "axon_type": kinds})
    table.to_csv(folder / "synapses.csv", index=False)
    run_daleml(
        *("fit", folder / "synapses.csv", "--column", "psd_px", "--by", "axon_type"),
        *("--families", "all", "--gof", 20, "--compare-to", "celegans"),
        *("--out", folder, "--jobs", 1),
    )
    return folder / "synapses-psd_px-fit.html"


@pytest.fixture(scope="session")
def claims_page(tmp_path_factory):
    """The page of a claim and of one that is not tested, of few seeds."""
    from daleml.reproductions.papers.geometry_pogodin2024.experiments import ROBUSTNESS

    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ROBUSTNESS.seeds, "quick", 3)
        run_daleml("reproduce", "4a", "h9", "--out", folder, "--jobs", 1)
    return folder / "index.html"
