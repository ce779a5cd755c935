"""One of the twenty rules of Yang et al. 2019.

Here the second modality decides, and the first is to be ignored. Two rings of inputs, a
fixation cue, and one input for each rule.

Alt: Heat map of 85 inputs, with bumps on two rings and one rule input on; the target is a bump
on a ring of outputs.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import RuleTask

task = RuleTask(rule="Ctx DM 2", fixation_ms=300, stimulus_ms=600)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
