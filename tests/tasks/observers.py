"""Ideal observers, who choose from the inputs and the task's settings alone.

None of them uses the closed forms that they are there to check.
"""

import math

import torch

from daleml import tasks
from daleml.tasks.direction_stimuli import population_vector


def during(trials, period):
    """Sums of the inputs over a period."""
    return (trials.inputs * trials.during(period)[..., None]).sum(0)


def to_match(task, trials):
    shown = [during(trials, period)[:, 1:] for period in ("sample", "test")]
    if task.noise_sd == 0:
        return torch.where(shown[0].argmax(1) == shown[1].argmax(1), 1, 2)
    # the posterior, by enumeration of both stimuli
    logs = [(values / task.step_sd**2).log_softmax(1) for values in shown]
    joint = logs[0][:, :, None] + logs[1][:, None, :]
    same = torch.eye(task.n_stimuli, dtype=torch.bool)
    other = joint[:, ~same].logsumexp(1) - math.log(task.n_stimuli - 1)
    return torch.where(joint[:, same].logsumexp(1) > other, 1, 2)


def to_decide(task, trials):
    evidence = during(trials, "stimulus")
    difference = evidence[:, 1] - evidence[:, 2]
    if isinstance(task, tasks.ContextDecision):
        difference = torch.where(
            evidence[:, 5] > 0, difference, evidence[:, 3] - evidence[:, 4]
        )
    if isinstance(task, tasks.MultisensoryDecision):
        # what says more counts more
        heard = evidence[:, 3] - evidence[:, 4]
        difference = task.visual_scale * difference + task.auditory_scale * heard
    return torch.where(difference > 0, 1, 2)


def to_compare(task, trials):
    """The posterior of each pair in each order, from both inputs at every step."""
    every = sorted({frequency for pair in task.pairs for frequency in pair})
    sd = math.hypot(task.noise_sd, task.input_noise) * math.sqrt(100 / task.dt_ms)
    logs = []
    for period in ("first", "second"):
        shown = trials.inputs[..., 1:] - task.baseline
        there = trials.during(period)[..., None]
        per_frequency = []
        for frequency in every:
            u = (frequency - every[0]) / (every[-1] - every[0])
            errors = shown - torch.tensor([u, 1 - u])
            squares = (errors.double().square() * there).sum((0, 2))
            per_frequency.append(-squares / (2 * max(sd, 1e-3) ** 2))
        logs.append(dict(zip(every, per_frequency, strict=True)))
    higher, lower = [], []
    for one, other in task.pairs:
        high, low = max(one, other), min(one, other)
        higher.append(logs[0][high] + logs[1][low])
        lower.append(logs[0][low] + logs[1][high])
    first = torch.stack(higher).logsumexp(0) > torch.stack(lower).logsumexp(0)
    return torch.where(first, 1, 2)


def to_remember(task, trials):
    cue = during(trials, "cue")[:, 1:]
    if task.n_locations == 2:
        # a distractor is where the cue was not
        cue = cue + task.distractor_strength * during(trials, "delay")[:, 1:].flip(1)
    return cue.argmax(1) + 1


def to_match_directions(task, trials):
    step = 2 * math.pi / task.n_directions
    numbers = []
    for period in ("sample", "test"):
        angle = population_vector(during(trials, period))
        numbers.append((angle / step).round().long() % task.n_directions)
    sample, test = numbers
    if task.rule == "DMC":
        half = task.n_directions // 2
        return torch.where((sample < half) == (test < half), 1, 2)
    turn = {"DMS": 0, "DMRS45": 45, "DMRS90": 90, "DMRS180": 180}[task.rule]
    right = (sample + turn * task.n_directions // 360) % task.n_directions
    return torch.where(test == right, 1, 2)


OBSERVERS = {
    tasks.DelayedMatchToSample: to_match,
    tasks.PerceptualDecision: to_decide,
    tasks.FrequencyComparison: to_compare,
    tasks.DelayedResponse: to_remember,
    tasks.DirectionMatch: to_match_directions,
}


def observer(task, trials):
    """The choice of an ideal observer in each trial."""
    for kind, choose in OBSERVERS.items():
        if isinstance(task, kind):
            choice = choose(task, trials)
    if task.catch:  # nothing was shown: neither noise nor evidence
        shown = trials.inputs[..., task.stimulus_inputs].abs().sum((0, 2)) > 0
        choice = torch.where(shown, choice, 0)
    return choice
