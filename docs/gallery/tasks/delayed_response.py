"""Say where the cue was, whatever appeared elsewhere since.

Distractors come with a probability, at times that you choose.

Alt: Heat map of locations: the cue, then a distractor elsewhere; the target is the cue's
location at the end.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import DelayedResponse

task = DelayedResponse(n_locations=4, dt_ms=50)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
