"""The fraction of weights at least as large as each, on two logarithmic axes, with that of a fit.

Tails show here and nowhere else: a histogram has a few weights in its last bars.

Alt: Falling curve of the observed fractions with the curve of the fit close to it up to the
largest strengths.
"""

from daleml.analysis import fit_weights, plots
from daleml.datasets import celegans

worm = celegans()
result = fit_weights(worm.weights(), "weibull", discrete=True)
plots.ccdf(result, xlabel="sections of the microscope")
