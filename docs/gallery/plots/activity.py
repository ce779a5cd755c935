"""The rate of each unit over time as an image, and below it averages of populations.

``trial=`` draws one trial instead of the average, ``sort=True`` orders the units of a population by
the time of their largest rate.

Alt: Image of the rates of fifty units that rise while a stimulus lasts; below it two lines, the
mean rates of excitatory and of inhibitory units.
"""

import torch

from daleml import Populations
from daleml.analysis import activity, plots
from daleml.layers import EIRNN
from daleml.tasks import PerceptualDecision

torch.manual_seed(0)
task = PerceptualDecision(dt_ms=20, fixation_ms=200, stimulus_ms=600)
trials = task.sample(20)
units = Populations(40, 10)
rnn = EIRNN(task.n_inputs, units, dt_ms=20, tau_ms=100)
path = activity.trajectory(rnn, trials.inputs)
plots.activity(path, populations=units, periods=trials, trial=0, sort=True)
