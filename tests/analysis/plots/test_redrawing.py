"""What is drawn again on the same axes takes the place of what was there; slips are sentences."""

import numpy as np
import pytest
import torch

from daleml.analysis import fit_weights, plots
from daleml.tasks import DirectionMatch

ALTERNATING = np.array([[1.0, -1.0], [-1.0, 1.0]])

MANY_INPUTS = DirectionMatch().sample(2, torch.Generator().manual_seed(0))


def drawn_twice(draw):
    figure, axes = plots.figure(1, 2)
    both = tuple(axes.flat)
    draw(both)
    once = len(figure.axes)
    draw(both)
    return once, len(figure.axes)


@pytest.mark.parametrize("name", ["matrix", "activity", "trial"])
def test_a_scale_of_colours_is_replaced(name):
    draw = {
        "matrix": lambda axes: plots.matrix(ALTERNATING, axes[0]),
        "activity": lambda axes: plots.activity(torch.rand(5, 3, 4), axes=axes),
        # Fixation, and one input for each of several directions: more than three are an image.
        "trial": lambda axes: plots.trial(MANY_INPUTS, axes=axes),
    }[name]
    once, twice = drawn_twice(draw)
    assert once == twice == 3


def test_marks_of_inhibition_are_those_of_the_last_matrix():
    ax = plots.matrix(ALTERNATING)
    assert len(ax.collections[-1].get_offsets()) == 2
    plots.matrix(np.array([[1.0, 1.0], [1.0, -1.0]]), ax)
    (marks,) = ax.collections
    assert marks.get_offsets().tolist() == [[1, 1]]
    plots.matrix(np.ones((2, 2)), ax)
    assert not ax.collections


def test_rates_that_are_not_finite_are_refused():
    rates = torch.rand(5, 3, 4)
    rates[2, 1, 0] = torch.nan
    with pytest.raises(
        ValueError, match=r"^`rates` must be finite; got 1 that are not"
    ):
        plots.activity(rates)
    with pytest.raises(
        ValueError, match=r"or \(time, units\), none of them 0; got \(4,\)"
    ):
        plots.activity(torch.rand(4))


def test_an_option_that_no_plot_has_is_named_with_the_nearest():
    fit = fit_weights(np.random.default_rng(0).lognormal(size=100))
    with pytest.raises(TypeError, match=r"no argument `unti`.*Did you mean `unit`\?$"):
        plots.fit(fit, unti="px")
    with pytest.raises(TypeError, match=r"^plots\.fit: missing a required argument"):
        plots.fit()
