"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution.

- Oja's rule beside any other learning: :class:`Oja`, with :class:`FeedbackAlignment` for errors
  that come back through fixed random weights.
- Gradients from states that settle: :class:`HolomorphicNetwork` and
  :class:`EquilibriumPropagation`.
- Gradients from a population: :class:`EvolutionStrategy`; and what it is for, neurons so stiff
  and non-linear that backpropagated gradients mislead: :class:`MorrisLecar`,
  :class:`MorrisLecarNetwork`, :class:`RobertsonODE`.
"""

from daleml.learning.activations import HardClip, HoloTanh, Logistic, is_holomorphic
from daleml.learning.connections import ConvBlock, SoftmaxPool
from daleml.learning.continuous import ContinuousEquilibriumPropagation
from daleml.learning.equilibrium import EquilibriumPropagation
from daleml.learning.evidence import EvidenceIntegration
from daleml.learning.evolution import Estimate, EvolutionStrategy
from daleml.learning.feedback import FeedbackAlignment
from daleml.learning.holomorphic import HolomorphicNetwork
from daleml.learning.implicit import (
    GradientError,
    RecurrentBackpropagation,
    compare_gradients,
)
from daleml.learning.morris_lecar import MorrisLecar
from daleml.learning.morris_lecar_network import MorrisLecarNetwork
from daleml.learning.neural_odes import (
    Robertson,
    RobertsonODE,
    Spiral,
    SpiralODE,
    adaptive,
    radau,
    rk4,
    rosenbrock,
)
from daleml.learning.oja import (
    DivergenceError,
    Normalised,
    PerNeuron,
    Subspace,
    orthonormality_error,
)
from daleml.learning.plasticity import Oja
from daleml.learning.rules import Relaxations
from daleml.learning.settling import NotSettledError, Settled
from daleml.learning.silencing import Silencing

__all__ = [
    "ContinuousEquilibriumPropagation",
    "ConvBlock",
    "DivergenceError",
    "EquilibriumPropagation",
    "Estimate",
    "EvidenceIntegration",
    "EvolutionStrategy",
    "FeedbackAlignment",
    "GradientError",
    "HardClip",
    "HoloTanh",
    "HolomorphicNetwork",
    "Logistic",
    "MorrisLecar",
    "MorrisLecarNetwork",
    "Normalised",
    "NotSettledError",
    "Oja",
    "PerNeuron",
    "RecurrentBackpropagation",
    "Relaxations",
    "Robertson",
    "RobertsonODE",
    "Settled",
    "Silencing",
    "SoftmaxPool",
    "Spiral",
    "SpiralODE",
    "Subspace",
    "adaptive",
    "compare_gradients",
    "is_holomorphic",
    "orthonormality_error",
    "radau",
    "rk4",
    "rosenbrock",
]
