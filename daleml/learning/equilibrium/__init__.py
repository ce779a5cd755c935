"""Networks that settle, and gradients that are read from how they settle.

- ``holomorphic_network``: :class:`HolomorphicNetwork`, made of ``connections``, ``activations``
  and ``softmax_pool``.
- ``relaxation``: the iteration until nothing moves; ``split_relaxation`` is the fast one under
  complex teaching signals.
- ``equilibrium_propagation``, ``continuous_equilibrium_propagation``,
  ``recurrent_backpropagation``: three rules, each a ``GradientRule`` of ``gradient_rule``.
- ``gradient_comparison``: how far the gradient of a rule is from the exact one.
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
