"""Say whether the test is what the sample was, before the delay.

Only the decision is counted. ``delay_ms`` may vary from trial to trial.

Alt: Inputs as a heat map: the fixation cue, a stimulus in the sample, another in the test; the
target is non-match or match at the end.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import DelayedMatchToSample

task = DelayedMatchToSample(n_stimuli=4, noise_sd=0.1, dt_ms=20)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
