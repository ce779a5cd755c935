"""The mean excitation of each unit against its mean inhibition.

On the diagonal the two cancel.

Alt: Dots of units around a diagonal, with a mark of its own for each of three populations.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations.of(exc={"E": 40}, inh={"PV": 5, "SST": 5})
rnn = EIRNN(3, units, dt_ms=10, tau_ms=100, nonlinearity="softplus")
plots.currents(activity.currents(rnn, torch.rand(60, 8, 3)))
