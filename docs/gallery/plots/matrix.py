"""A signed weight matrix: excitatory red, inhibitory blue, zero white.

Each column is what one unit makes, and has one colour. Colours follow the square root of
strengths, so that weak synapses are seen.

Alt: Matrix whose first eighty columns are red and whose last twenty are blue, a fifth of its
entries not white.
"""

import torch

from daleml import Populations
from daleml.analysis import plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations(80, 20)
rnn = EIRNN(3, units, mask=0.2)
plots.matrix(rnn.weight_hh_l0, post=units, pre=units)
