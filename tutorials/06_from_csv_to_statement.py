# %% [markdown]
# # From a CSV to a defensible statement
#
# You have a table of synapses and want to write one sentence about them that will still be true
# next year. Here a table is made from a known truth, so that each way to go wrong can be seen:
# first the wrong answer, then what went wrong, then the right one. The last section turns the
# results into a figure, a Methods paragraph and a list of what may be said.
#
# | | |
# | --- | --- |
# | **Goals** | Say how a column was recorded, and fit it so. Compare groups without counting synapses of one animal as independent. Read a goodness of fit, and know how often a verdict is wrong. |
# | **Prerequisites** | No earlier tutorial. Mathematics: logarithm, standard error, p-value. |
# | **Minutes** | Reading 60, exercises 45. All cells together run in about 20 seconds. |

# %%
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd

from daleml.analysis import (
    compare_families,
    compare_groups,
    fit_weights,
    plots,
)
from daleml.datasets import celegans, read_synapses

NULL_SEEDS = 200  # tables in which nothing differs
POWER_SEEDS = 60  # experiments of each design, in the last exercise

folder = Path("tutorial_06")
folder.mkdir(exist_ok=True)

# %% [markdown]
# ## 1. A table, and a first look (8 min)
#
# The table has 1,200 synapses from 8 mice. One synapse in five is inhibitory. Sizes are
# log-normal: $\ln s$ is normal, with the mean $\mu = -2$ and the standard deviation 0.9 for E
# synapses, and $\mu = -1$ and 0.5 for I synapses. Mice differ a little (0.25 in $\ln s$). Four
# mice got a drug, and **the drug does nothing**.
#
# Four instruments recorded the same sizes, each in its own way.

# %%
rng = np.random.default_rng(30)
mouse = np.repeat(np.arange(8), 150)
inhibits = rng.random(1200) < 0.2
log_size = np.where(inhibits, rng.normal(-1, 0.5, 1200), rng.normal(-2, 0.9, 1200))
size = np.exp(log_size + rng.normal(0, 0.25, 8)[mouse])  # nobody sees these numbers
volume = (0.5 * size).round(4)
written = pd.DataFrame(
    {
        "mouse": [f"m{one + 1}" for one in mouse],
        "treatment": np.where(mouse < 4, "control", "drug"),
        "type": np.where(inhibits, "I", "E"),
        "area_um2": size.round(1),  # one decimal
        "volume_um3": np.where(volume > 0.05, volume, np.nan),  # small ones were missed
        "current_pa": np.minimum(200 * size, 100).round(3),  # the amplifier saturates
        "vesicles": (20 * size).round().astype(int),  # whole numbers
    }
)
written.to_csv(folder / "synapses.csv", index=False)
lines = (folder / "synapses.csv").read_text().splitlines()
print("\n".join(lines[:7]))

# %% [markdown]
# From here on we are the experimenter, who has the file only. `read_synapses` reads it, and
# takes what the file does not say: units, and below which size nothing could be seen.

# %%
synapses = read_synapses(
    folder / "synapses.csv",
    units={"area_um2": "µm²", "volume_um3": "µm³", "current_pa": "pA"},
    thresholds={"volume_um3": 0.05},
)
print(fill(str(synapses), 88))

# %% [markdown]
# Look before you fit. Sizes of synapses are positive and spread over a factor of a hundred, so
# the axis is logarithmic.

# %% alt="Four histograms of excitatory synapses on logarithmic axes. Area is a comb of a few bars. Volume begins at a sharp edge at 0.05. Current ends in a tall bar at 100 pA. Vesicle counts are separate bars, 1, 2, 3 and so on."
columns = {
    "area_um2": "area (µm²)",
    "volume_um3": "volume (µm³)",
    "current_pa": "current (pA)",
    "vesicles": "vesicles",
}
with plots.style():
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.6), layout="constrained")
    for ax, (column, label) in zip(axes, columns.items(), strict=True):
        values = synapses.values(column, type="E")
        values = values[values > 0]
        # Steps of equal width on a logarithmic axis.
        bins = np.geomspace(values.min(), values.max(), 51)
        ax.hist(values, bins, color="0.4", edgecolor="0.1", linewidth=0.5)
        ax.set(xscale="log", xlabel=label, ylabel="E synapses" if ax is axes[0] else "")
        ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Each panel has a mark of its instrument. The area is a comb: it was rounded. The volume begins
