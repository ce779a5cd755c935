"""How far each family is behind the best, in AICc; the best on top.

A family a few units behind is not refuted. ``print(result)`` says which differences the data
can tell.

Alt: Horizontal bars, one for each family: none for the best, and ever longer ones below it.
"""

import numpy as np

from daleml.analysis import compare_families, plots

sizes = np.random.default_rng(0).lognormal(mean=-1.5, sigma=0.9, size=400)
result = compare_families(sizes, ["lognormal", "gamma", "weibull", "exponential"])
plots.family_bars(result)
