"""Weights of models, state dicts, arrays and tensors, read for analysis."""

from daleml.analysis.weights.model_matrices import (
    WeightMatrix,
    effective_weights,
    matrix,
    numbers,
    weight_matrices,
)
from daleml.analysis.weights.sample import (
    Moments,
    WeightSample,
    WeightsLike,
    weight_sample,
    weight_samples,
)

__all__ = [
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
]
