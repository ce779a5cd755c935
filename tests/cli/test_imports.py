"""What a command imports, and when: a fit shows its table before it imports what draws."""

import json
import subprocess
import sys

import numpy as np
import pytest

LINES = """
import json, sys
from importlib.abc import MetaPathFinder
from daleml.cli import app

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            print("drawing begins")

sys.meta_path.insert(0, Watch())
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


def run(folder, *arguments):
    """Run a command in a process of its own; return its lines and the modules it imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LINES, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, imported = done.stdout.splitlines()
    return lines, set(json.loads(imported))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_that_takes_long(option, tmp_path):
    heavy = {"torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn"}
    assert not heavy & run(tmp_path, option)[1]


def test_a_fit_of_a_table_shows_it_first_and_imports_nothing_that_it_can_do_without(
    tmp_path,
):
    weights = np.random.default_rng(0).lognormal(size=50)
    (tmp_path / "w.csv").write_text("w\n" + "\n".join(map(str, weights)) + "\n")
    lines, imported = run(tmp_path, "fit", "w.csv", "--families", "lognormal,gamma")
    assert not {"torch", "seaborn", "scipy.stats"} & imported
    begins = lines.index("drawing begins")
    assert any("log-normal" in line for line in lines[:begins])
    assert lines[begins + 1 :] == ["wrote w-w-fit.png and w-w-fit.json"]
    assert (tmp_path / "w-w-fit.png").exists()
