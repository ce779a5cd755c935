"""The fraction of the variance that the first principal components hold together.

A circuit that does little uses few dimensions.

Alt: A curve that rises steeply to nearly one within a few components.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN
from daleml.tasks import PerceptualDecision

torch.manual_seed(0)
task = PerceptualDecision(dt_ms=20, fixation_ms=200, stimulus_ms=600)
trials = task.sample(200)
units = Populations(40, 10)
rnn = EIRNN(task.n_inputs, units, dt_ms=20, tau_ms=100)
rates, _ = rnn(trials.inputs)
choice = trials.conditions["choice"]
plots.dimension(activity.dimension(rates))
