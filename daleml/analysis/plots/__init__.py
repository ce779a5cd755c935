"""Plots, one for each result.

Each takes a result and ``ax=None``, returns the ``Axes``, never refits and never calls
``show``. Only this folder imports matplotlib, and it does so when a plot is called.
Colours mean the same everywhere: excitatory red, inhibitory blue, and each family of
distributions its own, with a line style and a marker.

======================  ===================================================================
plot                    what it draws
======================  ===================================================================
``fit``                 the histogram of weights, with the density of a fit
``families``            the same with the five best families of a comparison
``ccdf``                how many weights are at least as large as each, with the fit
``qq``                  quantiles of weights against those of a fit
``family_bars``         how families rank
``comparison_figure``   the four plots of a comparison in one figure
``groups``              groups of synapses, one above the other
``resemblance``         a network's weights against a brain's, free of scale
``shapes``              several log-normal fits' samples, free of scale
``spectrum``            singular values
``matrix``              a signed weight matrix
``pathways``            how strong the weights of each pathway are
``geometry``            how far from normal a change is in the dual of each potential
``normality``           its distribution function less the normal one
``regime``              how rich or lazy learning was
``degrees``             degrees of a connectome
``strengths``           summed weights of its nodes
``balance``             the excitation that each node receives against the inhibition
``psychometric``        how often a choice is made, by strength of the evidence
``chronometric``        how long that takes
``selectivity``         how selective each unit is
``aligned``             average rates around an event
``decoding``            what is read from activity, over time
``learning_curves``     a column of a training history
``signs``               the units that break Dale's law
``trial``               one trial of a task
``activity``            the rate of each unit over time, and averages of populations
``trajectory``          rates in the plane in which they vary most
``fixed_points``        fixed points and slow points in the plane in which they differ most
``eigenvalues``         eigenvalues of a linearisation or a weight matrix, and the unit circle
``currents``            the excitation of each unit against its inhibition
``paradoxical_effect``  how the rate of each population answers to a drive of inhibition
``at_initialisation``   mean rates of a circuit before it is trained
``dimension``           how much of the variance principal components hold
``claim``, ``sweep``    what a reproduction of a paper gave
``forest``              the checks of claims beside their bounds, on one axis
``forest_overview``     the same of many papers, one row for each claim
======================  ===================================================================

``figure`` makes a figure, ``style`` draws in daleml's style, ``svg`` and ``png`` render.

Options are the same everywhere. A plot that has no use for one refuses it, and says why.

======================  ===================================================================
option                  what it is
======================  ===================================================================
``ax``                  where to draw; default: new axes
``xlabel``, ``ylabel``  the names of the axes
``title``               what stands above the axes
``unit``                of what is measured, as "nm^2" (printed as nm²), "um", "synapses"
``labels``              names of units, groups or curves: in the order of the figure, or a
                        mapping from the names that the result has
``width``               of a new figure: inches, "single" or "double" (89 and 183 mm, the
                        columns of most journals), or a number with mm, cm or in. Letters of
                        a narrow figure are those of print, 7 points or more
======================  ===================================================================
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.analysis.plots.activity_plots import dimension, trajectory
    from daleml.analysis.plots.behaviour_plots import chronometric, psychometric
    from daleml.analysis.plots.canvas import (
        EXCITATORY,
        INHIBITORY,
        figure,
        png,
        style,
        svg,
    )
    from daleml.analysis.plots.claim_plots import claim
    from daleml.analysis.plots.connectome_plots import balance, degrees, strengths
    from daleml.analysis.plots.current_plots import currents
    from daleml.analysis.plots.densities import families, fit
    from daleml.analysis.plots.forest_plots import forest, forest_overview
    from daleml.analysis.plots.group_plots import groups
    from daleml.analysis.plots.history_plots import learning_curves, signs
    from daleml.analysis.plots.initial_plots import at_initialisation
    from daleml.analysis.plots.matrix_plots import matrix
    from daleml.analysis.plots.panels import comparison_figure
    from daleml.analysis.plots.pathway_plots import pathways
    from daleml.analysis.plots.plasticity_plots import geometry, normality, regime
    from daleml.analysis.plots.quantiles import qq
    from daleml.analysis.plots.ranking import family_bars
    from daleml.analysis.plots.rate_plots import activity
    from daleml.analysis.plots.response_plots import paradoxical_effect
    from daleml.analysis.plots.run_plots import runs
    from daleml.analysis.plots.shape_plots import resemblance, shapes
    from daleml.analysis.plots.spectrum_plots import spectrum
    from daleml.analysis.plots.stability_plots import eigenvalues, fixed_points
    from daleml.analysis.plots.sweep_plots import sweep
    from daleml.analysis.plots.tail_plots import ccdf
    from daleml.analysis.plots.trial_plots import trial
    from daleml.analysis.plots.unit_plots import aligned, decoding, selectivity

__all__ = [
    "EXCITATORY",
    "INHIBITORY",
    "activity",
    "aligned",
    "at_initialisation",
    "balance",
    "ccdf",
    "chronometric",
    "claim",
    "comparison_figure",
    "currents",
    "decoding",
    "degrees",
    "dimension",
    "eigenvalues",
    "families",
    "family_bars",
    "figure",
    "fit",
    "fixed_points",
    "forest",
    "forest_overview",
    "geometry",
    "groups",
    "learning_curves",
    "matrix",
    "normality",
    "paradoxical_effect",
    "pathways",
    "png",
    "psychometric",
    "qq",
    "regime",
    "resemblance",
    "runs",
    "selectivity",
    "shapes",
    "signs",
    "spectrum",
    "strengths",
    "style",
    "svg",
    "sweep",
    "trajectory",
    "trial",
]

_HOMES = {
    "initial_plots": ("at_initialisation",),
    "response_plots": ("paradoxical_effect",),
    "current_plots": ("currents",),
    "activity_plots": ("dimension", "trajectory"),
    "behaviour_plots": ("chronometric", "psychometric"),
    "canvas": ("EXCITATORY", "INHIBITORY", "figure", "png", "style", "svg"),
    "claim_plots": ("claim",),
    "forest_plots": ("forest", "forest_overview"),
    "connectome_plots": ("balance", "degrees", "strengths"),
    "densities": ("families", "fit"),
    "group_plots": ("groups",),
    "history_plots": ("learning_curves", "signs"),
    "matrix_plots": ("matrix",),
    "pathway_plots": ("pathways",),
    "panels": ("comparison_figure",),
    "plasticity_plots": ("geometry", "normality", "regime"),
    "quantiles": ("qq",),
    "rate_plots": ("activity",),
    "ranking": ("family_bars",),
    "run_plots": ("runs",),
    "shape_plots": ("resemblance", "shapes"),
    "spectrum_plots": ("spectrum",),
    "stability_plots": ("eigenvalues", "fixed_points"),
    "sweep_plots": ("sweep",),
    "tail_plots": ("ccdf",),
    "trial_plots": ("trial",),
    "unit_plots": ("aligned", "decoding", "selectivity"),
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
