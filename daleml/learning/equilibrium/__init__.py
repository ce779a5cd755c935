"""Networks that settle, and gradients read from how they settle: equilibrium propagation."""

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

__all__ = [
    "ContinuousEquilibriumPropagation",
    "ConvBlock",
    "EquilibriumPropagation",
    "GradientError",
    "HardClip",
    "HoloTanh",
    "HolomorphicNetwork",
    "Logistic",
    "NotSettledError",
    "RecurrentBackpropagation",
    "Relaxations",
    "Settled",
    "SoftmaxPool",
    "compare_gradients",
    "is_holomorphic",
]
