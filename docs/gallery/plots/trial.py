"""One trial of a task: what goes in above, what should come out below.

The thick part of the target is what the loss counts.

Alt: Two panels with one axis of time: the inputs, and the target below them.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import DelayedMatchToSample

task = DelayedMatchToSample(n_stimuli=4, noise_sd=0.1, dt_ms=20)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
