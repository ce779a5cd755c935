"""Say which of two vibrations, before and after a delay, had the higher frequency.

Parametric working memory, after Romo and colleagues. One input rises with the frequency, the
other falls.

Alt: Three lines: the fixation cue, and two inputs that step with the two vibrations.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import FrequencyComparison

task = FrequencyComparison(delay_ms=1000, dt_ms=50)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
