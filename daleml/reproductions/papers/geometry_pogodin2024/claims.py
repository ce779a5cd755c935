r"""The geometry of plasticity.

The change of the weights is Gaussian in the dual of the potential that learning used.

Two experiments. Weights moved by normal numbers in a known dual, which says what the test can
tell at all; and linear regressions, over-parameterised, trained under a known potential, in
which nothing is normal by design.

``ne`` is the negative entropy, ``l2`` the Euclidean potential, ``l3`` the 3-norm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daleml._support import seeds
from daleml.analysis.plasticity.dual_geometry import DualChange, infer_geometry
from daleml.analysis.plasticity.normality import sampling_floor
from daleml.layers.init.draws import lognormal_
from daleml.optim import MirrorDescent
from daleml.potentials import Euclidean, NegativeEntropy, PNorm, Potential
from daleml.reproductions.claim import (
    Check,
    Claim,
    Experiment,
    Numbers,
    Paper,
    Settings,
)

_TRUE: dict[str, Potential] = {
    "ne": NegativeEntropy(),
    "l2": Euclidean(),
    "l3": PNorm(3),
}
_NAMES = {"ne": "negative entropy", "l2": "Euclidean", "l3": "3-norm"}
_CANDIDATES = (NegativeEntropy(), PNorm(1.5), Euclidean(), PNorm(2.5), PNorm(3))


def _changes(before: Tensor, after: Tensor) -> dict[Potential, DualChange]:
    """Return the change in the dual of every candidate."""
    found = infer_geometry(
        before, after, _CANDIDATES, n_boot=20
    )  # the fewest: no interval of one change is read
    return {one.potential: one for one in found.changes}


# -- moved by hand
# -----------------------------------------------------------------------------------------------------


def run_robustness(seed: int, settings: Settings) -> Numbers:
    """Move weights by normal numbers in each dual, several times, and return medians of distances.

    ``apart`` is the nearest other potential's, over the true one's. Of log-normal weights and
    the 3-norm that leaves out 2.5, which cannot be told from it there; of normal weights it
    does not.
    """
    generator = seeds.generator(seed, 1)
    numbers: Numbers = {}
    for kind in ("lognormal", "normal"):
        for name, true in _TRUE.items():
            drawn = []
            for _ in range(settings["draws"]):
                changes = _changes(*_moved(true, kind, settings["n"], generator))
                drawn.append([changes[candidate].distance for candidate in _CANDIDATES])
            medians = dict(
                zip(_CANDIDATES, np.median(drawn, axis=0).tolist(), strict=True)
            )
            tied = {true} | (
                {PNorm(2.5)} if (kind, name) == ("lognormal", "l3") else set()
            )
            others = [
                medians[candidate] for candidate in _CANDIDATES if candidate not in tied
            ]
            numbers[f"matched_{name}_{kind}"] = medians[true]
            numbers[f"apart_{name}_{kind}"] = min(others) / medians[true]
    return numbers


def _moved(
    potential: Potential, kind: str, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weights, and the same after a normal change in the dual of a potential."""
    weight = torch.empty(n, dtype=torch.float64)
    if kind == "lognormal":  # mean and standard deviation 1 / sqrt(n), random signs
        lognormal_(weight, 1 / math.sqrt(n), 1.0, generator=generator)
        weight.mul_(2.0 * torch.randint(0, 2, (n,), generator=generator) - 1)
    else:
        weight.normal_(0, 0.1, generator=generator)
    sd = 0.1 * abs(float(potential.gradient(torch.tensor(0.1, dtype=torch.float64))))
    dual = potential.gradient(weight) + sd * torch.randn(
        n, generator=generator, dtype=torch.float64
    )
    return weight, potential.inverse_gradient(dual, weight.sign())


_ROBUSTNESS: dict[str, Any] = {"n": 1_000, "draws": 10}
ROBUSTNESS = Experiment(
    "robustness of the geometry",
    run_robustness,
    settings=dict.fromkeys(("quick", "paper", "long"), _ROBUSTNESS),
    seeds={"quick": 24, "paper": 60, "long": 100},
    minutes=dict.fromkeys(("quick", "paper", "long"), 0.02),
)

# -- regressions
# -------------------------------------------------------------------------------------------------------


