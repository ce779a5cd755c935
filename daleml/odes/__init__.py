"""Ordinary differential equations that are stiff, solvers, and networks that learn them."""

from daleml.odes.neural_odes import (
    Robertson,
    RobertsonODE,
    Spiral,
    SpiralODE,
    adaptive,
    radau,
    rk4,
    rosenbrock,
)

__all__ = [
    "Robertson",
    "RobertsonODE",
    "Spiral",
    "SpiralODE",
    "adaptive",
    "radau",
    "rk4",
    "rosenbrock",
]
