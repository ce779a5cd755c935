"""The quantiles of a network's weights against those of a brain, free of scale.

Dots on the diagonal: the two distributions have one shape, whatever their units.

Alt: Dots near a diagonal that bend away from it at the smallest weights.
"""

import torch

from daleml import Populations
from daleml.analysis import compare_to, plots
from daleml.datasets import celegans
from daleml.layers import EILinear

torch.manual_seed(0)
layer = EILinear(Populations(80, 20), 40)
result = compare_to(layer, celegans().weights(), sign=+1, n_boot=50, n_shuffles=19)
plots.resemblance(result, weights="a new layer", reference="C. elegans")
