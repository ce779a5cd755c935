"""Four plots of a comparison in one figure, for a report.

It returns a figure and not axes: ``.savefig("weights.pdf")`` saves it.

Alt: Four panels: histogram with densities, tail, quantiles, and bars of families.
"""

import numpy as np

from daleml.analysis import compare_families, plots

sizes = np.random.default_rng(0).lognormal(mean=-1.5, sigma=0.9, size=400)
result = compare_families(sizes, ["lognormal", "gamma", "weibull", "exponential"])
plots.comparison_figure(result, xlabel="synapse size (µm²)")
