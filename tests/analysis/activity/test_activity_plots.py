import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import nn

from daleml.analysis import activity, plots

RNN = nn.RNN(3, 5)
CASES = {
    "trajectory": (
        plots.trajectory,
        lambda: activity.trajectory(RNN, torch.rand(20, 4, 3)),
    ),
    "trajectory of one unit": (
        plots.trajectory,
        lambda: activity.trajectory(nn.RNN(3, 1), torch.rand(20, 3)),
    ),
    "dimension": (
        plots.dimension,
        lambda: activity.dimension(np.random.default_rng(0).normal(size=(50, 9))),
    ),
    "no dimension": (plots.dimension, lambda: activity.dimension(np.ones((5, 3)))),
}


@pytest.mark.parametrize("name", CASES)
def test_every_result_has_a_plot(name):
    draw, result = CASES[name]
    drawing, axes = plots.figure()
    ax = draw(result(), axes[0, 0])
    assert isinstance(ax, Axes)
    assert ax.lines
    assert plots.png(drawing, 30)


@pytest.mark.parametrize("name", CASES)
def test_a_plot_refuses_what_is_no_result(name):
    draw, _ = CASES[name]
    with pytest.raises(TypeError, match="`result` must be a"):
        draw(np.ones(3))