# at an edge: smaller ones are not in the table. The current ends in a pile: larger ones were
# written down as 100. The vesicles are whole numbers. None of these marks is biology, and a fit
# that does not know of them takes them for biology.
#
# What would we find if nothing had been lost? Only here can we know:

# %%
exact = fit_weights(size[~inhibits], "lognormal")
print(exact.parameters_text())

# %% [markdown]
# These are the numbers to find again: $\mu = -1.872$ and $\sigma = 0.944$. They are not exactly
# $-2$ and $0.9$: this is one sample, and mice differ. We compare $\sigma$, which has no unit and
# should be the same in all four columns.

# %% [markdown]
# ## 2. Rounded values (6 min)
#
# The wrong answer first: take the numbers for exact. Zeros are left out, as they must be, since
# $\ln 0$ is not finite.

# %%
area = synapses.values("area_um2", type="E")
area_wrong = fit_weights(area, "lognormal")
print(fill(str(area_wrong), 88))

# %% [markdown]
# $\sigma = 0.73$ is off by twelve standard errors. The fit itself says why, in the note: the
# values are rounded. A value of 0.1 stands for everything between 0.05 and 0.15. So its
# likelihood is not the density at 0.1 but the probability of that interval,
#
# $$ L_i = F(w_i + \tfrac{\Delta}{2}) - F(w_i - \tfrac{\Delta}{2}) , \qquad \Delta = 0.1 . $$
#
# The zeros are small synapses here, and no missing ones: an area below 0.05 µm² was written as
# 0.0. With `zeros="censored"` they count as "smaller than 0.05".

# %%
area_right = fit_weights(area, "lognormal", resolution=0.1, zeros="censored")
print(fill(str(area_right), 88))

# %% [markdown]
# Without `zeros="censored"` the fit is right too, with larger errors: it is then one of values
# that can be seen from 0.05 on. Use it when a zero may also mean "no synapse there".

# %% [markdown]
# ## 3. Truncated and censored values (10 min)
#
# Two words that are often confused. A value is **truncated** if it is not in the table at all:
# nobody knows how many there were. A value is **censored** if it is in the table, but all that is
# known is that it lies beyond some number.
#
# The volumes are truncated. The microscope missed what is below 0.05 µm³.

# %%
seen = synapses.values("volume_um3", type="E")
volume_wrong = fit_weights(seen, "lognormal")
volume_right = fit_weights(seen, "lognormal", truncation=(0.05, None))
print(f"{len(seen)} of {len(area)} E synapses were seen")
print("as if all were seen:", volume_wrong.parameters_text())
print("seen above 0.05:    ", volume_right.parameters_text())

# %% [markdown]
# With the truncation, every density is divided by the probability to be seen,
# $f(w) / P(W > 0.05)$. The answer is right and its errors are more than three times as large. They
# should be: a third of the synapses is missing.

# %% alt="Two histograms of the same volumes on a logarithmic axis, each with a fitted log-normal density. Left, the curve rises from zero before the data begin and misses the edge. Right, everything below 0.05 is shaded and the curve follows the falling histogram." slide="Truncation. What the microscope misses is not in the table, and a fit that does not know this finds too little spread."
with plots.style():
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    plots.fit(volume_wrong, axes[0], xlabel="volume", unit="um^3")
    axes[0].set_title("as if all were seen", loc="left")
    plots.fit(volume_right, axes[1], xlabel="volume", unit="um^3")
    axes[1].set_title("seen above 0.05 µm³ only", loc="left")

