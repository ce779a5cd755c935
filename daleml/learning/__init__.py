"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution."""

from daleml.learning.evidence import EvidenceIntegration
from daleml.learning.evolution import Estimate, EvolutionStrategy
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
from daleml.learning.silencing import Silencing

__all__ = [
    "Estimate",
    "EvidenceIntegration",
    "EvolutionStrategy",
    "MorrisLecar",
    "MorrisLecarNetwork",
    "Robertson",
    "RobertsonODE",
    "Silencing",
    "Spiral",
    "SpiralODE",
    "adaptive",
    "radau",
    "rk4",
    "rosenbrock",
]
