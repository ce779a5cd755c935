"""How strong the weights of each pathway are, one row for each, on a logarithmic axis.

The tick below a row is the median. Weights that are zero have no place on the axis, and are
counted.

Alt: Nine rows of histograms, one for each pathway between E, PV and SST; those of excitatory units
are red, those of inhibitory ones blue and hatched.
"""

import torch

from daleml import Populations
from daleml.analysis import plots
from daleml.layers import EIRNN

torch.manual_seed(0)
cells = Populations.of(exc={"E": 80}, inh={"PV": 12, "SST": 8})
plots.pathways(EIRNN(Populations.of(exc={"input": 3}), cells, mask=0.5))
