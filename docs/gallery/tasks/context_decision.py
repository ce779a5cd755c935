"""Decide by the one of two kinds of evidence that a cue says counts, and ignore the other.

The cue is an input; the evidence that does not count may point to the other choice.

Alt: Heat map of seven inputs: fixation, two cues, two pairs of noisy evidence.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import ContextDecision

task = ContextDecision(dt_ms=20)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
