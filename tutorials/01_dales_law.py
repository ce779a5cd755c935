# %% [markdown]
# # Dale's law in ten minutes
#
# A neuron in the cortex excites every cell that it speaks to, or it inhibits every one of them.
# Artificial networks ignore this: one unit has weights of both signs, and a weight changes its
# sign whenever the gradient says so. This tutorial shows what the law means for a weight matrix,
# how to state, check and keep it, and what learning does when nobody keeps it.
#
# | | |
# | --- | --- |
# | **Goals** | Read the law off a weight matrix. Fix, check and project the signs of any layer. Keep the law while a network learns, in two ways: a guard, and a step that cannot break it. |
# | **Prerequisites** | A little PyTorch: `nn.Linear`, an optimiser, a loss. Matrices and gradients. No neuroscience. |
# | **Minutes** | 10 to read, 25 for the exercises; the code runs for 10 seconds. |

# %%
import warnings

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from daleml import Populations, signs, trackers, train
from daleml.analysis import plots
from daleml.datasets import digits, fly_visual
from daleml.layers import DANNLinear, EILinear, init
from daleml.optim import EG, EGAdamW, enforce, param_groups
from daleml.training import Shuffled

torch.set_default_dtype(torch.float64)  # the same numbers on every processor
EPOCHS = 6

# %% [markdown]
# ## 1. The law (2 min)
#
# Let $x_j \ge 0$ be the rates of presynaptic units, and $y_i$ the input that the postsynaptic
# units receive:
#
# $$ y_i = \sum_j w_{ij}\, x_j . $$
#
# PyTorch stores this weight as (post, pre). Row $i$ holds what unit $i$ receives, and
# **column $j$ holds what unit $j$ sends**. Give every presynaptic unit one sign,
# $s_j \in \{+1, -1\}$. Dale's law then says
#
# $$ s_j\, w_{ij} \ge 0 \quad \text{for every } i . $$
#
# So every column has one sign. A weight of zero is no synapse, and obeys the law either way.
#
# `Populations` says which units excite and which inhibit; the excitatory ones come first.

# %%
pops = Populations(n_exc=6, n_inh=2)
print(pops.signs())
cortex = Populations.split(100, inhibitory=0.2)  # about one neuron in five inhibits
print(cortex)

# %% [markdown]
# Two layers that read these eight units: one of PyTorch, one of daleml.

# %% alt="Two weight matrices of 5 rows and 8 columns. Left, nn.Linear: nearly every column mixes red and blue squares. Right, EILinear: six columns are red, the last two are blue." slide="The law is about columns. Each column holds what one presynaptic unit sends, and Dale's law gives it one sign."
torch.manual_seed(0)
plain, lawful = nn.Linear(8, 5), EILinear(pops, 5)
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="constrained")
    for ax, layer in zip(axes, (plain, lawful), strict=True):
        plots.matrix(layer.weight.detach(), ax).set_title(type(layer).__name__)

# %% [markdown]
# Red excites, blue with a minus inhibits; a deeper colour is a stronger weight. On the left,
# columns hold both colours: those units break the law. On the right, six columns are red and two
# are blue. There are fewer inhibitory units, so each of their synapses starts stronger, and on
# average excitation and inhibition cancel.
#
# **How true is the law?** Dale's idea was about chemistry: a neuron releases the same transmitter
# at all its endings. What a transmitter does depends on the receptor that it meets, so the sign
# is a rule with exceptions. Here they are in one well-measured circuit, the cell types of the
# fly's visual system:

# %%
fly = fly_visual()
mixed = fly.dale_violations()
sent = fly.edges.groupby("source")["weight"].sum()  # synapses by sender
lesser = (sent[mixed["neuron"]].to_numpy() * mixed["minority_fraction"]).sum()
print(mixed.round(2).to_string(index=False))
print(f"{len(sent) - len(mixed)} of the {len(sent)} cell types that send have one sign")
print(f"{lesser / sent.sum():.1%} of all synapses have the rarer sign of their sender")

# %% [markdown]
# Four of the fly's types send both signs, with few synapses. In the worm *C. elegans* exceptions
# are far more common (exercise 1). So the law is a good approximation in some circuits, and a
# poor one in others. Know which one you model.

