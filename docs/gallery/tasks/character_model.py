"""Predict each next character of a text.

Judged in nats per character, beside the entropy of single characters.

Alt: Heat map of characters, one at each step; the target is the next one.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import CharacterModel

task = CharacterModel("to be, or not to be: that is the question. " * 20, length=30)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
