"""The fraction of nodes that have at least each summed weight, in and out.

As ``degrees``, with the strengths of edges added up.

Alt: Four falling curves on logarithmic axes: all input, all output, and input by sign.
"""

from daleml.analysis import graph_summary, plots
from daleml.datasets import fly_visual

plots.strengths(graph_summary(fly_visual()))