# %% [markdown]
# ## 2. State the law for any layer, and check it (2 min)
#
# You need no special layer. `signs.fix` writes one sign per presynaptic unit beside the weight of
# any module. `signs.check` then says who breaks the law.

# %%
signs.fix(plain, "weight", pops.signs())
report = signs.check(plain)
print(report)
print("lawful:", bool(report), "- saved with the layer:", *plain.state_dict())

# %% [markdown]
# The report is a value: it is true if the law holds, `report.violations` lists the units, and
# `report.raise_for_violations()` turns it into an error. The signs are a buffer of the layer.
# They move with `.to()`, and are copied and saved with the weights.
#
# `signs.project_` moves each weight to the nearest lawful one. For a weight of the wrong sign,
# that is zero:
#
# $$ w_{ij} \leftarrow s_j \max(s_j\, w_{ij},\ 0) . $$

# %% alt="Two weight matrices of 5 rows and 8 columns. Before, every column mixes red and blue. After the projection, six columns are red or white and two are blue or white; about half of the squares are white, which is zero." slide="What projection costs. A weight of the wrong sign becomes zero, so random weights lose about half of their synapses."
before = plain.weight.detach().clone()
signs.project_(plain)
print(signs.check(plain))
print(f"synapses left: {(plain.weight != 0).sum()} of {plain.weight.numel()}")
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8), layout="constrained")
    plots.matrix(before, axes[0]).set_title("before")
    plots.matrix(plain.weight.detach(), axes[1]).set_title("projected")

# %% [markdown]
# The columns are clean now, and white squares show what that cost: about half of the synapses are
# gone. With random signs it is always about half. Projection is a good guard for small steps, and
# a poor beginning. A network that is to keep the law should start lawful.

# %% [markdown]
# ## 3. Layers that start lawful (2 min)
#
# **Column EI** is `EILinear`, which you saw: $y = Wx + b$ with one sign per column.
#
# A **Dale's ANN (DANN)** lets all units that speak to the next layer excite. Inhibition comes
# from interneurons, which read the same input and act on the same outputs:
#
# $$ y = (W_{ex} - W_{ei} W_{ix})\, x + b , $$
#
# with three matrices that are not negative.

# %% alt="Four weight matrices of one DANN layer. Wex is red, minus Wei is blue, Wix is red. The effective weight, Wex minus Wei Wix, has both colours in its columns."
dann = DANNLinear(8, 5, n_inh=2)
print(signs.check(dann))
parts = {
    "Wex": (dann.weight_ex, "output", "input"),
    "-Wei": (-dann.weight_ei, "output", "interneuron"),
    "Wix": (dann.weight_ix, "interneuron", "input"),
    "Wex - Wei Wix": (dann.effective_weight(), "output", "input"),
}
with plots.style():
    figure, axes = plt.subplots(2, 2, figsize=(7, 5.2), layout="constrained")
    for ax, (title, (weight, post, pre)) in zip(axes.flat, parts.items(), strict=True):
        names = {"title": title, "xlabel": pre, "ylabel": post}
        plots.matrix(weight.detach(), ax, colorbar=False, **names)

# %% [markdown]
# Read the figure as the equation: the first picture, plus the product of the second and the
# third, gives the fourth. The fourth is what multiplies $x$. It has both colours in one column
# although no neuron breaks the law: an input excites an output directly, and suppresses another
# through an interneuron. Why this learns so much better than column EI is the subject of
# [tutorial 2](02_feedforward_inhibition.ipynb).

# %% [markdown]
# ## 4. Learning breaks the law, and a guard keeps it (3 min)
#
# A lawful start does not last. A small column-EI network learns handwritten digits. Pixels excite
# (an integer in place of a partition means: that many excitatory units), and a fifth of the
# hidden units inhibit. After every epoch we count the synapses that break the law.

# %%
data = digits()
train_x, test_x = data.train_x.double(), data.test_x.double()
watched = {
    "test": trackers.held_out(test_x, data.test_y, cross_entropy),
    "violations": trackers.sign_violations,
}


def column_ei(hidden=cortex):
    """64 pixels, 100 hidden units, 10 digits."""
    torch.manual_seed(0)
    return nn.Sequential(EILinear(64, 100), nn.ReLU(), EILinear(hidden, 10))


