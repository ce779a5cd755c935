"""Analysis: distributions, spectra, graphs and the plasticity of weights.

Compute, get a frozen result, plot it.

========================  =====================================================================
name                      what it does
========================  =====================================================================
``fit_weights``           one family fitted to the magnitudes of weights, as they were observed
``compare_families``      several, ranked, and what the ranking can and cannot tell
``compare_groups``        the same group by group, and whether the groups are of one distribution
``pair_test``             whether one of two families fits better than chance allows
``Observation``           how weights were observed: truncated, censored, rounded, counted
``interval_sample``       weights of which only intervals are known
``goodness_of_fit``       whether the weights could have been drawn from a fit
``power_law``             the tail that is closest to one, and whether it could be one
``family_label``          the readable name of a family
``confidence_intervals``  intervals of a fit's parameters
``compare_to``            a network's weights beside a brain's, free of scale
``infer_geometry``        the potential under which weights were learned, by their change
``regime``                whether a network learned richly or lazily
``weight_sample``         one sample of magnitudes from anything weight-like
``weight_samples``        a model's weights by parameter and sign, or by pathway
``Chunks``                values that are read a chunk at a time, and anew for each pass
``weight_matrices``       a model's weights as matrices, with the signs that are fixed
``weight_table``          a model's synapses, one row each, with the populations they join
``effective_weights``     what multiplies the input of each layer
``spectrum``              singular values, all or the largest, and measures derived from them
``svd_entropy``           normalised entropy of the singular values
``effective_rank``        its exponential, un-normalised
``graph_summary``         a connectome: Dale's law in it, balance, degrees, reciprocity, spectrum
``lawful_graph``          a connectome that keeps the law, by a rule, and what that changed
``signed_matrix``         the weights of a connectome, with the signs of its cells
``graph_populations``     the populations of a connectome, as a layer needs them
``graph_mask``            the synapses of a connectome, as a layer needs them
``activity``              what circuits do: trajectories, fixed points, currents, dimension
``plots``                 one figure for each result
========================  =====================================================================

A result is frozen. It can be printed, gives plain values for JSON (``to_dict()``), and where
there is something to decide it says in a sentence what it found (``conclusion()``).
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis import activity, plots
    from daleml.analysis.connectomes.graph_arrays import (
        SignedMatrix,
        graph_mask,
        graph_populations,
        signed_matrix,
    )
    from daleml.analysis.connectomes.graph_measures import GraphSummary, graph_summary
    from daleml.analysis.connectomes.sign_rules import LawfulGraph, lawful_graph
    from daleml.analysis.distributions.by_group import compare_groups
    from daleml.analysis.distributions.comparison import Comparison
    from daleml.analysis.distributions.families.family_labels import family_label
    from daleml.analysis.distributions.family_ranking import compare_families
    from daleml.analysis.distributions.fit import fit_weights
    from daleml.analysis.distributions.goodness import GoodnessOfFit, goodness_of_fit
    from daleml.analysis.distributions.group_comparison import GroupComparison
    from daleml.analysis.distributions.interval_samples import interval_sample
    from daleml.analysis.distributions.intervals import confidence_intervals
    from daleml.analysis.distributions.observation import Observation
    from daleml.analysis.distributions.power_law_tail import PowerLawTail, power_law
    from daleml.analysis.distributions.resemblance import Resemblance, compare_to
    from daleml.analysis.distributions.vuong import PairTest, pair_test
    from daleml.analysis.distributions.weight_fit import WeightFit
    from daleml.analysis.plasticity.dual_geometry import (
        GeometryInference,
        infer_geometry,
    )
    from daleml.analysis.plasticity.rich_lazy import Regime, regime
    from daleml.analysis.spectra import Spectrum, effective_rank, spectrum, svd_entropy
    from daleml.analysis.top_spectrum import TopSpectrum
    from daleml.analysis.weights.effective_matrices import effective_weights
    from daleml.analysis.weights.sample import WeightSample
    from daleml.analysis.weights.sampling import weight_sample, weight_samples
    from daleml.analysis.weights.stored_matrices import weight_matrices
    from daleml.analysis.weights.synapse_lists import weight_table
    from daleml.analysis.weights.value_chunks import Chunks

__all__ = [
    "Chunks",
    "Comparison",
    "GeometryInference",
    "GoodnessOfFit",
    "GraphSummary",
    "GroupComparison",
    "LawfulGraph",
    "Observation",
    "PairTest",
    "PowerLawTail",
    "Regime",
    "Resemblance",
    "SignedMatrix",
    "Spectrum",
    "TopSpectrum",
    "WeightFit",
    "WeightSample",
    "activity",
    "compare_families",
    "compare_groups",
    "compare_to",
    "confidence_intervals",
    "effective_rank",
    "effective_weights",
    "family_label",
    "fit_weights",
    "goodness_of_fit",
    "graph_mask",
    "graph_populations",
    "graph_summary",
    "infer_geometry",
    "interval_sample",
    "lawful_graph",
    "pair_test",
    "plots",
    "power_law",
    "regime",
    "signed_matrix",
    "spectrum",
    "svd_entropy",
    "weight_matrices",
    "weight_sample",
    "weight_samples",
    "weight_table",
]

# Whoever fits a table waits for nothing but what a fit needs: names are imported when asked for.
_HOMES = {
    "connectomes.sign_rules": ("LawfulGraph", "lawful_graph"),
    "connectomes.graph_arrays": (
        "SignedMatrix",
        "graph_mask",
        "graph_populations",
        "signed_matrix",
    ),
    "connectomes.graph_measures": ("GraphSummary", "graph_summary"),
    "distributions.by_group": ("compare_groups",),
    "distributions.comparison": ("Comparison",),
    "distributions.families.family_labels": ("family_label",),
    "distributions.family_ranking": ("compare_families",),
    "distributions.fit": ("fit_weights",),
    "distributions.goodness": ("GoodnessOfFit", "goodness_of_fit"),
    "distributions.group_comparison": ("GroupComparison",),
    "distributions.interval_samples": ("interval_sample",),
    "distributions.intervals": ("confidence_intervals",),
    "distributions.observation": ("Observation",),
    "distributions.power_law_tail": ("PowerLawTail", "power_law"),
    "distributions.resemblance": ("Resemblance", "compare_to"),
    "distributions.vuong": ("PairTest", "pair_test"),
    "distributions.weight_fit": ("WeightFit",),
    "plasticity.dual_geometry": ("GeometryInference", "infer_geometry"),
    "plasticity.rich_lazy": ("Regime", "regime"),
    "spectra": ("Spectrum", "effective_rank", "spectrum", "svd_entropy"),
    "top_spectrum": ("TopSpectrum",),
    "weights.effective_matrices": ("effective_weights",),
    "weights.sample": ("WeightSample",),
    "weights.sampling": ("weight_sample", "weight_samples"),
    "weights.synapse_lists": ("weight_table",),
    "weights.stored_matrices": ("weight_matrices",),
    "weights.value_chunks": ("Chunks",),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