# %% [markdown]
# On the left, the curve puts probability below 0.05, where nothing can be, and lies too low just
# above. On the right, nothing is compared in the shaded part. Do not read the shaded part as
# data: what the curve says of it is an extrapolation, and only as good as the family.
#
# The currents are censored. 100 pA means "100 or more".

# %%
current = synapses.values("current_pa", type="E")
current_wrong = fit_weights(current, "lognormal")
current_right = fit_weights(current, "lognormal", censoring=(None, 100))
print(f"{(current == 100).sum()} of {len(current)} currents are 100 pA")
print("as if exact:    ", current_wrong.parameters_text())
print("thrown away:    ", fit_weights(current[current < 100]).parameters_text())
print("100 is 'or more':", current_right.parameters_text())

# %% [markdown]
# To throw the saturated values away is worse than to keep them: it removes the largest synapses.

# %% [markdown]
# ## 4. Counts (6 min)
#
# The wrong answer looks excellent. Five families are compared; the table is sorted by AICc (twice
# the negative log-likelihood, with a price for each parameter), and `delta` says how far each
# family lies behind.

# %%
vesicles = synapses.values("vesicles", type="E")
rivals = ("lognormal", "inversegaussian", "gamma", "weibull", "exponential")
counts_wrong = compare_families(vesicles, rivals)
shown = ["family", "delta", "p_as_good", "parameters"]
print(counts_wrong.text_table()[shown].to_string(index=False, float_format="%.3g"))
print(fill(counts_wrong.conclusion(), 88))

# %% [markdown]
# The log-normal, from which the sizes were drawn, is excluded, with a difference that a referee
# would accept. But the density of a continuous variable at exactly 3 is not the probability to
# count 3. With `discrete=True` a count $k$ stands for all that is rounded to it, and it is known
# that a count of 0 is not among the fitted values.

# %%
counts = compare_families(vesicles, rivals, discrete=True)
print(counts.text_table()[shown].to_string(index=False, float_format="%.3g"))
print(fill(counts.conclusion(), 88))

# %% [markdown]
# Now two families share the first place, and the sentence says that the sample is too small to
# tell them apart. That is the honest answer. A rank is not a result; `conclusion()` is.
#
# Sections 2 to 4 in one figure:

# %% alt="Estimates of sigma from the four columns with 95 percent intervals. The four that ignore the recording, open squares, lie between 0.65 and 0.87, left of the dashed line at 0.94. The four that state it, filled circles, have intervals that contain the line." slide="One truth, four instruments. If the recording is stated, each fit finds the same spread; if it is ignored, each finds another."
estimates = {
    "area, rounded": (area_wrong, area_right),
    "volume, truncated": (volume_wrong, volume_right),
    "current, censored": (current_wrong, current_right),
    "vesicles, counted": (counts_wrong["lognormal"], counts["lognormal"]),
}
looks = {
    "recording ignored": ("s", "white", -0.12),
    "recording stated": ("o", "0.1", 0.12),
}
with plots.style():
    figure, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
    ax.axvline(exact.params["sigma"], color="0.4", linestyle="--", label="nothing lost")
    for place, (name, (marker, face, shift)) in enumerate(looks.items()):
        sigmas = [pair[place].params["sigma"] for pair in estimates.values()]
        errors = [1.96 * pair[place].stderr["sigma"] for pair in estimates.values()]
        rows = np.arange(len(estimates)) + shift
        ax.errorbar(
            sigmas, rows, xerr=errors, fmt=marker, color="0.1", mfc=face, label=name
        )
    ax.set_yticks(range(len(estimates)), list(estimates))
    ax.set(xlabel="σ of ln size (no unit), with 95 % interval", xlim=(0.5, 1.1))
    ax.invert_yaxis()
    ax.legend(frameon=False, bbox_to_anchor=(1, 1))
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# Every estimate that ignores the recording is too small, and its interval is narrow: an interval
# speaks of chance, and never of a wrong assumption.

# %% [markdown]
# ## 5. E and I apart, and what a goodness of fit can say (8 min)
#
# The wrong answer first: all synapses in one fit.

