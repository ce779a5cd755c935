"""Say which of two inputs carried more evidence.

The ideal observer is known, so that an accuracy can be judged.

Alt: Three noisy lines; one of the two evidence inputs is a little higher.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import PerceptualDecision

task = PerceptualDecision(dt_ms=20, fixation_ms=100, stimulus_ms=600)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
