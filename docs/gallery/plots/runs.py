"""A number of a sweep against one of its conditions, a curve for each of the others.

Faint dots are runs, lines their means over seeds, and bars the 95 % intervals of these by
Student's t. The table is one that :func:`daleml.experiments.sweep` returns; the numbers here are
made up.

Alt: Two U-shaped lines against learning rates on a logarithmic axis, with bars of error and faint
dots around each point.
"""

import tempfile

import numpy as np

from daleml.analysis import plots
from daleml.experiments import sweep


def run(seed, lr, rule):
    """Return a made-up error, lowest at a rate of each rule's own."""
    noise = np.random.default_rng(seed).normal()
    best = {"EG": 0.3, "SGD": 0.05}[rule]
    return {"test_error": 5 + 4 * np.log10(lr / best) ** 2 + noise}


grid = {"lr": [0.01, 0.03, 0.1, 0.3, 1.0], "rule": ["EG", "SGD"]}
with tempfile.TemporaryDirectory() as folder:
    table = sweep(run, grid, seeds=5, out=folder, jobs=1, progress=False)
plots.runs(table, "lr", "test_error", unit="%", xlabel="learning rate")
