# %% [markdown]
# # Your own model, lawful
#
# You have a model, a task and a question of your own. This tutorial makes the model obey Dale's
# law and reads the report line by line, writes a layer that every tool of daleml understands,
# writes a task, trains with checkpoints, saves a file that carries its law with it, and ends with
# a sweep over seeds and a statement that the numbers allow.
#
# | | |
# | --- | --- |
# | **Goals** | Convert a model with `dalify`, and mend what its report calls not lawful. Write a layer by the protocol of `daleml.modules`, and a task. Train, stop and go on. Share weights that cannot be loaded wrongly. Say what seeds allow you to say. |
# | **Prerequisites** | [Tutorials 1](01_dales_law.ipynb) and [2](02_feedforward_inhibition.ipynb). Writing an `nn.Module`; Python's dataclasses; mean and confidence interval. |
# | **Minutes** | 35 to read, 50 for the exercises; the code runs for 15 seconds. |

# %%
import copy
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from joblib import Parallel, delayed
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from daleml import Populations, dalify, signs, tasks, trackers, train
from daleml.analysis import plots, spectrum
from daleml.datasets import digits
from daleml.experiments.experiment import Experiment
from daleml.experiments.journal import Journal
from daleml.experiments.running import finished_numbers, run_missing, runs_of
from daleml.experiments.seed_intervals import mean_interval
from daleml.layers import EIRNN, EILinear, Readout, init
from daleml.modules import DaleLayer
from daleml.optim import enforce, param_groups
from daleml.training import Shuffled

torch.set_default_dtype(torch.float64)  # the same numbers on every processor
MODEL_EPOCHS = 6
FIRST_EPOCHS = 2
TASK_EPOCHS = 4
SWEEP_EPOCHS = 3
N_SEEDS = 8

# %% [markdown]
# ## 1. Convert a model, and read the report (7 min)
#
# The model reads a digit of 8 x 8 pixels row by row, with a recurrent network, and adds what a
# layer of lateral connections makes of its last state. The lateral weight is a bare
# `nn.Parameter`, as people write it.


# %%
class Lateral(nn.Module):
    """Connections among the units of one population."""

    def __init__(self, size):
        super().__init__()
        self.mix = nn.Parameter(torch.randn(size, size) / size**0.5)

    def forward(self, rates):
        return rates @ self.mix.T


class Reader(nn.Module):
    """Reads an image row by row, and names the digit."""

    def __init__(self, lateral, size=50):
        super().__init__()
        self.rows = nn.RNN(8, size, nonlinearity="relu", batch_first=True)
        self.lateral = lateral
        self.answer = nn.Linear(size, 10)

    def forward(self, image):
        rates = self.rows(image)[0][:, -1]  # the last of eight states
        return self.answer(rates + self.lateral(rates).relu())


data = digits()
images, test_images = (
    x.double().reshape(-1, 8, 8) for x in (data.train_x, data.test_x)
)
torch.manual_seed(0)
model, report = dalify(Reader(Lateral(50)), inhibitory=0.2, example=images[:64])
print(report)
print("all lawful:", bool(report))

# %% [markdown]
# - `rows.weight_ih_l0` reads the image. Pixels excite (`inputs=0.0` is the default), so all its
#   weights are positive.
# - `rows.weight_hh_l0` reads the network's own state: a fifth of its 50 units inhibit.
# - `variance x 1.00`: the weights were drawn anew, and on the `example` the units of the layer
#   receive inputs of the same variance as before. So give examples that are like your data.
# - Biases have no sign to keep: **exempt**.
# - `lateral.mix` is **not lawful**. daleml knows `nn.Linear`, convolutions, recurrent networks and
#   its own layers. It cannot know what a bare parameter means: which dimension is presynaptic, or
#   whether it is a weight at all.
# - `answer.weight` is not lawful either, as a consequence: it reads the sum of the state, whose
#   signs are known, and of what `lateral` gave, whose signs are not.
# - The notes name what no verdict can: a residual connection carries an inhibitory unit on without
#   a synapse.
#
# So one bare parameter spoils two weights. We replace it by a layer that says what it is.

