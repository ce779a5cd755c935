"""Weights of models, state dicts, arrays and tensors, read for analysis."""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis.weights.model_matrices import (
        WeightMatrix,
        effective_weights,
        matrix,
        weight_matrices,
    )
    from daleml.analysis.weights.real_numbers import numbers
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

_HOMES = {
    "model_matrices": (
        "WeightMatrix",
        "effective_weights",
        "matrix",
        "weight_matrices",
    ),
    "real_numbers": ("numbers",),
    "sample": (
        "Moments",
        "WeightSample",
        "WeightsLike",
        "weight_sample",
        "weight_samples",
    ),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