# %%
three = ("lognormal", "gamma", "weibull")
everything = synapses.values("volume_um3")
pooled = compare_families(everything, three, truncation=(0.05, None), gof=99)
shown = ["family", "delta", "p_as_good", "p_fits"]
print(pooled.text_table()[shown].to_string(index=False, float_format="%.3g"))
print(fill(pooled.conclusion(), 88))

# %% [markdown]
# The Weibull fits so well that nothing speaks against it, and the log-normal is rejected. Yet every
# synapse was drawn from a log-normal: one of two. Mixed, they look like a Weibull. A **goodness of
# fit** draws samples from the fitted family, fits each, and counts how many lie as far from their
# own fit as the data do. A large p-value says "no misfit was found". It cannot say "this is the law".
#
# The least p-value that 99 samples can give is $1/100$: the fraction has a floor. So the table says
# `< 0.02` where only one of them lay as far. To claim less, draw more samples: `gof=999`.
#
# Never pool what you can separate. Here is the same column by type:

# %%
types = compare_groups(
    synapses.table["volume_um3"],
    synapses.table["type"],
    three,
    within=synapses.table["mouse"],
    truncation=(0.05, None),
    drop_missing=True,
)
print(types.text_table().to_string(index=False))
print(fill(types.conclusion(), 88))

# %% alt="Two densities above each other on one logarithmic axis of volume, from 0.05 to 2 cubic micrometres. Excitatory synapses, above, are most frequent at the smallest volumes that were seen; inhibitory ones, below, form a peak with a median near 0.2." slide="E and I apart. Pooled, the synapses look like one Weibull; apart, they are two populations."
with plots.style():
    figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
    plots.groups(types, ax, xlabel="volume", unit="um^3")

# %% [markdown]
# The conclusion has an **effect size** and its interval: the median of I is about twice that of E.
# Report it before the p-value: with enough synapses, a difference of no importance has a small
# p-value too. It is a ratio of what was *seen*. Small E synapses are missing from the table, so the
# true ratio is larger: here $e^{-1} / e^{-2} \approx 2.7$. And read the column `cannot_tell`: these
# samples do not say which family it is.

# %% [markdown]
# ## 6. Synapses of one animal are alike (8 min)
#
# Does the drug change the currents of E synapses? We know that it does not. The wrong answer
# takes 987 synapses for 987 independent observations.

# %%
rows = synapses.table[synapses.table["type"] == "E"]
recorded = {"families": "lognormal", "censoring": (None, 100)}
by_row = compare_groups(rows["current_pa"], rows["treatment"], **recorded)
print(fill(by_row.conclusion(), 88))

# %% [markdown]
# Significant, with an effect of 22 %, and wrong. Mice differ, whatever they are given, and all
# synapses of one mouse differ with it. The drug was given to mice, so the observations are mice:
# there are 8.

# %%
by_mouse = compare_groups(
    rows["current_pa"], rows["treatment"], within=rows["mouse"], **recorded
)
print(fill(by_mouse.caution(), 88))
print(fill(by_mouse.conclusion(), 88))

