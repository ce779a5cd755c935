"""Analysis: distributions and spectra of weights. Compute, get a frozen result, plot it.

========================  =========================================================================================
``fit_weights``           one family fitted to the magnitudes of weights, as they were observed
``compare_families``      several, ranked, and what the ranking can and cannot tell
``compare_groups``        the same group by group, and whether the groups are of one distribution
``goodness_of_fit``       whether the weights could have been drawn from a fit
``confidence_intervals``  of its parameters
``compare_to``            a network's weights beside a brain's, free of scale
``weight_samples``        a model's weights by parameter and sign, which are never pooled unless asked
``effective_weights``     what multiplies the input of each layer
``spectrum``              singular values and every measure derived from them
``svd_entropy``           normalised entropy of the singular values
``effective_rank``        its exponential, un-normalised
``plots``                 one figure a result
========================  =========================================================================================
"""

from daleml.analysis import plots
from daleml.analysis.bootstrap import GoodnessOfFit, confidence_intervals, goodness_of_fit
from daleml.analysis.comparison import Comparison, PairTest, compare_families, pair_test
from daleml.analysis.fit import WeightFit, fit_weights
from daleml.analysis.groups import GroupComparison, compare_groups
from daleml.analysis.resemblance import Resemblance, compare_to
from daleml.analysis.spectrum import Spectrum, effective_rank, spectrum, svd_entropy
from daleml.analysis.weights import (
    WeightSample,
    effective_weights,
    weight_matrices,
    weight_sample,
    weight_samples,
)

__all__ = [
    "Comparison",
    "GoodnessOfFit",
    "GroupComparison",
    "PairTest",
    "Resemblance",
    "Spectrum",
    "WeightFit",
    "WeightSample",
    "compare_families",
    "compare_groups",
    "compare_to",
    "confidence_intervals",
    "effective_rank",
    "effective_weights",
    "fit_weights",
    "goodness_of_fit",
    "pair_test",
    "plots",
    "spectrum",
    "svd_entropy",
    "weight_matrices",
    "weight_sample",
    "weight_samples",
]
