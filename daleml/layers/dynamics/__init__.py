"""Dynamics of circuits as objects: ``EIRNN(..., dynamics=RateLeak())``.

========================  ====================================================================
``MembraneLeak``          a state leaks, and the nonlinearity makes rates of it (the default)
``RateLeak``              the rate leaks, outside of the nonlinearity
``RectifiedLeak``         the rate leaks, inside of the nonlinearity
``Adaptation``            a slow trace of a unit's rate holds it down
``ShortTermPlasticity``   synapses facilitate and depress while they are used
``Dynamics``              what a circuit asks of dynamics: any object with these methods will do
========================  ====================================================================

``Adaptation`` and ``ShortTermPlasticity`` stand ``over`` any other. ``FACILITATING`` and
``DEPRESSING`` are published kinetics of synapses.
"""

from daleml.layers.dynamics.adaptation import Adaptation
from daleml.layers.dynamics.leaks import MembraneLeak, RateLeak, RectifiedLeak
from daleml.layers.dynamics.protocol import Dynamics, TimeStep
from daleml.layers.dynamics.short_term_plasticity import (
    DEPRESSING,
    FACILITATING,
    Kinetics,
    ShortTermPlasticity,
)

__all__ = [
    "DEPRESSING",
    "FACILITATING",
    "Adaptation",
    "Dynamics",
    "Kinetics",
    "MembraneLeak",
    "RateLeak",
    "RectifiedLeak",
    "ShortTermPlasticity",
    "TimeStep",
]