def run_regression(seed: int, settings: Settings) -> Numbers:
    """Train regressions of several sizes under each potential, and return means over those that interpolate."""
    numbers: Numbers = {}
    for n, repeats in zip(settings["sizes"], settings["repeats"], strict=True):
        for name, true in _TRUE.items():
            rows = []
            for repeat in range(repeats):
                weights = _interpolated(
                    true, n, seeds.generator(seed, n, repeat), settings
                )
                if weights is not None:
                    changes = _changes(*weights)
                    nearest = min(
                        one.distance
                        for one in changes.values()
                        if one.potential != true
                    )
                    own = changes[true]
                    rows.append(
                        [
                            own.distance,
                            nearest,
                            own.relative_change,
                            float(own.distance < nearest),
                        ]
                    )
            means = np.mean(rows, axis=0) if rows else np.full(4, math.nan)
            names = (
                f"{what}_{name}_{n}" for what in ("matched", "other", "moved", "right")
            )
            numbers |= dict(zip(names, means.tolist(), strict=True))
            numbers[f"converged_{name}_{n}"] = len(rows) / repeats
    for n in settings["sizes"]:
        matched = math.fsum(numbers[f"matched_{name}_{n}"] for name in _TRUE) / len(
            _TRUE
        )
        numbers[f"matched_{n}"] = matched
        numbers[f"floors_{n}"] = matched / sampling_floor(n).mean
        numbers[f"right_{n}"] = math.fsum(
            numbers[f"right_{name}_{n}"] for name in _TRUE
        ) / len(_TRUE)
    for smaller, larger in zip(settings["sizes"], settings["sizes"][1:], strict=False):
        numbers[f"fall_{larger}"] = (
            numbers[f"matched_{smaller}"] / numbers[f"matched_{larger}"]
        )
        for name in _TRUE:
            numbers[f"shrink_{name}_{larger}"] = (
                numbers[f"moved_{name}_{smaller}"] / numbers[f"moved_{name}_{larger}"]
            )
    return numbers


def _interpolated(
    potential: Potential, n: int, generator: torch.Generator, settings: Settings
) -> tuple[Tensor, Tensor] | None:
    """Regress labels of either sign on white noise, from the root of n examples.

    None if the loss stays too large.
    """
    n_examples = round(math.sqrt(n))
    x = torch.randn(n_examples, n, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randint(0, 2, (n_examples,), generator=generator) - 1
    before = torch.randn(n, generator=generator, dtype=torch.float64) / math.sqrt(n)
    # how far a weight moves for a step in the dual: one over the second derivative of the potential
    speed = before / potential.decay(before)
    fastest = torch.linalg.eigvalsh(x * speed.clamp(max=speed.quantile(0.99)) @ x.T)[-1]
    weight = nn.Parameter(before.clone())
    optimizer = MirrorDescent(
        [weight], float(1 / fastest), potential, momentum=settings["momentum"]
    )
    for _ in range(settings["epochs"]):
        error = x @ weight.detach() - y
        if float(error.square().mean()) < settings["loss"]:
            return before, weight.detach()
        weight.grad = x.T @ error
        optimizer.step()
    return None


_REGRESSION: dict[str, Any] = {
    "sizes": [100, 1_000, 10_000],
    "repeats": [8, 4, 2],
    "epochs": 2_000,
    "momentum": 0.9,
    "loss": 1e-3,
}
REGRESSION = Experiment(
    "regression under a potential",
    run_regression,
    settings=dict.fromkeys(("quick", "paper", "long"), _REGRESSION),
    seeds={"quick": 24, "paper": 60, "long": 100},
    minutes=dict.fromkeys(("quick", "paper", "long"), 0.05),
)

# -- claims
# ------------------------------------------------------------------------------------------------------------

_SOURCE = "Pogodin et al. 2024"
_SETTING = (
    "White features and as many examples as the root of D, momentum 0.9, until the loss is"
    " below 0.001. The learning rate is one over the largest curvature in the dual, for"
    " every potential, where the authors take the best of 16."
)
_FLOOR = sampling_floor(10_000).mean


def _of_each(number: str, label: str, **bounds: float) -> tuple[Check, ...]:
    """Expect the same of every potential."""
    return tuple(
        Check(number.format(name), label.format(_NAMES[name]), **bounds)
        for name in _TRUE
    )


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
                "Medians of 10 draws a seed; the floor is 0.0375 on average. Of log-normal"
                " weights the 3-norm and the 2.5-norm cannot be told apart, so that 2.5"
                " does not count against 3 there; of normal weights it does."
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
                    at_most=round(1.25 * _FLOOR, 4),
                ),
                *_of_each(
                    "other_{}_10000",
                    "nearest other distance, trained under {}",
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
