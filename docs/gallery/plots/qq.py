"""The quantiles of weights against those of a fit.

On the diagonal the two agree. The band is where 95 % of samples of the fitted family would lie
at each quantile.

Alt: Dots along a diagonal, inside a grey band that widens at both ends.
"""

import numpy as np

from daleml.analysis import fit_weights, plots

sizes = np.random.default_rng(0).lognormal(mean=-1.5, sigma=0.9, size=400)
plots.qq(fit_weights(sizes, "lognormal"), xlabel="synapse size (µm²)")
