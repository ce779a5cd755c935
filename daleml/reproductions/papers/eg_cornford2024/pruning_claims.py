"""What pruning does to networks that learned by exponentiated gradient, as claims."""

from __future__ import annotations

from daleml.reproductions.claim import (
    OURS,
    PAPER_DIRECTION,
    THE_PAPERS,
    Check,
    Claim,
)
from daleml.reproductions.papers.eg_cornford2024.digit_arms import DIGITS, RATES
from daleml.reproductions.papers.eg_cornford2024.weight_claims import ON_DIGITS, SOURCE

_PRUNING = (
    " As in the paper, all layers are pruned together before the rate falls; then networks"
    " learn for a sixth of the training at a rate that falls to zero, each arm at the one of"
    " three rates with the smallest area under its training loss."
)
PRUNING = (
    Claim(
        "3d",
        "Without the smallest 95 % of them, weights learned by exponentiated gradient are closer"
        " to what they were than those learned by gradient descent.",
        f"{SOURCE}, Fig. 3B and C; pruning.ipynb",
        DIGITS,
        (
            Check(
                "cosine_gap_95",
                "cosine of weights before and after pruning 95 %, EG - GD",
                at_least=0.0,
                no_effect=0.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=f"{ON_DIGITS} The paper prints no mean of the cosines.",
        owner=THE_PAPERS,
        earlier=(
            "It said that accuracy after pruning 95 % without learning again is at least 20"
            " points higher under EG. Nobody but us had claimed that: the 20 points were a"
            " pilot's, whose rates were the best on the test set. The seeds could not tell, and"
            " the gap hung on GD's rate. The paper's figures are the cosine, which is this"
            " claim, and learning again, which is 3l, 3m and 3u; `zero_shot_gap_95` is still"
            " measured."
        ),
    ),
    Claim(
        "3p",
        "The cosine of claim 3d is larger under exponentiated gradient whichever learning rate"
        " gradient descent has, with signs held or not.",
        "ours",
        RATES,
        (
            Check(
                "least_gap",
                "cosine after pruning 95 %, EG at the rate of 3d - the largest of GD at any"
                " rate with 95 % of held-out images right",
                at_least=0.0,
                no_effect=0.0,
                owner=OURS,
            ),
        ),
        note=(
            "Larger rates move weights more and raise either arm's cosine, so a gap could be one"
            " of rates. Rates are judged by a fifth of the training images."
        ),
        owner=OURS,
    ),
    Claim(
        "3l",
        "Pruned of 97.5 %, networks learn again faster under exponentiated gradient.",
        f"{SOURCE}, Fig. 3D to F; prune_experiments.py, pruning_relearn.ipynb",
        DIGITS,
        (
            Check(
                "area_ratio_97.5",
                "area under the training loss after pruning 97.5 %, EG over GD",
                at_most=1.0,
                no_effect=1.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=(
            "The authors' notebook has areas of 1,106 against 1,350."
            f" {ON_DIGITS}{_PRUNING}"
        ),
        owner=THE_PAPERS,
    ),
    Claim(
        "3u",
        "Pruned of 95 %, networks learn again faster under exponentiated gradient.",
        f"{SOURCE}, Fig. 3D to F; prune_experiments.py, pruning_relearn.ipynb",
        DIGITS,
        (
            Check(
                "area_ratio_95",
                "area under the training loss after pruning 95 %, EG over GD",
                at_most=1.0,
                no_effect=1.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=f"The authors' notebook has areas of 775 against 1,027. {ON_DIGITS}{_PRUNING}",
        owner=THE_PAPERS,
        tried=(
            "With 5 % of its weights a network for digits is not far from where it was, and what"
            " it has to learn again differs little between the arms. The pilot of six seeds asks"
            " for about a hundred, half an hour, which the long budget has."
        ),
    ),
    Claim(
        "3m",
        "Pruned of 95 %, networks that learned again answer better under exponentiated"
        " gradient.",
        f"{SOURCE}, Fig. 3D; pruning_relearn.ipynb",
        DIGITS,
        (
            Check(
                "relearned_gap_95",
                "test accuracy after learning again, EG - GD, points",
                at_least=0.0,
                no_effect=0.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=(
            "The authors' notebook has 98.0 against 95.3 % here; at 99 % of pruning EG is the"
            f" lower, 61.5 against 70.3 %. {ON_DIGITS}{_PRUNING}"
        ),
        owner=THE_PAPERS,
        tried=(
            "Pruning 97.5 % besides (`relearned_gap_97.5`). On digits both arms come back to"
            " within about a point of where they were, which leaves little to gain."
        ),
    ),
    Claim(
        "3n",
        "Without the largest 1 % of them, weights learned by exponentiated gradient are further"
        " from what they were than those learned by gradient descent.",
        f"{SOURCE}, Fig. S7; reverse_pruning.ipynb",
        DIGITS,
        (
            Check(
                "largest_gap_1",
                "cosine of weights before and after pruning the largest 1 %, EG - GD",
                at_most=0.0,
                no_effect=0.0,
                owner=PAPER_DIRECTION,
            ),
            Check(
                "largest_gap_0.1",
                "the same of the largest 0.1 %",
                at_most=0.0,
                no_effect=0.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=f"As the figure, no accuracy: how much of the weights is in their tail. {ON_DIGITS}",
        owner=THE_PAPERS,
    ),
    Claim(
        "3o",
        "Gradient descent with signs held learns again like gradient descent: that signs are"
        " kept is not what exponentiated gradient gains by.",
        f"{SOURCE}, Figs. S5 and S6; cSGD_pruning.ipynb, cSGD_pruning_relearn.ipynb",
        DIGITS,
        (
            Check(
                "relearned_sign_gap_95",
                "test accuracy after pruning 95 % and learning again, signs held - GD, points",
                # Half of what the paper's EG gains here over GD, 2.7 points.
                at_least=-1.35,
                at_most=1.35,
                no_effect=0.0,
                owner=OURS,
            ),
            Check(
                "cosine_gap_95_sign",
                "cosine after pruning 95 %, EG - GD with signs held",
                at_least=0.0,
                no_effect=0.0,
                owner=PAPER_DIRECTION,
            ),
            Check(
                "area_ratio_97.5_sign",
                "area under the training loss after pruning 97.5 %, EG over GD with signs held",
                at_most=1.0,
                no_effect=1.0,
                owner=PAPER_DIRECTION,
            ),
        ),
        note=(
            "A weight that a step would carry through zero is put at 1e-18 with its sign, as in"
            f" the released code. {ON_DIGITS}{_PRUNING}"
        ),
        owner=THE_PAPERS,
    ),
)
"""Claims on pruning, and on learning after it."""
