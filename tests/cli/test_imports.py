"""What a command imports: ``--help`` nothing that takes long, and a fit of a table no torch."""

import json
import subprocess
import sys

import numpy as np
import pytest

LINES = """
import json, sys
from daleml.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported(folder, *arguments):
    """Run a command in a process of its own; return the packages that it imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LINES, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_that_takes_long(option, tmp_path):
    heavy = {"torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn"}
    assert not heavy & imported(tmp_path, option)


def test_a_fit_of_a_table_does_not_import_torch(tmp_path):
    weights = np.random.default_rng(0).lognormal(size=50)
    (tmp_path / "w.csv").write_text("w\n" + "\n".join(map(str, weights)) + "\n")
    found = imported(tmp_path, "fit", "w.csv", "--families", "lognormal,gamma")
    assert "torch" not in found
    assert (tmp_path / "w-w-fit.png").exists()
