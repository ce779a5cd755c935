# %% [markdown]
# # Rich or lazy, and what weights say about the learning rule
#
# A network can learn a task in two ways: keep the features that it began with and only weigh them
# anew, which is called *lazy*, or build features for the task, which is called *rich*. Which of the
# two it does depends on the weights it begins with. The second half turns the question round:
# given the weights before and after, what can be said about the rule that changed them?
#
# | | |
# | --- | --- |
# | **Goals** | Tell rich from lazy learning by two alignments. Say how the scale and the rank of the initial weights decide between them. Measure effective ranks of models and of connectomes. Infer the potential of a learning rule from weights before and after, and know when that cannot be done. |
# | **Prerequisites** | [Tutorial 5](05_learning_like_synapses.ipynb): mirror descent and its potentials. Singular values. |
# | **Minutes** | 50 to read, 40 for the exercises; the code runs for about a minute. |

# %%
import copy
import textwrap

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from daleml import Populations, train
from daleml.analysis import fit_weights, infer_geometry, plots, regime, spectrum
from daleml.datasets import celegans, digits, fly_visual
from daleml.layers import DANNRNN, EIRNN, init
from daleml.optim import EG, MirrorDescent
from daleml.potentials import Euclidean, NegativeEntropy, PNorm
from daleml.tasks import PerceptualDecision
from daleml.training import Shuffled

torch.set_default_dtype(torch.float64)  # the same numbers on every processor
RECURRENT_STEPS = 2000
N_SEEDS = 3
DIGIT_EPOCHS = 12

# %% [markdown]
# ## 1. The same answer, learned in two ways (8 min)
#
# A network with 100 hidden units learns what one unit computes, $y = \max(0, x_1)$, from 100
# examples $x$ of ten numbers. We draw its weights small, or large. What it puts out before learning
# is added to the target, so that all have the same error to begin with.


