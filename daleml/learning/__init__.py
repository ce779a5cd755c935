"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution.

- Oja's rule beside any other learning: :class:`Oja`, with :class:`FeedbackAlignment` for errors that come back through
  fixed random weights.
- Gradients from a population: :class:`EvolutionStrategy`; and what it is for, neurons so stiff and non-linear that
  backpropagated gradients mislead: :class:`MorrisLecar`, :class:`MorrisLecarNetwork`, :class:`RobertsonODE`.
"""

from daleml.learning.evidence import EvidenceIntegration
from daleml.learning.evolution import Estimate, EvolutionStrategy
from daleml.learning.feedback import FeedbackAlignment
from daleml.learning.morris_lecar import MorrisLecar
from daleml.learning.morris_lecar_network import MorrisLecarNetwork
from daleml.learning.neural_odes import Robertson, RobertsonODE, Spiral, SpiralODE, adaptive, radau, rk4, rosenbrock
from daleml.learning.oja import DivergenceError, Normalised, PerNeuron, Subspace, orthonormality_error
from daleml.learning.plasticity import Oja
from daleml.learning.silencing import Silencing

__all__ = [
    "DivergenceError",
    "Estimate",
    "EvidenceIntegration",
    "EvolutionStrategy",
    "FeedbackAlignment",
    "MorrisLecar",
    "MorrisLecarNetwork",
    "Normalised",
    "Oja",
    "PerNeuron",
    "Robertson",
    "RobertsonODE",
    "Silencing",
    "Spiral",
    "SpiralODE",
    "Subspace",
    "adaptive",
    "orthonormality_error",
    "radau",
    "rk4",
    "rosenbrock",
]
