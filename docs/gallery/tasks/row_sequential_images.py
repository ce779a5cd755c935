"""Name what is in an image after its rows were shown one by one.

``RowReader`` makes a circuit read whole images so.

Alt: Heat map of eight pixels over eight steps: a digit on its side; the target is its class at
the last step.
"""

import torch

from daleml.analysis import plots
from daleml.datasets import digits
from daleml.tasks import RowSequentialImages

train, test = RowSequentialImages.from_split(digits())
plots.trial(train.sample(1, torch.Generator().manual_seed(0)))