# %%
def learn_one_unit(scale, seed=0):
    """Train a network from weights of a scale; return it before and after, and its examples."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(100, 10, generator=generator)
    hidden, readout = nn.Linear(10, 100, bias=False), nn.Linear(100, 1, bias=False)
    for layer in (hidden, readout):
        sd = scale / layer.in_features**0.5
        nn.init.normal_(layer.weight, 0, sd, generator=generator)
    model = nn.Sequential(hidden, nn.ReLU(), readout)
    before = copy.deepcopy(model)
    target = x[:, :1].relu() + before(x).detach()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2 if scale < 1 else 0.02)
    for _ in range(2000):
        optimizer.zero_grad()
        loss = mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.01:
            break
    return before, model, x


SCALES = (0.03, 0.1, 0.3, 1.0)
runs = {scale: learn_one_unit(scale) for scale in SCALES}

# %% alt="Weights of hidden units from input 1 and input 2, before and after learning, in two panels. From small weights all units have moved onto the axis of input 1; from large weights they have hardly moved." slide="Two ways to learn. From small weights hidden units turn towards the task; from large ones they stay."
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.8), layout="constrained")
for ax, scale in zip(axes, (0.03, 1.0), strict=True):
    before, after, _ = runs[scale]
    start, end = before[0].weight.detach(), after[0].weight.detach()
    for one, other in zip(start, end, strict=True):
        ax.plot(*zip(one[:2], other[:2], strict=True), color="0.8", linewidth=0.8)
    ax.plot(
        start[:, 0],
        start[:, 1],
        "o",
        color="0.5",
        markersize=6,
        markerfacecolor="none",
        label="before",
    )
    ax.plot(end[:, 0], end[:, 1], "D", color="C1", markersize=3, label="after")
    largest = 1.1 * max(start[:, :2].abs().max(), end[:, :2].abs().max())
    ax.set(title=f"scale {scale:g}", xlim=(-largest, largest), ylim=(-largest, largest))
    ax.set(xlabel="weight from input 1", ylabel="weight from input 2", aspect="equal")
    ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# Every dot is a hidden unit; only input 1 matters for the task. On the left, all units have turned
# towards that input, and away from others: they compute what the task needs. That is rich. On the
# right they stayed where they were, and the readout found a combination of what they computed
# already. That is lazy. Both fit the examples equally well.
#
# Two numbers measure it. Let $H$ hold the activities of the hidden units, one row for each example,
# and $J$ the derivative of every output by every weight. The *representation alignment* compares
# $K = H H^\top$, which says how alike examples are to the hidden units, before (0) and after (f);
# the *kernel alignment* compares the *tangent kernel* $K = J J^\top$, which says how much learning
# one example changes the answer to another:
#
# $$ \frac{\langle K_0, K_f \rangle}{\lVert K_0 \rVert\, \lVert K_f \rVert} . $$
#
# Both are near 1 where learning was lazy, and fall where it was rich.

# %% alt="Representation and kernel alignment for four scales of the initial weights: both are near 0.5 at scale 0.03 and near 1 at scale 1."
regimes = {}
for scale, (before, after, x) in runs.items():
    regimes[f"scale {scale:g}"] = regime(after, before, after, x)
with plots.style():
    plots.regime(regimes)
for name, one in regimes.items():
    print(
        f"{name:>10}: representations {one.representation_alignment:.2f},"
        f" kernels {one.kernel_alignment:.2f}, weights changed by"
        f" {one.relative_weight_change:.2f} of their length"
    )

# %% [markdown]
# From small weights learning is rich, from large ones lazy. Small weights have to grow by many
# times their length before the output is large enough, and turn on the way.
#
# "Rich" and "lazy" compare networks. No alignment is rich by itself; daleml's sentence
# (`print(one)`) says "rich" up to 0.5 and "lazy" from 0.9, which is a convention.

# %% [markdown]
# ## 2. The rank of the beginning (8 min)
#
# Scale is not all. Liu et al. (2024) ask how many directions the initial weights have. In a network
# of two *linear* layers this can be computed. Let the first layer have 20 inputs, small initial
# weights, and singular values $\sigma_i$. Their *participation ratio*,
# $\mathrm{PR} = (\sum_i \sigma_i^2)^2 / \sum_i \sigma_i^4$, counts directions of similar strength:
# 20 for an orthogonal matrix, 1 for a matrix of rank one. The kernel alignment to expect, on
# average over tasks, is
#
# $$ \sqrt{\frac{\mathrm{PR}}{d}}\; \frac{1 + 1/d}{\sqrt{1 + 3/d}} , \qquad d = 20 . $$
#
# We measure it for ten random tasks at each rank.

# %% alt="Kernel alignment against the rank of the first layer: measured dots lie on the theoretical curve, which rises from 0.22 at rank 1 to 0.98 at rank 20." slide="Rank. In two linear layers the kernel alignment follows the effective rank of the initial weights."
D = 20


def orthonormal(rows, generator):
    """A random matrix with D orthonormal columns."""
    return torch.linalg.qr(torch.randn(rows, D, generator=generator)).Q.contiguous()


def linear_alignment(first, second, task, generator):
    """Teach two linear layers one task, y = task · x; return the alignment of their kernels."""
    x = orthonormal(40, generator) * 40**0.5  # white: all directions alike
    model = nn.Sequential(nn.Linear(D, D, bias=False), nn.Linear(D, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(first)
        model[1].weight.copy_(second)
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5000):
        optimizer.zero_grad()
        loss = mse_loss(model(x), x @ task[:, None])
        loss.backward()
        optimizer.step()
        if loss.item() < 1e-6:
            break
    return regime(model, before, model, x).kernel_alignment


def random_task(generator):
    """A task of length 1."""
    task = torch.randn(D, generator=generator)
    return task / task.norm()


generator = torch.Generator().manual_seed(0)
RANKS = (1, 2, 5, 10, 20)
measured, expected = [], []
for rank in RANKS:
    found = []
    for _ in range(10):
        first = init.low_rank_(orthonormal(D, generator), rank)
        first *= 0.1 / first.norm()
        second = torch.full((1, D), 1e-6)
        found.append(linear_alignment(first, second, random_task(generator), generator))
    ratio = spectrum(first).participation_ratio
    measured.append(np.mean(found))
    expected.append((ratio / D) ** 0.5 * (1 + 1 / D) / (1 + 3 / D) ** 0.5)
    print(f"rank {rank:>2}: expected {expected[-1]:.2f}, measured {measured[-1]:.2f}")
with plots.style():
    figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
ranks = np.linspace(1, D, 100)
theory = (ranks / D) ** 0.5 * (1 + 1 / D) / (1 + 3 / D) ** 0.5
ax.plot(ranks, theory, color="0.6", label="theory")
ax.plot(RANKS, measured, "o", color="0.15", label="mean of ten tasks")
ax.set(xlabel="rank of the first layer", ylabel="kernel alignment", ylim=(0, 1.05))
ax.set_xticks(RANKS)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# The weights of all ranks have the same length here, and yet those of low rank learn richly, those
# of full rank lazily. A first layer of rank one hears one direction of the input. Unless that is
# the task's direction, it has to learn another. (If it is, rank one is lazy: exercise 1.)
#
# Read nothing into the dots beyond the theory they test: two linear layers, small weights, white
# inputs, and an average over tasks.

# %% [markdown]
# ## 3. Recurrent networks: less plain (6 min)
#
# The paper's networks are recurrent. Here are some of 100 units that decide which of two noisy
# inputs is stronger. The initial recurrent matrix has full rank, or only its largest singular
# direction, scaled to the same length.


# %%
class Network(nn.Module):
    """Rectified recurrent units without biases, and a readout at every time step."""

    def __init__(self, recurrent, n_inputs, n_outputs):
        super().__init__()
        n_units = len(recurrent)
        self.rnn = nn.RNN(n_inputs, n_units, nonlinearity="relu", bias=False)
        self.readout = nn.Linear(n_units, n_outputs, bias=False)
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(recurrent)

    def forward(self, x):
        """Return the outputs at every time step."""
        return self.readout(self.rnn(x)[0])


task = PerceptualDecision(baseline=0.5)


def learn_to_decide(rank, seed):
    """Train a network that begins with a rank; return what learning changed, and its loss."""
    generator = torch.Generator().manual_seed(seed)
    recurrent = torch.randn(100, 100, generator=generator) * 1.25 / 10
    init.low_rank_(recurrent, rank)  # keeps the Frobenius norm, the length
    torch.manual_seed(seed)
    model = Network(recurrent, task.n_inputs, task.n_outputs)
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    losses = []
    for _ in range(RECURRENT_STEPS):
        trials = task.sample(32, generator=generator)
        optimizer.zero_grad()
        loss = cross_entropy(
            model(trials.inputs).flatten(0, 1), trials.targets.flatten()
        )
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    probes = task.sample(16, generator=generator).inputs
    every_step = regime(model, before, model, probes, output=lambda out: out)
    return every_step, np.mean(losses[-200:])


# %% tags=["trained"] alt="Kernel alignment of recurrent networks after learning, one dot per seed, for initial matrices of rank one and of full rank. Rank one lies lower on the whole, with much spread between seeds."
decided = {}
for rank in (1, 100):
    decided[rank] = [learn_to_decide(rank, seed) for seed in range(N_SEEDS)]
    kernels = [one.kernel_alignment for one, _ in decided[rank]]
    print(
        f"rank {rank:>3}: kernel alignment {np.mean(kernels):.2f},"
        f" from {min(kernels):.2f} to {max(kernels):.2f};"
        f" final loss {np.mean([loss for _, loss in decided[rank]]):.3f}"
    )
with plots.style():
    figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
for place, results in enumerate(decided.values()):
    kernels = [one.kernel_alignment for one, _ in results]
    ax.plot(kernels, [place] * len(kernels), "o", color="0.15", markersize=8, alpha=0.6)
ax.set(yticks=(0, 1), yticklabels=("rank one", "full rank"), ylim=(-0.5, 1.5))
ax.set(xlabel="kernel alignment: rich towards 0, lazy towards 1", xlim=(0, 1))
plt.show()

# %% [markdown]
# Rank one learns more richly on the whole, and the losses are alike. But seeds differ by as much as
# the ranks do: three are too few to tell. daleml's own measurement with 36 seeds
# ([claims 5c to 5e](../docs/claims.md)) finds the kernel alignment 0.37 lower at rank one; whether
# representations differ as much as expected it cannot tell. There is a second reason for care. A
# matrix of rank one and the same length has a larger gain than one of full rank, and gain by
# itself changes how a network learns (exercise 4).

# %% [markdown]
# ## 4. The rank of real wiring (7 min)
#
# How many directions has a brain? That depends on what is counted. The *effective rank* spreads
# singular values out as if they were probabilities, $\exp(-\sum_i p_i \ln p_i)$ with
# $p_i = \sigma_i / \sum_j \sigma_j$; the participation ratio of section 2 weighs large ones more.

# %% alt="Singular values by rank, scaled to the largest, of a column-EI circuit, a recurrent DANN, the worm and the fly. The column-EI circuit, the worm and the fly have a few values far above the rest."
worm, fly = celegans().graph(), fly_visual().graph()
matrices = {
    "worm, counts": nx.to_numpy_array(worm, weight="weight").T,
    "fly, signed": (nx.to_numpy_array(fly) * nx.to_numpy_array(fly, weight="sign")).T,
}
torch.manual_seed(0)
shuffle = np.random.default_rng(0).permutation
spectra = {
    "random": spectrum(torch.randn(302, 302)),
    "column EI": spectrum(EIRNN(3, Populations.split(302))),
    "recurrent DANN": spectrum(DANNRNN(3, 302)),
}
for name, matrix in matrices.items():
    spectra[name] = spectrum(matrix)
    spectra[f"{name}, shuffled"] = spectrum(
        shuffle(matrix.ravel()).reshape(matrix.shape)
    )
for name, one in spectra.items():
    n_units = one.shape[0]
    print(
        f"{name:>22}: effective rank {one.effective_rank / n_units:.2f},"
        f" participation ratio {one.participation_ratio / n_units:.2f} of {n_units} units"
    )
with plots.style():
    figure, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
    drawn = ("column EI", "recurrent DANN", "worm, counts", "fly, signed")
    plots.spectrum({name: spectra[name] for name in drawn}, ax)

# %% [markdown]
# Two measures, two answers. A random matrix and a recurrent DANN are high in both (the curve of the
# first would lie on that of the second). A column-EI circuit is fairly high in the first, and
# lowest of all in the second, since one large singular value, the common drive of all excitatory
# units, stands far above the others. Both connectomes, too, are lower than what is left when the
# same strengths are put at random places: how they are wired lowers their rank, beyond how their
# strengths are distributed.
#
# It is tempting to go on: "low rank, so brains learn richly". The data do not carry that. What rank
# does was shown for the beginning of learning, in small trained networks; a connectome is a network
# after learning, and one of several sizes and kinds of units. And the worm's counts have no
# inhibitory signs here, which a learning circuit would have.

# %% [markdown]
# ## 5. From weights to the learning rule (8 min)
#
# Now the reverse. Under mirror descent (tutorial 5) each example adds a small term to the dual
# coordinate $\nabla\phi(w)$ of every weight. If there are far more weights than examples, the sum
# of these terms is nearly normal over the weights, whatever the task (Pogodin et al. 2024):
#
# $$ \nabla\phi(w_\text{after}) - \nabla\phi(w_\text{before}) \approx \text{normal} . $$
#
# In the dual of any *other* potential it is not. So: learn 100 labels with 10,000 weights under
# three potentials, and ask of each pair of weights in whose dual the change is normal.


# %%
RULES = {"EG": NegativeEntropy(), "gradient descent": Euclidean(), "3-norm": PNorm(3)}


def learn_labels(potential, n_weights=10_000, lognormal=False, seed=0):
    """Learn as many labels as the root of the number of weights; return these before and after."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(n_weights, generator=generator)
    if lognormal:
        start = start.sign() * (0.6 * torch.randn(n_weights, generator=generator)).exp()
    start /= n_weights**0.5
    n_labels = round(n_weights**0.5)
    inputs = torch.randn(n_labels, n_weights, generator=generator)
    labels = torch.randn(n_labels, generator=generator).sign()
    # A rate for each potential: one over the largest curvature in its dual.
    point = start.clone().requires_grad_()
    slope = torch.autograd.grad(potential.gradient(point).sum(), point)[0]
    curvature = torch.linalg.eigvalsh((inputs / slope) @ inputs.T / n_labels)[-1]
    weight = nn.Parameter(start.clone())
    optimizer = MirrorDescent([weight], 1 / curvature.item(), potential, momentum=0.9)
    for _ in range(300):
        optimizer.zero_grad()
        loss = mse_loss(inputs @ weight, labels)
        loss.div(2).backward()
        optimizer.step()
        if loss.item() < 1e-3:
            break
    return start, weight.detach()


