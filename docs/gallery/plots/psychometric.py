"""How often a choice is made, by strength of the evidence, with the fitted curve.

Bars are intervals of each fraction; the shaded range is that of the bias.

Alt: Points on a rising curve, from near zero to near one.
"""

import torch

from daleml.analysis import activity, plots
from daleml.tasks import PerceptualDecision, Uniform

task = PerceptualDecision(dt_ms=20, fixation_ms=100, stimulus_ms=Uniform(200, 800))
trials = task.sample(600, torch.Generator().manual_seed(0))
outputs = trials.inputs.cumsum(0)  # a perfect integrator stands for a circuit
outputs[..., 0] = 0  # it never fixates
made = activity.signed_choices(outputs, trials)
plots.psychometric(activity.psychometric(made.strengths, made.choices))
