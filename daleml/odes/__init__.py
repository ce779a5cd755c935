"""Ordinary differential equations, solvers for stiff ones, and networks that learn them.

- ``differential_equations``: :class:`Spiral` and :class:`Robertson`.
- ``ode_solvers``: :func:`rk4`, :func:`rosenbrock`, :func:`adaptive` and :func:`radau`.
- ``neural_odes``: :class:`SpiralODE` and :class:`RobertsonODE`.
"""

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
