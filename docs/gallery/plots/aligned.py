"""Mean rates of a unit around an event, a line for each condition, with their standard errors.

The event may come at another time in each trial.

Alt: Two lines of rates that part after the event.
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
result = activity.aligned(rates, trials, "stimulus", (-200, 600), conditions=choice)
plots.aligned(result, unit=3)
