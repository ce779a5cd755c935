"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution."""

from daleml.learning.feedback import FeedbackAlignment
from daleml.learning.oja import DivergenceError, Normalised, PerNeuron, Subspace, orthonormality_error
from daleml.learning.plasticity import Oja

__all__ = [
    "DivergenceError",
    "FeedbackAlignment",
    "Normalised",
    "Oja",
    "PerNeuron",
    "Subspace",
    "orthonormality_error",
]