# %% [markdown]
# ## 2. A layer of your own (8 min)
#
# Every tool of daleml asks a layer the same four questions, by four methods. There is no base
# class to inherit from (`daleml.modules.DaleLayer` describes the protocol):
#
# | method | answers |
# | --- | --- |
# | `plastic_weights` | Which parameters are synaptic weights? All tools ask. |
# | `effective_weight` | What multiplies the input, signed, (post, pre)? `spectrum`, `plots.matrix`, fits and trackers ask. |
# | `redraw_` | How are the weights drawn anew? Initialisations of a whole model ask. |
# | `output_signs` | Which of the outputs inhibit? None: whoever reads them decides. `dalify` asks. |
#
# Our layer has its units on a ring. Connections fade with distance: the strength that learns is
# multiplied by a fixed profile. So the parameter is not what acts, and `effective_weight` says
# what does.


# %% alt="Effective weight of a ring of 40 excitatory and 10 inhibitory units. Strong weights lie along a red diagonal band for the excitatory columns and a blue band for the inhibitory ones; far from the bands, weights are white." slide="A layer of your own. Four methods tell every tool what it is; here, connections that fade with distance on a ring."
class Ring(nn.Module):
    """Units on a ring, whose connections fade with distance."""

    def __init__(self, populations, reach=0.1):
        super().__init__()
        self.populations = populations
        counts = populations.n_exc, populations.n_inh
        places = torch.cat([torch.arange(n) / n for n in counts])
        apart = (places[:, None] - places).abs()
        apart = torch.minimum(apart, 1 - apart)  # the short way round
        profile = torch.exp(-((apart / reach) ** 2) / 2)
        profile /= (
            profile.square().mean().sqrt()
        )  # the layer's variance is as without it
        self.register_buffer("profile", profile, persistent=False)
        self.weight = nn.Parameter(torch.empty_like(profile))
        signs.fix(self, "weight", populations)
        self.redraw_(draw=init.exponential_)

    def forward(self, rates):
        return rates @ self.effective_weight().T

    def plastic_weights(self):
        return ["weight"]

    def effective_weight(self):
        return self.weight * self.profile

    def redraw_(self, *, draw, ratio=1.0, generator=None):
        unit_signs = self.populations.signs()
        init.column_ei_(self.weight, unit_signs, draw=draw, generator=generator)

    def output_signs(self):
        return self.populations.signs()


torch.manual_seed(0)
ring = Ring(Populations(n_exc=40, n_inh=10))
print("speaks the protocol:", isinstance(ring, DaleLayer))
print(signs.check(ring))
print(spectrum(ring))
with plots.style():
    plots.matrix(ring).set_title("effective weight of a ring")

# %% [markdown]
# Red columns excite, blue columns inhibit, and each reaches its neighbours on the ring. `spectrum`
# and `plots.matrix` asked for the effective weight; neither knows the class `Ring`. Now the model
# again:

# %%
torch.manual_seed(0)
model, report = dalify(Reader(ring), inhibitory=0.2, example=images[:64])
print(report)
print("all lawful:", bool(report))

# %% [markdown]
# `lateral.weight` is lawful *already*: `dalify` leaves a layer that speaks for itself as it is. It
# gave the recurrent network, which the ring reads, the signs that are fixed on the ring's weight,
# and asked the ring for its `output_signs`. They agree unit by unit, so the sum has one sign per
# unit, and `answer.weight` can be lawful too. A layer that leaves an answer out is refused, in a
# sentence that names the method:


# %%
class Mute(Ring):
    """A ring that does not say which of its units inhibit."""

    output_signs = None


try:
    dalify(Reader(Mute(Populations(40, 10))), example=images[:64])
except ValueError as error:
    print(error)