# %% alt="Three panels, for weights learned by EG, by gradient descent and under the 3-norm: distance from normal of the change in five duals, with the range that chance allows. Each time only the potential of learning lies within chance."
pairs = {name: learn_labels(potential) for name, potential in RULES.items()}
inferred = {name: infer_geometry(*pair) for name, pair in pairs.items()}
for name, one in inferred.items():
    print(textwrap.fill(f"{name}: {one.conclusion()}", 95))
with plots.style():
    figure, axes = plt.subplots(3, 1, figsize=(6.5, 9.5), layout="constrained")
    for ax, (name, one) in zip(axes, inferred.items(), strict=True):
        plots.geometry(one, ax).set_title(f"learned by {name}")

# %% [markdown]
# Each row is a candidate. The dot is the distance of the change in its dual from a normal
# distribution; the grey bar is what as many normal numbers would show by chance. Each time, only
# the potential that the weights were learned under lies within chance. Filled dots cannot
# be told from the best; here there is only one in each panel.
#
# What does "not normal" look like? The next figure draws, for the weights learned by EG, the
# cumulative distribution of the standardised change less the normal one.

# %% alt="Cumulative distribution less the normal one of the change in five duals. For the negative entropy the curve stays within the grey band about zero; the others swing away from it, the farther the larger their p." slide="What the change says of the rule. Weights learned by EG: in the dual of the negative entropy their change is normal, in others it is not."
with plots.style():
    plots.normality(inferred["EG"])

