"""One plot a result. Each takes a result and ``ax=None``, returns the ``Axes``, never refits and never calls ``show``.

Only this folder imports matplotlib and seaborn, and it does so when a plot is called. Colours
mean the same everywhere: excitatory red, inhibitory blue, and each family of distributions its
own, with a line style and a marker.
"""

from daleml.analysis.plots.canvas import EXCITATORY, INHIBITORY, figure, png, style, svg
from daleml.analysis.plots.claims import claim
from daleml.analysis.plots.density import families, fit
from daleml.analysis.plots.graphs import balance, degrees, strengths
from daleml.analysis.plots.groups import groups
from daleml.analysis.plots.learning import learning_curves, signs
from daleml.analysis.plots.matrices import matrix, spectrum
from daleml.analysis.plots.panels import comparison_figure
from daleml.analysis.plots.plasticity import geometry, normality, regime
from daleml.analysis.plots.quantiles import qq
from daleml.analysis.plots.ranking import family_bars
from daleml.analysis.plots.shapes import resemblance, shapes
from daleml.analysis.plots.sweeps import sweep
from daleml.analysis.plots.tails import ccdf
from daleml.analysis.plots.trials import trial

__all__ = [
    "EXCITATORY",
    "INHIBITORY",
    "balance",
    "ccdf",
    "claim",
    "comparison_figure",
    "degrees",
    "families",
    "family_bars",
    "figure",
    "fit",
    "geometry",
    "groups",
    "learning_curves",
    "matrix",
    "normality",
    "png",
    "qq",
    "regime",
    "resemblance",
    "shapes",
    "signs",
    "spectrum",
    "strengths",
    "style",
    "svg",
    "sweep",
    "trial",
]