# %% tags=["trained"]
watched = {
    "test": trackers.held_out(test_images, data.test_y, cross_entropy),
    "violations": trackers.sign_violations,
}
optimizer = torch.optim.Adam(param_groups(model, lr=0.01), lr=0.01)
enforce(optimizer, model)
batches = Shuffled(images, data.train_y)
options = {"epochs": MODEL_EPOCHS, "trackers": watched, "progress": False}
history = train(model, batches, optimizer, cross_entropy, **options)
ends = history[["epoch", "loss", "test/error", "violations"]].iloc[[0, -1]]
print(ends.round(3).to_string(index=False))

# %% [markdown]
# ## 3. A task of your own, trained, stopped and resumed (8 min)
#
# Two flashes, left and right: which came first? A task is a frozen dataclass. Each field that ends
# in `_ms` is a period, in that order. It may be a number or be drawn for each trial. `_sample`
# draws trials; `ChoiceTask` brings the fixation cue, the noise, the loss and the score.


# %% alt="One trial. Above, three inputs over 600 ms: the fixation cue is on until the decision, and two brief noisy flashes follow each other, one on the left input and one on the right. Below, the class to answer, during the decision." slide="A task of your own. A frozen dataclass: fields are periods, and one method draws the trials."
@dataclass(frozen=True, kw_only=True)
class WhichFirst(tasks.ChoiceTask):
    """Two flashes, left and right: which came first?"""

    fixation_ms: float = 100
    first_ms: float = 100
    gap_ms: float | tasks.Duration = tasks.Choice((100, 200, 400))
    second_ms: float = 100
    decision_ms: float = 200
    noise_sd: float = 0.4

    input_names = ("fixation", "left", "right")
    output_names = ("fixate", "left", "right")
    stimulus_means, ideal = (0.0, 1.0), None

    def _sample(self, n, generator):
        timeline = self._timeline(n, generator)
        choice = torch.randint(1, 3, (n,), generator=generator)
        flash = nn.functional.one_hot(choice - 1, 2).double()
        inputs = self._blank(timeline)
        self._show(inputs, timeline, "first", flash, generator)
        self._show(inputs, timeline, "second", 1 - flash, generator)
        return self._trials(inputs, choice, {"choice": choice}, timeline)


task = WhichFirst(dt_ms=50, fixate=False)
trials = task.sample(400, torch.Generator().manual_seed(1))
print(trials)
print("chance:", task.chance, task.measure)
with plots.style():
    plots.trial(trials, index=0)

# %% [markdown]
# Always test a task by an oracle: whoever answers with the targets must score 1, and a guesser
# must score what `chance` says.

# %%
right = nn.functional.one_hot(trials.targets, task.n_outputs).double()
always_left = torch.tensor([0.0, 1.0, 0.0]).expand_as(right)
print(f"the targets score {task.score(right, trials)}")
print(f"who always says left scores {task.score(always_left, trials):.2f}")

# %% [markdown]
# The model is a circuit and a readout of its excitatory units. `train` takes the task's batches
# and its loss. `checkpoint=` names a folder that is written after every epoch. We train for two
# epochs, throw everything away, build it anew with other random weights, and call `train` again
# with the same folder.


# %% tags=["trained"]
def circuit(seed, populations=None):
    """Return a circuit of 100 units with a readout, and its guarded optimiser."""
    torch.manual_seed(seed)
    populations = populations or Populations(n_exc=80, n_inh=20)
    rnn = EIRNN(task.n_inputs, populations, dt_ms=50, tau_ms=100)
    model = nn.Sequential(rnn, Readout(populations, task.n_outputs))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    enforce(optimizer, model)
    return model, optimizer


def learn(model, optimizer, epochs, folder=None):
    """Train on the task, and return the history."""
    batches = task.batches(n_trials=32, n_batches=25)
    score = {"score": lambda model: task.score(model(trials.inputs), trials)}
    options = {"epochs": epochs, "checkpoint": folder, "trackers": score}
    options |= {"clip_norm": 1.0, "progress": False}
    return train(model, batches, optimizer, task.loss, **options)


