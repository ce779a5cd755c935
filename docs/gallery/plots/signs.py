"""The units that break Dale's law, and the fraction of each one's synapses at fault.

A model that obeys the law has an empty plot, which says so.

Alt: Bars for the units of a model whose signs were declared after it was built: about half of
the synapses of each are at fault.
"""

import torch
from torch import nn

from daleml import Populations, signs
from daleml.analysis import plots

torch.manual_seed(0)
model = nn.Linear(12, 30)
signs.fix(model, "weight", Populations(9, 3).signs())
plots.signs(signs.check(model))
