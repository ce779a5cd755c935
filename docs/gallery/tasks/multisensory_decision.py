"""Decide by what is seen, by what is heard, or by both.

Both together allow more than each alone: the ideal observer says how much.

Alt: Heat map of five inputs: fixation, two visual, two auditory.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import MultisensoryDecision

task = MultisensoryDecision(dt_ms=20, modalities=["both"])
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
