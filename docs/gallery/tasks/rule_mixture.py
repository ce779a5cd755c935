"""Several of the rules, or all, drawn anew for each trial: one network learns them all.

``score_by_rule`` judges each rule by itself.

Alt: Heat map of 85 inputs of a trial under one of three rules.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import RuleMixture

task = RuleMixture(rules=("Go", "Anti", "DMS"))
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
