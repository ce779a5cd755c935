"""A column of a training history, a line for each arm.

The history is a pandas table, as :func:`daleml.train` returns: any column can be drawn. Bands
are 95 % intervals over seeds.

Alt: Two rising curves of accuracy by epoch, with narrow bands; that of EG lies below that of
SGD.
"""

import pandas as pd
import torch

from daleml import train
from daleml.analysis import plots
from daleml.datasets import digits
from daleml.layers import DANNLinear
from daleml.optim import EG, enforce, param_groups
from daleml.training import Shuffled

data, histories = digits(), []
loss = torch.nn.functional.cross_entropy
for rule, lr in [(torch.optim.SGD, 0.5), (EG, 1.0)]:
    for seed in range(2):
        torch.manual_seed(seed)
        model = DANNLinear(64, 10)
        batches = Shuffled(data.train_x, data.train_y, batch_size=256)
        optimiser = rule(param_groups(model, lr=lr), lr=lr)
        enforce(optimiser, model)
        table = train(model, batches, optimiser, loss, epochs=4, progress=False)
        histories.append(table.assign(optimiser=rule.__name__))
history = pd.concat(histories, ignore_index=True)
plots.learning_curves(history, "accuracy", hue="optimiser")
