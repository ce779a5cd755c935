"""Fixed points and slow points, in the plane in which they differ most, over a path of the rates.

``path=`` draws trials under the points.

Alt: A filled mark for a stable point, at which several lines end; a small square where each begins.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN

torch.manual_seed(0)
units = Populations.of(exc={"E": 40}, inh={"PV": 5, "SST": 5})
rnn = EIRNN(3, units, dt_ms=10, tau_ms=100, nonlinearity="softplus")
path = activity.trajectory(rnn, torch.ones(60, 6, 3), 2 * torch.rand(1, 6, 50))
found = activity.fixed_points(rnn, torch.ones(3), start=path, n_starts=8)
plots.fixed_points(found, path=path)
