"""One plot a result. Each takes a result and ``ax=None``, returns the ``Axes``, never refits and never calls ``show``.

Only this folder imports matplotlib and seaborn, and it does so when a plot is called. Colours mean the same everywhere:
excitatory red, inhibitory blue.
"""

from daleml.analysis.plots.canvas import EXCITATORY, INHIBITORY, figure, style
from daleml.analysis.plots.claims import claim
from daleml.analysis.plots.distributions import comparison_figure, families, fit, qq, shapes
from daleml.analysis.plots.graphs import balance, degrees, strengths
from daleml.analysis.plots.learning import learning_curves, signs
from daleml.analysis.plots.matrices import matrix, spectrum
from daleml.analysis.plots.plasticity import geometry, normality, regime
from daleml.analysis.plots.trials import trial

__all__ = [
    "EXCITATORY",
    "INHIBITORY",
    "balance",
    "claim",
    "comparison_figure",
    "degrees",
    "families",
    "figure",
    "fit",
    "geometry",
    "learning_curves",
    "matrix",
    "normality",
    "qq",
    "regime",
    "shapes",
    "signs",
    "spectrum",
    "strengths",
    "style",
    "trial",
]
