"""The shapes of several samples, each scaled by its log-normal fit.

A log-normal sample follows the dashed curve.

Alt: Rising curves of three samples; one of them follows the dashed curve of the log-normal.
"""

import numpy as np

from daleml.analysis import fit_weights, plots
from daleml.datasets import celegans, fly_visual

drawn = np.random.default_rng(0).lognormal(size=2000)
samples = {
    "log-normal numbers": drawn,
    "C. elegans": celegans().weights(),
    "fly": fly_visual().weights(),
}
plots.shapes({name: fit_weights(x, "lognormal") for name, x in samples.items()})
