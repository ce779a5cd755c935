"""Analysis: distributions and spectra of weights. Compute, get a frozen result, plot it.

=====================  ============================================================================================
``fit_weights``        one family fitted to the magnitudes of weights
``compare_families``   several, ranked
``weight_samples``     a model's weights by parameter and sign, which are never pooled unless asked
``effective_weights``  what multiplies the input of each layer
``spectrum``           singular values and every measure derived from them
``svd_entropy``        normalised entropy of the singular values
``effective_rank``     its exponential, un-normalised
``infer_geometry``     the potential that plasticity descends under, from weights before and after
``regime``             rich or lazy: what learning changed in weights, representations and tangent kernel
``plots``              one figure a result
=====================  ============================================================================================
"""

from daleml.analysis import plots
from daleml.analysis.fit import Comparison, WeightFit, compare_families, fit_weights
from daleml.analysis.geometry import GeometryInference, infer_geometry
from daleml.analysis.regime import Regime, regime
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
    "GeometryInference",
    "Regime",
    "Spectrum",
    "WeightFit",
    "WeightSample",
    "compare_families",
    "effective_rank",
    "effective_weights",
    "fit_weights",
    "infer_geometry",
    "plots",
    "regime",
    "spectrum",
    "svd_entropy",
    "weight_matrices",
    "weight_sample",
    "weight_samples",
]
