"""Add the two values that were marked, many steps later.

Mean squared error; chance and ideal are known in closed form.

Alt: Two inputs, values and two marks; the target is counted at the last step only.
"""

import torch

from daleml.analysis import plots
from daleml.tasks import AddingProblem

task = AddingProblem(length=20)
plots.trial(task.sample(1, torch.Generator().manual_seed(0)))
