"""Several plots in one figure, in daleml's style, which ``png`` and ``svg`` turn into files.

Every plot takes the axes to draw on. ``EXCITATORY`` and ``INHIBITORY`` are the two colours of
signs.

Alt: Two panels: a matrix with red and blue columns, and the strengths of its columns as bars in
the two colours.
"""

import torch

from daleml import Populations
from daleml.analysis import plots
from daleml.layers import EILinear

torch.manual_seed(0)
layer = EILinear(Populations(8, 2), 12)
with plots.style():
    drawing, axes = plots.figure(columns=2, width=3.6, height=3)
    plots.matrix(layer, axes[0, 0])
    strengths = layer.weight.detach().abs().sum(0).numpy()
    colours = [plots.EXCITATORY] * 8 + [plots.INHIBITORY] * 2
    axes[0, 1].bar(range(10), strengths, color=colours)
    axes[0, 1].set(xlabel="presynaptic unit", ylabel="summed |weight|")
content = plots.svg(drawing)  # or plots.png(drawing, dpi=300)
