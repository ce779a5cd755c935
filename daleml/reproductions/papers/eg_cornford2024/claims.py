"""Cornford et al. 2024: exponentiated gradient keeps signs and log-normal weights, and learns."""

from __future__ import annotations

from daleml.reproductions.claim import Check, Claim, Paper
from daleml.reproductions.papers.eg_cornford2024.experiments import (
    DIGITS,
    IDENTITIES,
    R_OF_K,
)

# Parts of the sources and notes of several claims.
_SOURCE = "Cornford et al. 2024"
_LRS = (
    "Learning rates were chosen for every arm by its accuracy on a fifth of the training"
    " set, never on the test set (half-decade grids, the best inside them); warm-up,"
    " cool-down, clipping and momentum are those of the paper's recurrent network, scaled"
    " to 30 epochs."
)

PAPER = Paper(
    "eg",
    "Cornford et al. 2024, Brain-like learning with exponentiated gradients, bioRxiv"
    " 2024.10.25.620272",
    (
        Claim(
            "3a",
            "Exponentiated gradient flips no sign; gradient descent flips more than 1 % of"
            " the hidden weights.",
            f"{_SOURCE}, update rule and Fig. 1; sign flips in dual_space_changes.ipynb",
            DIGITS,
            (
                Check(
                    "flipped_eg",
                    "hidden weights that changed sign under EG, %",
                    # Not a single synapse: multiplying cannot change a sign.
                    at_most=0.0,
                ),
                Check(
                    "flipped_gd",
                    "hidden weights that changed sign under GD, %",
                    at_least=1.0,
                    no_effect=0.0,
                ),
            ),
            note=(
                "Digits in place of 82 cognitive tasks, and a hidden layer in place of a"
                f" recurrent one. {_LRS}"
            ),
        ),
        Claim(
            "3b",
            "Under exponentiated gradient log-normal weights stay log-normal; under"
            " gradient descent they do not.",
            f"{_SOURCE}, Fig. 2; dual_space_changes.ipynb",
            DIGITS,
            (
                Check(
                    "ks_ratio",
                    "distance of z-scored ln|w| from normal (Kolmogorov-Smirnov), GD"
                    " over EG",
                    at_least=5.0,
                    # Both optimisers would leave weights equally far from log-normal.
                    no_effect=1.0,
                ),
            ),
            note=f"Of the weights between the two hidden layers. {_LRS}",
        ),
        Claim(
            "3c",
            "Exponentiated gradient learns as well as gradient descent.",
            f"{_SOURCE}, Fig. 1",
            DIGITS,
            (
                Check(
                    "accuracy_gap",
                    "test accuracy, EG - GD, points",
                    # Two test images of 360 are 0.56 points.
                    at_least=-0.5,
                    at_most=0.5,
                ),
            ),
            note=(
                "One test image of 360 is 0.28 points; every seed has a split of its own."
                f" {_LRS}"
            ),
        ),
        Claim(
            "3d",
            "Exponentiated gradient is far more robust to zero-shot magnitude pruning than"
            " gradient descent.",
            f"{_SOURCE}, Fig. 3, there with an epoch of training after pruning",
            DIGITS,
            (
                Check(
                    "pruned_95_gap",
                    "test accuracy after pruning 95 %, EG - GD, points",
                    # The gap of a pilot, see the note.
                    at_least=20.0,
                    no_effect=0.0,
                ),
            ),
            note=(
                "The 20 points are a pilot's, whose rates were the best on the test set:"
                " EG 88.6, GD 51.5 %. In the paper, after an epoch more, they are 2.7. The"
                " gap hangs on GD's rate, which accuracy hardly settles: on held-out"
                " images GD at 0.01, 0.03 and 0.1 has 97.3, 97.8 and 98.4 %, and after"
                " pruning 38, 59 and 79 %; EG at 0.1 and 0.3 has 97.2 and 98.0 %, and"
                " after pruning 64 and 86 % (means of ten seeds). Larger rates make either"
                " robust: EG at 0.3 is 27 points above GD at 0.03, and 7 above GD at 0.1,"
                " which the rule mostly takes. Tried besides, and no clearer: momentum 0.9"
                f" at constant rates, clipped and not. {_LRS}"
            ),
        ),
        Claim(
            "3e",
            "Where most inputs are irrelevant exponentiated gradient learns r of k far"
            " better; where few are, as well.",
            f"{_SOURCE}, Fig. 4; sparse_inputs_rofk.ipynb",
            R_OF_K,
            (
                Check(
                    "gap_many",
                    "test accuracy at n = 2,000, EG - GD, points",
                    at_least=15.0,
                    no_effect=0.0,
                ),
                Check(
                    "gap_few",
                    "test accuracy at n = 200, EG - GD, points",
                    at_least=-2.0,
                    at_most=2.0,
                ),
            ),
            note=(
                "Learning rates were chosen on a fifth of the (noisy) training set, where"
                " the authors' are the best on the test set; EG's grid is theirs. At n ="
                " 200 EG is somewhat behind, in the paper by 0.4 points. The long budget"
                " adds n = 20,000: its gap of many inputs is the smaller of the two."
            ),
        ),
        Claim(
            "3f",
            "A step of exponentiated gradient is an addition in the dual of the negative"
            " entropy; its decay shrinks every weight by one share, exp(-lr decay).",
            f"{_SOURCE}, update rule; eg_utils.py",
            IDENTITIES,
            (
                Check(
                    "dual_double",
                    "largest error of the dual coordinate, double precision",
                    # The rounding of double precision, at dual coordinates of up to 10.
                    at_most=1e-13,
                ),
                Check(
                    "dual_single",
                    "largest error of the dual coordinate, single precision",
                    # The rounding of single precision.
                    at_most=1e-5,
                ),
                Check(
                    "decay_double",
                    "largest relative error of decay alone, double precision",
                    at_most=1e-13,
                ),
                Check(
                    "decay_single",
                    "largest relative error of decay alone, single precision",
                    at_most=1e-5,
                ),
            ),
            note=(
                "Five steps with momentum 0.9 and learning rate 0.5; errors are those of"
                " rounding, which grow with the dual coordinate, of up to 10 here."
            ),
        ),
        Claim(
            "3g",
            "Negative: on this small network the dual change under exponentiated gradient"
            " is no more Gaussian than the primal change is under gradient descent.",
            f"{_SOURCE}, Fig. 2, of its recurrent network of 2,500 units, where it is more"
            " Gaussian",
            DIGITS,
            (
                Check(
                    "change_ratio",
                    "distance from normal, change of ln|w| under EG over change of w"
                    " under GD",
                    # The smallest ratio of an earlier pilot.
                    at_least=0.97,
                ),
            ),
            note=(
                "What the paper shows for a large network does not show in a small one; the"
                " bound is the smallest ratio of an earlier pilot. Claims 4b to 4e test the"
                " same idea where theory says it should be seen."
            ),
        ),
        Claim(
            "3h",
            "Exponentiated gradient and gradient descent tie on 82 cognitive tasks, and"
            " pruned networks relearn better under exponentiated gradient.",
            f"{_SOURCE}, Figs. 1 and 3; pruning_relearn.ipynb",
            None,
            note=(
                "Not run: 2,500 recurrent units, 350 steps and 6,000 updates a network are"
                " days on a laptop. The authors' notebooks have a tie within 0.3 points,"
                " and after pruning 95 % and an epoch 98.0 against 95.3 % in favour of EG;"
                " at 99 % EG ends lower, 61.5 against 70.3 %."
            ),
        ),
        Claim(
            "3i",
            "With many irrelevant inputs exponentiated gradient learns to reach with a"
            " simulated arm better.",
            f"{_SOURCE}, Fig. 5; reach_control.ipynb",
            None,
            note=(
                "Not run: it needs a simulator of muscles and 6,000 updates of 2,500 units."
                " The authors' best seeds end at a loss of 0.095 against 0.116 with 500"
                " irrelevant inputs, and tie without."
            ),
        ),
        Claim(
            "3j",
            "Negative: on ImageNet exponentiated gradient does not reach gradient descent.",
            f"{_SOURCE}, Fig. S11; imagenet_plotting.ipynb",
            None,
            note=(
                "Not run: ImageNet does not fit a laptop. The authors' own notebook has"
                " 73.1 against 78.2 % for a ResNet-50: five points worse. Parity is not"
                " claimed."
            ),
        ),
    ),
)