# %% [markdown]
# For the negative entropy the curve stays within what chance allows. The others fall below zero on
# the left and rise above it on the right: their changes crowd about zero, and a few are very large.

# %% [markdown]
# ## 6. How many synapses does it take? (5 min)
#
# Few numbers look normal whatever they are. We repeat the experiment with fewer weights.

# %% alt="Distance from normal against the number of weights, from 100 to 10,000, for EG and for gradient descent. In the matched dual it falls along the sampling floor; in another dual it stays up. At 100 weights the two lie together."
COUNTS = (100, 300, 1000, 3000, 10_000)
by_count = {}
for name in ("EG", "gradient descent"):
    for n_weights in COUNTS:
        one = infer_geometry(*learn_labels(RULES[name], n_weights), n_boot=50)
        by_count[name, n_weights] = one
        tied = ", ".join(sorted(change.label for change in one.tied))
        print(f"{name} with {n_weights:,} weights: {tied}")
with plots.style():
    figure, axes = plt.subplots(
        1, 2, figsize=(7.5, 3.4), sharey=True, layout="constrained"
    )
for ax, name in zip(axes, ("EG", "gradient descent"), strict=True):
    for label, line in (("NegativeEntropy", "o-"), ("Euclidean", "s--")):
        rows = [by_count[name, n].table().set_index("potential") for n in COUNTS]
        ax.loglog(COUNTS, [row.distance[label] for row in rows], line, label=label)
    ax.loglog(
        COUNTS, [row.floor.iloc[0] for row in rows], ":", color="0.4", label="chance"
    )
    ax.set(title=f"learned by {name}", xlabel="number of weights")
