"""Learning without backpropagation's comforts: local plasticity, oscillations, evolution."""

from __future__ import annotations

from daleml.learning.activations import HardClip, HoloTanh, Logistic, is_holomorphic
from daleml.learning.connections import ConvBlock, SoftmaxPool
from daleml.learning.equilibrium import ContinuousEquilibriumPropagation, EquilibriumPropagation, Relaxations
from daleml.learning.holomorphic import HolomorphicNetwork
from daleml.learning.implicit import GradientError, RecurrentBackpropagation, compare_gradients
from daleml.learning.settling import NotSettledError, Settled

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
