"""Compare two directions of motion across a delay.

After Masse et al. 2019: the rule may turn one of the directions, or ask for its category.
Direction-tuned inputs; the answer is given while the test is shown.

Alt: Heat map of 24 tuned inputs: a bump in the sample, another in the test.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import DirectionMatch

task = DirectionMatch(rule="DMRS90")
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