axes[0].set_ylabel("distance from normal")
axes[0].legend(loc="lower left")
plt.show()

# %% [markdown]
# The printed lines name every candidate that cannot be told from the best: three or four with 100
# weights, one with 1,000 (another 1,000 may leave two: exercise 2). The dotted curve is the
# *sampling floor*, what normal numbers would show on average. In the right dual the distance falls
# along it, in the wrong one it does not.

# %% [markdown]
# ## 7. What the weights cannot tell (8 min)
#
# **Without the weights before, little.** Start both rules from log-normal weights and look at the
# weights afterwards, as one does with a brain.

# %% alt="Cumulative distributions of standardised logarithms of weights before learning, after EG and after gradient descent. All three lie near the log-normal curve; gradient descent leaves it a little."
afterwards = {}
for name in ("EG", "gradient descent"):
    before, after = learn_labels(RULES[name], lognormal=True)
    afterwards[f"after {name}"] = fit_weights(after.abs())
afterwards = {"before": fit_weights(before.abs())} | afterwards
for name, fit in afterwards.items():
    print(f"{name}: KS distance from log-normal {fit.ks_distance():.3f}")
with plots.style():
    plots.shapes(afterwards)

# %% [markdown]
# After EG the weights are log-normal because they were before: the two curves lie on each other.
# After gradient descent they are nearly so. In a brain, of which we have 200 synapses and no
# weights before, chance could explain that gap; we would have called the weights log-normal, and
# might have concluded "EG". A distribution does not name a rule.
#
# **In a network that learned a task well, the theory's conditions fail.** It needs weights that
# change little, and far more of them than examples. Two networks that learn digits, from log-normal
# magnitudes:

# %% tags=["trained"]
data = digits()
trained = {}
for name, rule, lr in (("EG", EG, 0.3), ("gradient descent", torch.optim.SGD, 0.1)):
    generator = torch.Generator().manual_seed(0)
    layers = [
        nn.Linear(*size, bias=False) for size in ((64, 100), (100, 100), (100, 10))
    ]
    for layer in layers:
        weight = layer.weight.data
        init.lognormal_(weight, 1.18 / layer.in_features**0.5, 1.5, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, weight.shape, generator=generator) - 1)
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    before = model[2].weight.detach().clone()
    batches = Shuffled(data.train_x.double(), data.train_y, batch_size=64, seed=0)
    optimizer = rule(model.parameters(), lr=lr, momentum=0.9)
    options = {"trackers": {}, "clip_norm": 2.0, "progress": False}
    train(model, batches, optimizer, cross_entropy, epochs=DIGIT_EPOCHS, **options)
    one = trained[name] = infer_geometry(before, model[2].weight.detach())
    own = one.table().set_index("potential").loc[RULES[name].__class__.__name__]
    print(
        f"{name}: {own.distance:.3f} from normal in its own dual,"
        f" {own.distance / own.floor_upper:.0f} times what chance allows;"
        f" weights changed by {own.relative_change:.0%} of their length there"
    )

# %% [markdown]
# Neither is near normal in its own dual, and `conclusion()` says that none of the candidates fits.
# It is better that a method says so than that it names the least bad candidate.
#
# **Errors of measurement have a geometry, too.** Errors that are added to every weight are normal
# in the dual of gradient descent; errors in proportion to the weight are nearly so in that of EG.
# Mixed with what learning changed, they mislead. Exercise 3 shows how little of them is enough.

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the exception
#
# A first layer of rank one that already hears the task's direction should stay lazy. Build it for
# one task and compare its kernel alignment with that of rank one in section 2. How much of the
# difference is due to the second layer, which you had to change as well?
#
# <details><summary>Hint</summary>
#
# For a unit vector $u$ and a task $\beta$ the first layer is $0.1\, u \beta^\top$ (`torch.outer`).
# The second layer must read what the first one says: let it begin with $0.1\, u$. Then take a
# first layer that hears a random direction, with this second layer.
#
# </details>