# %% alt="The median current of each of eight mice as a dot, four controls and four with the drug, with the group means as lines. The dots of both groups overlap: controls from 29 to 45 picoampere, drug from 16 to 48." slide="Nested data. The drug was given to 8 mice, so there are 8 observations and not 979."
medians = rows.groupby(["treatment", "mouse"])["current_pa"].median().reset_index()
print(medians.to_string(index=False, float_format="%.1f"))
with plots.style():
    figure, ax = plt.subplots(figsize=(4.4, 3.2), layout="constrained")
    for place, (_, group) in enumerate(medians.groupby("treatment")):
        ax.plot(place + np.linspace(-0.15, 0.15, 4), group["current_pa"], "ko", mfc="w")
        ax.hlines(group["current_pa"].mean(), place - 0.25, place + 0.25, color="0.1")
    ax.set_xticks([0, 1], ["control\n4 mice", "drug\n4 mice"])
    ax.set(ylabel="median current of a mouse (pA)", xlim=(-0.6, 1.6), ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# A dot is a mouse, a line the mean of four. The groups overlap as groups of four dots do. In
# section 5, `within` did something else: there each mouse has both E and I synapses, so types were
# compared within each mouse. The function finds out which case it is, and `caution()` says so.
#
# The same holds for the standard errors of sections 2 to 4. They are about these synapses. An
# error bar for "mice" needs mice.

# %% [markdown]
# ## 7. How often is such a verdict wrong? (5 min)
#
# A test at the 5 % level should say "differ" in 5 of 100 tables in which nothing differs. Count it:
# two hundred tables, each with 8 mice of 60 synapses, and no effect.


# %% tags=["trained"]
def experiment(seed, n_mice=8, n_synapses=60, effect=0.0):
    """Return the sizes of an experiment, the treatment of each synapse, and its mouse."""
    rng = np.random.default_rng(seed)
    mouse = np.repeat(np.arange(n_mice), n_synapses)
    treated = mouse >= n_mice // 2
    log_size = rng.normal(-2, 0.9, mouse.size) + rng.normal(0, 0.25, n_mice)[mouse]
    return np.exp(log_size + effect * treated), treated.astype(int), mouse


alarms = {"every row independent": 0, "within each mouse": 0}
for seed in range(NULL_SEEDS):
    sizes, treated, owner = experiment(seed)
    for name, within in zip(alarms, (None, owner), strict=True):
        verdict = compare_groups(sizes, treated, "lognormal", within=within).verdict
        alarms[name] += verdict.value == "differ"
rates = {name: count / NULL_SEEDS for name, count in alarms.items()}
for name, rate in rates.items():
    print(f"{name}: {rate:.1%} of tables without an effect 'differ'")

# %% tags=["trained"] alt="Two bars of false alarms with a dashed line at 5 percent. Rows taken as independent: about 30 percent. Within each mouse: about 4 percent." slide="How often wrong. If synapses count as independent, three tables in ten without an effect are called significant."
with plots.style():
    figure, ax = plt.subplots(figsize=(4.6, 2.6), layout="constrained")
    ax.barh(list(rates), [100 * rate for rate in rates.values()], color=["0.3", "0.7"])
    ax.axvline(5, color="0.1", linestyle="--", label="what was promised, 5 %")
    ax.invert_yaxis()
    ax.set(xlabel="tables without an effect that 'differ' (%)", xlim=(0, 50))
    ax.legend(frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# The page *How often verdicts are wrong* of the documentation has this number for every verdict of
# `daleml.analysis`, and how often each finds an effect that is there. It is worth a look before an
# experiment: with 2 and 2 animals no test at 5 % exists.

# %% [markdown]
# ## 8. Zeros are data too: a connectome (7 min)
#
# Enough of tables with a known truth. `celegans()` is the worm, 302 neurons, as the electron
# microscope found it. Strengths are counts of sections.

# %%
worm = celegans()
print(worm)
strengths = nx.to_numpy_array(worm.graph())  # a row for each sender
print(f"{(strengths > 0).sum():,} connections, {np.diag(strengths).sum():.0f} sections")

# %% [markdown]
# Most pairs of neurons have no connection. "How often are two neurons connected?" and "how strong
# is a connection?" are two questions, and a mean over all pairs answers neither. A **hurdle** model
# answers both: a probability $p$ that there is a connection, and a family for the strength of one.

# %%
pairs = strengths[~np.eye(len(strengths), dtype=bool)]
print(f"mean over all pairs: {pairs.mean():.2f} sections")
hurdle = fit_weights(pairs, "weibull", discrete=True, zeros="hurdle")
print(fill(str(hurdle), 88))
print(f"pairs {pairs.size:,}, connections of a neuron with itself: left out, ", end="")
print((np.diag(strengths) > 0).sum())

# %% [markdown]
# Why is $n$ smaller than the 3,638 connections of the table? A neuron is no pair with itself. The
# $302 \times 302$ matrix has 302 entries on its diagonal, and 34 of the connections lie there. They
# went with it: $3{,}638 - 34 = 3{,}604$. Whenever an $n$ changes between two sentences of a paper,
# say why.
#
# Are excitatory connections stronger than inhibitory ones? Half of the connections have a known
# sign. One neuron sends up to 27 of these, so neurons play the part of mice:

# %%
sign = worm.edges["sign"].map({1: "E", -1: "I"})
sections = worm.edges["weight"]
for name, within in {"rows": None, "neurons": worm.edges["source"]}.items():
    result = compare_groups(sections, sign, "gamma", discrete=True, within=within)
    print(fill(f"{name}: {result.conclusion()}", 88))
print(f"{result.n_unlabelled:,} connections of unknown sign were left out")

# %% [markdown]
# The same trap, in real data. Taken as independent rows, the two signs differ with the smallest
# p-value that 999 shuffles can show. Within senders, there is no evidence that they do.

# %% [markdown]
# ## 9. Into a paper (10 min)
#
# **The figure.** A journal's page is two columns wide. `plots.figure(..., width="double")` makes a
# figure of that width, 183 mm, with letters of the size of print; `width="single"` is one column.
# `unit=` writes the unit.

# %% alt="Left, a histogram of currents with the densities of three families, of which the log-normal follows it and the others lie to the right. Right, the fraction of currents at least as large as each value, on logarithmic axes, with the same three families: the log-normal lies on the data." slide="A figure for a paper. Data, families and tail, in the width of two columns."
published = compare_families(current, three, censoring=(None, 100), gof=99)
with plots.style():
    drawing, axes = plots.figure(2, width="double")
    plots.families(published, axes[0, 0], xlabel="current", unit="pA")
    plots.ccdf(published, axes[0, 1], xlabel="current", unit="pA")
drawing.savefig(folder / "currents.pdf")
drawing

# %% [markdown]
# The right panel is the one for tails: the fraction of currents that are at least as large as each.
# Whoever claims a heavy tail must show this panel.
#
# **The same without Python.** One line in a terminal reads the file, does what this tutorial does,
# and writes a page that can be sent to a colleague: type `daleml fit` and what follows. For a paper add
# `--gof 999`, which takes minutes.

# %%
command = """daleml fit tutorial_06/synapses.csv --column volume_um3 --by type
    --within mouse --truncate-below 0.05 --families lognormal,gamma,weibull
    --out tutorial_06/fit"""
plain = os.environ | {
    "FORCE_COLOR": "",
    "COLUMNS": "88",
}  # no colours, lines as wide as a cell
done = subprocess.run(
    [sys.executable, "-m", *shlex.split(command)],
    capture_output=True,
    text=True,
    check=True,
    env=plain,
)
print(done.stdout)

# %% [markdown]
# The page, `tutorial_06/fit/synapses-volume_um3-fit.html`, is read from the top: first the conclusion,
# then what was left out and why, then a section for each group with its figures, and last the command
# that makes the page again. The JSON file beside it has every number.
#
# **The Methods paragraph** stands on the page, and in the JSON file:

# %%
results = json.loads((folder / "fit" / "synapses-volume_um3-fit.json").read_text())
print(fill(results["methods"].split("Computed with")[0], 88))

# %% [markdown]
# It ends with the versions of the programs. What it cannot know is yours to add: where the tissue came
# from, why the threshold lies at 0.05 µm³, and which comparisons were planned before the data were seen.

# %% [markdown]
# **What may be said, and what may not:**
#
# | the results allow | they do not allow |
# | --- | --- |
# | "The log-normal had the lowest AICc of three families" | "Synapses are log-normal" |
# | "We found no misfit (p = 0.36, n = 870)" | "The Weibull is the right law" |
# | "We could not tell the families apart with this sample" | "Both families are equally good" |
# | "Medians of the volumes seen differed by a factor of 2.1 [1.7, 2.4]" | "I synapses are significantly larger", and no number |
# | "With 4 and 4 mice the ratio was 0.82 [0.45, 1.48]" | "The drug has no effect" |
# | "3,604 of 90,902 pairs of different neurons are connected" | "the mean strength is 0.23" |
#
# The fifth row is the one most often broken. An interval from half to one and a half does not show
# that nothing happens. It shows that 8 mice are too few to know.

# %% [markdown]
# ## Exercises
#
# ### Exercise 1: the wrong threshold
#
# Suppose you believe that volumes are seen from 0.02 µm³ on, or from 0.04, where the truth is 0.05.
# Which way does $\sigma$ go? What happens if you claim 0.06?
#
# <details><summary>Hint</summary>
#
# Call `fit_weights(seen, "lognormal", truncation=(bound, None))` in a loop over the bounds. For 0.06
# catch the `ValueError` and read it.
#
# </details>

# %% tags=["solution"]
spreads = []
for bound in (0.02, 0.04, 0.05):
    fitted = fit_weights(seen, "lognormal", truncation=(bound, None))
    spreads.append(fitted.params["sigma"])
    print(f"seen above {bound}: {fitted.parameters_text()}")
try:
    fit_weights(seen, "lognormal", truncation=(0.06, None))
except ValueError as problem:
    refused = str(problem)
    print(fill(refused, 88))
# A bound that is too low makes the missing small synapses look rare.
assert spreads == sorted(spreads)
assert "must lie within `truncation`" in refused

# %% [markdown]
# ### Exercise 2: how many synapses?
#
# Draw 50, 200, 1,000 and 5,000 values from a Weibull with the shape 0.9 and compare it with the
# log-normal and the gamma. From which size on is the log-normal excluded? And the gamma?
#
# <details><summary>Hint</summary>
#
# `np.random.default_rng(1).weibull(0.9, n)` draws; `compare_families(...)` has the attribute
# `cannot_tell`.
#
# </details>

# %% tags=["solution"]
told = {}
for n in (50, 200, 1000, 5000):
    drawn = np.random.default_rng(1).weibull(0.9, n)
    told[n] = compare_families(drawn, ("weibull", "lognormal", "gamma"))
    print(fill(told[n].conclusion(), 88))
assert "lognormal" in told[200].cannot_tell
assert "lognormal" not in told[1000].cannot_tell
assert "gamma" in told[5000].cannot_tell  # nearly the same curve: no sample will do

# %% [markdown]
# ### Exercise 3: two populations without labels
#
# Suppose the column `type` had been lost. Does a mixture of two log-normals, `"lognormal2"`, find
# the two populations in the volumes of section 5? What may you say?
#
# <details><summary>Hint</summary>
#
# `compare_families(everything, ("weibull", "lognormal2"), truncation=(0.05, None))`. Look at the
# standard errors of the mixture, and read the conclusion.
#
# </details>

# %% tags=["solution"]
mixed = compare_families(everything, ("weibull", "lognormal2"), truncation=(0.05, None))
mixture = mixed["lognormal2"]
print(fill(mixture.parameters_text(), 88))
print(fill(mixed.conclusion(), 88))
# The truth is among the two, and this sample cannot tell. A label is worth more than a family.
assert "lognormal2" in mixed.cannot_tell
assert mixture.stderr["share_1"] > 0.1

# %% [markdown]
# ### Exercise 4: more mice, or more synapses?
#
# A drug makes all synapses 1.5 times as large (`effect=0.4` in `experiment`). You can afford four
# times the work of 8 mice with 60 synapses each: 8 mice with 240, or 32 mice with 60. How often is
# the effect found by each of the three designs?
#
# <details><summary>Hint</summary>
#
# Count, over `POWER_SEEDS` seeds, how often
# `compare_groups(sizes, treated, "lognormal", within=owner).verdict.value` is `"differ"`.
#
# </details>

# %% tags=["solution", "trained"]
power = {}
for n_mice, n_synapses in ((8, 60), (8, 240), (32, 60)):
    found = 0
    for seed in range(POWER_SEEDS):
        sizes, treated, owner = experiment(seed, n_mice, n_synapses, effect=0.4)
        test = compare_groups(sizes, treated, "lognormal", within=owner)
        found += test.verdict.value == "differ"
    power[n_mice, n_synapses] = found / POWER_SEEDS
    rate = power[n_mice, n_synapses]
    print(f"{n_mice} mice of {n_synapses} synapses: effect found in {rate:.0%}")
assert power[8, 240] < power[8, 60] + 0.2  # more of the same mice tell little
assert power[32, 60] > 0.8

# %% [markdown]
# ### Exercise 5: a colleague's file
#
# A file has semicolons, decimal commas, a unit in the header and -9999 where nothing was measured.
# Write such a file, and read it with `read_synapses`. What does it find out by itself, and what do
# you have to tell it? Then do the same with a file of your own, and write three sentences about it:
# how it was recorded, what fits, and what you do not know.
#
# <details><summary>Hint</summary>
#
# Warnings are where `read_synapses` says what it assumed. Catch them with
# `warnings.catch_warnings(record=True)` and print them. `missing=` names cells without a value.
#
# </details>

# %% tags=["solution"]
import warnings

lines = ["souris;surface (µm²)"]
for k, value in enumerate(np.random.default_rng(0).lognormal(-2, 0.9, 400)):
    cell = "-9999" if k % 40 == 7 else f"{value:.3f}".replace(".", ",")
    lines.append(f"m{k // 50 + 1};{cell}")
(folder / "surfaces.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")

with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    colleague = read_synapses(folder / "surfaces.csv", missing=["-9999"])
for warning in said:
    print(warning.message)
surfaces = colleague.values("surface (µm²)")
fitted = fit_weights(surfaces, "lognormal", resolution=0.001, zeros="censored")
print(fill(str(fitted), 88))
assert len(surfaces) == 390
assert surfaces.max() < 10

# %% [markdown]
# ## What this showed

# %% tags=["claim", "trained"]
true_sigma = exact.params["sigma"]
for wrong, right in estimates.values():
    assert abs(right.params["sigma"] - true_sigma) < 2 * right.stderr["sigma"]
    assert abs(wrong.params["sigma"] - true_sigma) > 3 * wrong.stderr["sigma"]
assert (
    "lognormal" not in counts_wrong.cannot_tell
)  # counts as numbers: the truth excluded
assert counts.best.family == "lognormal"
assert pooled.best.family == "weibull"  # E and I pooled: a family that nobody drew from
assert pooled.p_fits > 0.05
assert by_row.verdict.value == "differ"
assert by_mouse.verdict.value == "cannot be told apart"
assert rates["every row independent"] > 0.15
assert rates["within each mouse"] < 0.1
assert hurdle.n == 3604
print(
    f"With their recording stated, four columns give sigma within two standard errors of"
    f" {true_sigma:.2f};\nwith it ignored, none within three. Of tables without an effect,"
    f" {rates['every row independent']:.0%} 'differ' by rows and"
    f" {rates['within each mouse']:.0%} by mice."
)

# %% [markdown]
# What stays wrong or unknown: the errors of a single fit still take synapses for independent. A
# threshold is rarely as sharp as 0.05. And a family that describes a sample is a description: it
# does not say which process made the synapses.
#
# ## Further reading
#
# - Next: *From a connectome to a trainable circuit* (08). How learning shapes distributions of weights
#   is the subject of 05 and 07. `daleml fit --help` lists every option, and
#   `help(daleml.analysis.Observation)` every way to record.
# - A. Clauset, C. R. Shalizi, M. E. J. Newman (2009). Power-law distributions in empirical data.
#   *SIAM Review*.
# - Q. H. Vuong (1989). Likelihood ratio tests for model selection and non-nested hypotheses.
#   *Econometrica*.
# - B. S. Fenyves, G. S. Szilágyi, Z. Vassy, C. Sőti, P. Csermely (2020). Synaptic polarity and
#   sign-balance prediction using gene expression data in the *Caenorhabditis elegans* chemical synapse
#   neuronal connectome network. *PLoS Computational Biology*.
