"""Say of each of several tests whether it is the sample's direction.

In ABBA a distractor may be repeated, in ABCA it may not.

Alt: Heat map of tuned inputs: a bump for the sample and for each of three tests.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import DirectionSequence

task = DirectionSequence(rule="ABBA")
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
