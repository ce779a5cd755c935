"""Ordinary differential equations that are stiff, solvers, and networks that learn them."""

from daleml.odes.differential_equations import Robertson, Spiral
from daleml.odes.neural_odes import RobertsonODE, SpiralODE
from daleml.odes.ode_solvers import adaptive, radau, rk4, rosenbrock

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
