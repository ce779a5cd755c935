"""Oja's plasticity beside any other learning, and feedback alignment."""

from daleml.learning.oja.feedback_alignment import FeedbackAlignment
from daleml.learning.oja.oja import Oja
from daleml.learning.oja.oja_rules import (
    LIMIT,
    ActivityError,
    DivergenceError,
    Normalised,
    PerNeuron,
    Rule,
    Subspace,
    at_least_single,
    normalise,
    orthonormality_error,
    per_neuron,
    subspace,
)

__all__ = [
    "LIMIT",
    "ActivityError",
    "DivergenceError",
    "FeedbackAlignment",
    "Normalised",
    "Oja",
    "PerNeuron",
    "Rule",
    "Subspace",
    "at_least_single",
    "normalise",
    "orthonormality_error",
    "per_neuron",
    "subspace",
]