first = learn(*circuit(seed=0), FIRST_EPOCHS, folder="run")
# As after a crash: nothing is left but the folder "run".
resumed_model, resumed_optimizer = circuit(seed=123)
resumed = learn(resumed_model, resumed_optimizer, TASK_EPOCHS, folder="run")
model, optimizer = circuit(seed=0)
whole = learn(model, optimizer, TASK_EPOCHS)
before, after = whole["score"].iloc[[0, -1]]
print(f"accuracy {before:.2f} before, {after:.2f} after")
print("files:", *sorted(path.suffix for path in Path("run").iterdir()))
states = model.state_dict(), resumed_model.state_dict()
same = all(torch.equal(states[0][name], states[1][name]) for name in states[0])
print("a run that was stopped ends with the weights of one that was not:", same)

# %% [markdown]
# To the bit: the checkpoint holds the weights, the optimiser's state, the random generators and
# the history. Trials depend on a seed and on the epoch's number only, so the resumed run met those
# that it would have met.

# %% [markdown]
# ## 4. Save, check, share (5 min)
#
# A state dict of a lawful model holds the signs beside the weights. As safetensors it is a file
# that runs no code when it is opened. Whoever gets it can check it without your code:

# %%
saved, _ = circuit(seed=0)
save_file(saved.state_dict(), "circuit.safetensors")
for name, value in load_file("circuit.safetensors").items():
    print(f"{name:22}", tuple(value.shape))

# %%
# !daleml check circuit.safetensors

# %% [markdown]
# The command ends with 0 if the law holds and with 1 if it is broken, for use in scripts.
# `Readout` reads excitatory units alone, so all its signs are +1.
#
# Loading is where laws get lost. Three attempts that look alike:

# %%
state = load_file("circuit.safetensors")
lawless = copy.deepcopy(state)
# Unit 3 excites, says its sign; now all its synapses inhibit.
lawless["0.weight_hh_l0"][:, 3] *= -1
attempts = {
    "the file": (state, circuit(seed=5)[0]),
    "a file in which one unit changed sides": (lawless, circuit(seed=5)[0]),
    "into 70 + 30 units": (state, circuit(seed=5, populations=Populations(70, 30))[0]),
}
for name, (content, other) in attempts.items():
    try:
        other.load_state_dict(content)
        print(f"{name}: loaded.", signs.check(other))
    except RuntimeError as error:
        print(f"{name}: refused.", str(error).splitlines()[1].strip())

# %% [markdown]
# A file without signs, such as one of plain PyTorch, loads too, and is judged by the signs of the
# model that takes it.

# %% [markdown]
# ## 5. Seeds, and what they allow you to say (7 min)
#
# A question: in a small column-EI network, does it matter whether 10 % or 50 % of the hidden units
# inhibit? One training run answers nothing. Weights and the order of examples are drawn from a
# seed; another seed gives another error. So we run several. Each run is a function of the seed
# and of its settings, and touches no global generator, so that runs may share a process, or not.

# %%
JOBS = 1  # as many as you have cores: the numbers do not depend on it
pixels, test_pixels = (x.reshape(-1, 64) for x in (images, test_images))


def one_run(seed, settings):
    """Train one network, and return its test error."""
    torch.set_default_dtype(torch.float64)  # a worker process does not inherit it
    generator = torch.Generator().manual_seed(seed)
    hidden = Populations.split(100, inhibitory=settings["inhibitory"])
    layers = [
        EILinear(64, 100, generator=generator),
        EILinear(hidden, 10, generator=generator),
    ]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    enforce(optimizer, model)
    test = {"test": trackers.held_out(test_pixels, data.test_y, cross_entropy)}
    batches = Shuffled(pixels, data.train_y, seed=seed)
    options = {"epochs": SWEEP_EPOCHS, "trackers": test, "progress": False}
    history = train(model, batches, optimizer, cross_entropy, **options)
    return {"error": history["test/error"].iloc[-1]}


