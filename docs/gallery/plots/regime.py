"""How rich or lazy learning was: alignments of representations and tangent kernels.

Alignments are those of after training with those of before. Towards 1 the network used the
features that it began with: lazy learning.

Alt: Two rows of dots between 0 and 1, one for each network.
"""

import torch
from torch import nn

from daleml.analysis import plots, regime
from daleml.datasets import digits

data, found = digits(), {}
for name, scale in [("large initial weights", 3.0), ("small initial weights", 0.3)]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))
    nn.init.normal_(model[0].weight, std=scale / 8)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.train_x), data.train_y).backward()
        optimiser.step()
    found[name] = regime(model, before, model, data.test_x[:12])
plots.regime(found)
