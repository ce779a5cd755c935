"""Laborieux & Zenke 2022: exact gradients from the oscillations of a network that settles."""

from __future__ import annotations

from daleml.reproductions.claim import (
    OURS,
    PAPER_DIRECTION,
    THE_PAPERS,
    Check,
    Claim,
    Paper,
)
from daleml.reproductions.papers.equilibrium_laborieux2022.experiments import (
    ACCURACIES,
    NOISY_TRAINING,
    NUDGE,
    POINTS,
)
from daleml.reproductions.papers.equilibrium_laborieux2022.gradient_claims import (
    EXACTNESS,
    LIMITS,
)
from daleml.reproductions.sweep import Panel, Sweep

_SWEEP = Sweep(
    name="nudge",
    title="Error of the gradient against the size of the nudge and the number of points.",
    caption=(
        "The networks of h1. With N points the error falls as the N-th power of the nudge,"
        " down to rounding; beyond the radius of convergence no number of points helps. An"
        " error of 1 includes gradients that were refused, the states not having settled."
    ),
    panels=(
        Panel(
            NUDGE,
            "betas",
            {f"N = {n}": f"error_{n}_at_{{x:g}}" for n in POINTS},
            "size of the nudge |β|",
            "relative error of the gradient",
            log_x=True,
            log_y=True,
        ),
        Panel(
            NUDGE,
            "points",
            {
                f"|β| = {beta:g}": f"error_{{x:g}}_at_{beta:g}"
                for beta in (0.05, 0.1, 0.2, 0.4, 0.8)
            },
            "number of points N",
            "relative error of the gradient",
            log_y=True,
        ),
    ),
)

PAPER = Paper(
    name="equilibrium",
    citation=(
        "A. Laborieux, F. Zenke (2022) Holomorphic equilibrium propagation computes exact"
        " gradients through finite size oscillations, NeurIPS"
    ),
    claims=(
        *EXACTNESS,
        Claim(
            id="h5",
            sentence=(
                "Under noise of .04 and at a learning rate of .2, training with one point"
                " and a nudge of .1 teaches nothing, and with ten points at .4 most digits are"
                " learnt; at the published rate of .05 the small nudge teaches digits too."
            ),
            source="Table 1, first part; the second is ours",
            experiment=NOISY_TRAINING,
            checks=(
                Check(
                    "accuracy_small",
                    "test accuracy, N = 1, |beta| = .1",
                    # Chance among ten digits is .1; the paper's networks end there.
                    at_most=0.2,
                    no_effect=1.0,
                    owner=OURS,
                ),
                Check(
                    "accuracy_holomorphic",
                    "test accuracy, N = 10, |beta| = .4",
                    at_least=0.5,
                    # Chance among ten digits.
                    no_effect=0.1,
                    owner=OURS,
                ),
                Check(
                    "rescue",
                    "accuracy gained by ten points at .4",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
                Check(
                    "accuracy_published_rate",
                    "test accuracy, N = 1, |beta| = .1, the paper's rate and batches",
                    at_least=0.3,
                    no_effect=0.1,
                    owner=OURS,
                ),
            ),
            note=(
                "The noise is the published one, sd .04, and so are five samples of each"
                " phase with N = 1. Digits instead of MNIST, 64-64-64-10, five epochs at a"
                " rate of .2 on batches of ten instead of fifty epochs at .05 on batches of"
                " twenty. Of 350 iterations of each phase, 40 free and 15 nudged ones are"
                " made; with 100 and 60, tried on one seed for three epochs,"
                " the small nudge stays at chance. At the rate and the batches of the paper"
                " eight epochs are 576 steps, 260 times fewer than MNIST's fifty, and noise"
                " has not undone yet what is learnt. Samples that oscillate without a nudge"
                " are left out. Accuracy after the last epoch, where the paper reports the"
                " best on test data: 98 % with ten points. Bounds of accuracies are ours: at"
                " most twice chance, half of the images, and three times chance."
            ),
            owner=THE_PAPERS,
            earlier=(
                "Said of a noise of .1, at which it held, with an accuracy of .85 for ten points."
                " The paper's noise is .04, and there it is tested now; .85, which was our"
                " pilot's, is more than its first seeds at that noise could tell after five"
                " epochs, of which the last may be a dip."
            ),
        ),
        Claim(
            id="h6",
            sentence=(
                "Training with two points ends within one percentage point of the accuracy"
                " of training by the exact gradient."
            ),
            source="Table 2: accuracies on par with backpropagation",
            experiment=ACCURACIES,
            checks=(
                Check(
                    "accuracy_apart",
                    "test accuracy, N = 2 less exact gradient, percentage points",
                    at_least=-1.0,
                    at_most=1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "accuracy_nudged",
                    "test accuracy, N = 2, %",
                    at_least=85.0,
                    # Chance among ten digits.
                    no_effect=10.0,
                    owner=OURS,
                ),
                Check(
                    "settled_nudged",
                    "samples that had settled while N = 2 learned, %",
                    at_least=95.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            note=(
                "Table 2's differences are .3, -.4 and -.7 points, so that a point is our"
                " rounding up. It compares convolutional networks with feed-forward ones of"
                " another activation; here both arms are one network, 64-64-64-10 on digits,"
                " and the exact gradient is backpropagation at the fixed point. As in Table"
                " 2: the holomorphic tanh, weights of sd 1 / sqrt(fan_in), a rate that falls"
                " as a cosine. Not as there: ten epochs of batches of 50, without momentum, at a"
                " rate of 1, and |beta| = .1, since of the samples that N = 2 learns from, one in"
                " fourteen did not settle at 1, and one in forty at .4 (one seed each)."
            ),
            owner=THE_PAPERS,
            tried=(
                "Six seeds were planned by the spread of the quick budget's three, whose"
                " accuracies tie. In those of the paper budget N = 2 ends a little lower, near"
                " the bound, so that about 160 seeds would tell, an hour on a core. Larger"
                " nudges, of which fewer samples settle, are in the note."
            ),
            earlier=(
                "Said of weights, which were to stay within 5 % of those of the exact"
                " gradient for five epochs: undecided. The paper compares accuracies alone."
                " Near the point where a steep logistic network no longer settles, rounding"
                " takes the exact gradient as far from itself."
            ),
        ),
        *LIMITS,
        Claim(
            id="h9",
            sentence=(
                "Convolutional networks reach 88.6 % on CIFAR-10, 61.6 % on CIFAR-100 and"
                " 36.5 % on ImageNet32."
            ),
            source="Table 2",
            experiment=None,
            note=(
                "Not tested: the images are not shipped, and ninety epochs of 250"
                " iterations are beyond a core. The convolutional gradient is tested for"
                " exactness."
            ),
            owner=THE_PAPERS,
        ),
        Claim(
            id="h10",
            sentence=(
                "On MNIST, N = 10 at |beta| = .4 errs on 1.97 % of test images without"
                " noise, 1.96 % with."
            ),
            source="Table 1",
            experiment=None,
            note=(
                "Not tested: MNIST is not shipped, and fifty epochs of it are 150,000 steps, each"
                " of .3 processor-seconds where 20 images settle for 200 iterations and ten"
                " points of each for 50: half a day a run. h5 is its counterpart on digits. One"
                " of three published runs of the continuous variant under noise ended at"
                " chance, which a table of best epochs does not show."
            ),
            owner=THE_PAPERS,
        ),
    ),
    sweeps=(_SWEEP,),
)
