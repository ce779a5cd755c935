"""The histogram of weights on a logarithmic axis, with the density of a fit.

Numbers of sections are whole numbers: ``discrete=True`` fits them as counts. Where the curve
leaves the histogram, the family is wrong.

Alt: Histogram of connection strengths of the worm, one bar for each count up to ten, with the
curve of a Weibull fit.
"""

from daleml.analysis import fit_weights, plots
from daleml.datasets import celegans

worm = celegans()
result = fit_weights(worm.weights(), "weibull", discrete=True)
plots.fit(result, xlabel="sections of the microscope")
