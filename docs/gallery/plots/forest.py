"""Every check of some claims beside its bound, on an axis that all checks share.

The axis is the distance of the mean from the bound in half-widths of the interval: a check holds
where its whole bar lies in the green half.

Alt: Three rows with marks and bars; two bars lie in a green half, one crosses its edge.
"""

from daleml.analysis import plots
from daleml.reproductions import OURS, PAPER_DIRECTION, Check, Claim, Experiment, judge

experiment = Experiment("example", lambda seed, settings: {}, {}, {})
gap = Check("gap", "column EI less DANN, %", 0.0, no_effect=0.0, owner=PAPER_DIRECTION)
size = Check("gap", "the same", 1.2, no_effect=0.0, owner=OURS)
error = Check("error", "error of the DANN, %", at_most=2.5, owner=OURS)
claims = [
    Claim("9a", "DANNs learn better.", "an example", experiment, (gap, size)),
    Claim("9b", "DANNs learn.", "an example", experiment, (error,)),
]
seeds = [
    {"gap": 1.2, "error": 1.8},
    {"gap": 1.9, "error": 2.1},
    {"gap": 1.5, "error": 2.0},
]
plots.forest([judge(claim, seeds) for claim in claims])