# %% tags=["solution"]
generator = torch.Generator().manual_seed(1)
wanted, unit, other = (random_task(generator) for _ in range(3))
second = 0.1 * unit[None]
aligned = linear_alignment(0.1 * torch.outer(unit, wanted), second, wanted, generator)
turned = linear_alignment(0.1 * torch.outer(unit, other), second, wanted, generator)
print(
    f"kernel alignment: {aligned:.3f} aligned, {measured[0]:.3f} in section 2;"
    f" {turned:.3f} with a random direction and this second layer"
)
assert aligned > 0.99
assert measured[0] < 0.3
assert (
    measured[0] < turned < aligned
)  # most of the difference: a larger scale is lazy, too

# %% [markdown]
# ### Exercise 2: a sample of synapses
#
# Nobody measures all synapses. From `pairs["EG"]` give `infer_geometry` random samples of 50, 200,
# 1,000 and 4,000 of the 10,000 synapses, five samples of each size. How often is the answer the
# negative entropy alone? Is it ever another one alone?
#
# <details><summary>Hint</summary>
#
# The same synapses before and after: `which = torch.randperm(10_000, generator=...)[:n]`. Look at
# `result.tied`: it is an answer if it holds one potential and `result.fits`.
#
# </details>

# %% tags=["solution"]
generator = torch.Generator().manual_seed(0)
before, after = pairs["EG"]
found_alone = {}
for n_synapses in (50, 200, 1000, 4000):
    answers = []
    for _ in range(5):
        which = torch.randperm(10_000, generator=generator)[:n_synapses]
        one = infer_geometry(before[which], after[which], n_boot=50)
        if one.fits and len(one.tied) == 1:
            answers.append(one.best.label)
    found_alone[n_synapses] = answers
    print(f"{n_synapses:>5} synapses: an answer in {len(answers)} of 5 samples")
assert not found_alone[50]
assert found_alone[4000] == ["NegativeEntropy"] * 5
assert all(
    label == "NegativeEntropy" for some in found_alone.values() for label in some
)

# %% [markdown]
# ### Exercise 3: a microscope with errors
#
# Take weights learned by EG from log-normal ones, and add to every weight, before and after, an
# independent normal error: of 3 %, 10 % or 30 % of the standard deviation of the weights. What does
# `infer_geometry` conclude? Then let the error be in proportion to each weight, and take weights
# learned by gradient descent.
#
# <details><summary>Hint</summary>
#
# `learn_labels(RULES["EG"], lognormal=True)`. Errors of 30 % of the spread sound large; compare
# them with how much learning changed the weights.
#
# </details>

# %% tags=["solution"]
generator = torch.Generator().manual_seed(9)
before, after = learn_labels(RULES["EG"], lognormal=True)
print(f"learning changed the weights by {(after - before).norm() / before.norm():.0%}")
for error in (0.0, 0.03, 0.1, 0.3):
    seen = [
        weight + error * before.std() * torch.randn(10_000, generator=generator)
        for weight in (before, after)
    ]
    misled = infer_geometry(*seen, n_boot=50)
    print(textwrap.fill(f"added error of {error:.0%}: {misled.conclusion()}", 95))
assert misled.best.label == "Euclidean"
assert misled.fits  # a confident answer, and a wrong one
before, after = learn_labels(RULES["gradient descent"], lognormal=True)
for error in (0.01, 0.1):
    seen = [
        weight * (1 + error * torch.randn(10_000, generator=generator))
        for weight in (before, after)
    ]
    proportional = infer_geometry(*seen, n_boot=50)
    print(textwrap.fill(f"{error:.0%} of each weight: {proportional.conclusion()}", 95))
assert not proportional.fits

# %% [markdown]
# ### Exercise 4: rank or gain? (open)
#
# In section 3 the matrix of rank one has the length of the full one, and so a larger largest
# singular value. Match the largest singular value instead. Is rank one still richer? How many seeds
# would you need to be sure?
#
# <details><summary>Hint</summary>
#
# Write a variant of `learn_to_decide` that divides the low-rank matrix by its largest singular
# value, `torch.linalg.matrix_norm(matrix, ord=2)`, and multiplies it by that of the full one. For
# the number of seeds compare the spread between seeds with the difference that you care about.
#
# </details>