# %% tags=["trained"] alt="Two panels over seeds. Left, test errors with 10 and 50 per cent inhibitory units, one line per seed joins the two: most lines fall. Right, the difference for each seed, with its mean and interval, which lies above zero." slide="Quote the difference. Each seed is its own control, and the interval of the difference holds no zero."
fractions = (0.1, 0.5)
calls = [(seed, {"inhibitory": f}) for f in fractions for seed in range(N_SEEDS)]
results = Parallel(n_jobs=JOBS)(delayed(one_run)(*call) for call in calls)
errors = np.array([result["error"] for result in results]).reshape(2, N_SEEDS)
for fraction, values in zip(fractions, errors, strict=True):
    mean, (low, high) = values.mean(), mean_interval(values)
    print(f"{fraction:.0%} inhibitory: {mean:.2%} missed, from {low:.2%} to {high:.2%}")
difference = errors[0] - errors[1]
mean, (low, high) = difference.mean(), mean_interval(difference)
print(f"difference, paired by seed: {mean:.2%}, from {low:.2%} to {high:.2%}")
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3), layout="constrained")
    axes[0].plot(["10%", "50%"], errors * 100, "o-", color="0.45", linewidth=1)
    axes[0].set(xlabel="inhibitory units", ylabel="test digits missed (%)")
    axes[0].margins(x=0.4)
    beside = np.linspace(-0.3, 0.1, N_SEEDS)
    axes[1].plot(beside, difference * 100, "o", color="0.45", label="one seed")
    arms = [[100 * (mean - low)], [100 * (high - mean)]]
    interval = {"fmt": "sk", "capsize": 4, "label": "mean, 95% interval"}
    axes[1].errorbar([0.4], [100 * mean], arms, **interval)
    axes[1].axhline(0, color="0.6", linestyle=":")
    axes[1].set(xlim=(-0.6, 0.9), xticks=[], ylabel="difference (points)")
    axes[1].legend(frameon=False, fontsize="small")

# %% [markdown]
# Printed are means and their 95 % intervals. Each line on the left is a seed: the same first
# weights and the same order of digits for both networks. So we take the difference within each
# seed, and then the interval of its mean. Do not compare the two intervals of the means instead:
# whether they overlap answers another question. The interval of the difference holds no zero, which
# allows this sentence:
#
# > Of column-EI networks of 100 hidden units, trained for three epochs by guarded Adam, those with
# > 10 % of inhibitory units missed more of 360 test digits than those with 50 % (mean difference
# > over eight seeds and its 95 % interval by Student's t, as printed).
#
# It does not allow: "inhibition helps learning". Both networks had one learning rate, one size,
# one data set, one split, and one number of epochs. Seeds say how much chance there is in *these*
# runs, and nothing about other settings.
#
# `mean_interval` is Student's t, which takes the values for normal. Of few seeds, the percentile
# bootstrap of the mean, which papers print as well, is too narrow (exercise 4).
#
# For longer sweeps `daleml.experiments` keeps what is finished. An `Experiment` has settings and
# numbers of seeds for a budget; a `Journal` is a file to which each seed is added as it ends; and
# `run_missing` runs what the journal lacks, in as many processes as you say, or on a cluster.

# %% tags=["trained"]
seeds, comparison = {"quick": N_SEEDS}, []
for fraction in (0.3, 0.4):
    settings = {"quick": {"inhibitory": fraction}}
    comparison.append(Experiment(f"{fraction:.0%}", one_run, settings, seeds))
journal = Journal(Path("seeds.jsonl"), print)
run_missing(runs_of(comparison, "quick"), journal, jobs=JOBS)
again = Journal(Path("seeds.jsonl"), print)  # as after a crash
missing = [run for run in runs_of(comparison, "quick") if run.key not in again.finished]
print(f"runs that a second call would make: {len(missing)}")
numbers = [finished_numbers(again, one, "quick") for one in comparison]
close = np.array([[run["error"] for run in runs] for runs in numbers])
gaps = close[0] - close[1]
low, high = mean_interval(gaps)
print(f"30% less 40%: {gaps.mean():.2%}, from {low:.2%} to {high:.2%}")

