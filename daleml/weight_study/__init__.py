"""From a file of weights to what they were found to be: one frozen result, and its figures.

``input_data``         what is fitted: magnitudes, their groups, and how often each counts
``reference_weights``  what they are compared to: a data set of daleml's, or another file
``fit_study``          families, groups, goodness of fit, intervals, a reference: one result
``fit_figures``        its figures
``methods_text``       what was done, in words that a paper can take over

The page of a study is :mod:`daleml.pages.fit_page`.
"""

from daleml.weight_study.fit_figures import draw, overview, safe
from daleml.weight_study.fit_study import Study, study
from daleml.weight_study.input_data import Gathered, gather
from daleml.weight_study.methods_text import methods_paragraph
from daleml.weight_study.reference_weights import gather_reference

__all__ = [
    "Gathered",
    "Study",
    "draw",
    "gather",
    "gather_reference",
    "methods_paragraph",
    "overview",
    "safe",
    "study",
]
