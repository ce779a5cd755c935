"""Analysis: distributions and spectra of weights. Compute, get a frozen result, plot it.

=====================  ============================================================================================
``fit_weights``        one family fitted to the magnitudes of weights
``compare_families``   several, ranked
``weight_samples``     a model's weights by parameter and sign, which are never pooled unless asked
``effective_weights``  what multiplies the input of each layer
``spectrum``           singular values and every measure derived from them
``svd_entropy``        normalised entropy of the singular values
``effective_rank``     its exponential, un-normalised
``graph_summary``      a connectome: Dale's law in it, balance, degrees, reciprocity, spectrum
``lawful_graph``       one that keeps the law, by a rule, and what that changed
``signed_matrix``      its weights; ``graph_populations`` and ``graph_mask``, what a layer needs of it
``plots``              one figure a result
=====================  ============================================================================================
"""

from daleml.analysis import plots
from daleml.analysis.fit import Comparison, WeightFit, compare_families, fit_weights
from daleml.analysis.graph import (
    GraphSummary,
    SignedMatrix,
    graph_mask,
    graph_populations,
    graph_summary,
    signed_matrix,
)
from daleml.analysis.sign_rules import LawfulGraph, lawful_graph
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
    "GraphSummary",
    "LawfulGraph",
    "SignedMatrix",
    "Spectrum",
    "WeightFit",
    "WeightSample",
    "compare_families",
    "effective_rank",
    "effective_weights",
    "fit_weights",
    "graph_mask",
    "graph_populations",
    "graph_summary",
    "lawful_graph",
    "plots",
    "signed_matrix",
    "spectrum",
    "svd_entropy",
    "weight_matrices",
    "weight_sample",
    "weight_samples",
]
