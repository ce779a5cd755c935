"""Rates in the plane in which they vary most, a line for each trial.

Lines begin at the mark; the axes say how much of the variance each component holds.

Alt: Several curved lines that leave one point and part.
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
plots.trajectory(activity.trajectory(rnn, trials.inputs[:, :12]))
