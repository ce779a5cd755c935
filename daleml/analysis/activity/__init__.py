"""What the activity of a circuit says: fixed points, currents, selectivity, behaviour.

======================  =========================================================================
name                    what it does
======================  =========================================================================
``trajectory``          the state and the rates of a circuit at every step
``fixed_points``        the fixed points and slow points of a circuit at a constant input
``linearisation``       the Jacobian of a circuit at a state, and its eigenvalues
``currents``            what excites and what inhibits each unit, and how they balance
``paradoxical_effect``  whether inhibition stabilises a circuit, and how driving it shows
``dimension``           how many directions activity fills
``at_initialisation``   a report on a circuit before it is trained: is it alive?
``psychometric``        how often one of two choices is made, by strength of the evidence
``chronometric``        how long a decision takes, by strength of the evidence
``signed_choices``      a network's choices in trials of a task, as the first of these takes them
``reaction_times``      when an output first reaches a threshold, as the second takes them
``selectivity``         which units tell conditions of the trials apart
``aligned``             average rates around an event that moves from trial to trial
``decode``              what a linear reader tells from activity, at each time
======================  =========================================================================

These work with every module that is called like ``nn.RNN``, that one included. A result is
frozen, gives plain values for JSON (``to_dict()``), and has a plot in
:mod:`daleml.analysis.plots`.
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis.activity.chronometric_curve import (
        Chronometric,
        TimesVerdict,
        chronometric,
    )
    from daleml.analysis.activity.dimensionality import Dimension, dimension
    from daleml.analysis.activity.event_alignment import Aligned, aligned
    from daleml.analysis.activity.evidence_choices import SignedChoices, signed_choices
    from daleml.analysis.activity.fixed_point_results import FixedPoint, FixedPoints
    from daleml.analysis.activity.fixed_point_search import fixed_points
    from daleml.analysis.activity.initial_report import (
        InitialReport,
        LayerStart,
        StartVerdict,
        at_initialisation,
    )
    from daleml.analysis.activity.linearised_maps import (
        Linearisation,
        PointKind,
        Stability,
        linearisation,
    )
    from daleml.analysis.activity.paradoxical_responses import (
        ParadoxicalEffect,
        paradoxical_effect,
    )
    from daleml.analysis.activity.psychometric_curve import (
        CurveVerdict,
        Psychometric,
        psychometric,
    )
    from daleml.analysis.activity.synaptic_currents import Currents, currents
    from daleml.analysis.activity.threshold_crossing import (
        ReactionTimes,
        reaction_times,
    )
    from daleml.analysis.activity.time_decoding import Decoding, decode
    from daleml.analysis.activity.trajectories import Trajectory, trajectory
    from daleml.analysis.activity.unit_selectivity import Selectivity, selectivity

__all__ = [
    "Aligned",
    "Chronometric",
    "Currents",
    "CurveVerdict",
    "Decoding",
    "Dimension",
    "FixedPoint",
    "FixedPoints",
    "InitialReport",
    "LayerStart",
    "Linearisation",
    "ParadoxicalEffect",
    "PointKind",
    "Psychometric",
    "ReactionTimes",
    "Selectivity",
    "SignedChoices",
    "Stability",
    "StartVerdict",
    "TimesVerdict",
    "Trajectory",
    "aligned",
    "at_initialisation",
    "chronometric",
    "currents",
    "decode",
    "dimension",
    "fixed_points",
    "linearisation",
    "paradoxical_effect",
    "psychometric",
    "reaction_times",
    "selectivity",
    "signed_choices",
    "trajectory",
]

_HOMES = {
    "initial_report": (
        "InitialReport",
        "LayerStart",
        "StartVerdict",
        "at_initialisation",
    ),
    "paradoxical_responses": (
        "ParadoxicalEffect",
        "paradoxical_effect",
    ),
    "synaptic_currents": (
        "Currents",
        "currents",
    ),
    "chronometric_curve": ("Chronometric", "TimesVerdict", "chronometric"),
    "dimensionality": ("Dimension", "dimension"),
    "fixed_point_results": ("FixedPoint", "FixedPoints"),
    "fixed_point_search": ("fixed_points",),
    "linearised_maps": ("Linearisation", "PointKind", "Stability", "linearisation"),
    "event_alignment": ("Aligned", "aligned"),
    "psychometric_curve": ("CurveVerdict", "Psychometric", "psychometric"),
    "evidence_choices": ("SignedChoices", "signed_choices"),
    "threshold_crossing": ("ReactionTimes", "reaction_times"),
    "time_decoding": ("Decoding", "decode"),
    "trajectories": ("Trajectory", "trajectory"),
    "unit_selectivity": ("Selectivity", "selectivity"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