# %% [markdown]
# Here the interval holds zero. The honest sentence is "these seeds cannot tell 30 % from 40 %",
# and it comes with the interval, which says how large a difference may still be. "There is no
# difference" is not in the numbers.

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: leave the readout free
#
# Many papers let the readout have both signs. Convert `Reader(Ring(...))` with the answer exempt.
# What do the report, `bool(report)` and `signs.check` say? Which of them would you quote?
#
# <details><summary>Hint</summary>
#
# `dalify(..., exempt=["answer.*"])`. Exempt is what you decided; not lawful is what failed.
#
# </details>

# %% tags=["solution"]
free, report = dalify(
    Reader(Ring(Populations(40, 10))), example=images[:64], exempt=["answer.*"]
)
print(*(verdict.name for verdict in report.of("exempt")))
print(signs.check(free))
assert bool(report)  # nothing failed,
assert len(signs.check(free).unjudged) == 1  # but one weight is free: quote this

# %% [markdown]
# ### Exercise 2: a layer that says the wrong thing
#
# `effective_weight` is a promise. Write a class `Careless(Ring)` that acts by the profile and
# returns `self.weight` from `effective_weight`, and then a test, in one line, that any layer
# without a bias must pass and this one fails.
#
# <details><summary>Hint</summary>
#
# `Careless` needs a `forward` of its own. Send the identity matrix through a layer: row $j$ of
# what comes out is what unit $j$ alone causes.
#
# </details>


# %% tags=["solution"]
class Careless(Ring):
    """Acts by the profile, and says that it does not."""

    def forward(self, rates):
        return rates @ (self.weight * self.profile).T

    def effective_weight(self):
        return self.weight


def keeps_its_promise(layer, n_inputs):
    return torch.allclose(layer(torch.eye(n_inputs)).T, layer.effective_weight())


populations = Populations(40, 10)
print("Ring:", keeps_its_promise(Ring(populations), 50))
print("Careless:", keeps_its_promise(Careless(populations), 50))
assert keeps_its_promise(Ring(populations), 50)
assert not keeps_its_promise(Careless(populations), 50)

# %% [markdown]
# ### Exercise 3: another task
#
# Change `WhichFirst` into `SameSide`: two flashes, each on the left or on the right; answer
# whether they were on the same side. Test it by an oracle and by a guesser.
#
# <details><summary>Hint</summary>
#
# Subclass `WhichFirst`. Give it other `output_names`, and a `_sample` that draws two sides per
# trial. The class to answer is 1 or 2; 0 is to fixate.
#
# </details>


# %% tags=["solution"]
@dataclass(frozen=True, kw_only=True)
class SameSide(WhichFirst):
    """Two flashes: were they on the same side?"""

    output_names = ("fixate", "same", "different")

    def _sample(self, n, generator):
        timeline = self._timeline(n, generator)
        sides = torch.randint(2, (2, n), generator=generator)
        choice = 1 + (sides[0] != sides[1]).long()
        inputs = self._blank(timeline)
        for period, side in zip(("first", "second"), sides, strict=True):
            flash = nn.functional.one_hot(side, 2).double()
            self._show(inputs, timeline, period, flash, generator)
        return self._trials(inputs, choice, {"choice": choice}, timeline)


other = SameSide(dt_ms=50, fixate=False)
drawn = other.sample(2000, torch.Generator().manual_seed(0))
oracle = nn.functional.one_hot(drawn.targets, 3).double()
guess = torch.tensor([0.0, 1.0, 0.0]).expand_as(oracle)
print(
    f"oracle {other.score(oracle, drawn)}, always 'same' {other.score(guess, drawn):.2f}"
)
assert other.score(oracle, drawn) == 1
assert abs(other.score(guess, drawn) - other.chance) < 0.04

