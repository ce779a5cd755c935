"""What the activity of a circuit says: trajectories, fixed points, currents, dimension.

====================  =========================================================================
name                  what it does
====================  =========================================================================
``trajectory``        the state and the rates of a circuit at every step
``fixed_points``      the fixed points and slow points of a circuit at a constant input
``linearisation``     the Jacobian of a circuit at a state, and its eigenvalues
``dimension``         how many directions activity fills
====================  =========================================================================

These work with every module that is called like ``nn.RNN``, that one included. A result is
frozen, gives plain values for JSON (``to_dict()``), and has a plot in
:mod:`daleml.analysis.plots`.
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis.activity.dimensionality import Dimension, dimension
    from daleml.analysis.activity.fixed_point_search import (
        FixedPoint,
        FixedPoints,
        fixed_points,
    )
    from daleml.analysis.activity.linearised_maps import (
        Linearisation,
        PointKind,
        Stability,
        linearisation,
    )
    from daleml.analysis.activity.trajectories import Trajectory, trajectory

__all__ = [
    "Dimension",
    "FixedPoint",
    "FixedPoints",
    "Linearisation",
    "PointKind",
    "Stability",
    "Trajectory",
    "dimension",
    "fixed_points",
    "linearisation",
    "trajectory",
]

_HOMES = {
    "dimensionality": ("Dimension", "dimension"),
    "fixed_point_search": ("FixedPoint", "FixedPoints", "fixed_points"),
    "linearised_maps": ("Linearisation", "PointKind", "Stability", "linearisation"),
    "trajectories": ("Trajectory", "trajectory"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
