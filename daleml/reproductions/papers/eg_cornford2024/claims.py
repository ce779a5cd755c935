"""Cornford et al. 2024 and 2026: exponentiated gradient keeps signs and shapes, and learns.

Figures are numbered as in the publication of 2026, after the table in its authors' repository.
"""

from __future__ import annotations

from daleml.reproductions.claim import (
    BY_CONSTRUCTION,
    OURS,
    THE_PAPERS,
    Check,
    Claim,
    Paper,
)
from daleml.reproductions.papers.eg_cornford2024.experiments import (
    FEW_INPUTS,
    IDENTITIES,
    MANY_INPUTS,
    MOST_INPUTS,
)
from daleml.reproductions.papers.eg_cornford2024.pruning_claims import PRUNING
from daleml.reproductions.papers.eg_cornford2024.weight_claims import SOURCE, WEIGHTS

_R_OF_K = (
    "Learning rates were chosen on a fifth of the (noisy) training set, where the authors'"
    " are the best on the test set; EG's grid is theirs."
)

_LEARNING = (
    Claim(
        "3e",
        "Where most inputs are irrelevant exponentiated gradient learns r of k far better.",
        f"{SOURCE}, Fig. 4; sparse_inputs_rofk.ipynb",
        MANY_INPUTS,
        (
            Check(
                "gap",
                "test accuracy at n = 2,000, EG - GD, points",
                # The authors' notebook has 92.9 against 70.5 %.
                at_least=15.0,
                no_effect=0.0,
                owner=OURS,
            ),
        ),
        note=(
            "The authors' notebook has 92.9 against 70.5 %; that 15 points are far better is"
            f" ours, and looser. {_R_OF_K}"
        ),
        owner=THE_PAPERS,
        earlier="It had the inputs of 200 and of 20,000 with it, which are now 3s and 3t.",
    ),
    Claim(
        "3s",
        "Where few inputs are irrelevant exponentiated gradient learns r of k as well.",
        f"{SOURCE}, Fig. 4; sparse_inputs_rofk.ipynb",
        FEW_INPUTS,
        (
            Check(
                "gap",
                "test accuracy at n = 200, EG - GD, points",
                at_least=-2.0,
                at_most=2.0,
                no_effect=0.0,
                owner=OURS,
            ),
        ),
        note=f"The authors' notebook has 96.9 against 97.3 %. {_R_OF_K}",
        owner=THE_PAPERS,
    ),
    Claim(
        "3t",
        "With 20,000 inputs exponentiated gradient still learns r of k far better.",
        f"{SOURCE}, Fig. 4; sparse_inputs_rofk.ipynb",
        MOST_INPUTS,
        (
            Check(
                "gap",
                "test accuracy at n = 20,000, EG - GD, points",
                at_least=15.0,
                no_effect=0.0,
                owner=OURS,
            ),
        ),
        note=(
            "Not in the quick budget: a seed takes minutes. The authors' notebook has 89.8"
            f" against 48.1 %; 15 points are ours, and looser. {_R_OF_K}"
        ),
        owner=THE_PAPERS,
    ),
    Claim(
        "3f",
        "A step of exponentiated gradient is an addition in the dual of the negative entropy;"
        " its decay shrinks every weight by one share, exp(-lr decay).",
        f"{SOURCE}, update rule; eg_utils.py",
        IDENTITIES,
        (
            Check(
                "dual_double",
                "largest error of the dual coordinate, double precision",
                # The rounding of double precision, at dual coordinates of up to 10.
                at_most=1e-13,
                owner=OURS,
                by_construction=True,
            ),
            Check(
                "dual_single",
                "largest error of the dual coordinate, single precision",
                # The rounding of single precision.
                at_most=1e-5,
                owner=OURS,
                by_construction=True,
            ),
            Check(
                "decay_double",
                "largest relative error of decay alone, double precision",
                at_most=1e-13,
                owner=OURS,
                by_construction=True,
            ),
            Check(
                "decay_single",
                "largest relative error of decay alone, single precision",
                at_most=1e-5,
                owner=OURS,
                by_construction=True,
            ),
        ),
        note=(
            "Five steps with momentum 0.9 and learning rate 0.5; errors are those of rounding,"
            " which grow with the dual coordinate, of up to 10 here."
        ),
        owner=BY_CONSTRUCTION,
    ),
)

_NOT_RUN = (
    Claim(
        "3h",
        "Exponentiated gradient and gradient descent tie on 82 cognitive tasks, and pruned"
        " networks relearn better under exponentiated gradient.",
        f"{SOURCE}, Figs. 1 and 3; pruning_relearn.ipynb",
        None,
        note=(
            "Not run at this size: 2,500 recurrent units, 350 steps and 6,000 updates a network"
            " are days on a laptop. In part tested on a small network: the tie by 3c, pruning"
            " by 3d, learning again by 3l, 3m and 3u. The authors' notebooks have a tie within 0.3"
            " points, and after pruning 95 % and an epoch 98.0 against 95.3 % in favour of EG;"
            " at 99 % EG ends lower, 61.5 against 70.3 %."
        ),
        owner=THE_PAPERS,
    ),
    Claim(
        "3i",
        "With many irrelevant inputs exponentiated gradient learns to reach with a simulated arm"
        " better.",
        f"{SOURCE}, Fig. 5; reach_control.ipynb",
        None,
        note=(
            "Not run: it needs a simulator of muscles and 6,000 updates of 2,500 units. What"
            " irrelevant inputs do to one neuron is 3e and 3t. The authors' best seeds end at a"
            " loss of 0.095 against 0.116 with 500 irrelevant inputs, and tie without."
        ),
        owner=THE_PAPERS,
    ),
    Claim(
        "3j",
        "Negative: on ImageNet exponentiated gradient does not reach gradient descent.",
        f"{SOURCE}, Fig. S11; imagenet_plotting.ipynb",
        None,
        note=(
            "Not run, and nothing small stands for it: ImageNet does not fit a laptop. The"
            " authors' own notebook has 73.1 against 78.2 % for a ResNet-50: five points worse."
            " Parity is not claimed."
        ),
        owner=THE_PAPERS,
    ),
)

PAPER = Paper(
    "eg",
    "Cornford et al. 2024, Brain-like learning with exponentiated gradients, bioRxiv"
    " 2024.10.25.620272; published in 2026 as Exponentiated gradients support effective learning"
    " in biologically relevant scenarios with brain-like synaptic distributions, whose figure"
    " numbers are used here",
    tuple(
        sorted(
            (*WEIGHTS, *PRUNING, *_LEARNING, *_NOT_RUN),
            key=lambda claim: claim.id,
        )
    ),
)
