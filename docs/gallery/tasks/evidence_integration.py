"""Say which of several words came most often in a phrase.

Each word is a pattern of features; the answer is asked for at the end.

Alt: Heat map of fifty features over fifty steps, without visible order.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import EvidenceIntegration

task = EvidenceIntegration()
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
