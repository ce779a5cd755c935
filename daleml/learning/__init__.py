"""Learning beside, or without, backpropagation.

- :mod:`daleml.learning.oja`: Oja's rule beside any other learning, :class:`Oja`, and
  :class:`FeedbackAlignment`, which carries errors back through fixed random weights.
- :mod:`daleml.learning.equilibrium`: networks that settle, :class:`HolomorphicNetwork`, and
  gradients that are read from how they settle, :class:`EquilibriumPropagation`.
- :mod:`daleml.learning.evolution`: gradients from a population of perturbed models,
  :class:`EvolutionStrategy`.

What evolution strategies are for, neurons and equations through which backpropagated gradients
mislead, lies in :mod:`daleml.neurons` and :mod:`daleml.odes`; its names can be imported from here
too.
"""

from daleml.learning.equilibrium.activations import (
    HardClip,
    HoloTanh,
    Logistic,
    is_holomorphic,
)
from daleml.learning.equilibrium.continuous_equilibrium_propagation import (
    ContinuousEquilibriumPropagation,
)
from daleml.learning.equilibrium.conv_block import ConvBlock
from daleml.learning.equilibrium.equilibrium_propagation import EquilibriumPropagation
from daleml.learning.equilibrium.gradient_comparison import (
    GradientError,
    compare_gradients,
)
from daleml.learning.equilibrium.gradient_rule import Relaxations
from daleml.learning.equilibrium.holomorphic_network import HolomorphicNetwork
from daleml.learning.equilibrium.recurrent_backpropagation import (
    RecurrentBackpropagation,
)
from daleml.learning.equilibrium.relaxation import NotSettledError, Settled
from daleml.learning.equilibrium.softmax_pool import SoftmaxPool
from daleml.learning.evolution import Estimate, EvolutionStrategy
from daleml.learning.oja.feedback_alignment import FeedbackAlignment
from daleml.learning.oja.oja import Oja
from daleml.learning.oja.oja_rules import (
    DivergenceError,
    Normalised,
    PerNeuron,
    Subspace,
    orthonormality_error,
)
from daleml.neurons.morris_lecar import MorrisLecar
from daleml.neurons.morris_lecar_network import MorrisLecarNetwork
from daleml.neurons.silencing import Silencing
from daleml.odes.differential_equations import Robertson, Spiral
from daleml.odes.neural_odes import RobertsonODE, SpiralODE
from daleml.odes.ode_solvers import adaptive, radau, rk4, rosenbrock
from daleml.tasks.evidence import EvidenceIntegration

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
