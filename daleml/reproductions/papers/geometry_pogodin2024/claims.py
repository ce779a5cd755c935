"""Pogodin et al. 2024: the geometry of plasticity can be read off the change of the weights.

The change is Gaussian in the dual of the potential that learning used.
"""

from __future__ import annotations

from typing import Any

from daleml.analysis.plasticity.normality import sampling_floor
from daleml.reproductions.claim import Check, Claim, Paper
from daleml.reproductions.papers.geometry_pogodin2024.experiments import (
    REGRESSION,
    ROBUSTNESS,
    TRUE_POTENTIALS,
)

# Parts of the sources and notes of several claims.
_SOURCE = "Pogodin et al. 2024"
_SETTING = (
    "White features and as many examples as the root of D, momentum 0.9, until the loss is"
    " below 0.001. The learning rate is one over the largest curvature in the dual, for"
    " every potential, where the authors take the best of 16."
)
# The mean distance from normal of as many numbers that are exactly normal.
_FLOOR = sampling_floor(10_000).mean
_NAMES = {"ne": "negative entropy", "l2": "Euclidean", "l3": "3-norm"}


def _of_each(number: str, label: str, **bounds: Any) -> tuple[Check, ...]:
    """Expect the same of every potential."""
    checks = []
    for name in TRUE_POTENTIALS:
        label_of_one = label.format(_NAMES[name])
        checks.append(Check(number.format(name), label_of_one, **bounds))
    return tuple(checks)


PAPER = Paper(
    "geometry",
    "Pogodin, Cornford, Ghosh, Gidel, Lajoie & Richards 2024, Synaptic weight distributions"
    " depend on the geometry of plasticity, ICLR, arXiv 2305.19394",
    (
        Claim(
            "4a",
            "A change normal in one dual is at the sampling floor there, and twice as far"
            " or more in any other.",
            f"{_SOURCE}, robustness experiment; plots.py",
            ROBUSTNESS,
            (
                *_of_each(
                    "matched_{}_lognormal",
                    "distance from normal, {}, D = 1,000",
                    at_most=0.04,
                ),
                *_of_each(
                    "apart_{}_lognormal",
                    "nearest other distance over that of {}",
                    at_least=2.0,
                    no_effect=1.0,
                ),
                Check(
                    "apart_l3_normal",
                    "nearest other distance over that of 3-norm, 2.5 included, normal"
                    " weights",
                    at_least=2.0,
                    no_effect=1.0,
                ),
            ),
            note=(
                "Medians of 10 draws a seed; the floor is 0.0375 on average. For log-normal"
                " weights the 3-norm and the 2.5-norm cannot be told apart, so that the"
                " 2.5-norm is not among the others there; for normal weights it is."
            ),
        ),
        Claim(
            "4b",
            "After a regression of 10,000 weights on 100 examples the change is normal in"
            " the dual of the potential it was trained under, and in no other.",
            f"{_SOURCE}, linear regression; linear_regression.py",
            REGRESSION,
            (
                *_of_each(
                    "matched_{}_10000",
                    "distance from normal, {}",
                    # Exactly normal numbers are at the floor on average; a quarter more is allowed.
                    at_most=round(1.25 * _FLOOR, 4),
                ),
                *_of_each(
                    "other_{}_10000",
                    "nearest other distance, trained under {}",
                    # The nearest other distance of a pilot was 0.073.
                    at_least=0.07,
                    no_effect=round(_FLOOR, 4),
                ),
            ),
            note=(
                f"{_SETTING} Looser than a pilot's 0.012, which numbers that are exactly"
                f" normal cannot keep on average: their distance is {_FLOOR:.4f}. The mean"
                " may be a quarter above that. The bound of 0.07 on the others is the"
                " pilot's; the nearest, 2.5 to a regression under the 3-norm, was 0.073"
                " there."
            ),
        ),
        Claim(
            "4c",
            "The distance from normal in the matched dual falls with the number of weights,"
            " along the sampling floor.",
            f"{_SOURCE}, linear regression; linear_regression.py",
            REGRESSION,
            (
                Check(
                    "fall_1000",
                    "matched distance at D = 100 over that at 1,000",
                    # The floor itself falls by the root of ten, 3.2, from one size to the next.
                    at_least=2.0,
                    no_effect=1.0,
                ),
                Check(
                    "fall_10000",
                    "matched distance at D = 1,000 over that at 10,000",
                    at_least=2.0,
                    no_effect=1.0,
                ),
                Check(
                    "floors_100",
                    "matched distance over the sampling floor, D = 100",
                    at_most=1.5,
                ),
                Check(
                    "floors_1000",
                    "matched distance over the sampling floor, D = 1,000",
                    at_most=1.5,
                ),
                Check(
                    "floors_10000",
                    "matched distance over the sampling floor, D = 10,000",
                    at_most=1.5,
                ),
            ),
            note=(
                f"Means over three potentials. {_SETTING} The floor itself falls by 3.2"
                " from one to the next; a pilot had falls of 2.7 to 5.7, and up to 1.44"
                " floors. No sizes are published."
            ),
        ),
        Claim(
            "4d",
            "The relative change of the weights in the dual shrinks as their number grows.",
            f"{_SOURCE}, linear regression; linear_regression.py",
            REGRESSION,
            (
                *_of_each(
                    "shrink_{}_1000",
                    "relative change at D = 100 over 1,000, {}",
                    at_least=1.5,
                    no_effect=1.0,
                ),
                *_of_each(
                    "shrink_{}_10000",
                    "relative change at D = 1,000 over 10,000, {}",
                    at_least=1.5,
                    no_effect=1.0,
                ),
            ),
            note=(
                f"{_SETTING} Theory has a factor of 1.78 for the Euclidean potential, the"
                " fourth root of ten; the smallest of a pilot was 1.54. For the negative"
                " entropy the change at D = 100 is 0.3 here, where the pilot had 0.17; at"
                " 10,000 both have 0.04."
            ),
        ),
        Claim(
            "4e",
            "The potential whose dual makes the change most nearly normal is the one the"
            " regression was trained under.",
            f"{_SOURCE}, linear regression; linear_regression.py",
            REGRESSION,
            _of_each(
                "right_{}_10000",
                "share of regressions whose potential is found, {}",
                at_least=1.0,
                # Chance among five candidates.
                no_effect=0.2,
            ),
            note=(
                f"{_SETTING} Five candidates, D = 10,000. Every single regression must be"
                " right, more than the median of eight seeds. At D = 1,000 the 3-norm and"
                " the 2.5-norm were a tie in a pilot's medians and are not here; at D ="
                " 100 the answer is unreliable."
            ),
        ),
    ),
)
