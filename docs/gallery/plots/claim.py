"""What a reproduction measured of a claim: dots are seeds, the bar is the interval of their mean.

A claim holds if the whole bar lies in the green band.

Alt: Dots and a bar within a green band, to the right of a dashed line.
"""

from daleml.analysis import plots
from daleml.reproductions import Check, Claim, Experiment, judge

experiment = Experiment("example", lambda seed, settings: {}, {}, {})
gap = Check("gap", "accuracy of the DANN less column EI, %", 0.5, no_effect=0.0)
claim = Claim("9a", "DANNs learn better.", "an example", experiment, (gap,))
plots.claim(judge(claim, [{"gap": 1.2}, {"gap": 1.9}, {"gap": 1.5}]))