# %% tags=["trained", "solution"]


def decide_with_gain(rank, seed):
    """As `learn_to_decide`, with the largest singular value of the full matrix."""
    generator = torch.Generator().manual_seed(seed)
    recurrent = torch.randn(100, 100, generator=generator) * 1.25 / 10
    largest = torch.linalg.matrix_norm(recurrent, ord=2)
    init.low_rank_(recurrent, rank)
    recurrent *= largest / torch.linalg.matrix_norm(recurrent, ord=2)
    torch.manual_seed(seed)
    model = Network(recurrent, task.n_inputs, task.n_outputs)
    gain = torch.linalg.matrix_norm(model.rnn.weight_hh_l0.detach(), ord=2)
    before = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    for _ in range(RECURRENT_STEPS):
        trials = task.sample(32, generator=generator)
        optimizer.zero_grad()
        cross_entropy(
            model(trials.inputs).flatten(0, 1), trials.targets.flatten()
        ).backward()
        optimizer.step()
    probes = task.sample(16, generator=generator).inputs
    found = regime(model, before, model, probes, output=lambda out: out)
    return gain.item(), largest.item(), found.kernel_alignment


gain, largest, matched = decide_with_gain(1, seed=0)
by_length = decided[1][0][0].kernel_alignment
print(
    f"largest singular value {gain:.2f} and {largest:.2f}; kernel alignment of rank one"
    f" {matched:.2f}, matched by length {by_length:.2f}"
)
assert abs(gain - largest) < 1e-9
assert matched > by_length  # for this seed: gain was a part of the effect

# %% [markdown]
# ## What this showed
#
# - Small initial weights, and initial weights of low rank, make learning rich: representations and
#   tangent kernels turn. In two linear layers the effect of rank follows a formula; in recurrent
#   networks it is entangled with gain, and seeds differ much.
# - Weights before and after learning name the potential of the rule, if there are thousands of
#   them, they changed little, and errors of measurement are much smaller than the changes.
#
# What stays unknown: which potential a brain learns under. It would take the same thousands of
# synapses twice, with errors smaller than what learning changed in between.

# %% tags=["trained", "claim"]
kernel = {scale: regimes[f"scale {scale:g}"].kernel_alignment for scale in SCALES}
assert kernel[0.03] < 0.6
assert kernel[1.0] > 0.9
assert max(abs(np.subtract(measured, expected))) < 0.05
for name, potential in RULES.items():
    one = inferred[name]
    assert one.fits
    assert one.tied == (one.best,)
    assert one.best.potential == potential
    assert one.best.distance < one.best.floor.upper
assert len(by_count["EG", 100].tied) > 1
assert not any(one.fits for one in trained.values())
one = inferred["EG"]
print(
    textwrap.fill(
        f"Kernel alignment was {kernel[0.03]:.2f} from small weights and {kernel[1.0]:.2f} from"
        f" large ones; of 10,000 weights each of {len(RULES)} learning rules was found, EG at"
        f" {one.best.distance:.3f} from normal, the next at {one.changes[1].distance:.3f};"
        f" of 100 weights, {len(by_count['EG', 100].tied)} candidates remained.",
        95,
    )
)

# %% [markdown]
# ## Further reading
#
# - Y. H. Liu, A. Baratin, J. Cornford, S. Mihalas, E. Shea-Brown, G. Lajoie (2024). How
#   connectivity structure shapes rich and lazy learning in neural circuits. *ICLR*.
# - R. Pogodin, J. Cornford, A. Ghosh, G. Gidel, G. Lajoie, B. Richards (2024). Synaptic weight
#   distributions depend on the geometry of plasticity. *ICLR*.
# - A. Jacot, F. Gabriel, C. Hongler (2018). Neural tangent kernel: convergence and generalization
#   in neural networks. *NeurIPS*.
# - [The founding claims, measured again](../docs/claims.md): 4a to 4e and 5a to 5e.