def learn(model, optimizer, epochs=EPOCHS):
    """Train on the digits, and return the history: one row per epoch."""
    batches = Shuffled(train_x, data.train_y, batch_size=64)
    options = {"epochs": epochs, "trackers": watched, "progress": False}
    return train(model, batches, optimizer, cross_entropy, **options)


# %% tags=["trained"] alt="Horizontal bars, one per unit, of the fraction of a unit's synapses that have the wrong sign. The worst excitatory hidden units have about two thirds of them wrong, the worst inhibitory ones, hatched, a fifth." slide="Learning breaks the law. After a few epochs of Adam, hundreds of synapses have the wrong sign."
lawless = column_ei()
adam = torch.optim.Adam(lawless.parameters(), lr=0.003)
with warnings.catch_warnings(action="ignore"):  # `train` warns of what this cell shows
    histories = {"Adam": learn(lawless, adam)}
report = signs.check(lawless)
print(str(report).splitlines()[0])
with plots.style():
    plots.signs(report)

# %% [markdown]
# Each bar is a hidden unit, and says which fraction of its synapses has the wrong sign; the worst
# units of each kind are drawn. The law was kept at the start, and Adam knows nothing of signs.
# Inhibitory units break the law less: their synapses start stronger, and have further to go to
# zero.
#
# The same network, the same optimiser, and one more line: `enforce` projects the model after
# every step of any PyTorch optimiser.

# %% tags=["trained"] alt="Number of synapses that break the law by epoch. Without the guard it rises from zero to about a thousand; with it, the line lies on zero."
guarded = column_ei()
optimizer = torch.optim.Adam(guarded.parameters(), lr=0.003)
guard = enforce(optimizer, guarded)
histories["Adam, guarded"] = learn(guarded, optimizer)
print(signs.check(guarded))
for name, history in histories.items():
    last = history.iloc[-1]
    print(
        f"{name}: {last['test/error']:.1%} of test digits missed, {last['violations']:.0f} violations"
    )
table = pd.concat(
    [history.assign(optimiser=name) for name, history in histories.items()]
)
with plots.style():
    ax = plots.learning_curves(table, "violations", hue="optimiser")
    ax.set_ylabel("synapses that break the law")

# %% [markdown]
# The guard acts after each step, so the law holds wherever you look: between steps, in a saved
# file, and also on the way in. A model with fixed signs refuses weights that break them.

# %% tags=["trained"]
try:
    guarded.load_state_dict(lawless.state_dict())
except RuntimeError as error:
    print(*str(error).splitlines()[:3], "\t...", sep="\n")
print(signs.check(guarded))

# %% [markdown]
# ## 5. A step that cannot break the law (1 min)
#
# Gradient descent *adds*. Exponentiated gradient (EG) *multiplies*. With learning rate $\eta$ and
# gradient $g$,
#
# $$ \begin{aligned}
# \text{gradient descent:}\quad & w \leftarrow w - \eta\, g , \\
# \text{EG:}\quad & w \leftarrow w\, \exp\bigl(-\eta\, \operatorname{sign}(w)\, g\bigr) .
# \end{aligned} $$
#
# The exponential is positive, so no weight changes its sign, and no guard is needed. One step of
# each, from weights between -1 and 1, with a gradient of 1 for all of them:

# %% alt="Weight after one step against the weight before it. Gradient descent is a line below the diagonal, which carries small positive weights below zero, a shaded region. EG is a line through zero, bent there: flatter for positive weights, steeper for negative ones." slide="Two steps. Gradient descent moves all weights by the same amount and carries small ones through zero; EG moves each in proportion to itself."
start = torch.linspace(-1, 1, 9)
ends = {}
for name, optimizer_class in (("gradient descent", torch.optim.SGD), ("EG", EG)):
    weight = start.clone().requires_grad_()
    stepper = optimizer_class([weight], lr=0.4)
    weight.sum().backward()  # a gradient of 1 for every weight
    stepper.step()
    ends[name] = weight.detach()
    print(f"{name:>16}:", *(f"{value:6.2f}" for value in weight.tolist()))
print(
    "EG is its formula:",
    torch.allclose(ends["EG"], start * torch.exp(-0.4 * start.sign())),
)
with plots.style():
    figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
    for (name, end), marker in zip(ends.items(), "os", strict=True):
        ax.plot(start, end, marker=marker, label=name)
    ax.plot(start, start, ":", color="0.4", label="no step")
    ax.fill_between([0, 1], -1.5, 0, color="0.9")
    ax.fill_between([-1, 0], 0, 1.5, color="0.9")
    ax.text(0.6, -1, "wrong sign", ha="center")
    ax.set(xlabel="weight before", ylabel="weight after", xlim=(-1, 1), ylim=(-1.5, 1))
    ax.legend(frameon=False)

