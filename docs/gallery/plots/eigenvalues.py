"""The eigenvalues of a linearisation in the complex plane, and the unit circle.

What lies inside the circle decays, what lies outside grows.

Alt: A cloud of dots within a circle.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations.of(exc={"E": 40}, inh={"PV": 5, "SST": 5})
rnn = EIRNN(3, units, dt_ms=10, tau_ms=100, nonlinearity="softplus")
point = activity.fixed_points(rnn, torch.ones(3), n_starts=4).points[0]
plots.eigenvalues(point.linearisation)
