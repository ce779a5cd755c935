"""Everything ``daleml fit`` finds out about a file of weights, and the page that says so.

``gather``   from a file to magnitudes, their groups, and how often each counts
``hints``    what looks wrong in them, in one sentence each
``study``    families, groups, goodness of fit, intervals, a reference: one frozen result
``figures``  its figures
``page``     the words around them
"""

from daleml.fit_report.fit_figures import draw, overview, safe
from daleml.fit_report.fit_study import Study, study
from daleml.fit_report.input_data import Gathered, gather, gather_reference
from daleml.pages.fit_page import compose, versions

__all__ = [
    "Gathered",
    "Study",
    "compose",
    "draw",
    "gather",
    "gather_reference",
    "overview",
    "safe",
    "study",
    "versions",
]