# %% [markdown]
# Gradient descent moves every weight by the same amount, and small positive ones end up in the
# grey region. EG moves each weight in proportion to itself, and a weight of zero not at all: under
# EG, a synapse that is absent stays absent.

# %% tags=["trained"]
multiplied = column_ei()
groups = param_groups(multiplied, lr=0.03, euclidean_lr=0.003)
histories["EGAdamW"] = learn(multiplied, EGAdamW(groups, lr=0.03))
print(signs.check(multiplied))
last = histories["EGAdamW"].iloc[-1]
print(f"EGAdamW, no guard: {last['test/error']:.1%} of test digits missed")

# %% [markdown]
# `EGAdamW` multiplies, and takes Adam's averages of the gradient: the same network learns, and
# nothing has to guard it. Its rate is relative, so it is larger than Adam's. `param_groups` hands
# the biases, which may have any sign, to plain AdamW at a rate of their own. What EG does to the
# *distribution* of the weights is the subject of [tutorial 5](05_learning_like_synapses.ipynb).

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: a worm
#
# `celegans()` holds the chemical synapses of *C. elegans*, with signs predicted from the
# receptors that each target expresses. How many of the neurons that send synapses of known sign
# send both? Compare with the fly.
#
# <details><summary>Hint</summary>
#
# `dale_violations()` lists those that send both. `edges["sign"]` is missing where the sign is not
# known: `edges.dropna(subset="sign")["source"].nunique()` counts the senders.
#
# </details>

# %% tags=["solution"]
from daleml.datasets import celegans

worm = celegans()
n_known = worm.edges.dropna(subset="sign")["source"].nunique()
n_both = len(worm.dale_violations())
print(
    f"{n_both} of {n_known} neurons of the worm send both signs; 4 of 63 types of the fly"
)
assert n_both / n_known > 5 * len(mixed) / len(sent)

# %% [markdown]
# ### Exercise 2: take the guard off
#
# `guard.remove()` ends what `enforce` began. Remove it, train `guarded` for one more epoch with
# its own `optimizer`, and count the synapses that break the law. Then make the network lawful
# again. Which fraction of its synapses does that cost?
#
# <details><summary>Hint</summary>
#
# `learn(guarded, optimizer, epochs=1)` trains for one epoch more. `signs.check(guarded)` has the
# count as `n_violations`. `trackers.fraction_at_zero(guarded)`, before and after
# `signs.project_(guarded)`, answers the second question.
#
# </details>

# %% tags=["solution", "trained"]
kept = signs.check(guarded).n_violations
guard.remove()
with warnings.catch_warnings(action="ignore"):
    learn(guarded, optimizer, epochs=1)
broken = signs.check(guarded).n_violations
zero_before = trackers.fraction_at_zero(guarded)
signs.project_(guarded)
lost = trackers.fraction_at_zero(guarded) - zero_before
print(
    f"{kept} synapses break the law before, {broken} after one epoch without the guard"
)
print(f"the projection costs {lost:.0%} of the synapses")
assert kept == 0
assert 0.05 < lost < 0.5
assert broken > 100
assert signs.check(guarded)

# %% [markdown]
# ### Exercise 3: no inhibition at all
#
# Make all hidden units excite: `column_ei(Populations(100))`. Train it with guarded Adam. Does it
# still learn? Where can a digit's output get anything negative from?
#
# <details><summary>Hint</summary>
#
# Compare the test errors. All weights are positive, so look at what has no sign to keep:
# `model[2].bias`.
#
# </details>

# %% tags=["solution", "trained"]
model = column_ei(Populations(100))
adam = torch.optim.Adam(model.parameters(), lr=0.003)
enforce(adam, model)
error = learn(model, adam).iloc[-1]["test/error"]
biases = model[2].bias.detach()
print(f"without inhibition {error:.1%} of test digits are missed")
print(f"the largest of the ten output biases is {biases.max():.1f}")
assert signs.check(model)
assert biases.max() < 0  # the bias does the work of inhibition
assert 0.02 < error < 0.6

