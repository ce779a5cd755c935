"""The fraction of nodes of a connectome that have at least each number of edges, in and out.

A straight line on two logarithmic axes would be a power law; few connectomes have nodes enough
to tell.

Alt: Two falling curves, of incoming and outgoing edges.
"""

from daleml.analysis import graph_summary, plots
from daleml.datasets import fly_visual

plots.degrees(graph_summary(fly_visual()))
