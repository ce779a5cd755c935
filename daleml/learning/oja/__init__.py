"""Oja's plasticity beside any other learning, and feedback alignment.

- ``oja_rules``: Oja's rules, each a function of a weight and the activities on both sides.
- ``oja``: :class:`Oja`, which records activities and changes the weights of a model.
- ``feedback_alignment``: :class:`FeedbackAlignment`.

The other modules say which weights are plastic (``plastic_weights``), record activities
(``activity_recording``, ``activation_chains``), check arguments (``oja_arguments``) and compute
the change of one weight (``weight_changes``).
"""

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