# %% [markdown]
# ### Exercise 4: how honest is the interval?
#
# A 95 % interval should hold the true mean in 95 of 100 studies. Simulate studies of 3, 8 and 20
# seeds whose errors are normal with mean 0, and count how often `mean_interval` holds 0. Count it
# for the percentile bootstrap too: the central 95 % of the means of as many values, drawn from the
# study's own with replacement. How many seeds does each need?
#
# <details><summary>Hint</summary>
#
# Draw with `np.random.default_rng(0).normal(size=n)`, 200 times for each `n`. An interval holds 0
# if its lower end is at most 0 and its upper end at least 0. `rng.choice(values, (1000, n))` draws
# from the study's own, and `np.quantile` finds the ends.
#
# </details>

# %% tags=["solution"]
rng = np.random.default_rng(0)


def bootstrap_interval(values):
    drawn = rng.choice(values, (1000, len(values)))
    return np.quantile(drawn.mean(1), [0.025, 0.975])


coverage = {}
for n in (3, 8, 20):
    found = np.zeros(2)
    for _ in range(200):
        values = rng.normal(size=n)
        for i, interval in enumerate((mean_interval, bootstrap_interval)):
            low, high = interval(values)
            found[i] += low <= 0 <= high
    coverage[n] = found / 200
    student, resampled = coverage[n]
    print(f"{n} seeds: Student's t {student:.0%}, percentile bootstrap {resampled:.0%}")
assert min(student for student, _ in coverage.values()) > 0.9
assert coverage[3][1] < 0.85
assert coverage[20][1] > 0.88

# %% [markdown]
# ### Exercise 5: plan a study
#
# The seeds of section 5 could not tell 30 % from 40 %. Suppose that a difference of 0.2 points
# would matter to you. From the spread of the differences, how many seeds make the interval short
# enough to see it?
#
# <details><summary>Hint</summary>
#
# The standard error of a mean over $n$ seeds is $s / \sqrt{n}$, with the standard deviation $s$ of
# the differences `gaps`, and half of a 95 % interval is about two of them.
#
# </details>

# %% tags=["solution", "trained"]
spread = gaps.std(ddof=1)
n_needed = int(np.ceil((2 * spread / 0.002) ** 2))
print(f"the differences vary by {spread:.2%}: about {n_needed} seeds")
assert 10 < n_needed < 500

# %% [markdown]
# ## What this showed

# %% tags=["claim", "trained"]
assert same
assert resumed["score"].iloc[-1] > 0.9
assert signs.check(resumed_model)
assert history["violations"].max() == 0
assert history["test/error"].iloc[-1] < 0.6
assert mean_interval(difference)[0] > 0
print(
    f"The converted model broke the law at {history['violations'].iloc[-1]:.0f} synapses, the circuit"
    f" was right in {resumed['score'].iloc[-1]:.0%} of the trials, and {N_SEEDS} seeds put the"
    f" difference between 10% and 50% inhibitory units at {difference.mean():.2%}."
)

# %% [markdown]
# **What stays wrong or unknown.** `dalify` draws weights anew: it makes an architecture lawful, and
# does not keep what a trained model knows. A residual connection is no synapse, and batch or layer
# normalisation subtracts a mean that no neuron carries; the report says so, and cannot mend it.
# And an interval over seeds knows nothing of the choices that all runs shared.
#
# ## Further reading
#
# - H. F. Song, G. R. Yang, X.-J. Wang (2016). Training excitatory-inhibitory recurrent neural
#   networks for cognitive tasks. *PLoS Computational Biology*. Circuits and tasks like ours.
# - J. Cornford et al. (2021). Learning to live with Dale's principle: ANNs with separate
#   excitatory and inhibitory units. *ICLR*. Column EI as a baseline.
# - `help(daleml.modules)`: the protocol of a layer. `help(daleml.tasks.TimedTask)`: tasks.
#   `help(daleml.train)`: what a checkpoint holds.
