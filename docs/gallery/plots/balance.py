"""The excitation that each node receives against the inhibition.

On the diagonal both are equal.

Alt: Dots of nodes around a diagonal, on two axes of summed weights.
"""

from daleml.analysis import graph_summary, plots
from daleml.datasets import fly_visual

plots.balance(graph_summary(fly_visual()))
