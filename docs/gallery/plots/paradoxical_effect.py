"""How the rate of each population answers to a drive of an inhibitory one.

If the rate of the driven population itself falls, that is the paradoxical effect. Here PV rises
and SST falls, although inhibition stabilises the circuit: of several inhibitory populations
only some may show it.

Alt: Three bars of the change of rates: down for E and SST, up for PV, which is driven.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations.of(exc={"E": 40}, inh={"PV": 5, "SST": 5})
rnn = EIRNN(3, units, dt_ms=10, tau_ms=100, nonlinearity="softplus")
result = activity.paradoxical_effect(rnn, torch.ones(3), population="PV")
plots.paradoxical_effect(result)
