"""How selective each unit is, population by population, the most selective first.

By shuffles it is known which of them are selective.

Alt: Bars of d' for each unit, in two groups, with those that are not selective pale.
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
result = activity.selectivity(rates[-1], choice, populations=units, n_shuffles=99)
plots.selectivity(result)