# %% [markdown]
# ### Exercise 4: a network of your own
#
# `signs.fix` works on any module. Take `nn.RNN(8, 100, nonlinearity="relu")`, fix the signs of
# its recurrent weight `"weight_hh_l0"` so that a fifth of the units inhibit, and give it a guard.
# Let it learn anything (the mean of its eight inputs over time, say), and show that the law holds.
# Why `relu`, and not `tanh`? What does the projection cost, and what could you do about it?
#
# <details><summary>Hint</summary>
#
# The order is `signs.fix`, `signs.project_`, `enforce`. The law is about rates: what would a
# negative rate times an excitatory weight be? For the cost, count `(weight != 0)` before and after.
# Instead of projecting, you can draw lawful weights: `init.column_ei_(weight, signs)`, and then
# `init.spectral_radius_(weight, 0.9)`, so that activity does not explode.
#
# </details>

# %% tags=["solution", "trained"]
torch.manual_seed(0)
rnn, readout = nn.RNN(8, 100, nonlinearity="relu"), nn.Linear(100, 8)
column_signs = Populations.split(100, inhibitory=0.2).signs()
signs.fix(rnn, "weight_hh_l0", column_signs)
signs.project_(rnn)
print(
    f"the projection leaves {(rnn.weight_hh_l0 != 0).double().mean():.0%} of the synapses"
)
init.column_ei_(rnn.weight_hh_l0, column_signs)
init.spectral_radius_(rnn.weight_hh_l0, 0.9)
parameters = [*rnn.parameters(), *readout.parameters()]
adam = torch.optim.Adam(parameters, lr=0.002)
enforce(adam, rnn)
inputs = torch.rand(10, 200, 8)
losses = []
for _ in range(40):
    adam.zero_grad()
    rates, _ = rnn(inputs)
    loss = (readout(rates[-1]) - inputs.mean(0)).square().mean()
    loss.backward()
    adam.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f}, then {losses[-1]:.2f}; {signs.check(rnn)}")
assert signs.check(rnn)
assert losses[-1] < losses[0]

# %% [markdown] tags=["solution"]
# <details><summary>What came out</summary>
#
# A `tanh` unit has negative rates. A negative rate through an excitatory synapse inhibits, so one
# unit would do both after all, and the law would say nothing.
#
# </details>

# %% [markdown]
# ## What this showed

# %% tags=["claim", "trained"]
ends = {name: history.iloc[-1] for name, history in histories.items()}
assert ends["Adam"]["violations"] > 100
assert ends["Adam, guarded"]["violations"] == 0
assert signs.check(multiplied)
assert ends["EGAdamW"]["violations"] == 0
errors = [end["test/error"] for end in ends.values()]
assert max(errors) - min(errors) < 0.06
print(
    f"Adam broke the law at {ends['Adam']['violations']:.0f} synapses;"
    " with a guard it broke none, and EG broke none without one."
)

# %% [markdown]
# **What stays wrong or unknown.** One network, one seed, 360 test digits: nothing here says which
# optimiser is better. Rates must not be negative for the law to mean anything. And biases have no
# sign to keep, though no neuron adds a constant that it can choose freely.
#
# ## Further reading
#
# - H. Dale (1935). Pharmacology and nerve-endings. *Proceedings of the Royal Society of Medicine*.
# - J. C. Eccles, P. Fatt, K. Koketsu (1954). Cholinergic and inhibitory synapses in a pathway from
#   motor-axon collaterals to motoneurones. *Journal of Physiology*. The law as it is used here.
# - H. F. Song, G. R. Yang, X.-J. Wang (2016). Training excitatory-inhibitory recurrent neural
#   networks for cognitive tasks. *PLoS Computational Biology*. Column EI.
# - J. Cornford et al. (2021). Learning to live with Dale's principle: ANNs with separate
#   excitatory and inhibitory units. *ICLR*. DANNs: [tutorial 2](02_feedforward_inhibition.ipynb).
# - J. Kivinen, M. K. Warmuth (1997). Exponentiated gradient versus gradient descent for linear
#   predictors. *Information and Computation*. EG.
# - J. Cornford et al. (2024). Brain-like learning with exponentiated gradients. *bioRxiv*. EG in
#   networks: [tutorial 5](05_learning_like_synapses.ipynb).
