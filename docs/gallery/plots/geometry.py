"""How far from normal the change of weights is in the dual of each potential, the nearest on top.

The potential whose dual change is nearest to normal is the geometry in which weights moved:
here negative entropy, that of exponentiated gradient.

Alt: Horizontal bars with intervals; negative entropy is on top with the smallest.
"""

import numpy as np

from daleml.analysis import infer_geometry, plots

rng = np.random.default_rng(0)
before = rng.lognormal(size=400)
after = before * rng.lognormal(mean=0, sigma=0.1, size=400)  # steps that multiply
result = infer_geometry(before, after, n_boot=50)
plots.geometry(result)
