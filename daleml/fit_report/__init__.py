"""Everything ``daleml fit`` finds out about a file of weights, and the page that says so.

``gather``   from a file to magnitudes, their groups, and how often each counts
``hints``    what looks wrong in them, in one sentence each
``study``    families, groups, goodness of fit, intervals, a reference: one frozen result
``figures``  its figures
``page``     the words around them
"""

from daleml.fit_report.figures import draw, overview, safe
from daleml.fit_report.gather import Gathered, gather, gather_reference
from daleml.fit_report.page import compose, versions
from daleml.fit_report.study import Study, study

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
