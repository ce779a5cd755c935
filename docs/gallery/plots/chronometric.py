"""The mean reaction time at each strength of the evidence, with its quantiles.

Strong evidence is answered sooner.

Alt: Points that fall from left to right, with quantiles above and below them.
"""

import torch

from daleml.analysis import activity, plots
from daleml.tasks import PerceptualDecision, Uniform

task = PerceptualDecision(dt_ms=20, fixation_ms=100, stimulus_ms=Uniform(200, 800))
trials = task.sample(600, torch.Generator().manual_seed(0))
outputs = trials.inputs.cumsum(0)  # a perfect integrator stands for a circuit
outputs[..., 0] = 0  # it never fixates
times = activity.reaction_times(outputs, trials, threshold=0.4, margin=True)
speed = activity.chronometric(trials.conditions["coherence"], times.times_ms)
plots.chronometric(speed)
