"""The mean rate of each population before training, while the input lasts and after it.

The title is the verdict: alive, silent or exploding.

Alt: Lines of mean rates over time, one for each population, which settle and fall when the
input ends.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations.of(exc={"E": 40}, inh={"PV": 5, "SST": 5})
rnn = EIRNN(3, units, dt_ms=10, tau_ms=100, nonlinearity="softplus")
plots.at_initialisation(activity.at_initialisation(rnn))
