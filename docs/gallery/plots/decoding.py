"""The accuracy of a linear reader over time, with what chance allows.

Where the line leaves the band, the rates tell the choice.

Alt: A line that leaves a grey band soon after the stimulus begins.
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
result = activity.decode(rates[::5], choice, dt_ms=100, n_shuffles=20)
plots.decoding(result)
