"""The distribution function of the change in the dual of each potential, less the normal one.

The line nearest to zero is of the potential in which the change is most nearly normal.

Alt: Lines that swing around zero; that of negative entropy stays close to it.
"""

import numpy as np

from daleml.analysis import infer_geometry, plots

rng = np.random.default_rng(0)
before = rng.lognormal(size=400)
after = before * rng.lognormal(mean=0, sigma=0.1, size=400)  # steps that multiply
result = infer_geometry(before, after, n_boot=50)
plots.normality(result)
