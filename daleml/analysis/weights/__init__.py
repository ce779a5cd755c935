"""Weights of models, state dicts, arrays and tensors, read for analysis.

======================  =====================================================================
module                  what it holds
======================  =====================================================================
``sample``              ``WeightSample``: magnitudes of one sign, and their moments
``sampling``            ``weight_sample``, ``weight_samples``: how a sample is taken
``stored_matrices``     ``weight_matrices``: parameters, with the signs that are fixed
``effective_matrices``  ``effective_weights``: what multiplies the input of each layer
``sample_checks``       what weights must be for a sample to be taken of them
``value_chunks``        ``Chunks``: values that are read a chunk at a time
``sparse_entries``      sparse matrices of scipy and of torch, and the entries that they store
``synapse_lists``       ``weight_table``: the synapses of a model, one row each
``pathways``            how matrices are divided by the populations that they join
``real_numbers``        ``numbers``: from an array, a list or a tensor to an array
======================  =====================================================================
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis.weights.effective_matrices import effective_weights, matrix
    from daleml.analysis.weights.real_numbers import numbers
    from daleml.analysis.weights.sample import Moments, WeightSample, WeightsLike
    from daleml.analysis.weights.sampling import weight_sample, weight_samples
    from daleml.analysis.weights.stored_matrices import WeightMatrix, weight_matrices
    from daleml.analysis.weights.synapse_lists import weight_table
    from daleml.analysis.weights.value_chunks import Chunks

__all__ = [
    "Chunks",
    "Moments",
    "WeightMatrix",
    "WeightSample",
    "WeightsLike",
    "effective_weights",
    "matrix",
    "numbers",
    "weight_matrices",
    "weight_sample",
    "weight_samples",
    "weight_table",
]

# Whoever fits a table needs nothing of torch: names are imported when they are asked for.
_HOMES = {
    "effective_matrices": ("effective_weights", "matrix"),
    "real_numbers": ("numbers",),
    "sample": ("Moments", "WeightSample", "WeightsLike"),
    "sampling": ("weight_sample", "weight_samples"),
    "synapse_lists": ("weight_table",),
    "value_chunks": ("Chunks",),
    "stored_matrices": ("WeightMatrix", "weight_matrices"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
