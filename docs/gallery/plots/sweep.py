"""A figure of a reproduction: numbers against a setting, a line for each arm.

Lines are means over seeds, bands their 95 % intervals, faint dots the seeds.

Alt: Two lines with bands against learning rates on a logarithmic axis.
"""

import numpy as np

from daleml.analysis import plots
from daleml.reproductions import Experiment, Panel, Sweep
from daleml.reproductions.sweep import measure

settings = {"quick": {"rates": [0.01, 0.1, 1.0]}}
experiment = Experiment("example", lambda seed, settings: {}, settings, {})
lines = {"EG": "EG at {x:g}", "SGD": "SGD at {x:g}"}
panel = Panel(experiment, "rates", lines, "learning rate", "test error (%)", log_x=True)
rng, best = np.random.default_rng(0), {"EG": 0.3, "SGD": 0.05}
seeds = [
    {
        f"{arm} at {rate:g}": 5 + 4 * np.log10(rate / best[arm]) ** 2 + rng.normal()
        for arm in best
        for rate in settings["quick"]["rates"]
    }
    for _ in range(4)
]
drawn = Sweep("rates", "Errors by learning rate.", "Made-up numbers.", (panel,))
plots.sweep(measure(drawn, "quick", lambda experiment: seeds))
